"""What a watcher decides, with time and processes of the test's own."""

import json
import os
import shutil
import zipfile
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
from rcc_onnx.watch import output
from rcc_onnx.watch.loop import REST_S
from rcc_onnx.watch.rules import Rules
from rcc_onnx.watch.state import STATE_NAME
from tests.support.watch_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_study_is_taken_when_it_has_not_changed_for_long_enough(bench: Bench) -> None:
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


def test_a_date_alone_is_a_change_and_the_clock_of_a_share_is_none(bench: Bench) -> None:
    bench.start()
    folder = bench.study("a")
    os.utime(folder / "1.dcm", (4e9, 4e9))
    bench.run(50)
    os.utime(folder / "1.dcm", (0, 0))
    bench.run(50)
    assert bench.cases == []
    bench.run(20)
    assert bench.cases == ["a"]


def test_nothing_is_done_again_after_a_restart(bench: Bench) -> None:
    bench.study("a")
    bench.study("b")
    bench.start()
    bench.run(100)
    bench.end()
    bench.start()
    bench.run(100)
    assert sorted(bench.cases) == ["a", "b"]
    # The state says so: nothing was read.
    assert sorted(bench.pool.hashed) == ["a", "b"]


@pytest.mark.parametrize("left", [None, "", "[]", '{"schema_version": 1, "studies": {"a": {}}}'])
def test_without_a_state_results_say_what_is_done(bench: Bench, left: str | None) -> None:
    bench.study("a")
    bench.study("b")
    bench.start()
    bench.pool.wrong["b"] = IntakeError("none", code="no-dicom")
    bench.run(100)
    state = bench.out / STATE_NAME
    state.unlink() if left is None else state.write_text(left)
    bench.start()
    bench.run(100)
    assert sorted(bench.cases) == ["a", "b"]
    assert "a: done before; not analysed again" in bench.said
    assert "b: done before, which failed; not analysed again" in bench.said


