"""The tables of docs/operations.md, row by row: the exit code and the error code they state."""

import json
import os
import re
import shutil
import socket
import sys
import unicodedata
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
REASONABLE_S = 60
"""Nothing in the tables takes longer, on a busy machine."""

FINDS_NOTHING = ("--kidney-threshold", "1e9")
"""Takes a third of the time."""
FINDS_LESIONS = ("--lesion-threshold", "50")

posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="NOT TESTED HERE: Windows has no such names, pipes or links"
)

Given = tuple[Path, Path, *tuple[str | Path, ...]]
"""INPUT, OUT and more options."""
Situation = Callable[[Path, Path], Given]
"""Makes one in a folder, with the help of a study that can be analysed."""

SITUATIONS: dict[str, Situation] = {}
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
        "tests/failure_modes/test_ctrl_c.py::test_nobody_listens"
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


def row(name: str) -> Callable[[Situation], Situation]:
    def register(make: Situation) -> Situation:
        assert name not in SITUATIONS
        SITUATIONS[name] = make
        return make

    return register


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
def study(night_studies: Path) -> Path:
    return night_studies / "case1"


def put(study: Path, to: Path) -> Path:
    """The same files under another name; no copy, so that this is quick."""
    shutil.copytree(study, to, copy_function=os.link)
    return to


# --- Inputs ---------------------------------------------------------------------------------------


@row("INPUT does not exist")
def _(folder: Path, study: Path) -> Given:
    return folder / "none", folder / "out"


@row("The name of INPUT is longer than file systems allow")
def _(folder: Path, study: Path) -> Given:
    return folder / ("x" * 300), folder / "out"


@row("INPUT is a link to itself")
def _(folder: Path, study: Path) -> Given:
    (folder / "self").symlink_to("self")
    return folder / "self", folder / "out"


@row("INPUT is a file, but not a zip archive")
def _(folder: Path, study: Path) -> Given:
    (folder / "letter.zip").write_text("no archive")
    return folder / "letter.zip", folder / "out"


@row("INPUT is a pipe or a device")
def _(folder: Path, study: Path) -> Given:
    os.mkfifo(folder / "pipe.zip")
    return folder / "pipe.zip", folder / "out"


@row("INPUT is an empty folder")
def _(folder: Path, study: Path) -> Given:
    (folder / "in").mkdir()
    return folder / "in", folder / "out"


@row("INPUT is a study in a single huge file")
def _(folder: Path, study: Path) -> Given:
    (folder / "in" / "huge").mkdir(parents=True)
    with (folder / "in" / "huge" / "001.dcm").open("wb") as file:
        file.truncate(1 << 40)
    return folder / "in", folder / "out"


@row("INPUT is a huge damaged zip archive")
def _(folder: Path, study: Path) -> Given:
    with (folder / "huge.zip").open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(1 << 40)
    return folder / "huge.zip", folder / "out"


@row("A study of 10,000 empty files")
def _(folder: Path, study: Path) -> Given:
    many = folder / "in" / "many"
    many.mkdir(parents=True)
    for number in range(10_000):
        (many / str(number)).touch()
    return folder / "in", folder / "out"


@row("A zip archive with a member `../../x`")
def _(folder: Path, study: Path) -> Given:
    return _archive(study, folder, "../../x"), folder / "out"


@row("A zip archive with a member name of 300 characters")
def _(folder: Path, study: Path) -> Given:
    return _archive(study, folder, "x" * 300), folder / "out"


def _archive(study: Path, folder: Path, member: str) -> Path:
    with zipfile.ZipFile(folder / "study.zip", "w") as archive:
        for path in sorted(study.iterdir()):
            archive.write(path, path.name)
        archive.writestr(member, "x")
    return folder / "study.zip"


@row("The same study twice")
def _(folder: Path, study: Path) -> Given:
    put(study, folder / "in" / "a")
    put(study, folder / "in" / "b")
    return folder / "in", folder / "out"


# --- Results folders ------------------------------------------------------------------------------


@row("OUT is a file")
def _(folder: Path, study: Path) -> Given:
    (folder / "file").write_text("")
    return study, folder / "file"


@row("OUT is below a file")
def _(folder: Path, study: Path) -> Given:
    (folder / "file").write_text("")
    return study, folder / "file" / "out"


@row("The name of OUT is longer than file systems allow")
def _(folder: Path, study: Path) -> Given:
    return study, folder / ("x" * 300)


@row("OUT is the folder of the study")
def _(folder: Path, study: Path) -> Given:
    put(study, folder / "in")
    return folder / "in", folder / "in" / "." / ".." / "in"


@row("OUT is inside the study")
def _(folder: Path, study: Path) -> Given:
    put(study, folder / "in")
    return folder / "in", folder / "in" / "out"


@row("OUT is the folder of the studies")
def _(folder: Path, study: Path) -> Given:
    put(study, folder / "in" / "a")
    return folder / "in", folder / "in"


@row("INPUT is inside OUT")
def _(folder: Path, study: Path) -> Given:
    put(study, folder / "out" / "in" / "a")
    return folder / "out" / "in", folder / "out"


# --- Links, pipes and devices --------------------------------------------------------------------


