"""What a watcher decides, with time and processes of the test's own."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rcc_onnx.errors import (
    BundleError,
    CaseCrashedError,
    InboxGoneError,
    IntakeError,
    OutputError,
    ProviderError,
)
from rcc_onnx.output import folder as output_folder
from rcc_onnx.watch.watcher import IDLE_S
from tests.support.watch_bench import Bench

NO_DICOM = IntakeError("no DICOM file in it", code="no-dicom")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.held.close()


def test_a_study_is_analysed_when_it_has_not_changed_for_long_enough(bench: Bench) -> None:
    bench.start()
    folder = bench.study("a")
    for number in range(5):
        bench.run(50)
        (folder / f"more{number}").write_text("x")
    bench.run(50)
    assert bench.cases == []
    bench.run(20)
    assert bench.cases == ["a"]
    bench.run(300)
    assert bench.cases == ["a"]
    assert bench.results() == ["a"]
    assert bench.said == ["a: arriving", "a: 7 files, analysing", "result of a"]


def test_results_tell_what_is_done_after_a_restart(bench: Bench) -> None:
    bench.study("a")
    bench.study("b")
    bench.pool.wrong["b"] = NO_DICOM
    bench.start()
    bench.run(100)
    bench.start()
    bench.said.clear()
    bench.study("0 new")
    bench.study("z new")
    bench.run(100)
    assert bench.cases == ["a", "0 new", "z new"]
    # What has no result yet comes first.
    assert bench.pool.read == ["a", "b", "0 new", "z new", "a", "b"]
    assert not any(line.startswith(("a:", "b:")) for line in bench.said)


def test_a_study_that_is_renamed_and_back_is_analysed_once_under_each_name(bench: Bench) -> None:
    folder = bench.study("a")
    bench.start()
    bench.run(100)
    for _ in range(2):
        other = folder.rename(bench.inbox / "b")
        bench.run(200)
        other.rename(folder)
        bench.run(200)
    assert bench.cases == ["a", "b"]


def test_late_files_have_a_study_analysed_again(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    before = (bench.out / "a.json").read_bytes()
    bench.study("a", "3.dcm", "4.dcm", "5.dcm")
    bench.run(60)
    assert (bench.out / "a.json").read_bytes() == before, "replaced before it was stable"
    bench.run(20)
    assert bench.cases == ["a", "a"]
    assert "a: it has changed since it was analysed" in bench.said
    assert "a: 5 files, analysing again" in bench.said
    bench.start()
    bench.study("a", "6.dcm")
    bench.run(100)
    assert bench.cases == ["a", "a", "a"]
    assert bench.results() == ["a"]


def test_a_study_that_is_as_before_again_is_not_even_read(bench: Bench) -> None:
    folder = bench.study("a")
    bench.start()
    bench.run(100)
    (folder / "late.dcm").write_text("x")
    bench.run(30)
    (folder / "late.dcm").unlink()
    bench.run(200)
    assert bench.pool.read == ["a"]
    os.utime(folder / "1.dcm", (5, 5))
    bench.run(300)
    assert bench.pool.read == ["a", "a"]
    assert bench.cases == ["a"]


def test_late_files_are_found_though_a_scan_does_not_look_at_all_that_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        bench.study(f"s{number}")
    bench.start()
    bench.run(100)
    # Each look takes a second, and a scan has half of one.
    monkeypatch.setattr(
        bench.watcher, "clock", lambda: setattr(bench, "now", bench.now + 0.2) or bench.now
    )
    bench.study("s4", "late.dcm")
    bench.run(200)
    assert bench.cases[5:] == ["s4"]


def change(bench: Bench, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bench.pool, "meanwhile", lambda: bench.study("a", f"{bench.now}.dcm"))


def lock(bench: Bench, patch: pytest.MonkeyPatch) -> None:
    def locked(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    patch.setattr("rcc_onnx.batch.runner.inputs_sha256", locked)


def half_copy(bench: Bench, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("rcc_onnx.batch.arrivals.TEMPORARY_SUFFIXES", (".dcm",))


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (change, "it changed while it was analysed"),
        (lock, "files cannot be read (Permission denied)"),
        (half_copy, "2 files in it with names of files that are still being copied"),
    ],
)
def test_a_study_that_is_not_complete_after_all_waits_again(
    bench: Bench, trouble: Callable[..., None], reason: str
) -> None:
    bench.study("a")
    bench.start()
    with pytest.MonkeyPatch.context() as patch:
        trouble(bench, patch)
        bench.run(300)
    assert bench.results() == []
    attempts = len(bench.pool.read) if trouble is change else 1
    assert bench.count(f"a: waits: {reason}") == attempts
    bench.run(100)
    assert bench.results() == ["a"]


def test_failures_are_tried_again_on_request_only(bench: Bench) -> None:
    bench.study("a")
    for retry_failed in (False, False, True):
        bench.pool.wrong["a"] = NO_DICOM
        bench.start(retry_failed=retry_failed)
        bench.run(200)
        tried = "a" not in bench.pool.wrong
        assert tried is (retry_failed or bench.pool.read == ["a"])
    bench.study("a", "3.dcm")
    bench.run(200)
    assert bench.cases == ["a"]


def test_what_kills_its_process_fails_and_is_not_tried_again_after_a_restart(bench: Bench) -> None:
    bench.study("a")
    bench.study("b")
    bench.start()
    bench.pool.wrong["a"] = CaseCrashedError("it died")
    bench.run(100)
    document = json.loads((bench.out / "a.json").read_text())
    assert document["error"]["code"] == "case-crashed"
    assert bench.cases == ["b"]
    bench.start()
    bench.run(100)
    assert bench.cases == ["b"]


def test_what_kills_the_second_process_too_fails_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.study("a")
    bench.start()
    monkeypatch.setattr(bench.pool, "_do", lambda case: CaseCrashedError("it died"))
    bench.run(100)
    document = json.loads((bench.out / "a.json").read_text())
    assert (document["error"]["code"], document["fingerprint"]) == ("case-crashed", None)


def test_a_process_that_dies_as_the_watcher_is_stopped_is_no_failure(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.pool.wrong["a"] = CaseCrashedError("by SIGTERM")
    bench.pool.meanwhile = lambda: bench.shutdown.set("SIGTERM")
    bench.run(100)
    assert bench.results() == []
    assert list(bench.watcher.in_hand) == ["a"]


def test_an_inbox_that_goes_and_comes_is_waited_for(bench: Bench, tmp_path: Path) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    bench.study("b")
    bench.run(30)
    bench.inbox.rename(tmp_path / "away")
    bench.run(3000)
    assert bench.count("inbox-gone") == 1
    (tmp_path / "away").rename(bench.inbox)
    bench.run(300)  # the longest pause between two tries
    assert "the inbox is back" in bench.said
    bench.run(100)
    assert bench.cases == ["a", "b"]
    assert len(bench.pool.read) == 2


@pytest.mark.parametrize("moment", ["arrival", "start", "analysis"])
def test_an_output_that_goes_and_comes_is_waited_for(
    bench: Bench, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmount(*_: object) -> None:
        if not (tmp_path / "away").exists():
            bench.out.rename(tmp_path / "away")
            bench.out.mkdir()  # the empty mount point
            monkeypatch.undo()

    bench.start()
    bench.study("a")
    bench.run(30)
    if moment == "arrival":
        unmount()
    elif moment == "start":
        submit = bench.pool.submit
        monkeypatch.setattr(bench.pool, "submit", lambda case: (unmount(), submit(case)))
    else:
        monkeypatch.setattr(bench.pool, "meanwhile", unmount)
    bench.run(500)
    assert list(bench.out.iterdir()) == []
    assert bench.count("waiting [output]") == 1
    bench.out.rmdir()
    (tmp_path / "away").rename(bench.out)
    bench.run(400)
    assert bench.results() == ["a"]
    assert "results can be written again" in bench.said
    with output_folder.try_lock(bench.out / ".rcc-onnx.lock") as acquired:
        assert not acquired, "the lock was not taken again"


def test_a_full_disk_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.study("a")
    bench.start()
    bench.pool.wrong["a"] = OutputError("No space left on device")
    whole = output_folder.write_whole

    def full(path: Path, write: Callable[[Path], object]) -> None:
        whole(path, write)
        if path.stat().st_size:  # there is room for an empty file
            path.unlink()
            raise OSError(28, "No space left on device")

    bench.run(62)
    monkeypatch.setattr(output_folder, "write_whole", full)
    bench.run(2000)
    assert bench.cases == []
    assert bench.count("No space") == 1
    monkeypatch.undo()
    bench.run(400)
    assert bench.cases == ["a"]


@pytest.mark.parametrize("error", [ProviderError("the GPU is gone"), BundleError("no bundle")])
def test_an_engine_that_is_gone_is_waited_for(
    tmp_path: Path, error: ProviderError | BundleError
) -> None:
    bench = Bench(tmp_path, workers=2)
    for name in ("a", "b", "c"):
        bench.study(name)
    bench.start()
    bench.pool.wrong |= {"a": error, "b": error, "c": error}
    bench.run(66)
    assert bench.pool.read == ["a", "b"]
    bench.run(10)
    assert bench.pool.read == ["a", "b", "c"], "one is enough to see whether it works again"
    bench.run(300)
    assert sorted(bench.cases) == ["a", "b", "c"]
    assert bench.count("waiting [") == 1
    assert bench.count("studies can be analysed again") == 1
    bench.held.close()


def test_done_and_failed_studies_are_moved_those_of_before_too(
    bench: Bench, tmp_path: Path
) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    bench.study("b")
    bench.pool.wrong["b"] = NO_DICOM
    bench.start(move_done=tmp_path / "done", move_failed=bench.inbox / "failed")
    bench.run(100)
    assert bench.pool.read == ["a", "b", "a"]
    assert (tmp_path / "done" / "a" / "1.dcm").is_file()
    assert (bench.inbox / "failed" / "b" / "1.dcm").is_file()
    assert [path.name for path in bench.inbox.iterdir()] == ["failed"]
    assert f"a: moved to {tmp_path / 'done' / 'a'}" in bench.said
    bench.study("a", "other.dcm")
    bench.run(100)
    assert bench.cases == ["a", "a"]
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["a", "a-2"]


def test_a_study_that_cannot_be_moved_stays_and_is_not_done_again(
    bench: Bench, tmp_path: Path
) -> None:
    bench.study("a")
    (tmp_path / "done").write_text("a file")
    bench.start(move_done=tmp_path / "done")
    bench.run(1000)
    assert bench.pool.read == ["a"]
    assert bench.count("[move]") == 1
    assert (bench.inbox / "a").is_dir()


def test_once_ends_when_what_is_there_and_complete_is_done(bench: Bench) -> None:
    bench.study("a")
    bench.start(once=True)
    while not bench.watcher.is_finished:
        if bench.now == 1030:
            bench.study("late")
        bench.study("grows", f"{bench.now}.dcm")
        bench.run(1)
    assert bench.cases == ["a"]
    assert 1060 <= bench.now < 1100
    bench.study("b")
    bench.start(once=True)
    bench.run_once()
    assert sorted(bench.cases) == ["a", "b", "grows", "late"]
    assert {result.case for result in bench.watcher.results} == {"b", "grows", "late"}
    shutil.rmtree(bench.inbox)
    bench.inbox.mkdir()
    bench.start(once=True)
    begun = bench.now
    bench.run_once()
    assert bench.now - begun == 1, "there is nothing to wait for"


def test_once_does_not_wait_for_an_inbox_that_is_gone(bench: Bench) -> None:
    bench.start(once=True)
    bench.inbox.rmdir()
    with pytest.raises(InboxGoneError):
        bench.run(10)


def test_the_files_of_the_run_cover_all_and_are_not_written_all_the_time(bench: Bench) -> None:
    bench.study("earlier")
    bench.start()
    bench.run(100)
    bench.start()

    def cases() -> list[str]:
        document = json.loads((bench.out / "results.json").read_text())
        return [case["case"] for case in document["cases"]]

    assert cases() == ["earlier"]
    bench.study("a")
    bench.run(70)
    assert cases() == ["a", "earlier"]
    # While studies are waiting, a minute lies between two writings.
    for number in range(50):
        bench.study(f"s{number}")
    bench.run(68)
    written = {len(cases())}
    for _ in range(40):
        bench.run(1)
        written.add(len(cases()))
    assert len(written) <= 3
    bench.run(100)
    assert len(cases()) == 52


def test_processes_end_when_nothing_comes_for_long(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    assert bench.pool.idle_stops == 0
    bench.run(3 * IDLE_S)
    assert bench.pool.idle_stops == 1


def test_no_name_is_shown_where_there_are_pseudonyms(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "names.csv"
    file.write_text("case,pseudonym\nDoe_John,P1\n")
    for name in ("Doe_John", "Roe_Jane", "Moe_Max"):
        bench.study(name)
    bench.start(pseudonyms=file, move_done=tmp_path / "done")
    bench.run(100)
    assert bench.count("2 studies") == 1
    file.write_text("case,pseudonym\nDoe_John,P1\nRoe_Jane,P2\nMoe_Max,P-Roe_Jane\n")
    bench.run(65)
    assert bench.cases == ["P1", "P2"]
    shown = "\n".join(bench.said)
    assert bench.count("[pseudonym-unsafe]") == 1
    left = b"".join(path.read_bytes() for path in bench.out.rglob("*") if path.is_file())
    for name in ("Doe", "Roe", "Moe"):
        assert name not in shown
        assert name.encode() not in left


def test_a_result_that_is_replaced_as_the_files_of_the_run_are_written_does_no_harm(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.study("a")
    bench.start(once=True)

    def vanished(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(output_folder.OutputFolder, "stored_case", vanished)
    bench.run_once()
    assert bench.cases == ["a"]
