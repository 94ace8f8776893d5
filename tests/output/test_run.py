"""The files of a whole run, however it ends."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rcc_onnx.errors import OutputError, ProviderError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.checksums import SUMS_NAME, read_sums
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.output.run import RUN_FILES, RunRecord, RunResult
from rcc_onnx.results import AnalysedCase, FailedCase
from rcc_onnx.system.documents import read_document
from rcc_onnx.types import RESEARCH_ONLY, SeriesPolicy
from tests.support.results import (
    NO_KIDNEY,
    case_result,
    failed_case,
    kidney_finding,
    measured_case,
)
from tests.support.runs import write_case, write_run

OPTIONS = InferenceOptions(series_policy=SeriesPolicy.THINNEST, threads=2)


def begin(out: Path, *names: str) -> RunRecord:
    out.mkdir(exist_ok=True)
    return RunRecord(OutputFolder(out), OPTIONS, names or None)


def do(run: RunRecord, *results: AnalysedCase | FailedCase) -> None:
    """What a run does with each case."""
    for result in results:
        run.add(run.folder.write_case(result))


def read(out: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    data = (out / "results.json").read_bytes()
    read_document(RunResult, data)
    return json.loads(data), table


def test_a_run_that_reached_every_case(tmp_path: Path) -> None:
    with begin(tmp_path, "a", "b", "c", "d") as run:
        do(run, case_result("a"), failed_case("b"), measured_case("c"), failed_case("d"))
    document, table = read(tmp_path)
    assert document["notice"] == RESEARCH_ONLY
    assert document["stopped_by"] is None
    assert document["started"] <= document["ended"]
    datetime.fromisoformat(document["started"])
    assert document["options"]["series_policy"] == "thinnest"
    assert document["options"]["threads"] == 2
    assert document["environment"]["packages"]["numpy"]
    assert [models["name"] for models in document["models"]] == ["tiny"]
    assert [provider["ran"] for provider in document["providers"]] == ["cpu"]
    counts = document["counts"]
    assert (counts["cases"], counts["analysed"], counts["failed"]) == (4, 2, 2)
    assert counts["errors"] == [{"code": "missing-slices", "count": 2}]
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
    near = replace(NO_KIDNEY, kidney=kidney_finding(950.0))
    with begin(tmp_path, "case") as run:
        do(run, case_result(sides={"right": near, "left": NO_KIDNEY}))
    assert read(tmp_path)[0]["counts"]["kidneys_borderline"] == 1


@pytest.mark.parametrize(
    ("error", "stopped_by"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (ProviderError("the GPU is gone"), "provider"),
        (ZeroDivisionError(), "unexpected"),
    ],
)
def test_a_run_that_ends_early(tmp_path: Path, error: BaseException, stopped_by: str) -> None:
    with suppress(type(error)), begin(tmp_path, "a", "b", "c") as run:
        do(run, case_result("a"))
        raise error
    document, table = read(tmp_path)
    assert document["stopped_by"] == stopped_by
    assert document["not_reached"] == ["b", "c"]
    assert document["counts"]["not_reached"] == 2
    assert [row["case"] for row in table] == ["a", "a"]


def test_a_new_run_counts_its_own_cases_only(tmp_path: Path) -> None:
    with begin(tmp_path, "a", "b") as run:
        do(run, case_result("a"), failed_case("b"))
    (tmp_path / "of somebody.json").write_text('{"case": 1}')
    with begin(tmp_path, "b", "c") as run:
        # An earlier run's files are gone as soon as its cases are written over.
        assert not any((tmp_path / name).exists() for name in RUN_FILES)
        do(run, case_result("b"), failed_case("c"))
        assert run.earlier_cases == 1
    document, table = read(tmp_path)
    assert [case["case"] for case in document["cases"]] == ["b", "c"]
    assert document["earlier_cases"] == 1
    assert {row["case"] for row in table} == {"b", "c"}
    assert (tmp_path / "a.json").exists()


def test_an_earlier_result_of_a_case_that_was_not_reached_is_an_earlier_case(
    tmp_path: Path,
) -> None:
    write_case(case_result("b"), tmp_path)
    with suppress(KeyboardInterrupt), begin(tmp_path, "a", "b") as run:
        do(run, case_result("a"))
        raise KeyboardInterrupt
    assert read(tmp_path)[0]["earlier_cases"] == 1


def test_no_arrays_are_kept(tmp_path: Path) -> None:
    with begin(tmp_path, "a") as run:
        do(run, case_result("a"))
        (kept,) = run.results
    assert not hasattr(kept, "network_images")


def test_a_full_disk_hides_no_other_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space"), begin(tmp_path, "a"):
        monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.undo()
    # What ended the run is what comes out of it.
    with suppress(ProviderError), begin(tmp_path, "a"):
        monkeypatch.setattr(Path, "write_bytes", full)
        raise ProviderError("the GPU is gone")
    monkeypatch.undo()
    assert "files of the run are missing" in caplog.text
    assert not (tmp_path / "results.json").exists()
    assert not (tmp_path / SUMS_NAME).exists()


def test_earlier_files_that_cannot_be_removed_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(OutputError), begin(tmp_path, "a"):
        raise AssertionError("the run began")


def test_names_that_are_not_utf_8_are_written_as_escapes(tmp_path: Path) -> None:
    name = "M\udcfcller"
    with begin(tmp_path, name) as run:
        do(run, case_result(name))
    # Another run over the same case keeps its result.
    with begin(tmp_path, name) as run:
        run.add(run.folder.results()[0])
    document, table = read(tmp_path)
    assert document["cases"][0]["case"] == "M\\udcfcller"
    assert table[0]["case"] == "M\\udcfcller"
    assert document["earlier_cases"] == 0
    assert f"{name}_r.png" in listed(tmp_path)


def test_a_run_without_end_is_written_again_and_again(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        do(run, case_result("b"), failed_case("c"))
        run.write()
        document, _ = read(tmp_path)
        assert [case["case"] for case in document["cases"]] == ["b", "c"]
        assert document["stopped_by"] is None
        # One that was done again counts once, with its last answer; names give the order.
        do(run, case_result("c"), case_result("a"))
    document, table = read(tmp_path)
    assert [case["case"] for case in document["cases"]] == ["a", "b", "c"]
    assert document["counts"]["cases"] == document["counts"]["analysed"] == 3
    assert [row["case"] for row in table] == ["a", "a", "b", "b", "c", "c"]


# --- SHA256SUMS -----------------------------------------------------------------------------------


@pytest.fixture
def analyse(tmp_path: Path, placed: AnalysedCase) -> Callable[..., None]:
    return partial(write_run, tmp_path, placed)


def listed(out: Path) -> dict[str, str]:
    return read_sums((out / SUMS_NAME).read_bytes())


def test_every_file_is_listed_hidden_ones_too(tmp_path: Path, analyse: Callable[..., None]) -> None:
    analyse("a", "bad")
    assert listed(tmp_path) == {
        path.relative_to(tmp_path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != SUMS_NAME
    }
    assert {".report/a.json", "a_r.png", "bad.json", "report.html"} <= listed(tmp_path).keys()


def test_earlier_cases_are_listed_and_other_files_are_not(
    tmp_path: Path, analyse: Callable[..., None]
) -> None:
    analyse("a")
    before = listed(tmp_path)
    (tmp_path / "of somebody.json").write_text('{"case": 1}')
    (tmp_path / "broken.json").write_text('{"case": ')
    (tmp_path / "notes.txt").write_text("x")
    analyse("b")
    after = listed(tmp_path)
    of_a = {name: sha256 for name, sha256 in before.items() if not name.startswith(("res", "rep"))}
    assert of_a.items() <= after.items()
    run_files = {"report.html", "results.csv", "results.json"}
    new = {name.split("_")[0] for name in after.keys() - of_a.keys()}
    assert new == {"b.json", "b", ".report/b.json", *run_files}


def test_a_file_that_was_damaged_after_it_was_written_is_listed_as_it_was(tmp_path: Path) -> None:
    with begin(tmp_path, "a") as run:
        do(run, case_result("a"))
        picture = tmp_path / "a_r.png"
        whole = picture.read_bytes()
        picture.write_bytes(whole[:-1] + b"x")
    assert listed(tmp_path)["a_r.png"] == hashlib.sha256(whole).hexdigest()


def test_the_reports_images_may_be_removed(tmp_path: Path, analyse: Callable[..., None]) -> None:
    analyse("a")
    shutil.rmtree(tmp_path / ".report")
    analyse("bad")
    assert "a_overview.png" in listed(tmp_path)
    assert ".report/a.json" not in listed(tmp_path)


def test_a_document_can_name_no_files_of_others(
    tmp_path: Path, analyse: Callable[..., None]
) -> None:
    analyse("a")
    path = tmp_path / "a.json"
    document = json.loads(path.read_bytes())
    document["files"] = [{"name": name, "bytes": 1, "sha256": "a" * 64} for name in ("../x", "y")]
    path.write_text(json.dumps(document))
    shutil.copy(path, tmp_path / "renamed.json")
    analyse("bad")
    run_files = {"results.csv", "results.json", "report.html"}
    assert listed(tmp_path).keys() == {"a.json", "renamed.json", "bad.json", *run_files}


def test_there_are_none_while_the_files_of_the_run_are_replaced(
    tmp_path: Path, analyse: Callable[..., None]
) -> None:
    analyse("a")
    run = begin(tmp_path, "a")
    run.write()
    assert "a.json" in listed(tmp_path)
    (tmp_path / "results.csv").unlink()
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(OutputError):
        run.write()
    assert not (tmp_path / SUMS_NAME).exists()
