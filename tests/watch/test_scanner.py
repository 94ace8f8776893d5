"""What is in an inbox, and how studies leave it: whole, and over nothing."""

import errno
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from rcc_onnx.errors import InboxGoneError, MoveError, PseudonymsError
from rcc_onnx.watch import scanner as scanner_module
from rcc_onnx.watch.scanner import COPYING, MOVED, Scanner, finish_moves, move_study


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def study(inbox: Path) -> Path:
    folder = inbox / "a"
    (folder / "series").mkdir(parents=True)
    (folder / "series" / "1.dcm").write_text("one")
    return folder


def names(scanner: Scanner) -> dict[str, str]:
    return {entry: case.name for entry, case in scanner.scan().cases.items()}


def test_studies_are_folders_and_archives_that_are_not_hidden(study: Path, inbox: Path) -> None:
    with zipfile.ZipFile(inbox / "b.ZIP", "w") as archive:
        archive.writestr("1.dcm", b"x")
    for name in (".c", "d.part", "out", "deep/done", "e.zip", "results"):
        (inbox / name).mkdir(parents=True)
    for name in ("f.dcm", "Thumbs.db", ".g.dcm"):
        (inbox / name).write_text("")
    (inbox.parent / "link").symlink_to(inbox)
    scanner = Scanner(inbox, inbox / "out", [inbox.parent / "link" / "deep" / "done"])
    scan = scanner.scan()
    assert {entry: case.name for entry, case in scan.cases.items()} == {
        "a": "a",
        "b.ZIP": "b",
        "e.zip": "e.zip",
    }
    assert scan.cases["a"].folder == study.absolute()
    assert "[reserved-name]" in scan.notices["results"]
    assert scan.notices.keys() == {"results", "/loose"}
    assert scan.notices["/loose"].startswith("ignored: 1 file directly in the inbox")


def test_of_two_studies_of_one_name_the_first_keeps_it_until_it_goes(inbox: Path) -> None:
    (inbox / "a.zip").write_text("")
    scanner = Scanner(inbox, inbox.parent / "out")
    assert names(scanner) == {"a.zip": "a"}
    (inbox / "A").mkdir()
    scan = scanner.scan()
    assert scan.cases.keys() == {"a.zip"}
    assert scan.notices["A"].startswith("A: refused [name-taken]: ")
    (inbox / "a.zip").unlink()
    assert names(scanner) == {"A": "A"}
    (inbox / "a.zip").write_text("")
    assert names(Scanner(inbox, inbox.parent / "out")) == {"A": "A"}


def test_an_inbox_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("gone", "file"):
        with pytest.raises(InboxGoneError, match=name):
            Scanner(tmp_path / name, tmp_path / "out")


@pytest.mark.usefixtures("study")
def test_an_empty_folder_in_place_of_the_inbox_is_no_empty_inbox(inbox: Path) -> None:
    scanner = Scanner(inbox, inbox.parent / "out")
    scanner.scan()
    inbox.rename(inbox.parent / "away")
    inbox.mkdir()
    with pytest.raises(InboxGoneError, match="share mounted"):
        scanner.scan()
    inbox.rmdir()
    (inbox.parent / "away").rename(inbox)
    assert names(scanner) == {"a": "a"}
    shutil.rmtree(inbox / "a")
    assert names(scanner) == {}


def test_pseudonyms_are_read_again_when_they_change_and_show_no_name(
    inbox: Path, tmp_path: Path
) -> None:
    for name in ("Doe_John", "Roe_Jane", "Moe_Max"):
        (inbox / name).mkdir()
    file, out = tmp_path / "names.csv", tmp_path / "out"
    with pytest.raises(PseudonymsError):
        Scanner(inbox, out, pseudonyms=file)
    file.write_text("case,pseudonym\nDoe_John,P1\n")
    scanner = Scanner(inbox, out, pseudonyms=file)
    scan = scanner.scan()
    assert scan.cases["Doe_John"].name == "P1"
    assert scan.cases["Doe_John"].hide_names
    assert scan.notices == {"/unnamed": "waiting for a line in the file of pseudonyms: 2 studies"}
    file.unlink()
    for _ in range(2):
        scan = scanner.scan()
        assert scan.cases["Doe_John"].name == "P1"
        assert "[pseudonyms-file]" in scan.notices["/pseudonyms"]
    out.mkdir()
    (out / "Roe_Jane.json").write_text("{}")
    file.write_text("case,pseudonym\nDoe_John,P2\nRoe_Jane,P1\nMoe_Max,P-Doe_John\n")
    scan = scanner.scan()
    assert names(scanner) == {"Doe_John": "P2"}
    shown = "".join(scan.notices.values())
    assert "a study: refused [pseudonyms-out]: " in shown
    assert "a study: refused [pseudonym-unsafe]: " in shown
    assert not any(name in shown for name in ("Doe", "Roe", "Moe"))


