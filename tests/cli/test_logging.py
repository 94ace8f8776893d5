"""What reaches the terminal and the log file, and what a log file that fails costs: nothing."""

import errno
import json
import logging
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from rcc_onnx.batch.worker_pool import Limits, TaskProcess
from rcc_onnx.cli import logging as cli_logs
from rcc_onnx.cli.logging import OLD_FILES, run_logs, silence_warnings
from rcc_onnx.errors import LogFileError, OutputError
from rcc_onnx.phantom import make_study
from tests.support import isolated_tasks
from tests.support.commands import run
from tests.support.errors import raises_code

log = logging.getLogger("rcc_onnx.test")


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def messages(file: Path) -> list[str]:
    return [str(line["message"]) for line in lines(file)]


def test_what_libraries_warn_of_is_not_shown() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        warnings.warn("Invalid value for VR PN: 'Doe^Jane'", stacklevel=1)
        silence_warnings()
        warnings.warn("Invalid value for VR PN: 'Doe^Jane'", stacklevel=1)
    assert len(shown) == 1


@pytest.mark.parametrize(
    ("options", "on_terminal", "in_file"),
    [
        ({}, "WE", "IWEP"),
        ({"quiet": True}, "E", "IWEP"),
        ({"verbose": 1}, "IWE", "IWEP"),
        ({"verbose": 2}, "DIWE", "DIWEP"),
        ({"verbose": 7}, "DIWE", "DIWEP"),
    ],
)
def test_what_is_logged_where(
    options: dict[str, Any],
    on_terminal: str,
    in_file: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    with run_logs(file=tmp_path / "log.jsonl", **options):
        for level in ("debug", "info", "warning", "error"):
            getattr(log, level)(level[0].upper())
        log.error("P", extra={"printed": True})
        logging.getLogger("pydicom").error("Doe^Jane")
        logging.getLogger("PIL").info("chunk")
    assert (root.level, list(root.handlers)) == before
    printed = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in printed] == list(on_terminal)
    assert messages(tmp_path / "log.jsonl") == list(in_file)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_second_run_goes_on_in_the_file(tmp_path: Path) -> None:
    for text in ("first", "second \u00e4"):
        with run_logs(file=tmp_path / "log.jsonl"):
            log.warning(text)
    assert messages(tmp_path / "log.jsonl") == ["first", "second \u00e4"]


def test_two_runs_at_once_do_not_share_a_file(tmp_path: Path) -> None:
    with run_logs(file=tmp_path / "log.jsonl"):
        with raises_code("log-file-busy"), run_logs(file=tmp_path / "log.jsonl"):
            pass
        log.warning("still there")
    assert messages(tmp_path / "log.jsonl") == ["still there"]


@pytest.mark.parametrize("name", ["none/log.jsonl", "folder"])
def test_a_file_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LogFileError, match="cannot log to"), run_logs(file=tmp_path / name):
        pass


def test_the_file_is_renamed_when_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_logs, "FILE_BYTES", 1000)
    with run_logs(file=tmp_path / "log.jsonl"):
        for number in range(60):
            log.warning("number %d", number)
    names = ["log.jsonl", *(f"log.jsonl.{number}" for number in range(1, OLD_FILES + 1))]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    kept = [text for name in reversed(names) for text in messages(tmp_path / name)]
    assert kept == [f"number {number}" for number in range(60)][-len(kept) :]
    assert len(kept) > 30
    assert max((tmp_path / name).stat().st_size for name in names) <= 1000


def test_a_full_disk_is_reported_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_: object) -> None:
        raise full

    with run_logs(file=tmp_path / "log.jsonl", quiet=True):
        log.warning("before")
        with monkeypatch.context() as patch:
            patch.setattr(cli_logs.LogFile, "flush", refuse)
            for _ in range(3):
                log.warning("lost, or late")
        log.warning("after")
    errors = capsys.readouterr().err
    assert errors.count("No space left on device") == 1
    assert "the analysis goes on" in errors
    assert "Traceback" not in errors
    assert messages(tmp_path / "log.jsonl")[0] == "before"
    assert messages(tmp_path / "log.jsonl")[-1] == "after"


def test_a_file_that_cannot_be_renamed_grows_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_logs, "FILE_BYTES", 300)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with run_logs(file=tmp_path / "log.jsonl", quiet=True), monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        for number in range(9):
            log.warning("number %d", number)
    assert messages(tmp_path / "log.jsonl") == [f"number {number}" for number in range(9)]
    assert capsys.readouterr().err.count("Permission denied") == 1


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (OutputError("no space"), {"event": "error", "code": "output"}),
        (KeyboardInterrupt(), {"event": "interrupted"}),
        (ZeroDivisionError("Doe^Jane"), {"event": "unexpected"}),
    ],
)
def test_how_a_run_ended_is_in_the_file(
    error: BaseException, event: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(error)), run_logs(file=tmp_path / "log.jsonl"):
        raise error
    (line,) = lines(tmp_path / "log.jsonl")
    assert line["data"] == event
    assert "Doe^Jane" not in str(line)
    # Others print it.
    assert capsys.readouterr().err == ""


