"""What SHA256SUMS of a run lists."""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from rcc_onnx.batch.cases import Case
from rcc_onnx.engine import Options
from rcc_onnx.errors import OutputError
from rcc_onnx.output.checksums import read_sums
from rcc_onnx.output.run import RunFiles
from rcc_onnx.results import CaseResult
from tests.support.placed import placed_case
from tests.support.results import case_result
from tests.support.runs import write_case, write_run


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    return placed_case(tmp_path_factory.mktemp("placed") / "case")


@pytest.fixture
def run(tmp_path: Path, placed: CaseResult) -> Callable[..., None]:
    return partial(write_run, tmp_path, placed)


def listed(out: Path) -> dict[str, str]:
    return read_sums((out / "SHA256SUMS").read_bytes())


def test_everything_is_listed_and_hidden_files_too(
    tmp_path: Path, run: Callable[..., None]
) -> None:
    run("a", "bad")
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert listed(tmp_path) == {
        path.relative_to(tmp_path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != "SHA256SUMS"
    }
    assert {".report/a.json", "a_r.png", "bad.json", "report.html"} <= listed(tmp_path).keys()


def test_earlier_cases_are_listed_and_other_files_are_not(
    tmp_path: Path, run: Callable[..., None]
) -> None:
    run("a")
    before = listed(tmp_path)
    (tmp_path / "of somebody.json").write_text('{"case": 1}')
    (tmp_path / "broken.json").write_text('{"case": ')
    (tmp_path / "notes.txt").write_text("x")
    run("b")
    after = listed(tmp_path)
    of_a = {name: one for name, one in before.items() if not name.startswith(("res", "rep"))}
    assert of_a.items() <= after.items()
    assert {name.split("_")[0] for name in after.keys() - of_a.keys()} == {
        "b.json",
        "b",
        ".report/b.json",
        "report.html",
        "results.csv",
        "results.json",
    }


def test_what_a_disk_did_to_a_file_since_it_was_written_shows(
    tmp_path: Path, run: Callable[..., None]
) -> None:
    result = case_result("a")
    with RunFiles(Options(), [Case("a", Path("a"))], tmp_path) as files:
        write_case(result, tmp_path)
        files.add(result)
        picture = tmp_path / "a_r.png"
        whole = picture.read_bytes()
        picture.write_bytes(whole[:-1] + b"x")
    assert listed(tmp_path)["a_r.png"] == hashlib.sha256(whole).hexdigest()


def test_results_of_a_version_that_stated_no_hashes(
    tmp_path: Path, run: Callable[..., None]
) -> None:
    run("a")
    document = json.loads((tmp_path / "a.json").read_bytes())
    del document["files"]
    (tmp_path / "a.json").write_text(json.dumps(document))
    run("b")
    assert {"a.json", "a_r.png", "a_overview.png", ".report/a.json"} <= listed(tmp_path).keys()


def test_the_reports_images_may_be_removed(tmp_path: Path, run: Callable[..., None]) -> None:
    run("a")
    shutil.rmtree(tmp_path / ".report")
    run("bad")
    assert "a_overview.png" in listed(tmp_path)
    assert ".report/a.json" not in listed(tmp_path)


def test_a_document_can_name_no_files_of_others(tmp_path: Path, run: Callable[..., None]) -> None:
    run("a")
    path = tmp_path / "a.json"
    document = json.loads(path.read_bytes())
    document["files"] = [{"name": one, "bytes": 1, "sha256": "a" * 64} for one in ("../x", "y")]
    path.write_text(json.dumps(document))
    shutil.copy(path, tmp_path / "renamed.json")
    run("bad")
    run_files = {"results.csv", "results.json", "report.html"}
    assert listed(tmp_path).keys() == {"a.json", "renamed.json", "bad.json", *run_files}


def test_there_are_none_while_a_run_is_on_and_some_however_it_ends(
    tmp_path: Path, run: Callable[..., None]
) -> None:
    run("a")
    with suppress(KeyboardInterrupt), RunFiles(Options(), [], tmp_path):
        assert not (tmp_path / "SHA256SUMS").exists()
        raise KeyboardInterrupt
    assert "a.json" in listed(tmp_path)


def test_there_are_none_while_the_files_of_the_run_are_replaced(
    tmp_path: Path, run: Callable[..., None]
) -> None:
    run("a")
    files = RunFiles(Options(), [], tmp_path)
    files.start()
    files.write()
    (tmp_path / "results.csv").unlink()
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(OutputError):
        files.write()
    assert not (tmp_path / "SHA256SUMS").exists()


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, run: Callable[..., None]) -> None:
    run("a")
    files = RunFiles(Options(), [], tmp_path)
    files.__enter__()
    (tmp_path / "SHA256SUMS").mkdir()
    with pytest.raises(OutputError):
        files.__exit__(None, None, None)
