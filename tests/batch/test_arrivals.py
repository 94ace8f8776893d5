"""When a study has arrived, and how long to wait after a failure."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rcc_onnx.batch.arrivals import Arrivals, Backoff, Snapshot, is_temporary, take_snapshot


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
def test_names_of_files_that_are_being_copied(name: str, temporary: bool) -> None:
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
    before = take_snapshot(study)
    assert before == take_snapshot(study)
    change(study)
    assert take_snapshot(study) != before


def test_files_of_the_system_and_the_name_of_the_study_are_no_change(study: Path) -> None:
    before = take_snapshot(study)
    (study / ".DS_Store").write_text("x")
    (study / "Thumbs.db").write_text("x")
    assert take_snapshot(study.rename(study.with_name("b"))) == before


def test_a_study_without_files_has_no_snapshot(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "Thumbs.db").write_text("x")
    assert take_snapshot(tmp_path / "a") is None
    assert take_snapshot(tmp_path / "gone") is None


def test_files_with_temporary_names_are_counted_and_an_archive_is_one_file(study: Path) -> None:
    (study / "3.dcm.part").write_text("")
    (study.parent / "b.zip").write_text("")
    found, archive = take_snapshot(study), take_snapshot(study.parent / "b.zip")
    assert found is not None
    assert archive is not None
    assert (found.files, found.temporary) == (3, 1)
    assert (archive.files, archive.temporary) == (1, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="links want rights there")
def test_links_are_not_followed(study: Path) -> None:
    (study / "loop").symlink_to(study)
    (study / "dangling").symlink_to("nowhere")
    found = take_snapshot(study)
    assert found is not None
    assert found.files == 3


def test_a_study_settles_when_it_has_not_changed_for_the_stable_time() -> None:
    arrivals, x, y = Arrivals(60), Snapshot(1, 0, "x"), Snapshot(2, 0, "y")
    assert "a" not in arrivals
    assert not any(arrivals.has_settled("a", look, now) for look, now in ((x, 0), (x, 59), (y, 61)))
    assert list(arrivals) == ["a"]
    assert not arrivals.has_settled("a", y, 120.9)
    assert arrivals.has_settled("a", y, 121)
    arrivals.restart_all(130)
    assert not arrivals.has_settled("a", y, 189)
    assert arrivals.has_settled("a", y, 190)
    arrivals.forget("a")
    assert not arrivals.has_settled("a", y, 1000)
    arrivals.restart("unknown", 0)
    assert "unknown" not in arrivals
    assert Arrivals(0).has_settled("a", x, 0)


def test_pauses_double_up_to_the_longest_and_start_anew_after_a_success() -> None:
    backoff = Backoff()
    assert not backoff.active
    assert not backoff.should_wait(0)
    assert not backoff.reset()
    pauses = []
    for number in range(8):
        assert backoff.record_failure(1000) is (number == 0)
        pauses.append(backoff.next_try - 1000)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    assert backoff.should_wait(1299)
    assert not backoff.should_wait(1300)
    assert backoff.reset()
    assert not backoff.active
    backoff.record_failure(0)
    assert backoff.next_try == 5
