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
    CASE_BYTES,
    BatchConfig,
    CaseOutcome,
    Reporter,
    exit_code,
    run_batch,
    run_cases,
)
from rcc_onnx.batch.worker_pool import Limits
from rcc_onnx.engine import Engine
from rcc_onnx.errors import (
    BundleChoiceError,
    BundleError,
    MissingExtraError,
    OutputError,
    PixelsError,
    ProviderError,
    RccOnnxError,
)
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output import case as case_files
from rcc_onnx.output.document import Case as CaseDocument
from rcc_onnx.phantom import make_study
from rcc_onnx.results import AnalysedCase, CaseResult, ErrorRecord, FailedCase
from tests.batch.test_worker_pool import linux_only
from tests.support.broken_decoders import break_decoders, die_once
from tests.support.results import case_result, failed_case
from tests.support.runs import analyse_cases


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "one", quick=True).folder


@pytest.fixture
def config(tmp_path: Path, tiny_bundle: Path) -> BatchConfig:
    options = InferenceOptions(threads=1)
    return BatchConfig(out=tmp_path / "out", options=options, models=str(tiny_bundle))


def cases_of(folder: Path, phantom: Path, *names: str) -> list[Case]:
    for name in names:
        shutil.copytree(phantom, folder / name)
    return [Case(name, folder / name) for name in names]


def silent(*_: object) -> None:
    pass


def here(config: BatchConfig, cases: list[Case]) -> list[CaseOutcome]:
    return list(run_cases(cases, config, silent))


def by_processes(
    config: BatchConfig, cases: list[Case], workers: int = 1, limits: Limits | None = None
) -> list[CaseOutcome]:
    return list(
        run_cases(cases, replace(config, workers=workers, limits=limits or Limits()), silent)
    )


def document(config: BatchConfig, case: str) -> dict[str, object]:
    found = json.loads((config.out / f"{case}.json").read_text())
    assert isinstance(found, dict)
    return found


def apart_from_times(found: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in found.items() if name != "timings_s"}


def test_what_is_done_is_not_done_again(tmp_path, phantom, config) -> None:
    cases = cases_of(tmp_path / "in", phantom, "a", "b")
    first = here(config, cases)
    assert [outcome.kept for outcome in first] == [False, False]
    stamp = (config.out / "a.json").stat().st_mtime_ns
    for path in cases[0].folder.iterdir():
        os.utime(path, (0, 0))  # dates play no part
    again = here(config, cases)
    assert [outcome.kept for outcome in again] == [True, True]
    assert (config.out / "a.json").stat().st_mtime_ns == stamp
    assert again[0].result == first[0].result


def change_a_byte(config: BatchConfig, case: Case) -> BatchConfig:
    file = case.folder / "003.dcm"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    return config


def add_a_file(config: BatchConfig, case: Case) -> BatchConfig:
    (case.folder / "notes.txt").write_text("x")
    return config


def change_the_settings(config: BatchConfig, _: Case) -> BatchConfig:
    return replace(config, options=replace(config.options, mask_cutoff=0.4))


def ask_for_all(config: BatchConfig, _: Case) -> BatchConfig:
    return replace(config, overwrite=True)


def lose_a_picture(config: BatchConfig, case: Case) -> BatchConfig:
    pictures = list(config.out.glob(f"{case.name}_*.png"))
    assert pictures
    pictures[0].unlink()
    return config


def spoil_the_json(config: BatchConfig, case: Case) -> BatchConfig:
    path = config.out / f"{case.name}.json"
    path.write_text(path.read_text()[:-20])
    return config


def take_another_version_of_the_models(config: BatchConfig, _: Case) -> BatchConfig:
    bundle = config.out.parent / "bundle"
    shutil.copytree(str(config.models), bundle)
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.0.1"', 1))
    return replace(config, models=str(bundle))


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
def test_what_has_changed_is_done_again(tmp_path, phantom, config, change) -> None:
    (case,) = cases_of(tmp_path / "in", phantom, "a")
    here(config, [case])
    changed = change(config, case)
    assert [outcome.kept for outcome in here(changed, [case])] == [False]
    assert [outcome.kept for outcome in here(replace(changed, overwrite=False), [case])] == [True]


def test_what_failed_is_tried_again(tmp_path, phantom, config) -> None:
    (case,) = cases_of(tmp_path / "in", phantom, "a")
    hidden = case.folder.with_name("elsewhere")
    case.folder.rename(hidden)
    case.folder.mkdir()
    (case.folder / "x.txt").write_text("")
    for _ in range(2):
        (ended,) = here(config, [case])
        assert isinstance(ended.result, FailedCase)
        assert not ended.kept


