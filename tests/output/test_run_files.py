"""The files of a whole run, however it ends."""

import csv
import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rcc_onnx.batch.cases import Case
from rcc_onnx.dicom import SeriesSelection
from rcc_onnx.engine import Options
from rcc_onnx.errors import IntakeError, OutputError, ProviderError
from rcc_onnx.output.run import RUN_FILES, RunFiles
from rcc_onnx.results import CaseResult, FailedCase, MeasuringOptions
from rcc_onnx.types import RESEARCH_ONLY, Profile, SeriesPolicy
from tests.support.results import case_result, failed_case, measured_case
from tests.support.runs import write_case

OPTIONS = Options(wish=SeriesSelection(policy=SeriesPolicy.THINNEST), threads=2)


def cases(*names: str) -> list[Case]:
    return [Case(name, Path(name)) for name in names]


def do(run: RunFiles, out: Path, *results: CaseResult | FailedCase) -> None:
    """What a run does with each case."""
    for result in results:
        write_case(result, out)
        run.add(result)


def read(out: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    return json.loads((out / "results.json").read_text(encoding="utf-8")), table


def test_a_run_that_went_through(tmp_path: Path) -> None:
    failed = FailedCase("d", Profile.STANDARD, IntakeError("nothing", code="no-dicom"))
    results = (case_result("a"), failed_case("b"), measured_case("c"), failed)
    with RunFiles(OPTIONS, cases("a", "b", "c", "d"), tmp_path) as run:
        do(run, tmp_path, *results)
    document, table = read(tmp_path)
    assert document["notice"] == RESEARCH_ONLY
    assert document["stopped_by"] is None
    assert document["started"] <= document["ended"]
    datetime.fromisoformat(document["started"])
    assert document["options"]["series_policy"] == "thinnest"
    assert document["options"]["threads"] == 2
    assert document["options"]["pseudonyms"] is False
    assert document["environment"]["packages"]["numpy"]
    assert [one["name"] for one in document["models"]] == ["tiny"]
    assert [one["ran"] for one in document["providers"]] == ["cpu"]
    counts = document["counts"]
    assert (counts["cases"], counts["analysed"], counts["failed"]) == (4, 2, 2)
    assert counts["errors"] == [
        {"code": "missing-slices", "count": 1},
        {"code": "no-dicom", "count": 1},
    ]
    assert counts["outcomes"]["lesion"] == {"right": 2, "left": 0}
    assert counts["outcomes"]["no_lesion"] == {"right": 0, "left": 2}
    # Only the measured case has flags, and one of them is the study's.
    assert counts["kidneys_not_assessable"] == 2
    assert counts["kidneys_borderline"] == 0
    assert document["cases"][0] == {
        "case": "a",
        "status": "analysed",
        "error_code": None,
        "files": ["a.json", "a_r.png"],
        "outcomes": {"right": "lesion", "left": "no_lesion"},
        "assessable": {"right": True, "left": True},
        "seconds": 1.25,
    }
    assert document["cases"][1]["error_code"] == "missing-slices"
    assert document["cases"][1]["files"] == ["b.json"]
    assert document["not_reached"] == []
    assert document["earlier_cases"] == 0
    assert [row["case"] for row in table] == [name for name in "abcd" for _ in range(2)]


def test_borderline_kidneys_are_counted(tmp_path: Path) -> None:
    # 120.25 against 50 is 141 % above.
    near = case_result(options=MeasuringOptions(borderline=1.5))
    with RunFiles(OPTIONS, cases("case"), tmp_path) as run:
        do(run, tmp_path, near)
    assert read(tmp_path)[0]["counts"]["kidneys_borderline"] == 2


@pytest.mark.parametrize(
    ("error", "stopped_by"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (ProviderError("the GPU is gone"), "provider"),
        (ZeroDivisionError(), "unexpected"),
    ],
)
def test_a_run_that_was_broken_off(tmp_path: Path, error: BaseException, stopped_by: str) -> None:
    with suppress(type(error)), RunFiles(OPTIONS, cases("a", "b", "c"), tmp_path) as run:
        do(run, tmp_path, case_result("a"))
        raise error
    document, table = read(tmp_path)
    assert document["stopped_by"] == stopped_by
    assert document["not_reached"] == ["b", "c"]
    assert document["counts"]["not_reached"] == 2
    assert [row["case"] for row in table] == ["a", "a"]


def test_a_new_run_counts_its_own_cases_only(tmp_path: Path) -> None:
    with RunFiles(OPTIONS, cases("a", "b"), tmp_path) as run:
        do(run, tmp_path, case_result("a"), failed_case("b"))
    (tmp_path / "of somebody.json").write_text('{"case": 1}')
    with RunFiles(OPTIONS, cases("b", "c"), tmp_path) as run:
        # An earlier run's table is gone as soon as its cases are written over.
        assert not (tmp_path / "results.csv").exists()
        assert not (tmp_path / "results.json").exists()
        do(run, tmp_path, case_result("b"), failed_case("c"))
        assert run.earlier_cases == 1
    document, table = read(tmp_path)
    assert [one["case"] for one in document["cases"]] == ["b", "c"]
    assert document["earlier_cases"] == 1
    assert {row["case"] for row in table} == {"b", "c"}
    assert (tmp_path / "a.json").exists()


def test_a_result_of_an_earlier_run_for_a_case_that_was_not_reached_is_counted(
    tmp_path: Path,
) -> None:
    write_case(case_result("b"), tmp_path)
    with suppress(KeyboardInterrupt), RunFiles(OPTIONS, cases("a", "b"), tmp_path) as run:
        do(run, tmp_path, case_result("a"))
        raise KeyboardInterrupt
    assert read(tmp_path)[0]["earlier_cases"] == 1


def test_no_arrays_are_kept(tmp_path: Path) -> None:
    with RunFiles(OPTIONS, cases("a"), tmp_path) as run:
        do(run, tmp_path, case_result("a"))
        (kept,) = run.results
    assert isinstance(kept, CaseResult)
    assert kept.network_images is None


def test_a_folder_that_cannot_be_is_said_before_the_first_case(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), RunFiles(OPTIONS, cases("a"), tmp_path / "file"):
        raise AssertionError("the run began")


def test_a_full_disk_hides_no_other_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space"), RunFiles(OPTIONS, cases("a"), tmp_path):
        monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.undo()
    # What ended the run is what comes out of it.
    with suppress(ProviderError), RunFiles(OPTIONS, cases("a"), tmp_path):
        monkeypatch.setattr(Path, "write_bytes", full)
        raise ProviderError("the GPU is gone")
    monkeypatch.undo()
    assert "files of the run are missing" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_utf_8_are_written_all_the_same(tmp_path: Path) -> None:
    name = "M\udcfcller"
    with RunFiles(OPTIONS, cases(name), tmp_path) as run:
        run.add(failed_case(name))
    document, table = read(tmp_path)
    assert document["cases"][0]["case"] == name
    assert table[0]["case"] == "M\\udcfcller"


def test_a_run_without_end_is_written_again_and_again(tmp_path: Path) -> None:
    with RunFiles(OPTIONS, None, tmp_path, pseudonyms=True) as run:
        do(run, tmp_path, case_result("b"), failed_case("c"))
        run.write()
        document, _ = read(tmp_path)
        assert [one["case"] for one in document["cases"]] == ["b", "c"]
        assert document["stopped_by"] is None
        assert document["options"]["pseudonyms"] is True
        # One that was done again counts once, with its last answer; names give the order.
        do(run, tmp_path, case_result("c"), case_result("a"))
    document, table = read(tmp_path)
    assert [one["case"] for one in document["cases"]] == ["a", "b", "c"]
    assert document["counts"]["cases"] == document["counts"]["analysed"] == 3
    assert [row["case"] for row in table] == ["a", "a", "b", "b", "c", "c"]


def test_what_a_run_writes() -> None:
    assert [output.name for output in RUN_FILES][-2:] == ["results.json", "SHA256SUMS"]
    assert {"results.csv", "results.json"} <= set(RUN_FILES)
