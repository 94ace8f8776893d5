"""Cases in processes of their own, and those that are done already."""

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import (
    BatchConfig,
    CaseOutcome,
    cases_by_processes,
    cases_in_this_process,
)
from rcc_onnx.batch.worker_pool import Limits
from rcc_onnx.engine import Options
from rcc_onnx.errors import BundleError
from rcc_onnx.options import Saving
from rcc_onnx.phantom import make_study
from rcc_onnx.results import CaseResult, FailedCase
from tests.batch.test_isolation_of_cases import linux_only
from tests.support.broken_decoders import break_decoders, die_once


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "one", quick=True).folder


@pytest.fixture
def work(tmp_path: Path, tiny_bundle: Path) -> BatchConfig:
    return BatchConfig(str(tiny_bundle), Options(threads=1), tmp_path / "out", Saving(), "a" * 64)


def cases_of(folder: Path, phantom: Path, *names: str) -> list[Case]:
    for name in names:
        shutil.copytree(phantom, folder / name)
    return [Case(name, folder / name) for name in names]


def silent(*_: object) -> None:
    pass


def here(work: BatchConfig, cases: list[Case]) -> list[CaseOutcome]:
    return list(cases_in_this_process(work, cases, silent))


def document(work: BatchConfig, case: str) -> dict[str, object]:
    found = json.loads((work.out / f"{case}.json").read_text())
    assert isinstance(found, dict)
    return found


def apart_from_times(found: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in found.items() if name != "timings_s"}


def test_what_is_done_is_not_done_again(tmp_path, phantom, work) -> None:
    cases = cases_of(tmp_path / "in", phantom, "a", "b")
    first = here(work, cases)
    assert [one.kept for one in first] == [False, False]
    stamp = (work.out / "a.json").stat().st_mtime_ns
    for path in cases[0].folder.iterdir():
        os.utime(path, (0, 0))  # dates play no part
    again = here(work, cases)
    assert [one.kept for one in again] == [True, True]
    assert (work.out / "a.json").stat().st_mtime_ns == stamp
    # Read back, a result has the rounded numbers of its document.
    assert again[0].result == here(work, cases)[0].result
    assert isinstance(again[0].result, CaseResult)
    assert again[0].result.sides == first[0].result.sides


def change_a_byte(work: BatchConfig, case: Case) -> BatchConfig:
    file = case.folder / "003.dcm"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    return work


def add_a_file(work: BatchConfig, case: Case) -> BatchConfig:
    (case.folder / "notes.txt").write_text("x")
    return work


def change_the_settings(work: BatchConfig, _: Case) -> BatchConfig:
    return replace(work, settings_sha256="b" * 64)


def ask_for_all(work: BatchConfig, _: Case) -> BatchConfig:
    return replace(work, overwrite=True)


def lose_a_picture(work: BatchConfig, case: Case) -> BatchConfig:
    pictures = list(work.out.glob(f"{case.name}_*.png"))
    assert pictures
    pictures[0].unlink()
    return work


def spoil_the_json(work: BatchConfig, case: Case) -> BatchConfig:
    path = work.out / f"{case.name}.json"
    path.write_text(path.read_text()[:-20])
    return work


def take_another_version_of_the_models(work: BatchConfig, _: Case) -> BatchConfig:
    bundle = work.out.parent / "bundle"
    shutil.copytree(str(work.models), bundle)
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.0.1"', 1))
    return replace(work, models=str(bundle))


@pytest.mark.parametrize(
    "change",
    [
        change_a_byte,
        add_a_file,
        change_the_settings,
        ask_for_all,
        lose_a_picture,
        spoil_the_json,
        take_another_version_of_the_models,
    ],
)
def test_what_has_changed_is_done_again(tmp_path, phantom, work, change) -> None:
    (case,) = cases_of(tmp_path / "in", phantom, "a")
    here(work, [case])
    changed = change(work, case)
    assert [one.kept for one in here(changed, [case])] == [False]
    assert [one.kept for one in here(replace(changed, overwrite=False), [case])] == [True]


def test_what_failed_is_tried_again(tmp_path, phantom, work) -> None:
    (case,) = cases_of(tmp_path / "in", phantom, "a")
    hidden = case.folder.with_name("elsewhere")
    case.folder.rename(hidden)
    case.folder.mkdir()
    (case.folder / "x.txt").write_text("")
    for _ in range(2):
        (ended,) = here(work, [case])
        assert isinstance(ended.result, FailedCase)
        assert not ended.kept


@linux_only
def test_what_breaks_costs_one_case(tmp_path, phantom, work) -> None:
    names = ("a", "crash", "b", "eat", "c")
    cases = cases_of(tmp_path / "in", phantom, *names)
    broken = replace(work, prepare=break_decoders)
    limits = Limits(memory_bytes=2 << 30)
    ended = {
        one.result.case: one.result for one in cases_by_processes(broken, cases, 2, limits, silent)
    }
    assert set(ended) == set(names)
    codes = {name: one.error.code for name, one in ended.items() if isinstance(one, FailedCase)}
    assert codes == {"crash": "case-crashed", "eat": "case-memory"}
    for name in names:
        found = document(work, name)
        assert found["status"] == ("failed" if name in codes else "analysed")
    # The others are what they are where nothing breaks.
    whole = replace(work, out=tmp_path / "whole")
    here(whole, cases[:1])
    assert apart_from_times(document(work, "a")) == apart_from_times(document(whole, "a"))
    assert not list(work.out.glob(".rcc-onnx*part*"))


def test_what_never_ends_is_given_up(tmp_path, phantom, work) -> None:
    cases = cases_of(tmp_path / "in", phantom, "hang")
    broken = replace(work, prepare=break_decoders)
    (ended,) = cases_by_processes(broken, cases, 1, Limits(seconds=3), silent)
    assert isinstance(ended.result, FailedCase)
    assert ended.result.error.code == "case-timeout"
    assert document(work, "hang")["status"] == "failed"


def test_models_that_are_missing_are_told_before_the_first_case(tmp_path, phantom, work) -> None:
    cases = cases_of(tmp_path / "in", phantom, "a", "b")
    missing = replace(work, models=str(tmp_path / "no-bundle"))
    with pytest.raises(BundleError):
        list(cases_by_processes(missing, cases, 1, Limits(), silent))
    assert not work.out.exists()


def test_stages_are_told_by_case(tmp_path, phantom, work) -> None:
    cases = cases_of(tmp_path / "in", phantom, "a")
    told = []
    list(cases_by_processes(work, cases, 1, Limits(), lambda *news: told.append(news)))
    assert {case for case, _, _ in told} == set(cases)
    assert {"reading_headers", "kidney_network"} <= {stage for _, stage, _ in told}


@linux_only
def test_a_result_is_not_lost_because_the_process_that_looked_at_it_died(
    tmp_path, phantom, work
) -> None:
    (case,) = cases_of(tmp_path / "in", phantom, "a")
    (first,) = here(work, [case])
    killed = replace(work, prepare=partial(die_once, tmp_path / "died"))
    before = (work.out / "a.json").stat()
    (ended,) = cases_by_processes(killed, [case], 1, Limits(), silent)
    assert (tmp_path / "died").exists()
    assert ended.kept
    assert (work.out / "a.json").stat().st_ino == before.st_ino
    assert first.result.case == ended.result.case