# --- Moving --------------------------------------------------------------------------------------


@pytest.fixture
def other_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be renamed to another folder."""
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("across", [False, True])
def test_a_study_is_moved_and_replaces_nothing(
    study: Path, tmp_path: Path, across: bool, request: pytest.FixtureRequest
) -> None:
    if across:
        request.getfixturevalue("other_file_system")
    done = tmp_path / "new" / "done"
    assert move_study(study, done) == done / "a"
    assert contents(done) == {"a/series/1.dcm": "one"}
    assert list(study.parent.iterdir()) == []
    (done / "a-2").symlink_to("nowhere")
    study.mkdir()  # an empty folder is easily renamed over
    assert move_study(study, done).name == "a-3"
    archive = study.parent / "a.zip"
    for name in ("a.zip", "a-2.zip"):
        archive.write_text(name)
        assert move_study(archive, done).name == name
    assert (done / "a.zip").read_text() == "a.zip"


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no second file system")
def test_to_a_real_other_file_system(study: Path, tmp_path: Path) -> None:
    done = Path("/dev/shm") / f"rcc-onnx-{tmp_path.name}-{os.getpid()}"
    if tmp_path.stat().st_dev == Path("/dev/shm").stat().st_dev:
        pytest.skip("it is the same one")
    try:
        move_study(study, done)
        assert contents(done) == {"a/series/1.dcm": "one"}
        assert not study.exists()
    finally:
        shutil.rmtree(done)


@pytest.mark.usefixtures("other_file_system")
def test_a_copy_that_is_not_the_same_does_not_count(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copy2

    def worse(source: Path, target: Path, **options: bool) -> object:
        done = copy(source, target, **options)
        Path(target).write_text("on")
        return done

    defaults = (False, None, worse, False, False)
    monkeypatch.setattr(scanner_module.shutil.copytree, "__defaults__", defaults)
    with pytest.raises(MoveError, match="not the same"):
        move_study(study, tmp_path / "done")
    assert contents(study) == {"series/1.dcm": "one"}
    assert list((tmp_path / "done").iterdir()) == []


@pytest.mark.usefixtures("other_file_system")
@pytest.mark.parametrize("killed", [False, True])
def test_a_study_that_is_held_open_or_whose_watcher_is_killed_stays_whole(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    rename, done = Path.rename, tmp_path / "done"

    def locked(self: Path, target: Path) -> Path:
        if self == study and self.parent == Path(target).parent:
            raise (
                KeyboardInterrupt if killed else PermissionError(errno.EACCES, "Permission denied")
            )
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", locked)
        with pytest.raises(KeyboardInterrupt if killed else MoveError):
            move_study(study, done)
    finish_moves(study.parent, [done])
    assert contents(study) == {"series/1.dcm": "one"}
    assert [path.name for path in done.iterdir()] == (["a"] if killed else [])


def test_the_message_names_no_study(study: Path, tmp_path: Path) -> None:
    (tmp_path / "done").write_text("")
    named = study.rename(study.with_name("DOE_JOHN"))
    with pytest.raises(MoveError) as error:
        move_study(named, tmp_path / "done")
    assert "DOE" not in str(error.value)


def test_what_a_killed_watcher_left_is_removed(study: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    (done / f"{COPYING}a").mkdir(parents=True)
    (done / f"{COPYING}b.zip").write_text("half")
    (done / "c").mkdir()
    away = study.rename(study.with_name(f"{MOVED}a"))
    finish_moves(study.parent, [done])
    assert [path.name for path in done.iterdir()] == ["c"]
    assert not away.exists()
