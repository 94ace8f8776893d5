import errno
import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rcc_onnx.errors import OutputError
from rcc_onnx.system.documents import to_json
from rcc_onnx.types import RESEARCH_ONLY, Outcome
from tests.support.results import NO_KIDNEY, WITH_LESION, WITHOUT_LESION, case_result, failed_case
from tests.support.runs import write_case

OUTPUTS_PAGE = Path(__file__).parents[2] / "docs" / "outputs.md"


def test_json_and_picture_of_a_case(tmp_path: Path) -> None:
    path = write_case(case_result("ä case"), tmp_path / "new" / "out")
    assert {one.name for one in path.parent.iterdir()} == {"ä case.json", "ä case_r.png"}
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["schema_version"] == 1
    assert document["case"] == "ä case"
    assert document["status"] == "analysed"
    assert document["notice"] == RESEARCH_ONLY
    assert document["provider"]["ran"] == "cpu"
    right, left = document["sides"]["right"], document["sides"]["left"]
    assert right == {
        "outcome": "lesion",
        "assessable": True,
        "flags": [],
        "kidney": {
            "probability_sum": 4000.5,
            "margin": 3000.5,
            "margin_relative": 3.0005,
            "borderline": False,
            "centre_zyx": [20, 90, 41],
            "measures": None,
        },
        "lesion": {
            "probability_sum": 120.25,
            "slice": 17,
            "box_rows": [10, 30],
            "box_columns": [12, 32],
            "picture": "ä case_r.png",
            "margin": 70.25,
            "margin_relative": 1.405,
            "borderline": False,
            "measures": None,
        },
        "sensitivity": None,
    }
    assert left["outcome"] == "no_lesion"
    assert left["lesion"] == {
        "probability_sum": 1.5,
        "slice": None,
        "box_rows": None,
        "box_columns": None,
        "picture": None,
        "margin": -48.5,
        "margin_relative": -0.97,
        "borderline": False,
        "measures": None,
    }


def test_names_that_are_no_utf_8_are_written_all_the_same(tmp_path: Path) -> None:
    # What Python makes of the byte FC, a u with dots in Latin-1, in a file name on Linux.
    study = replace(case_result().study, skipped_files=(("M\udcfcller.txt", "not a DICOM file"),))
    path = write_case(case_result(study=study), tmp_path)
    (left_out,) = json.loads(path.read_bytes())["study"]["left_out"]
    assert left_out["file"] == "M\udcfcller.txt"


def test_a_side_without_kidney_has_no_lesion_block() -> None:
    document = to_json(case_result(sides={"right": NO_KIDNEY, "left": WITHOUT_LESION}))
    assert document["sides"]["right"]["kidney"]["centre_zyx"] is None
    assert document["sides"]["right"]["lesion"] is None


def test_a_failed_case_says_why(tmp_path: Path) -> None:
    document = json.loads(write_case(failed_case(), tmp_path).read_text())
    assert document["status"] == "failed"
    assert document["error"] == {"code": "missing-slices", "message": "slices are missing"}
    assert "sides" not in document


def test_no_picture_of_an_earlier_run_stays(tmp_path: Path) -> None:
    write_case(case_result(sides={"right": WITH_LESION, "left": WITH_LESION}), tmp_path)
    other = tmp_path / "case_r_of_somebody.png"
    other.write_bytes(b"")
    write_case(case_result(), tmp_path)
    assert {one.name for one in tmp_path.glob("*.png")} == {"case_r.png", other.name}
    write_case(failed_case("case"), tmp_path)
    assert {one.name for one in tmp_path.glob("*.png")} == {other.name}


def test_pictures_say_what_they_are_not(tmp_path: Path) -> None:
    write_case(case_result(warnings=("phantom models on a patient",)), tmp_path)
    with Image.open(tmp_path / "case_r.png") as picture:
        comment = picture.info["Comment"]
    assert RESEARCH_ONLY in comment
    assert "phantom models on a patient" in comment


def test_an_output_folder_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --out"):
        write_case(case_result(), tmp_path / "file")


def test_nothing_is_left_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        write_case(case_result(), tmp_path)
    assert not list(tmp_path.glob("*.json"))
    assert not list(tmp_path.glob(".*"))


def test_findings_that_contradict_each_other_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="cannot be lesion"):
        type(WITH_LESION)(Outcome.LESION, WITH_LESION.kidney, WITHOUT_LESION.lesion)
    with pytest.raises(ValueError, match="cannot be no_lesion"):
        type(WITH_LESION)(Outcome.NO_LESION, NO_KIDNEY.kidney, None)


def test_every_outcome_is_explained() -> None:
    page = OUTPUTS_PAGE.read_text(encoding="utf-8")
    assert all(f"| `{outcome}` |" in page for outcome in Outcome)


def test_bytes_are_on_the_disk_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut must not leave a name of which the bytes were still to be written."""
    synced: set[int] = set()
    replace_file = Path.replace

    def sync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)

    def rename(self: Path, target: Path) -> Path:
        assert self.stat().st_ino in synced, target
        return replace_file(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    write_case(case_result(), tmp_path)
    assert len(synced) >= 2


@pytest.mark.parametrize(("number", "is_told"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_share_that_cannot_put_bytes_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_told: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError) if is_told else nullcontext():
        write_case(case_result(), tmp_path)
    assert bool(list(tmp_path.glob("*.json"))) != is_told
