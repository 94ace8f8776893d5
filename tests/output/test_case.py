"""The files of a case: which there are, what they hold, and that no old one stays."""

import errno
import json
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rcc_onnx.errors import OutputError
from rcc_onnx.output.case import RED, lesion_picture
from rcc_onnx.types import RESEARCH_ONLY, LesionBox
from tests.support.results import WITH_LESION, case_result, failed_case
from tests.support.runs import write_case, written


def test_the_json_and_the_picture_of_a_case(tmp_path: Path) -> None:
    path = write_case(case_result("ä case"), tmp_path / "new" / "out")
    assert {file.name for file in path.parent.iterdir()} == {"ä case.json", "ä case_r.png"}
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["schema_version"], document["case"]) == (1, "ä case")
    assert (document["status"], document["notice"]) == ("analysed", RESEARCH_ONLY)
    assert [file["name"] for file in document["files"]] == ["ä case_r.png"]
    assert document["timings_s"].keys() >= {"total", "saving"}
    assert document["sides"]["right"] == {
        "outcome": "lesion",
        "kidney": {
            "probability_sum": 4000.5,
            "margin": {"absolute": 3000.5, "relative": 3.0005, "borderline": False},
            "centre_zyx": [20, 90, 41],
            "measures": None,
        },
        "lesion": {
            "probability_sum": 120.25,
            "margin": {"absolute": 70.25, "relative": 1.405, "borderline": False},
            "box": {"slice": 17, "top": 10, "bottom": 30, "left": 12, "right": 32},
            "measures": None,
        },
        "flags": [],
        "assessable": True,
        "sensitivity": None,
    }


def test_a_failed_case_states_its_error(tmp_path: Path) -> None:
    document = written(failed_case(), tmp_path)
    assert document["status"] == "failed"
    error = {"code": "missing-slices", "message": "slices are missing", "series": []}
    assert document["error"] == error
    assert "sides" not in document


def test_pictures_of_an_earlier_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    write_case(case_result(sides={"right": WITH_LESION, "left": WITH_LESION}), tmp_path)
    other = tmp_path / "case_r_of_somebody.png"
    other.write_bytes(b"")
    write_case(case_result(), tmp_path)
    assert {file.name for file in tmp_path.glob("*.png")} == {"case_r.png", other.name}
    write_case(failed_case("case"), tmp_path)
    assert {file.name for file in tmp_path.glob("*.png")} == {other.name}


def test_pictures_state_what_they_are_not(tmp_path: Path) -> None:
    write_case(case_result(warnings=("phantom models on a patient",)), tmp_path)
    with Image.open(tmp_path / "case_r.png") as picture:
        assert RESEARCH_ONLY in picture.info["Comment"]
        assert "phantom models on a patient" in picture.info["Comment"]


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


@pytest.mark.parametrize(("number", "is_refused"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_share_that_cannot_put_bytes_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_refused: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError) if is_refused else nullcontext():
        write_case(case_result(), tmp_path)
    assert bool(list(tmp_path.glob("*.json"))) != is_refused


# --- The published picture ------------------------------------------------------------------------


@pytest.fixture
def crop() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (40, 64, 64)).astype(np.uint8)


def test_the_box_has_one_red_pixel_at_every_edge(crop: np.ndarray) -> None:
    before = crop.copy()
    pixels = np.asarray(lesion_picture(crop, LesionBox(7, 10, 20, 30, 45)))
    red = (pixels == RED).all(axis=2)
    expected = np.zeros((64, 64), bool)
    expected[10:21, 30:46] = True
    expected[11:20, 31:45] = False
    np.testing.assert_array_equal(red, expected)
    grey = np.repeat(crop[7][:, :, None], 3, axis=2)
    np.testing.assert_array_equal(pixels[~red], grey[~red])
    np.testing.assert_array_equal(crop, before)


def test_a_box_at_the_border_is_drawn_whole(crop: np.ndarray) -> None:
    pixels = np.asarray(lesion_picture(crop, LesionBox(0, 0, 63, 0, 63)))
    assert (pixels == RED).all(axis=2).sum() == 4 * 63
