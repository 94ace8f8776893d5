"""Studies moved away: whole, and over nothing."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from rcc_onnx.errors import MoveError
from rcc_onnx.watch import moving
from rcc_onnx.watch.moving import COPYING, MOVED, move_study, remove_moved, remove_stale_files


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "in" / "a"
    (folder / "series").mkdir(parents=True)
    (folder / "series" / "1.dcm").write_text("one")
    return folder


@pytest.fixture
def other_file_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lies in `in` cannot be renamed to another folder."""
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


def test_a_study_is_moved(study: Path, tmp_path: Path) -> None:
    assert move_study(study, tmp_path / "new" / "done") == tmp_path / "new" / "done" / "a"
    assert contents(tmp_path / "new" / "done") == {"a/series/1.dcm": "one"}
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("over", [False, True])
def test_what_has_the_name_already_stays(
    study: Path, tmp_path: Path, over: bool, request: pytest.FixtureRequest
) -> None:
    if over:
        request.getfixturevalue("other_file_system")
    done = tmp_path / "done"
    (done / "a").mkdir(parents=True)  # an empty folder is easily renamed over
    (done / "a-2").symlink_to("nowhere")
    assert move_study(study, done).name == "a-3"
    assert list((done / "a").iterdir()) == []
    archive = tmp_path / "in" / "a.zip"
    for name in ("a.zip", "a-2.zip"):
        archive.write_text(name)
        assert move_study(archive, done).name == name
    assert (done / "a.zip").read_text() == "a.zip"


@pytest.mark.usefixtures("other_file_system")
def test_to_another_file_system_it_is_copied_and_then_removed(study: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    move_study(study, done)
    assert contents(done) == {"a/series/1.dcm": "one"}
    assert list((tmp_path / "in").iterdir()) == []


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

    monkeypatch.setattr(moving.shutil.copytree, "__defaults__", (False, None, worse, False, False))
    with pytest.raises(MoveError, match="not the same"):
        move_study(study, tmp_path / "done")
    assert contents(study) == {"series/1.dcm": "one"}
    assert list((tmp_path / "done").iterdir()) == []


@pytest.mark.usefixtures("other_file_system")
def test_a_study_that_is_held_open_stays_whole(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def locked(self: Path, target: Path) -> Path:
        if self == study and self.parent == Path(target).parent:
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", locked)
    with pytest.raises(MoveError, match="Permission denied"):
        move_study(study, tmp_path / "done")
    assert contents(study) == {"series/1.dcm": "one"}
    assert list((tmp_path / "done").iterdir()) == []


def test_the_message_tells_no_name(study: Path, tmp_path: Path) -> None:
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
    remove_stale_files(done)
    assert [path.name for path in done.iterdir()] == ["c"]
    remove_moved(study.parent)
    assert not away.exists()
