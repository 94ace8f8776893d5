"""The folder of results: one run at a time, what is there, what is done already."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rcc_onnx.errors import OutputError
from rcc_onnx.output import folder as folder_module
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.results import CaseResult, Fingerprint
from rcc_onnx.system.files import LOCK_NAME
from tests.support.errors import raises_code
from tests.support.results import case_result, failed_case
from tests.support.runs import write_case

HOLDER = (
    "import sys, pathlib\n"
    "from rcc_onnx.output.folder import OutputFolder\n"
    "with OutputFolder.open(pathlib.Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)
FINGERPRINT = Fingerprint("a" * 64, "b" * 64)


# --- Who writes there -----------------------------------------------------------------------------


def holder(out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("killed", [False, True])
def test_two_runs_in_one_folder_refuse_each_other(tmp_path: Path, killed: bool) -> None:
    with holder(tmp_path) as other:
        with raises_code("output-busy", match="another run"), OutputFolder.open(tmp_path):
            pass
        if killed:
            other.kill()
        else:
            other.communicate()
        other.wait()
    # However the other ended, nothing is left in the way.
    with OutputFolder.open(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_runs_in_two_folders_do_not_hold_each_other(tmp_path: Path) -> None:
    with OutputFolder.open(tmp_path / "a"), OutputFolder.open(tmp_path / "b"):
        pass


def test_a_share_without_locks_takes_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_module, "try_lock", no_locks)
    with OutputFolder.open(tmp_path) as folder:
        folder.write_case(failed_case())
    assert "do not start a second run" in caplog.text


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="choose another --out"),
        OutputFolder.open(tmp_path / "file"),
    ):
        pass


def test_a_full_disk_is_found_before_the_first_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="free some space"), OutputFolder.open(tmp_path):
        raise AssertionError("the run began")
    assert not list(tmp_path.iterdir())


def test_half_written_files_are_removed_at_both_ends_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".report").mkdir()
    stale = [".rcc-onnx-1.part", ".rcc-onnx-77.part.nii.gz", ".report/.rcc-onnx-2.part.json"]
    others = ["a.json", "x.part", "rcc-onnx-1.part"]
    for name in (*stale, *others):
        (tmp_path / name).write_text("x")
    with OutputFolder.open(tmp_path) as folder:
        assert {path.name for path in tmp_path.iterdir()} == {*others, ".report", LOCK_NAME}
        for name in stale:
            (tmp_path / name).write_text("x")
        folder.remove_stale_files(pid=77)
        assert [(tmp_path / name).exists() for name in stale] == [True, False, True]
    assert {path.name for path in tmp_path.rglob("*")} == {*others, ".report"}


@pytest.mark.parametrize("is_open", [False, True])
def test_a_folder_that_vanished_is_not_written_any_more(tmp_path: Path, is_open: bool) -> None:
    out = tmp_path / "out"
    with OutputFolder.open(out):
        worker = OutputFolder(out, is_open=is_open)
        worker.write_case(failed_case())
        shutil.rmtree(out)
        with pytest.raises(OutputError, match="not the folder any more"):
            worker.write_case(failed_case())
    assert not out.exists()


def test_a_folder_that_no_run_has_open_is_made_where_it_is_missing(tmp_path: Path) -> None:
    OutputFolder(tmp_path / "out").write_case(failed_case())
    assert (tmp_path / "out" / "broken.json").is_file()
    with pytest.raises(OutputError, match="not the folder any more"):
        OutputFolder(tmp_path / "other", is_open=True).write_case(failed_case())


# --- What is there --------------------------------------------------------------------------------


def test_all_results_of_a_folder(tmp_path: Path) -> None:
    for result in (case_result("b"), failed_case("a"), case_result("c")):
        write_case(result, tmp_path)
    (tmp_path / "copy.json").write_bytes((tmp_path / "c.json").read_bytes())
    (tmp_path / "d.json").write_text("[]")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "e.json").write_text("{")
    (tmp_path / ".hidden.json").write_bytes((tmp_path / "c.json").read_bytes())
    (tmp_path / "folder.json").mkdir()
    folder = OutputFolder(tmp_path)
    assert [result.case for result in folder.results()] == ["a", "b", "c"]
    stored = [(case.name, case.is_own) for case in folder.stored_cases()]
    assert stored == [("a.json", True), ("b.json", True), ("c.json", True), ("copy.json", False)]


@pytest.mark.parametrize("made", [case_result, failed_case])
def test_a_case_whose_name_is_not_utf_8_keeps_its_name(tmp_path: Path, made) -> None:
    name = "M\udcfcller"
    write_case(made(name, fingerprint=FINGERPRINT), tmp_path)
    (stored,) = OutputFolder(tmp_path).stored_cases()
    assert stored.is_own
    found = OutputFolder(tmp_path).find_unchanged(name, FINGERPRINT, or_failed=True)
    assert found is not None
    assert found.case == name


def test_a_result_with_the_same_fingerprint_is_unchanged(tmp_path: Path) -> None:
    write_case(case_result(fingerprint=FINGERPRINT), tmp_path)
    folder = OutputFolder(tmp_path)
    found = folder.find_unchanged("case", FINGERPRINT)
    assert isinstance(found, CaseResult)
    assert found.case == "case"
    for other in (
        replace(FINGERPRINT, inputs_sha256="c"),
        replace(FINGERPRINT, settings_sha256=""),
    ):
        assert folder.find_unchanged("case", other) is None
    assert folder.find_unchanged("other", FINGERPRINT) is None
    shutil.copy(tmp_path / "case.json", tmp_path / "other.json")
    assert folder.find_unchanged("other", FINGERPRINT) is None, "a copy is of another case"
    (tmp_path / "case_r.png").unlink()
    assert folder.find_unchanged("case", FINGERPRINT) is None, "a file of it is gone"


def test_a_failure_counts_as_done_only_where_that_is_wanted(tmp_path: Path) -> None:
    write_case(failed_case(fingerprint=FINGERPRINT), tmp_path)
    folder = OutputFolder(tmp_path)
    assert folder.find_unchanged("broken", FINGERPRINT) is None
    assert folder.find_unchanged("broken", FINGERPRINT, or_failed=True) is not None


def test_only_an_analysed_case_has_a_result(tmp_path: Path) -> None:
    write_case(case_result(), tmp_path)
    write_case(failed_case(), tmp_path)
    (tmp_path / "damaged.json").write_text(json.dumps({"case": "damaged"}))
    folder = OutputFolder(tmp_path)
    names = ("case", "broken", "damaged", "missing")
    assert [folder.has_result(name) for name in names] == [True, False, False, False]