@linux_only
def test_what_breaks_costs_one_case(tmp_path, phantom, config) -> None:
    names = ("a", "crash", "b", "eat", "c")
    cases = cases_of(tmp_path / "in", phantom, *names)
    broken = replace(config, prepare=break_decoders)
    limits = Limits(memory_bytes=2 << 30)
    ended = {
        outcome.result.case: outcome.result for outcome in by_processes(broken, cases, 2, limits)
    }
    assert set(ended) == set(names)
    codes = {
        name: result.error.code for name, result in ended.items() if isinstance(result, FailedCase)
    }
    assert codes == {"crash": "case-crashed", "eat": "case-memory"}
    for name in names:
        found = document(config, name)
        assert found["status"] == ("failed" if name in codes else "analysed")
    # The others are what they are where nothing breaks.
    whole = replace(config, out=tmp_path / "whole")
    here(whole, cases[:1])
    assert apart_from_times(document(config, "a")) == apart_from_times(document(whole, "a"))
    assert not list(config.out.glob(".rcc-onnx*part*"))


def test_what_never_ends_is_given_up(tmp_path, phantom, config) -> None:
    cases = cases_of(tmp_path / "in", phantom, "hang")
    broken = replace(config, prepare=break_decoders)
    (ended,) = by_processes(broken, cases, limits=Limits(seconds=3))
    assert isinstance(ended.result, FailedCase)
    assert ended.result.error.code == "case-timeout"
    assert document(config, "hang")["status"] == "failed"


def test_models_that_are_missing_are_reported_before_the_first_case(
    tmp_path, phantom, config
) -> None:
    cases = cases_of(tmp_path / "in", phantom, "a", "b")
    missing = replace(config, models=str(tmp_path / "no-bundle"))
    with pytest.raises(BundleError):
        by_processes(missing, cases)
    assert not config.out.exists()


def test_stages_are_reported_by_case(tmp_path, phantom, config) -> None:
    cases = cases_of(tmp_path / "in", phantom, "a")
    events = []
    list(run_cases(cases, replace(config, workers=1), lambda *event: events.append(event)))
    assert {case for case, _, _ in events} == set(cases)
    assert {"reading_headers", "kidney_network"} <= {stage for _, stage, _ in events}


@linux_only
def test_a_result_is_not_lost_because_the_process_that_looked_at_it_died(
    tmp_path, phantom, config
) -> None:
    (case,) = cases_of(tmp_path / "in", phantom, "a")
    (first,) = here(config, [case])
    killed = replace(config, prepare=partial(die_once, tmp_path / "died"))
    before = (config.out / "a.json").stat()
    (ended,) = by_processes(killed, [case])
    assert (tmp_path / "died").exists()
    assert ended.kept
    assert (config.out / "a.json").stat().st_ino == before.st_ino
    assert first.result.case == ended.result.case


# --- What goes wrong ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Engine:
    return Engine.load(tiny_bundle, provider="cpu")


def raising(error: Exception):
    def fail(*_: object) -> None:
        raise error

    return fail


def test_one_bad_case_does_not_stop_the_others(tmp_path, phantom, engine) -> None:
    cases = cases_of(tmp_path / "in", phantom, "a broken", "b good", "c text")
    broken = cases[0].folder / "020.dcm"
    broken.write_bytes(broken.read_bytes()[:5000])
    for file in cases[2].folder.iterdir():
        file.write_text("no images here")
    results = analyse_cases(engine, cases, tmp_path / "out")
    assert [type(result) for result in results] == [FailedCase, CaseResult, FailedCase]
    codes = [
        json.loads((tmp_path / "out" / f"{case.name}.json").read_text())
        .get("error", {})
        .get("code")
        for case in cases
    ]
    assert codes == ["pixels-undecodable", None, "no-dicom"]
    assert exit_code(results) == 1


def test_a_defect_fails_its_case_only(tmp_path, phantom, engine, monkeypatch, caplog) -> None:
    defect = raising(ZeroDivisionError("secret of the patient"))
    monkeypatch.setattr("rcc_onnx.engine.analyse_study", defect)
    (result,) = analyse_cases(engine, [Case("case", phantom)], tmp_path)
    assert isinstance(result, FailedCase)
    assert result.error.code == "unexpected"
    assert "ZeroDivisionError" in result.error.message
    assert "secret" not in result.error.message
    assert "case case: unexpected error" in caplog.text


def test_a_provider_that_cannot_run_ends_the_run(tmp_path, phantom, engine, monkeypatch) -> None:
    monkeypatch.setattr("rcc_onnx.engine.analyse_study", raising(ProviderError("the GPU is gone")))
    with pytest.raises(ProviderError):
        analyse_cases(engine, [Case("case", phantom)], tmp_path)


