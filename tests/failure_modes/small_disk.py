"""Runs on a disk that is small, read-only or goes away: to be run in a mount namespace of its own,
`unshare --mount python -m tests.failure_modes.small_disk STUDIES BUNDLE FOLDER`.

Each step leaves a copy of what it found in FOLDER/<step>, and its exit code and words as
FOLDER/<step>.said.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from rcc_onnx.output import case as case_files

PAGE = os.sysconf("SC_PAGE_SIZE")
DISK_BYTES = 64 << 20


@dataclass
class Disk:
    """A disk with a folder of results, and where copies go."""

    studies: Path
    bundle: Path
    folder: Path

    @property
    def top(self) -> Path:
        return self.folder / "disk"

    @property
    def out(self) -> Path:
        return self.top / "out"

    def infer(self, step: str, *more: str) -> None:
        """A run, and a copy of what is there afterwards."""
        words = ("infer", str(self.studies), "--out", str(self.out), "--models", str(self.bundle))
        logging.getLogger().handlers.clear()  # of the run before, whose stderr is closed
        done = CliRunner().invoke(app, [*words, "--threads", "1", *(more or ("--workers", "0"))])
        said = {"code": done.exit_code, "output": done.output}
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            said["unexpected"] = repr(done.exception)
        (self.folder / f"{step}.said").write_text(json.dumps(said))
        if self.out.exists():
            shutil.copytree(self.out, self.folder / step)

    def one_is_done(self) -> None:
        """As after a run that was killed when the first case was done."""
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(self.folder / "undisturbed", self.out)
        for path in self.out.rglob("*"):
            if path.is_file() and not path.name.startswith("case0"):
                path.unlink()

    @contextmanager
    def filled_up_to(self, free: int) -> Iterator[None]:
        """The disk with so many bytes free."""
        state = os.statvfs(self.top)
        filler = self.top / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - free)
        try:
            yield
        finally:
            filler.unlink()


def main() -> None:
    disk = Disk(*map(Path, sys.argv[1:]))
    disk.top.mkdir()
    mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", disk.top)
    disk.infer("undisturbed")
    files = sorted(
        (path for path in disk.out.rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_mtime_ns,
    )
    # Of the two pictures of kidneys, one.
    done = ("case0", "case1_l")
    full(disk, [path for path in files if not path.name.startswith(done)])
    no_more_files(disk)
    mid_run(disk, "gone", lambda: umount(disk.top))
    mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", disk.top)
    mid_run(disk, "removed", lambda: shutil.rmtree(disk.out))
    mid_run(disk, "read-only in between", lambda: read_only(disk.out))
    umount(disk.out)
    read_only(disk.top)
    disk.infer("read-only")


def full(disk: Disk, files: list[Path]) -> None:
    """The disk is full at each of the files, in the order of writing."""
    names = [path.relative_to(disk.out).as_posix() for path in files]
    pages = [-(-path.stat().st_size // PAGE) for path in files]
    (disk.folder / "names").write_text(json.dumps(names))
    for place in range(len(files)):
        disk.one_is_done()
        # One in a process of its own: what it meets travels.
        more = ("--workers", "1") if place == 1 else ()
        with disk.filled_up_to((sum(pages[:place]) + pages[place] // 2) * PAGE):
            disk.infer(f"full at {place}", *more)
        disk.infer(f"room again {place}")
    shutil.rmtree(disk.out)
    disk.out.mkdir()
    with disk.filled_up_to(0):
        disk.infer("full from the start")


def no_more_files(disk: Disk) -> None:
    """There is room, and no inode for one more file."""
    shutil.rmtree(disk.out)
    used = os.statvfs(disk.top)
    mount("-o", f"remount,nr_inodes={used.f_files - used.f_ffree}", disk.top)
    disk.infer("no more files")
    mount("-o", f"remount,nr_inodes={used.f_files}", disk.top)


def mid_run(disk: Disk, step: str, what: Callable[[], None]) -> None:
    """A run during which something happens to its folder, after the first case."""
    write_case, calls = case_files.write_case_files, iter([what])

    def write_and_then(*arguments: object) -> object:
        written = write_case(*arguments)  # type: ignore[arg-type]
        next(calls, lambda: None)()
        return written

    with mock.patch("rcc_onnx.output.folder.write_case_files", write_and_then):
        disk.infer(step)


def read_only(folder: Path) -> None:
    mount("--bind", folder, folder)
    mount("-o", "remount,bind,ro", folder)


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def umount(folder: Path) -> None:
    # Files in it are open.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


if __name__ == "__main__":
    main()
