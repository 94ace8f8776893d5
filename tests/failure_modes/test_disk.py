"""A disk that fills at any file, is read-only, or goes away while a run writes to it."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from rcc_onnx.output.run import RUN_FILES
from tests.failure_modes.namespaces import run_there, unshared
from tests.failure_modes.outputs import HALF_WRITTEN, LOCK, check_left, check_same, contents

FULL = "No space left on device"


@dataclass(frozen=True)
class Steps:
    """What `small_disk` left."""

    folder: Path

    @property
    def expected(self) -> dict[str, bytes]:
        return contents(self.folder / "undisturbed")

    @property
    def names(self) -> list[str]:
        """Of the files at which the disk was full, in the order of writing."""
        names: list[str] = json.loads((self.folder / "names").read_text())
        return names

    def said(self, step: str) -> tuple[int, str]:
        """The exit code, and the line of the error."""
        found = json.loads((self.folder / f"{step}.said").read_text())
        assert "unexpected" not in found, found
        assert "Traceback" not in found["output"]
        errors = [one for one in found["output"].splitlines() if one.startswith("error [")]
        assert len(errors) <= 1
        return found["code"], "".join(errors)

    def left(self, step: str) -> set[str]:
        """The files that are there; whatever is there is whole."""
        check_left(self.folder / step, self.expected, RUN_FILES)
        assert not list((self.folder / step).rglob(HALF_WRITTEN)), "half written files are left"
        # A lock that is left stops no run, and cannot be removed where all is read-only.
        return set(contents(self.folder / step)) - {LOCK}


@pytest.fixture(scope="module")
def steps(
    tmp_path_factory: pytest.TempPathFactory, quick_studies: Path, quick_bundle: Path
) -> Steps:
    folder = tmp_path_factory.mktemp("disk")
    program = (*unshared("--mount"), sys.executable, "-m", "tests.failure_modes.small_disk")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = run_there((*program, quick_studies, quick_bundle, folder), folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return Steps(folder)


def test_every_kind_of_file_was_one_too_many(steps: Steps) -> None:
    skipped = ("case0", "case1_l")
    written = {name for name in steps.expected if not Path(name).name.startswith(skipped)}
    assert set(steps.names) == written
    assert {Path(name).suffix for name in steps.names} >= {".png", ".json", ".csv", ".html"}
    # The report's part lies in a folder of its own.
    assert any("/" in name for name in steps.names)


def test_what_was_done_stays_and_the_rest_follows_when_there_is_room(steps: Steps) -> None:
    first = {name for name in steps.expected if Path(name).name.startswith("case0")}
    for place, name in enumerate(steps.names):
        code, error = steps.said(f"full at {place}")
        assert code == 1, name
        assert error.startswith("error [output]: cannot write results to "), name
        assert FULL in error, name
        left = steps.left(f"full at {place}")
        assert first <= left, name
        assert name not in left
        if name not in RUN_FILES:
            assert "case1.json" not in left, "its presence would mean that the case is whole"
        assert steps.said(f"room again {place}") == (0, "")
        check_same(steps.folder / f"room again {place}", steps.expected)


def test_a_disk_that_is_full_from_the_start_holds_nothing_afterwards(steps: Steps) -> None:
    code, error = steps.said("full from the start")
    assert (code, FULL in error) == (2, True)
    assert steps.left("full from the start") == set()


def test_a_disk_that_takes_no_more_files(steps: Steps) -> None:
    code, error = steps.said("no more files")
    assert (code, FULL in error) == (2, True)


@pytest.mark.parametrize("step", ["gone", "removed"])
def test_a_folder_that_vanishes_ends_the_run_and_nothing_is_written_elsewhere(
    steps: Steps, step: str
) -> None:
    code, error = steps.said(step)
    assert code == 2
    assert error.startswith("error [output]: ")
    assert "is not the folder any more" in error
    # Neither made anew, nor is anything put where its drive was mounted.
    assert not (steps.folder / step).exists()


def test_a_folder_that_becomes_read_only_ends_the_run(steps: Steps) -> None:
    code, error = steps.said("read-only in between")
    assert code == 1
    assert "Read-only file system" in error
    assert "case0.json" in steps.left("read-only in between")
    assert "case1.json" not in steps.left("read-only in between")


def test_a_read_only_folder_is_reported_before_any_work(steps: Steps) -> None:
    code, error = steps.said("read-only")
    assert code == 2
    assert "Read-only file system" in error