@pytest.mark.parametrize("error", [PixelsError("gone"), ZeroDivisionError()], ids=repr)
def test_a_case_whose_files_cannot_be_written_fails_alone(
    tmp_path, phantom, engine, monkeypatch, error
) -> None:
    write = case_files.write_case_files

    def spoilt(result: AnalysedCase | CaseDocument, out: Path) -> CaseDocument:
        if isinstance(result, AnalysedCase) and result.case == "first":
            raise error
        return write(result, out)

    monkeypatch.setattr("rcc_onnx.output.folder.write_case_files", spoilt)
    first, second = analyse_cases(
        engine, [Case(name, phantom) for name in ("first", "second")], tmp_path
    )
    assert isinstance(first, FailedCase)
    assert isinstance(second, CaseResult)
    code = first.error.code
    assert code == getattr(error, "code", "unexpected")
    assert json.loads((tmp_path / "first.json").read_text())["error"]["code"] == code


def test_exit_codes() -> None:
    error = ErrorRecord.of(BundleChoiceError("none", code="no-patient-bundle"))
    no_models = failed_case("x", error=error)
    assert exit_code([case_result()]) == 0
    assert exit_code([case_result(), failed_case()]) == 1
    assert exit_code([failed_case()]) == 1
    assert exit_code([no_models, no_models]) == 2
    assert exit_code([no_models, failed_case()]) == 1
    assert exit_code([no_models, case_result()]) == 1


# --- A whole run ----------------------------------------------------------------------------------


class Recorder(Reporter):
    def __init__(self) -> None:
        self.cases: list[str] = []

    def stage(self, case: Case, stage: str, done: float) -> None:
        assert case.name in ("a", "b")

    def case(self, outcome: CaseOutcome, run: object) -> None:
        self.cases.append(outcome.result.case)


def test_a_run_writes_the_files_of_its_cases_and_its_own(tmp_path, phantom, config) -> None:
    reporter = Recorder()
    run = run_batch(cases_of(tmp_path / "in", phantom, "a", "b"), config, reporter)
    assert run.error is None
    assert [result.case for result in run.results] == reporter.cases == ["a", "b"]
    names = {path.name for path in config.out.iterdir()}
    assert {"a.json", "b.json", "results.json", "results.csv", "report.html", "SHA256SUMS"} <= names


def test_what_ends_a_run_early_is_kept_with_the_results(
    tmp_path, phantom, config, monkeypatch
) -> None:
    cases = cases_of(tmp_path / "in", phantom, "a", "b")

    def stop(cases, config, on_progress):
        yield from run_cases(cases[:1], config, on_progress)
        raise ProviderError("the GPU is gone")

    monkeypatch.setattr("rcc_onnx.batch.runner.run_cases", stop)
    run = run_batch(cases, config)
    assert isinstance(run.error, RccOnnxError)
    assert [result.case for result in run.results] == ["a"]
    assert json.loads((config.out / "results.json").read_text())["stopped_by"] == "provider"


def test_a_folder_that_cannot_be_written_is_reported_before_any_work(
    tmp_path, phantom, config, monkeypatch
) -> None:
    monkeypatch.setattr("rcc_onnx.engine.analyse_study", raising(AssertionError("for nothing")))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --out"):
        run_batch([Case("a", phantom)], replace(config, out=tmp_path / "file"))


def test_a_missing_extra_is_reported_before_any_work(
    tmp_path, phantom, config, monkeypatch
) -> None:
    monkeypatch.setattr("rcc_onnx.output.exports.find_spec", lambda _: None)
    options = InferenceOptions.parse(save="nifti")
    with pytest.raises(MissingExtraError):
        run_batch([Case("a", phantom)], replace(config, options=options))
    assert not config.out.exists()


# --- Workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "cases", "free", "started"),
    [
        (0, 5, 0, 0),
        (1, 5, 0, 1),
        (4, 5, None, 4),
        (4, 5, 4 * CASE_BYTES, 4),
        (4, 5, 4 * CASE_BYTES - 1, 3),
        (4, 5, 0, 1),
        (3, 2, None, 2),
        (8, 1, None, 0),
        (2, None, None, 2),
        (1, None, None, 1),
    ],
)
def test_no_more_workers_than_cases_and_memory_allow(
    tmp_path, workers, cases, free, started
) -> None:
    config = BatchConfig(tmp_path, workers=workers)
    assert config.limit_workers(cases, free).workers == started


def test_workers_share_the_cpus(tmp_path, tiny_bundle, monkeypatch) -> None:
    monkeypatch.setattr("rcc_onnx.batch.runner.usable_cpus", lambda: 4)
    config = BatchConfig(tmp_path, models=str(tiny_bundle), workers=2)
    assert config.engine().options.threads == 2
    assert replace(config, workers=0).engine().options.threads is None
    assert replace(config, options=InferenceOptions(threads=3)).engine().options.threads == 3
    assert replace(config, workers=0).settings_sha256 == config.settings_sha256