def test_lines_of_other_processes_reach_the_file(tmp_path: Path) -> None:
    """From all threads, also before a crash; nothing that quotes a patient."""
    process: TaskProcess[str, str] = TaskProcess(isolated_tasks.make, Limits())
    with run_logs(file=tmp_path / "log.jsonl", quiet=True):
        process.do("log 50", lambda *_: None)
        process.do("log 1", lambda *_: None)
        with pytest.raises(Exception, match="died"):
            process.do("crash", lambda *_: None)
    found = lines(tmp_path / "log.jsonl")
    numbers = sorted(line["data"]["line"] for line in found if "data" in line)
    assert numbers == sorted([*range(50)] * 4 + [0] * 4)
    assert {line["pid"] for line in found} != {os.getpid()}
    assert len({line["pid"] for line in found}) == 1
    assert "line 49: a value" in messages(tmp_path / "log.jsonl")
    assert messages(tmp_path / "log.jsonl").count("it broke") == 2
    assert [line["raised"]["type"] for line in found if "raised" in line] == ["KeyError"] * 2
    assert "DOE" not in (tmp_path / "log.jsonl").read_text(encoding="utf-8")


def test_lines_and_stages_do_not_mix_in_the_pipe(tmp_path: Path) -> None:
    process: TaskProcess[str, str] = TaskProcess(isolated_tasks.make, Limits(seconds=60))
    stages: list[str] = []
    with run_logs(file=tmp_path / "log.jsonl", quiet=True):
        process.do("talk 100", lambda stage, done: stages.append(stage))
    process.close()
    assert stages.count("y" * 50_000) == 100
    assert messages(tmp_path / "log.jsonl") == ["x" * 50_000] * 100


# --- As a user runs it ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    make_study(1, folder / "a", quick=True)
    (folder / "b").mkdir()
    (folder / "b" / "x.txt").write_text("")
    return folder


Infer = Callable[..., Result]


@pytest.fixture
def infer(studies: Path, tiny_bundle: Path, tmp_path: Path) -> Infer:
    return partial(run, "infer", studies, "--out", tmp_path / "out", "--models", tiny_bundle)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_log_of_a_run(infer: Infer, tmp_path: Path, workers: int) -> None:
    file = tmp_path / "log.jsonl"
    assert infer("--workers", workers, "--log-file", file).exit_code == 1
    events = [line for line in lines(file) if "data" in line]
    assert [(line["data"]["event"], line["case"]) for line in events] == [
        ("run-start", None),
        ("networks", None),
        ("case-start", "a"),
        ("case-end", "a"),
        ("case-start", "b"),
        ("case-end", "b"),
        ("run-end", None),
    ]
    start, networks, _, done, _, failed, end = (line["data"] for line in events)
    assert start["cases"] == 2
    assert start["options"]["provider"] == "auto"
    assert start["rcc_onnx_version"]
    assert networks["provider"] == "cpu"
    assert networks["threads"] >= 1
    assert done["status"] == "analysed"
    assert done["seconds"] >= done["stages"]["total"] > 0
    assert "kidney_network" in done["stages"]
    assert failed["status"] == "failed"
    assert failed["code"] == "no-dicom"
    assert {name: end[name] for name in ("analysed", "failed", "errors")} == {
        "analysed": 1,
        "failed": 1,
        "errors": {"no-dicom": 1},
    }
    assert len({line["pid"] for line in events}) == (1 if workers == 0 else 2)
    assert [line["level"] for line in events].count("ERROR") == 1
    infer("--workers", workers, "--log-file", file)
    assert lines(file)[-4]["data"].get("status") != "analysed"
    assert "kept" in [line["data"].get("status") for line in lines(file) if "data" in line]


def test_the_log_of_a_watcher(studies: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    options = ("--once", "--stable-time", 0, "--interval", 0.1, "-q", "--log-file", file)
    result = run("watch", studies, "--out", tmp_path / "out", "--models", tiny_bundle, *options)
    assert result.exit_code == 1, result.output
    events = [(line["data"]["event"], line["case"]) for line in lines(file) if "data" in line]
    assert (events[0], events[-1]) == (("run-start", None), ("run-end", None))
    cases = [(event, case) for case in "ab" for event in ("case-end", "case-start")]
    assert sorted(event for event in events if event[1]) == sorted(cases)
    end = lines(file)[-1]["data"]
    assert (end["analysed"], end["failed"], end["not_reached"]) == (1, 1, None)
    assert any("watching" in message for message in messages(file))
    assert "b: FAILED [no-dicom]" in result.output
    assert "a: right" not in result.output


def test_quiet_prints_errors_and_the_summary(infer: Infer, tmp_path: Path) -> None:
    result = infer("-q")
    assert result.exit_code == 1
    assert result.stderr.startswith("[2/2] b: FAILED [no-dicom] ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == f"1 of 2 cases analysed; results are in {tmp_path / 'out'}\n"


def test_quiet_and_verbose_exclude_each_other(
    infer: Infer, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = infer("-q", "-v")
    assert result.exit_code == 2
    assert "[option]" in result.output
    # Given in different places, the higher place counts.
    monkeypatch.setenv("RCC_ONNX_QUIET", "true")
    assert "Results are in" in infer("-v").output
    monkeypatch.setenv("RCC_ONNX_QUIET", "")
    monkeypatch.setenv("RCC_ONNX_VERBOSE", "1")
    assert "INFO" not in infer("-q").output


def test_a_log_file_among_the_studies_is_refused(
    infer: Infer, studies: Path, tmp_path: Path
) -> None:
    result = infer("--log-file", studies / "a" / "log.jsonl")
    assert result.exit_code == 2
    assert "[log-file]" in result.output
    assert not (studies / "a" / "log.jsonl").exists()
    assert infer("--log-file", tmp_path / "none" / "log.jsonl").exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_log_on_a_full_disk_costs_no_case(infer: Infer, tmp_path: Path) -> None:
    link = tmp_path / "log.jsonl"
    link.symlink_to("/dev/full")
    result = infer("--log-file", link)
    assert result.exit_code == 1
    assert result.output.count("cannot be written") == 1
    assert (tmp_path / "out" / "results.json").is_file()
