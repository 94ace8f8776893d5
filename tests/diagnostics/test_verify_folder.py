"""`rcc-onnx verify OUT`: what is found in a folder that was changed."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from rcc_onnx.diagnostics.verify.folder import FolderVerdict, Kind, check_folder
from rcc_onnx.errors import SumsFormatError
from rcc_onnx.output.checksums import read_sums, sums_bytes
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.results import AnalysedCase
from rcc_onnx.system.files import size_and_sha256
from tests.support.errors import raises_code
from tests.support.positioned_cases import placed_case
from tests.support.runs import write_run

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="names and permissions of Linux")
Json = dict[str, Any]
ODD_NAMES = ["line\nfeed", "back\\slash", "M\udcfcller", "two words", "Übung"]


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> AnalysedCase:
    return placed_case(tmp_path_factory.mktemp("placed") / "case")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, placed: AnalysedCase) -> Path:
    out = tmp_path_factory.mktemp("written") / "out"
    write_run(out, placed, "a", "b", "bad")
    return out


@pytest.fixture
def out(tmp_path: Path, written: Path) -> Path:
    return shutil.copytree(written, tmp_path / "out")


def found(out: Path) -> set[tuple[Kind, str]]:
    return {(finding.kind, finding.file) for finding in check_folder(out).findings}


def is_ok(out: Path) -> bool:
    return check_folder(out).verdict is FolderVerdict.OK


def edit(path: Path, change: Callable[[Json], object]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def list_again(out: Path) -> None:
    """List the hashes again, so that a change is overlooked."""
    path = out / "SHA256SUMS"
    names = [name for name in read_sums(path.read_bytes()) if (out / name).exists()]
    path.write_bytes(sums_bytes({name: size_and_sha256(out / name)[1] for name in names}))


def test_an_unchanged_folder_is_ok(out: Path) -> None:
    check = check_folder(out)
    assert check.verdict is FolderVerdict.OK
    files = [path for path in out.rglob("*") if path.is_file()]
    assert check.listed == check.unchanged == len(files) - 1
    assert check.cases == 3
    assert check.sums_sha256 == size_and_sha256(out / "SHA256SUMS")[1]
    assert check.notes == ("the last run reached all of its cases",)


def test_every_listed_file_is_looked_at(out: Path) -> None:
    for name in read_sums((out / "SHA256SUMS").read_bytes()):
        whole = (out / name).read_bytes()
        (out / name).write_bytes(whole + b"\n")
        assert (Kind.CHANGED, name) in found(out)
        (out / name).write_bytes(whole)
    assert is_ok(out)


def lose_the_lesion(document: Json) -> None:
    document["sides"]["right"] |= {"outcome": "lesion_not_located"}
    document["sides"]["right"]["lesion"]["box"] = None


@pytest.mark.parametrize(
    ("change", "file", "text"),
    [
        (lose_the_lesion, "results.json", "another outcome of 'a'"),
        (lambda document: document["files"].pop(0), "a.json", "does not state 'a_"),
        (
            lambda document: document["files"][0].update(sha256="0" * 64),
            "a.json",
            "another hash of 'a_",
        ),
        (
            lambda document: document["files"][0].update(name="other"),
            "a.json",
            "states 'other', which is not a file of its case",
        ),
    ],
)
def test_a_document_that_was_changed_and_listed_again_disagrees_with_the_others(
    out: Path, change: Callable[[Json], object], file: str, text: str
) -> None:
    edit(out / "a.json", change)
    list_again(out)
    found = [finding for finding in check_folder(out).findings if text in finding.text]
    assert [(finding.kind, finding.file) for finding in found] == [(Kind.DISAGREES, file)]


def test_a_status_in_the_run_that_is_not_the_cases(out: Path) -> None:
    shutil.copy(out / "bad.json", out / "a.json")
    edit(out / "a.json", lambda document: document.update(case="a"))
    list_again(out)
    assert (Kind.DISAGREES, "results.json") in found(out)


@pytest.mark.parametrize("name", ["a_r.png", "a.json", "results.csv"])
def test_a_file_that_is_gone(out: Path, name: str) -> None:
    (out / name).unlink()
    assert (Kind.MISSING, name) in found(out)


def test_files_that_cannot_be_read(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("rcc_onnx.diagnostics.verify.folder.size_and_sha256", fail)
    monkeypatch.setattr(OutputFolder, "stored_case", fail)
    check = check_folder(out)
    assert (check.unchanged, check.cases) == (0, 0)
    assert check.findings[0].text == "it cannot be read (Input/output error)"
    assert {finding.kind for finding in check.findings} == {Kind.UNREADABLE}
    monkeypatch.setattr(Path, "iterdir", fail)
    with raises_code("check-folder", match="cannot be listed"):
        check_folder(out)
    (out / "SHA256SUMS").unlink()
    (out / "SHA256SUMS").mkdir()
    with raises_code("check-folder", match="cannot be read"):
        check_folder(out)


def test_the_reports_images_may_be_removed(out: Path) -> None:
    shutil.rmtree(out / ".report")
    check = check_folder(out)
    assert check.verdict is FolderVerdict.OK
    assert check.unchanged < check.listed
    assert "2 files of the report's images are removed, as they may be" in check.notes


@pytest.mark.parametrize(
    ("name", "like", "kind"),
    [
        ("new.json", "a.json", Kind.NOT_LISTED),
        ("new_r.png", "a_r.png", Kind.HALF_DONE),
        ("new_mask.nii.gz", "a_r.png", Kind.HALF_DONE),
        ("a_l.png", "a_r.png", Kind.NOT_LISTED),
        (".report/new.json", ".report/a.json", Kind.HALF_DONE),
        (".rcc-onnx-123.part.png", "a_r.png", Kind.NOT_LISTED),
    ],
)
def test_a_file_that_came_from_elsewhere(out: Path, name: str, like: str, kind: Kind) -> None:
    (out / name).unlink(missing_ok=True)
    if name == "a_l.png" and name in read_sums((out / "SHA256SUMS").read_bytes()):
        pytest.skip("the case has one")
    shutil.copy(out / like, out / name)
    assert (kind, name) in found(out)


def test_other_files_are_left_alone(out: Path) -> None:
    (out / "notes.txt").write_text("x")
    (out / "other.json").write_text("{}")
    (out / "sub").mkdir()
    (out / "sub" / "a_r.png").write_bytes(b"x")
    assert is_ok(out)


def test_a_case_that_was_renamed(out: Path) -> None:
    for path in list(out.glob("a*")):
        path.rename(out / path.name.replace("a", "z", 1))
    kinds = found(out)
    assert {(Kind.MISSING, "a.json"), (Kind.RENAMED, "z.json")} <= kinds
    assert {(Kind.NOT_LISTED, "z.json"), (Kind.NOT_LISTED, "z_r.png")} <= kinds


@pytest.mark.parametrize("name", ["a.json", "results.json"])
def test_a_document_that_cannot_be_read_any_more(out: Path, name: str) -> None:
    (out / name).write_text('{"notice": "x"}')
    list_again(out)
    assert (Kind.INVALID, name) in found(out)


@pytest.mark.parametrize("cut", [1, 100])
def test_a_list_that_was_cut_short(out: Path, cut: int) -> None:
    path = out / "SHA256SUMS"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(SumsFormatError):
        check_folder(out)


def test_a_list_that_lost_whole_lines(out: Path) -> None:
    path = out / "SHA256SUMS"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert any(kind is Kind.NOT_LISTED for kind, _ in found(out))


def test_no_list_or_no_folder(out: Path) -> None:
    for name in ("nowhere", "a.json"):
        with raises_code("check-folder"):
            check_folder(out / name)
    (out / "SHA256SUMS").rename(out / "away")
    with raises_code("sums-missing", match="no run has ended"):
        check_folder(out)
    (out / ".rcc-onnx.lock").touch()
    with raises_code("sums-missing", match="a run is writing there"):
        check_folder(out)
    (out / "away").rename(out / "SHA256SUMS")
    assert any("a run may be writing" in note for note in check_folder(out).notes)


def test_a_run_that_was_stopped_is_noted(out: Path) -> None:
    stopped = {"stopped_by": "interrupted", "not_reached": ["x"]}
    edit(out / "results.json", lambda document: document.update(stopped))
    list_again(out)
    check = check_folder(out)
    assert check.verdict is FolderVerdict.OK
    assert check.notes == ("the last run was stopped by 'interrupted'; 1 cases were left",)
    (out / "results.json").unlink()
    assert check_folder(out).notes[0].startswith("how the last run ended is not known")


@linux_only
def test_a_folder_that_cannot_be_written_to(out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))}
    out.chmod(0o555)
    try:
        assert is_ok(out)
    finally:
        out.chmod(0o755)
    assert {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))} == before


@linux_only
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(tmp_path: Path, placed: AnalysedCase, name: str) -> None:
    write_run(tmp_path / "out", placed, name)
    assert is_ok(tmp_path / "out")
    (tmp_path / "out" / f"{name}_overview.png").write_bytes(b"")
    assert found(tmp_path / "out") == {(Kind.CHANGED, f"{name}_overview.png")}
    run = CliRunner().invoke(app, ["verify", str(tmp_path / "out")])
    assert run.exit_code == 1
    assert len([line for line in run.output.splitlines() if line.startswith("changed: ")]) == 1


@linux_only
def test_a_pipe_or_a_broken_link_is_a_missing_file(out: Path) -> None:
    (out / "a_r.png").unlink()
    os.mkfifo(out / "a_r.png")
    (out / "a_overview.png").unlink()
    (out / "a_overview.png").symlink_to("a_overview.png")
    kinds = found(out)
    assert {(Kind.MISSING, "a_r.png"), (Kind.MISSING, "a_overview.png")} <= kinds


def test_earlier_runs_are_checked_too(out: Path, placed: AnalysedCase) -> None:
    write_run(out, placed, "c")
    assert is_ok(out)
    (out / "a.json").write_bytes(b"{}")
    assert (Kind.CHANGED, "a.json") in found(out)


def test_the_command(out: Path) -> None:
    def command(*options: str) -> tuple[int, str]:
        run = CliRunner().invoke(app, ["verify", str(out), *options])
        return run.exit_code, run.output

    code, text = command()
    assert (code, "OK: " in text) == (0, True)
    (out / "a_r.png").write_bytes(b"")
    code, text = command()
    assert (code, "changed: a_r.png" in text, "MODIFIED: 1 difference" in text) == (1, True, True)
    code, text = command("--json")
    assert code == 1
    document = json.loads(text)
    assert document["verdict"] == "modified"
    text = "its bytes are not those that were written"
    assert document["findings"] == [{"kind": "changed", "file": "a_r.png", "text": text}]
    assert command("--input", "x")[0] == 2