@row("Pipes, sockets and devices in a study")
def _(folder: Path, study: Path) -> Given:
    place = put(study, folder / "in" / "a")
    for name in ("pipe.dcm", "pipe.zip", "DICOMDIR"):
        os.mkfifo(place / name)
    for name in ("null.dcm", "zero.zip"):
        (place / name).symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        # A socket's path may have a hundred bytes only.
        before = Path.cwd()
        os.chdir(place)
        try:
            listening.bind("socket.dcm")
        finally:
            os.chdir(before)
    return folder / "in", folder / "out"


@row("A pipe among the studies, named like an archive")
def _(folder: Path, study: Path) -> Given:
    put(study, folder / "in" / "a")
    os.mkfifo(folder / "in" / "b.zip")
    return folder / "in", folder / "out"


@row("Links in a study to itself, to parent folders, to `/`")
def _(folder: Path, study: Path) -> Given:
    place = put(study, folder / "in" / "a")
    for name, target in (("loop", "."), ("up", ".."), ("self", "self"), ("root", "/"), ("no", "x")):
        (place / name).symlink_to(target)
    return folder / "in", folder / "out"


@row("Links among the studies to INPUT, to `/`, or in a circle")
def _(folder: Path, study: Path) -> Given:
    put(study, folder / "in" / "a")
    for name, target in (("loop", "."), ("up", ".."), ("self", "self"), ("root", "/"), ("no", "x")):
        (folder / "in" / name).symlink_to(target)
    return folder / "in", folder / "out"


@row("A link among the studies to a study")
def _(folder: Path, study: Path) -> Given:
    (folder / "in").mkdir()
    (folder / "in" / "case").symlink_to(study)
    return folder / "in", folder / "out"


# --- Case names -----------------------------------------------------------------------------------


def _named(folder: Path, study: Path, *names: str) -> Given:
    for name in names:
        put(study, folder / "in" / name)
    # All files that a case can have are named after it.
    return folder / "in", folder / "out", *FINDS_LESIONS


@row("Longer than 200 bytes")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, "x" * 201)


@row("200 bytes long")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, "\u8a9e" * 66 + "xx")


@row("Differs from another name only in upper and lower case")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, "Stra\xdfe", "STRASSE")


@row("Differs from another name only in its Unicode form")
def _(folder: Path, study: Path) -> Given:
    return _named(
        folder, study, *(unicodedata.normalize(form, "caf\xe9") for form in ("NFC", "NFD"))
    )


@row("`results`")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, "Results")


@row("A pseudonym `../../x`")
def _(folder: Path, study: Path) -> Given:
    return _with_pseudonym(folder, study, "../../x")


@row("A pseudonym of 300 characters")
def _(folder: Path, study: Path) -> Given:
    return _with_pseudonym(folder, study, "x" * 300)


def _with_pseudonym(folder: Path, study: Path, pseudonym: str) -> Given:
    file = folder / "pseudonyms.csv"
    file.write_text(f"case,pseudonym\na,{pseudonym}\n")
    return (*_named(folder, study, "a"), "--pseudonyms", file)


@row("Reserved for devices on Windows: `CON`, `nul.txt`")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, "CON", "nul.txt")


@row("With `:`, or a dot or space at the end")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, "a:b:c.", "space ")


@row("Starting with `-`")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, "--out")


@row("Chinese, emoji, HTML, `[red]`")
def _(folder: Path, study: Path) -> Given:
    return _named(
        folder, study, "\u65e5\u672c\u8a9e \U0001f468\u200d\U0001f469", "<b>&lt;'\"[red]%s{0}"
    )


@row("With a line break or escape sequences")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, "a\nerror [x]: y\r", "\x1b[2J\x1b]0;title\x07", "\u202egnp\x9b2J")


@row("Not UTF-8")
def _(folder: Path, study: Path) -> Given:
    return _named(folder, study, os.fsdecode(b"M\xfcller"))


# --- The rows ------------------------------------------------------------------------------------


def test_the_page_and_the_tests_list_the_same_situations() -> None:
    assert sorted(rows()) == sorted({**SITUATIONS, **ELSEWHERE})
    for place in ELSEWHERE.values():
        file, _, test = place.partition("::")
        assert f"def {test}" in (ROOT / file).read_text(), place


@posix_only
@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_ends_as_the_page_states(
    name: str, study: Path, night_bundle: Path, tmp_path: Path
) -> None:
    given = SITUATIONS[name](tmp_path, study)
    if not set(FINDS_LESIONS) <= set(given):
        given = (*given, *FINDS_NOTHING)
    out, before = given[1], files_below(tmp_path)
    code, said = infer(given, night_bundle)
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
        again, said = infer(given, night_bundle)
        assert again == 0
        assert said.count("skipped: unchanged since last run") == results["counts"]["cases"]


def errors(said: str) -> list[str]:
    """The lines of what went wrong: of the run, or of cases."""
    return [one for one in said.splitlines() if one.startswith("error [") or " FAILED [" in one]


@pytest.mark.parametrize("name", ["../../x", "/x", "", "a/b", "a\0b"])
def test_a_case_from_python_cannot_lead_elsewhere(
    name: str, study: Path, night_bundle: Path, tmp_path: Path
) -> None:
    config = BatchConfig(tmp_path / "a" / "b" / "out", models=str(night_bundle))
    with pytest.raises(InputFolderError, match="named after"):
        run_batch([Case(name, study)], config)
    assert not list(tmp_path.iterdir())
