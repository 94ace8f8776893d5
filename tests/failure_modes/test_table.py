"""The tables of docs/operations.md, row by row: the exit code and the error code they state."""

import contextlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import BatchConfig, run_batch
from rcc_onnx.cli.app import app
from rcc_onnx.errors import InputFolderError

ROOT = Path(__file__).parent.parent.parent
FINDS_NOTHING = ("--kidney-threshold", "1e9")
"""Takes a third of the time."""
FINDS_LESIONS = ("--lesion-threshold", "50")

posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="NOT TESTED HERE: Windows has no such names, pipes or links"
)

ELSEWHERE = {
    "Another run is writing to OUT": (
        "tests/output/test_folder.py::test_two_runs_in_one_folder_refuse"
    ),
    "The disk is full, at any file": "tests/failure_modes/test_disk.py::test_what_was_done_stays",
    "The disk accepts no more files": "tests/failure_modes/test_disk.py::test_a_disk_that_takes_no",
    "OUT is read-only": "tests/failure_modes/test_disk.py::test_a_read_only_folder",
    "OUT becomes read-only": "tests/failure_modes/test_disk.py::test_a_folder_that_becomes",
    "OUT is removed, or its drive is lost": (
        "tests/failure_modes/test_disk.py::test_a_folder_that"
    ),
    "The clock is set back": "tests/failure_modes/test_clock.py::test_a_clock_that_is_set_back",
    "Files have dates in the future": "tests/failure_modes/test_clock.py::test_dates_in_the_future",
    "Output cannot be written: a closed pipe, a full disk under the log": (
        "tests/failure_modes/test_ctrl_c.py::test_output_that_cannot_be_written"
    ),
    "Ctrl-C": "tests/failure_modes/test_ctrl_c.py::test_ctrl_c_at_any_moment",
    "A decoder crashes, or a case never ends": ("tests/batch/test_runner.py::test_what_never_ends"),
    "The run is killed, with or without its workers": (
        "tests/end_to_end/test_kill_runs.py::test_killed_runs"
    ),
    "A worker process is killed": "tests/end_to_end/test_kill_runs.py::test_killed_runs",
}
"""Rows that other tests are about: where, and how the name of the test begins."""


def rows() -> dict[str, tuple[str, str]]:
    """Return the exit code and the error code by situation, of the page's tables of such."""
    found, inside = {}, False
    for line in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
        elif "| Exit code | Code |" in line:
            inside = True
        elif inside and not line.startswith("|---"):
            name, exit_code, code, _ = (cell.strip() for cell in line.strip("|").split("|"))
            found[name] = (exit_code, code.strip("`"))
    return found


