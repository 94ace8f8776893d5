"""The command `watch` as a user, a service manager and a scheduler run it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rcc_onnx.types import RESEARCH_ONLY
from tests.support.commands import run

Run = Callable[..., "subprocess.Popen[str]"]
not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def watch(tmp_path: Path, inbox: Path) -> Iterator[Run]:
    """Starts watchers whose analyses cost nothing."""
    started: list[subprocess.Popen[str]] = []

    def start(*more: str) -> "subprocess.Popen[str]":
        command = [
            sys.executable,
            "-m",
            "tests.support.watch_counting",
            str(tmp_path / "log"),
            "none",
        ]
        command += [str(inbox), "--out", str(tmp_path / "out"), "--stable-time", "0.5"]
        process = subprocess.Popen(
            [*command, "--interval", "0.2", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def study(inbox: Path, name: str, *more: str) -> None:
    folder = inbox / name
    folder.mkdir()
    for file in ("1.dcm", *more):
        (folder / file).write_text(name)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def wait_for_line(process: "subprocess.Popen[str]", part: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if part in line:
            return
    raise AssertionError(f"{part!r} was never printed: {process.communicate()}")


def test_once_over_a_few_studies(watch: Run, inbox: Path, tmp_path: Path) -> None:
    study(inbox, "a")
    study(inbox, "b", "bad")
    process = watch("--once", "--move-done", str(tmp_path / "done"))
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, "")
    lines = output.splitlines()
    assert lines[0] == RESEARCH_ONLY
    assert any(line.startswith("b: FAILED [no-dicom]") for line in lines)
    assert (tmp_path / "done" / "a").is_dir()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["counts"]["failed"] == 1
    # Nothing is left to do: that is no failure.
    process = watch("--once")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "2 earlier results in" in output
    process = watch("--once", "--retry-failed")
    assert "b: FAILED" in process.communicate(timeout=60)[0]
    assert process.returncode == 1


@not_on_windows
@pytest.mark.parametrize(
    ("number", "code", "group"),
    [
        (signal.SIGTERM, 0, False),
        # As systemd does without KillMode=mixed.
        (signal.SIGTERM, 0, True),
        (signal.SIGINT, 130, True),
    ],
)
def test_it_stops_in_the_middle_of_a_study(  # noqa: PLR0917
    watch: Run, inbox: Path, tmp_path: Path, number: signal.Signals, code: int, group: bool
) -> None:
    study(inbox, "a")
    study(inbox, "b", "slow")
    process = watch()
    wait_for_line(process, "b: 2 files, analysing")
    until(lambda: (tmp_path / "log").read_text().count("\n") == 2)
    begun = time.monotonic()
    (os.killpg if group else os.kill)(process.pid, number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (code, "")
    assert time.monotonic() - begun < 10
    assert output.endswith(f"stopped by {number.name}\n")
    out = tmp_path / "out"
    left = {path.name for path in out.iterdir() if path.is_file()}
    assert {"a.json", "results.json", "report.html"} <= left
    assert not any(name.startswith("b") or ".part" in name for name in left)
    assert ".rcc-onnx.lock" not in left
    cases = json.loads((out / "results.json").read_text())["cases"]
    assert [case["case"] for case in cases] == ["a"]


def test_it_runs_alone(watch: Run, inbox: Path, tmp_path: Path) -> None:
    wait_for_line(watch(), "watching")
    second = watch()
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 2
    assert errors.startswith("error [output-busy]")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["nowhere"], "error [inbox-gone]"),
        (["file"], "error [inbox-gone]"),
        (["in", "--models", "no such bundle"], "error [unknown-bundle]"),
        (["in", "--pseudonyms", "nowhere.csv"], "error [pseudonyms-file]"),
        (["in", "--stable-time", "-1"], "stable-time"),
        (["in", "--workers", "0"], "workers"),
        (["in", "--out", "file"], "error [output]"),
        (["in", "--mask-cutoff", "7"], "error [option]"),
        ([], "INBOX"),
    ],
)
def test_wrong_arguments_are_reported_before_anything_is_watched(
    words: list[str], shown: str, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    result = run("watch", *words)
    assert result.exit_code == 2
    assert shown in result.output