def test_a_result_that_was_removed_is_made_again(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    bench.end()
    (bench.out / "a.json").unlink()
    bench.start()
    bench.run(100)
    assert bench.cases == ["a", "a"]


def test_a_study_with_another_name_is_known(bench: Bench) -> None:
    folder = bench.study("a")
    bench.start()
    bench.run(100)
    folder.rename(bench.inbox / "b")
    bench.run(200)
    bench.end()
    bench.start()
    bench.run(100)
    assert bench.cases == ["a"]
    assert bench.said.count("b: the same files as a; not analysed again") == 1
    assert bench.results() == ["a"]


def test_a_copy_that_arrives_with_its_original_is_known(tmp_path: Path) -> None:
    bench = Bench(tmp_path, workers=2)
    shutil.copytree(bench.study("a"), bench.inbox / "b")
    bench.start()
    bench.run(300)
    assert len(bench.cases) == 1


def test_late_files_have_a_study_analysed_again(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    before = (bench.out / "a.json").read_bytes()
    bench.study("a", "3.dcm", "4.dcm", "5.dcm")
    bench.run(60)
    assert (bench.out / "a.json").read_bytes() == before, "replaced before it was stable"
    bench.run(70)
    assert bench.cases == ["a", "a"]
    assert "a: again: 3 more files arrived" in bench.said
    assert bench.results() == ["a"]


def test_late_files_are_found_after_a_restart(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    bench.end()
    bench.study("a", "3.dcm")
    bench.start()
    bench.run(100)
    assert bench.cases == ["a", "a"]
    assert bench.results() == ["a"]


def test_a_date_that_changes_later_is_no_new_study(bench: Bench) -> None:
    folder = bench.study("a")
    bench.start()
    bench.run(100)
    os.utime(folder / "1.dcm", (5, 5))
    bench.run(300)
    assert bench.cases == ["a"]
    assert bench.said.count("a: its files are as before; not analysed again") == 1


def test_a_result_of_a_study_that_changed_meanwhile_is_not_kept(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.pool.meanwhile = lambda: bench.study("a", f"{bench.now}.dcm")
    bench.run(100)
    assert bench.results() == []
    bench.pool.meanwhile = lambda: None
    bench.run(100)
    assert bench.cases == ["a"]
    assert any("changed while it was analysed" in line for line in bench.said)


def test_failures_are_tried_again_when_their_files_change_or_that_is_wished(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.pool.wrong["a"] = IntakeError("none", code="no-dicom")
    bench.run(200)
    bench.end()
    bench.start()
    bench.run(200)
    assert bench.cases == ["a"]
    assert json.loads((bench.out / "a.json").read_text())["status"] == "failed"
    bench.start(retry_failed=True)
    bench.pool.wrong["a"] = IntakeError("none", code="no-dicom")
    bench.run(200)
    assert bench.cases == ["a", "a"]
    bench.study("a", "3.dcm")
    bench.run(200)
    assert bench.cases == ["a", "a", "a"]
    assert json.loads((bench.out / "a.json").read_text())["status"] == "analysed"


def test_what_kills_its_process_is_a_failure_with_its_fingerprint(bench: Bench) -> None:
    bench.study("a")
    bench.study("b")
    bench.start()
    bench.pool.wrong["a"] = CaseCrashedError("it died")
    bench.run(100)
    document = json.loads((bench.out / "a.json").read_text())
    assert document["error"]["code"] == "case-crashed"
    assert document["fingerprint"]["inputs_sha256"]
    assert bench.cases == ["b"]
    bench.end()
    bench.start()
    bench.run(100)
    assert bench.cases == ["b"]


def test_a_process_that_dies_as_the_watcher_is_stopped_is_no_failure(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.pool.wrong["a"] = CaseCrashedError("by SIGTERM")
    bench.pool.meanwhile = lambda: bench.stop.set("SIGTERM")
    bench.run(100)
    assert bench.results() == []


def test_another_study_of_the_same_name_replaces_nothing(bench: Bench) -> None:
    folder = bench.study("a")
    bench.study("stays")
    bench.start()
    bench.run(100)
    shutil.rmtree(folder)
    bench.run(10)
    bench.study("a", "other.dcm")
    bench.run(100)
    assert bench.results() == ["a", "a-2", "stays"]
    bench.end()
    bench.start()
    bench.study("a", "late.dcm")
    bench.run(200)
    assert bench.results() == ["a", "a-2", "stays"]
    assert len(bench.cases) == 4


def test_entries_that_cannot_be_are_refused_once_and_the_others_go_on(bench: Bench) -> None:
    bench.study("results")
    bench.study("x" * 201)
    bench.study("a")
    with zipfile.ZipFile(bench.inbox / "a.zip", "w") as archive:
        archive.writestr("1.dcm", b"other")
    bench.start()
    bench.run(200)
    assert bench.cases == ["a"]
    refused = [line for line in bench.said if "refused" in line]
    assert len(refused) == 3
    for code in ("reserved-name", "input-folder", "name-taken"):
        assert sum(f"[{code}]" in line for line in refused) == 1
    # The one that has the name keeps it; when it goes, the other is a study.
    shutil.rmtree(bench.inbox / "a")
    bench.run(200)
    assert bench.cases == ["a", "a-2"]


def test_an_archive_of_which_only_the_name_has_come_is_not_forgotten(bench: Bench) -> None:
    (bench.inbox / "b.zip").write_bytes(b"")
    bench.start()
    bench.run(200)
    assert bench.cases == ["b"]


def test_what_is_no_study_is_passed_over(bench: Bench) -> None:
    bench.study(".hidden")
    bench.study("a.part")
    (bench.inbox / "empty").mkdir()
    (bench.inbox / "loose.dcm").write_text("x")
    bench.start()
    bench.run(200)
    assert bench.cases == []
    loose = [line for line in bench.said if "lies directly" in line]
    assert loose == ["1 file lies directly in the inbox; a study is a folder or a zip archive"]
    (bench.inbox / "a.part").rename(bench.inbox / "a")
    (bench.inbox / "empty" / "1.dcm").write_text("x")
    bench.run(100)
    assert sorted(bench.cases) == ["a", "empty"]


def test_files_with_temporary_names_have_a_study_wait(bench: Bench) -> None:
    folder = bench.study("a", "1.dcm", "2.dcm.part")
    bench.start()
    bench.run(300)
    assert bench.cases == []
    assert sum("half written" in line for line in bench.said) == 1
    (folder / "2.dcm.part").rename(folder / "2.dcm")
    bench.run(100)
    assert bench.cases == ["a"]


def test_files_that_cannot_be_opened_have_a_study_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.study("a")
    bench.start()
    monkeypatch.setattr("rcc_onnx.watch.inbox._can_be_opened", lambda path: False)
    bench.run(300)
    assert bench.pool.hashed == []
    assert sum("cannot be opened" in line for line in bench.said) == 1
    monkeypatch.undo()
    bench.run(100)
    assert bench.cases == ["a"]


def test_an_inbox_that_goes_and_comes_is_waited_for(bench: Bench, tmp_path: Path) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    bench.study("b")
    bench.run(30)
    bench.inbox.rename(tmp_path / "away")
    bench.run(3000)
    assert sum("inbox-gone" in line for line in bench.said) == 1
    (tmp_path / "away").rename(bench.inbox)
    bench.run(300)  # the longest pause between two tries
    assert "the inbox is back" in bench.said
    bench.run(100)
    assert bench.cases == ["a", "b"]
    assert len(bench.pool.hashed) == 2


def test_an_empty_mount_point_does_not_mean_that_studies_were_removed(
    bench: Bench, tmp_path: Path
) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    bench.inbox.rename(tmp_path / "away")
    bench.inbox.mkdir()
    bench.run(100)
    assert sum("share mounted" in line for line in bench.said) == 1
    bench.end()
    bench.start()  # also not after a restart
    bench.run(100)
    bench.inbox.rmdir()
    (tmp_path / "away").rename(bench.inbox)
    bench.study("a", "3.dcm")
    bench.run(400)
    assert bench.cases == ["a", "a"]
    assert bench.results() == ["a"]


def test_an_output_that_goes_and_comes_is_waited_for(bench: Bench, tmp_path: Path) -> None:
    bench.start()
    bench.study("a")
    bench.run(30)
    bench.out.rename(tmp_path / "away")
    bench.out.mkdir()  # the empty mount point
    bench.run(500)
    assert bench.cases == []
    assert list(bench.out.iterdir()) == []
    assert sum("output-gone" in line for line in bench.said) == 1
    bench.out.rmdir()
    (tmp_path / "away").rename(bench.out)
    bench.run(400)
    assert bench.cases == ["a"]
    assert "results can be written again" in bench.said


def test_an_output_that_goes_during_an_analysis_costs_only_that(
    bench: Bench, tmp_path: Path
) -> None:
    bench.start()
    bench.study("a")

    def unmount() -> None:
        bench.out.rename(tmp_path / "away")
        bench.out.mkdir()
        bench.pool.meanwhile = lambda: None

    bench.pool.meanwhile = unmount
    bench.run(100)
    shutil.rmtree(bench.out)
    (tmp_path / "away").rename(bench.out)
    bench.run(500)
    assert bench.results() == ["a"]


def test_a_full_disk_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.study("a")
    bench.start()
    bench.pool.wrong["a"] = OutputError("No space left on device")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    bench.run(62)
    monkeypatch.setattr(output, "write_whole", full)
    bench.run(2000)
    assert bench.cases == []
    assert sum("No space" in line for line in bench.said) == 1
    monkeypatch.undo()
    bench.run(400)
    assert bench.cases == ["a"]


@pytest.mark.parametrize("error", [ProviderError("the GPU is gone"), BundleError("no bundle")])
def test_an_engine_that_is_gone_is_waited_for(bench: Bench, error: Exception) -> None:
    bench.study("a")
    bench.study("b")
    bench.start()
    assert isinstance(error, ProviderError | BundleError)
    bench.pool.wrong["a"] = error
    bench.run(66)
    assert bench.cases == []
    bench.run(200)
    assert sorted(bench.cases) == ["a", "b"]
    assert "studies can be analysed again" in bench.said


def test_done_and_failed_studies_are_moved(bench: Bench, tmp_path: Path) -> None:
    bench.study("a")
    bench.study("b")
    rules = Rules(move_done=tmp_path / "done", move_failed=bench.inbox / "failed")
    bench.start(rules)
    bench.pool.wrong["b"] = IntakeError("none", code="no-dicom")
    bench.run(100)
    assert (tmp_path / "done" / "a" / "1.dcm").is_file()
    assert (bench.inbox / "failed" / "b" / "1.dcm").is_file()
    assert [path.name for path in bench.inbox.iterdir()] == ["failed"]
    bench.study("a", "other.dcm")
    bench.run(100)
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["a", "a-2"]
    assert bench.results() == ["a", "a-2", "b"]


def test_what_was_done_before_is_moved_when_that_is_wished_later(
    bench: Bench, tmp_path: Path
) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    bench.end()
    bench.start(Rules(move_done=tmp_path / "done"))
    bench.run(100)
    assert (tmp_path / "done" / "a").is_dir()
    assert bench.cases == ["a"]


def test_a_study_that_cannot_be_moved_stays_and_is_not_done_again(
    bench: Bench, tmp_path: Path
) -> None:
    bench.study("a")
    (tmp_path / "done").write_text("a file")
    bench.start(Rules(move_done=tmp_path / "done"))
    bench.run(1000)
    assert bench.cases == ["a"]
    assert sum("[move]" in line for line in bench.said) == 1
    assert (bench.inbox / "a").is_dir()


def test_once_ends_when_what_is_there_is_done(bench: Bench) -> None:
    bench.study("a")
    bench.start(Rules(once=True))
    while not bench.watcher.is_done:
        if bench.now == 1030:
            bench.study("late")
        bench.study("grows", f"{bench.now}.dcm")
        bench.run(1)
    assert bench.cases == ["a"]
    assert 1060 <= bench.now < 1100
    bench.end()
    bench.study("b")
    bench.start(Rules(once=True))
    bench.run(80)
    assert sorted(bench.cases) == ["a", "b", "grows", "late"]


def test_once_ends_at_once_if_all_is_done_and_sees_late_files(bench: Bench) -> None:
    bench.study("a")
    for _ in range(2):
        bench.start(Rules(once=True))
        begun = bench.now
        while not bench.watcher.is_done:
            bench.run(1)
        bench.end()
    assert bench.now - begun < 3
    bench.study("a", "late.dcm")
    bench.start(Rules(once=True))
    while not bench.watcher.is_done:
        bench.run(1)
    assert bench.cases == ["a", "a"]


def test_once_does_not_wait_for_what_is_gone(bench: Bench) -> None:
    bench.start(Rules(once=True))
    bench.inbox.rmdir()
    with pytest.raises(InboxGoneError):
        bench.run(10)


def test_the_files_of_the_run_cover_all_and_are_not_written_all_the_time(bench: Bench) -> None:
    bench.study("earlier")
    bench.start()
    bench.run(100)
    bench.end()
    bench.start()

    def cases() -> list[str]:
        return [
            one["case"] for one in json.loads((bench.out / "results.json").read_text())["cases"]
        ]

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


def test_processes_rest_when_nothing_comes(bench: Bench) -> None:
    bench.study("a")
    bench.start()
    bench.run(100)
    assert bench.pool.rested == 0
    bench.run(3 * REST_S)
    assert bench.pool.rested == 1


def test_a_study_without_a_pseudonym_waits_and_no_name_is_told(
    bench: Bench, tmp_path: Path
) -> None:
    bench.pseudonyms = tmp_path / "names.csv"
    bench.pseudonyms.write_text("case,pseudonym\nDoe_John,P1\n")
    bench.study("Doe_John")
    bench.study("Roe_Jane")
    bench.study("Moe_Max")
    bench.start()
    bench.run(100)
    assert bench.cases == ["P1"]
    assert sum("2 studies wait for a line" in line for line in bench.said) == 1
    bench.pseudonyms.write_text("broken")
    bench.run(10)
    bench.pseudonyms.write_text(
        "case,pseudonym\nDoe_John,P1\nRoe_Jane,P2 with a line\nMoe_Max,P-Roe_Jane\n"
    )
    bench.run(200)
    assert bench.cases == ["P1", "P2 with a line"]
    bench.end()
    bench.start()
    bench.run(100)
    assert len(bench.cases) == 2
    told = "\n".join(bench.said)
    assert "[pseudonyms-file]" in told
    assert "[pseudonym-unsafe]" in told
    left = b"".join(path.read_bytes() for path in bench.out.rglob("*") if path.is_file())
    for name in ("Doe", "Roe", "Moe"):
        assert name not in told
        assert name.encode() not in left