def infer(given: Sequence[str | Path], models: Path) -> tuple[int, str]:
    """A run in this process: the exit code, and what it says."""
    study, out, *more = map(os.fspath, given)
    words = ["infer", study, "--out", out, "--models", str(models), "--threads", "1", *more]
    done = CliRunner().invoke(app, [*words, "--workers", "0"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def files_below(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Whatever lies there, and whether it was touched."""
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir()
    }


@pytest.fixture(scope="module")
def study(quick_studies: Path) -> Path:
    return quick_studies / "case1"


def put(study: Path, *places: Path) -> Path:
    """Link the files of a study to other folders, which is quick; the parent of these."""
    for place in places:
        shutil.copytree(study, place, copy_function=os.link)
    return places[0].parent


def file(path: Path, data: bytes = b"", size: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.truncate(path, max(size, len(data)))
    return path


def link(path: Path, target: str | Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def links(folder: Path) -> Path:
    for name, target in (("loop", "."), ("up", ".."), ("self", "self"), ("root", "/"), ("no", "x")):
        link(folder / name, target)
    return folder


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def devices(folder: Path) -> Path:
    for name in ("pipe.dcm", "pipe.zip", "DICOMDIR"):
        pipe(folder / name)
    for name in ("null.dcm", "zero.zip"):
        link(folder / name, "/dev/zero")
    # A socket's path may have a hundred bytes only.
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(folder):
        listening.bind("socket.dcm")
    return folder


def archive(study: Path, folder: Path, member: str) -> Path:
    with zipfile.ZipFile(folder / "study.zip", "w") as made:
        for path in sorted(study.iterdir()):
            made.write(path, path.name)
        made.writestr(member, "x")
    return folder / "study.zip"


INPUTS: dict[str, Callable[[Path, Path], Path]] = {
    "INPUT does not exist": lambda top, _: top / "none",
    "The name of INPUT is longer than file systems allow": lambda top, _: top / ("x" * 300),
    "INPUT is a link to itself": lambda top, _: link(top / "self", "self"),
    "INPUT is a file, but not a zip archive": lambda top, _: file(
        top / "letter.zip", b"no archive"
    ),
    "INPUT is a pipe or a device": lambda top, _: pipe(top / "pipe.zip"),
    "INPUT is an empty folder": lambda top, _: Path(tempfile.mkdtemp(dir=top)),
    "INPUT is a study in a single huge file": (
        lambda top, _: file(top / "in" / "huge" / "001.dcm", size=1 << 40).parents[1]
    ),
    "INPUT is a huge damaged zip archive": (
        lambda top, _: file(top / "huge.zip", b"PK\3\4", size=1 << 40)
    ),
    "A study of 10,000 empty files": (
        lambda top, _: [file(top / "in" / "many" / str(n)) for n in range(10_000)][-1].parents[1]
    ),
    "A zip archive with a member `../../x`": lambda top, study: archive(study, top, "../../x"),
    "A zip archive with a member name of 300 characters": (
        lambda top, study: archive(study, top, "x" * 300)
    ),
    "The same study twice": lambda top, study: put(study, top / "in" / "a", top / "in" / "b"),
    "Pipes, sockets and devices in a study": (
        lambda top, study: devices(put(study, top / "in" / "a") / "a").parent
    ),
    "A pipe among the studies, named like an archive": (
        lambda top, study: pipe(put(study, top / "in" / "a") / "b.zip").parent
    ),
    "Links in a study to itself, to parent folders, to `/`": (
        lambda top, study: links(put(study, top / "in" / "a") / "a").parent
    ),
    "Links among the studies to INPUT, to `/`, or in a circle": (
        lambda top, study: links(put(study, top / "in" / "a"))
    ),
    "A link among the studies to a study": (
        lambda top, study: link(top / "in" / "case", study).parent
    ),
}
"""Each makes INPUT in a folder, with the help of a study that can be analysed."""

OUTPUTS: dict[str, Callable[[Path, Path], tuple[Path, Path]]] = {
    "OUT is a file": lambda top, study: (study, file(top / "file")),
    "OUT is below a file": lambda top, study: (study, file(top / "file") / "out"),
    "The name of OUT is longer than file systems allow": (
        lambda top, study: (study, top / ("x" * 300))
    ),
    "OUT is the folder of the study": (
        lambda top, study: (put(study, top / "in") / "in", top / "in" / "." / ".." / "in")
    ),
    "OUT is inside the study": lambda top, study: (put(study, top / "in") / "in", top / "in/out"),
    "OUT is the folder of the studies": (
        lambda top, study: (put(study, top / "in" / "a"), top / "in")
    ),
    "INPUT is inside OUT": (lambda top, study: (put(study, top / "out" / "in" / "a"), top / "out")),
}
"""Each makes INPUT and OUT."""

NAMES = {
    "Longer than 200 bytes": ("x" * 201,),
    "200 bytes long": ("\u8a9e" * 66 + "xx",),
    "Differs from another name only in upper and lower case": ("Stra\xdfe", "STRASSE"),
    "Differs from another name only in its Unicode form": ("caf\xe9", "cafe\u0301"),
    "`results`": ("Results",),
    "Reserved for devices on Windows: `CON`, `nul.txt`": ("CON", "nul.txt"),
    "With `:`, or a dot or space at the end": ("a:b:c.", "space "),
    "Starting with `-`": ("--out",),
    "Chinese, emoji, HTML, `[red]`": (
        *("\u65e5\u672c\u8a9e \U0001f468\u200d\U0001f469", "<b>&lt;'\"[red]%s{0}"),
    ),
    "With a line break or escape sequences": (
        *("a\nerror [x]: y\r", "\x1b[2J\x1b]0;title\x07", "\u202egnp\x9b2J"),
    ),
    "Not UTF-8": (os.fsdecode(b"M\xfcller"),),
}
"""Of the studies in INPUT."""
PSEUDONYMS = {"A pseudonym `../../x`": "../../x", "A pseudonym of 300 characters": "x" * 300}
SITUATIONS = (*INPUTS, *OUTPUTS, *NAMES, *PSEUDONYMS)


def arguments(name: str, top: Path, study: Path) -> tuple[str | Path, ...]:
    """Make a situation in a folder: INPUT, OUT and more options."""
    out = top / "out"
    if name in INPUTS:
        return INPUTS[name](top, study), out, *FINDS_NOTHING
    if name in OUTPUTS:
        return *OUTPUTS[name](top, study), *FINDS_NOTHING
    # Lesions are found, so that there are all files that can be named after a case.
    inputs = put(study, *(top / "in" / case for case in NAMES.get(name, ("a",))))
    if name in NAMES:
        return inputs, out, *FINDS_LESIONS
    table = file(top / "pseudonyms.csv", f"case,pseudonym\na,{PSEUDONYMS[name]}\n".encode())
    return inputs, out, *FINDS_LESIONS, "--pseudonyms", table


def test_the_page_and_the_tests_list_the_same_situations() -> None:
    assert sorted(rows()) == sorted([*SITUATIONS, *ELSEWHERE])
    for place in ELSEWHERE.values():
        file, _, test = place.partition("::")
        assert f"def {test}" in (ROOT / file).read_text(), place


@posix_only
@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_ends_as_the_page_states(
    name: str, study: Path, quick_bundle: Path, tmp_path: Path
) -> None:
    given = arguments(name, tmp_path, study)
    out, before = Path(given[1]), files_below(tmp_path)
    code, said = infer(given, quick_bundle)
    assert (str(code), *re.findall(r"\[([a-z-]+)\](?=[ :])", "".join(errors(said)))) == tuple(
        one for one in rows()[name] if one
    )
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said), "shown as it is"
    after = files_below(tmp_path)
    assert {path: state for path, state in after.items() if path in before} == before
    assert all(Path(path).is_relative_to(out) for path in set(after) - set(before))
    if code == 0:
        results = json.loads((out / "results.json").read_bytes())
        assert results["counts"]["analysed"] == results["counts"]["cases"] >= 1
        again, said = infer(given, quick_bundle)
        assert again == 0
        assert said.count("skipped: unchanged since last run") == results["counts"]["cases"]


def errors(said: str) -> list[str]:
    """The lines of what went wrong: of the run, or of cases."""
    return [one for one in said.splitlines() if one.startswith("error [") or " FAILED [" in one]


@pytest.mark.parametrize("name", ["../../x", "/x", "", "a/b", "a\0b"])
def test_a_case_from_python_cannot_lead_elsewhere(
    name: str, study: Path, quick_bundle: Path, tmp_path: Path
) -> None:
    config = BatchConfig(tmp_path / "a" / "b" / "out", models=str(quick_bundle))
    with pytest.raises(InputFolderError, match="named after"):
        run_batch([Case(name, study)], config)
    assert not list(tmp_path.iterdir())
