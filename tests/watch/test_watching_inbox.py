"""What a look at an inbox finds."""

import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rcc_onnx.errors import InboxGoneError
from rcc_onnx.watch.arrivals import Arrivals
from rcc_onnx.watch.inbox import Inbox, is_temporary, snapshot


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "a"
    (folder / "series").mkdir(parents=True)
    (folder / "series" / "1.dcm").write_text("one")
    (folder / "2.dcm").write_text("two")
    return folder


@pytest.mark.parametrize(
    ("name", "temporary"),
    [
        ("a.part", True),
        ("a.PARTIAL", True),
        ("a.zip.crdownload", True),
        ("a~", True),
        ("~$a", True),
        ("a.tmp", True),
        ("a", False),
        ("part", False),
        ("a.partly", False),
    ],
)
def test_names_of_what_is_being_written(name: str, temporary: bool) -> None:
    assert is_temporary(name) is temporary


def add(folder: Path) -> None:
    (folder / "3.dcm").write_text("")


def grow(folder: Path) -> None:
    (folder / "2.dcm").write_text("two and more")


def date(folder: Path) -> None:
    os.utime(folder / "2.dcm", (1, 1))


def rename(folder: Path) -> None:
    (folder / "2.dcm").rename(folder / "3.dcm")


def into_another_folder(folder: Path) -> None:
    (folder / "2.dcm").rename(folder / "series" / "2.dcm")


def remove(folder: Path) -> None:
    (folder / "series" / "1.dcm").unlink()


@pytest.mark.parametrize("change", [add, grow, date, rename, into_another_folder, remove])
def test_every_change_of_a_study_shows(study: Path, change: Callable[[Path], None]) -> None:
    before = snapshot(study)
    assert before == snapshot(study)
    change(study)
    assert snapshot(study) != before


def test_litter_is_no_change_and_neither_is_the_name_of_the_study(study: Path) -> None:
    before = snapshot(study)
    (study / ".DS_Store").write_text("x")
    (study / "Thumbs.db").write_text("x")
    assert snapshot(study.rename(study.with_name("b"))) == before


def test_what_has_no_file_is_nothing_yet(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "Thumbs.db").write_text("x")
    assert snapshot(tmp_path / "a") is None
    assert snapshot(tmp_path / "gone") is None


@pytest.mark.skipif(sys.platform == "win32", reason="links want rights there")
def test_links_lead_nowhere(study: Path) -> None:
    (study / "loop").symlink_to(study)
    (study / "dangling").symlink_to("nowhere")
    found = snapshot(study)
    assert found is not None
    assert found.files == 3
    inbox = Inbox(study.parent)
    assert inbox.unreadable("a") == 0


def test_entries_are_folders_and_archives_that_are_not_hidden(study: Path) -> None:
    root = study.parent
    with zipfile.ZipFile(root / "b.ZIP", "w") as archive:
        archive.writestr("1.dcm", b"x")
    for name in (".c", "d.part", "out", "e.zip"):
        (root / name).mkdir()
    (root / "f.dcm").write_text("")
    (root / "Thumbs.db").write_text("")
    inbox = Inbox(root, frozenset({(root / "out").absolute()}))
    found = inbox.listing()
    assert found.entries == ("a", "b.ZIP", "e.zip")
    assert found.loose_files == 1
    assert [inbox.case_name(name) for name in found.entries] == ["a", "b", "e.zip"]


def test_results_within_a_folder_of_the_inbox_are_no_study(study: Path) -> None:
    (study / "out").mkdir()
    (study / "out" / "x.json").write_text("")
    skip = frozenset({(study / "out").absolute()})
    found = snapshot(study, skip)
    assert found is not None
    assert found.files == 2


def test_an_inbox_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("gone", "file"):
        with pytest.raises(InboxGoneError, match=name):
            Inbox(tmp_path / name).listing()


def test_time_counts_from_the_last_change() -> None:
    arrivals = Arrivals(60)
    assert arrivals.is_new("a")
    told = [arrivals.seen("a", look, now) for look, now in (("x", 0), ("x", 59), ("y", 61))]
    assert told == [False, False, False]
    assert not arrivals.is_new("a")
    assert not arrivals.seen("a", "y", 120.9)
    assert arrivals.seen("a", "y", 121)
    arrivals.all_wait_again(130)
    assert not arrivals.seen("a", "y", 189)
    arrivals.forget("a")
    assert not arrivals.seen("a", "y", 1000)
    assert Arrivals(0).seen("a", "x", 0)
