import json
import shutil
from pathlib import Path

import pytest

from rcc_onnx import Engine
from rcc_onnx.batch.cases import Case, analyse_case, analyse_cases, exit_code, find_cases
from rcc_onnx.errors import (
    BundleChoiceError,
    InputFolderError,
    OutputError,
    PixelsError,
    ProviderError,
)
from rcc_onnx.options import Saving
from rcc_onnx.output import case as case_files
from rcc_onnx.phantom import make_study
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.types import Profile
from tests.support.results import case_result, failed_case


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three study folders: a good one, one that is cut short, one of text only."""
    folder = tmp_path_factory.mktemp("studies")
    good = make_study(1, folder / "b good", quick=True).folder
    broken = folder / "a broken"
    shutil.copytree(good, broken)
    (broken / "020.dcm").write_bytes((broken / "020.dcm").read_bytes()[:5000])
    (folder / "c text").mkdir()
    (folder / "c text" / "readme.txt").write_text("no images here")
    return folder


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Engine:
    return Engine.load(tiny_bundle, provider="cpu")


def names(cases: tuple[Case, ...]) -> list[str]:
    return [case.name for case in cases]


def test_a_folder_with_dicom_files_is_one_case(studies: Path) -> None:
    assert names(find_cases(studies / "b good")) == ["b good"]


def test_a_name_that_no_result_could_have_is_refused_before_any_work(tmp_path: Path) -> None:
    for name in ("a", "x" * 245):
        (tmp_path / name).mkdir()
        (tmp_path / name / "readme.txt").write_text("no images here")
    with pytest.raises(InputFolderError, match="too long"):
        find_cases(tmp_path)


def test_dicom_files_need_no_extension(studies: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(studies / "b good", folder)
    for path in sorted(folder.iterdir()):
        path.rename(path.with_suffix(""))
    (folder / "sub").mkdir()
    assert names(find_cases(folder)) == ["case"]


def test_subfolders_are_cases_in_order_of_their_names(studies: Path) -> None:
    assert names(find_cases(studies)) == ["a broken", "b good", "c text"]


def test_results_hidden_and_empty_folders_are_no_cases(studies: Path, tmp_path: Path) -> None:
    shutil.copytree(studies / "b good", tmp_path / "case")
    for name in ("results", ".git", "empty"):
        (tmp_path / name).mkdir()
    for name in ("results", ".git"):
        (tmp_path / name / "some.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    assert names(find_cases(tmp_path, tmp_path / "results")) == ["case"]


@pytest.mark.parametrize("make", ["missing", "file", "empty"])
def test_an_input_without_cases_is_a_clear_error(tmp_path: Path, make: str) -> None:
    path = tmp_path / make
    if make == "file":
        path.write_text("")
    if make == "empty":
        path.mkdir()
    with pytest.raises(InputFolderError, match="study folder"):
        find_cases(path)


def test_one_bad_case_does_not_stop_the_others(
    engine: Engine, studies: Path, tmp_path: Path
) -> None:
    results = list(analyse_cases(engine, find_cases(studies), tmp_path))
    assert [type(one) for one in results] == [FailedCase, CaseResult, FailedCase]
    codes = [
        json.loads((tmp_path / f"{one.case}.json").read_text()).get("error", {}).get("code")
        for one in results
    ]
    assert codes == ["pixels-undecodable", None, "no-dicom"]
    assert exit_code(results) == 1


def test_a_defect_costs_its_case_only(
    engine: Engine, studies: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError("secret of the patient")

    monkeypatch.setattr("rcc_onnx.engine.analyse_study", defect)
    result = analyse_case(engine, Case("case", studies / "b good"))
    assert isinstance(result, FailedCase)
    assert result.error.code == "unexpected"
    assert "ZeroDivisionError" in str(result.error)
    assert "secret" not in str(result.error)
    assert "case case: unexpected error" in caplog.text


def test_a_provider_that_cannot_run_ends_the_run(
    engine: Engine, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise ProviderError("the GPU is gone")

    monkeypatch.setattr("rcc_onnx.engine.analyse_study", gone)
    with pytest.raises(ProviderError):
        analyse_case(engine, Case("case", studies / "b good"))


def test_exit_codes() -> None:
    no_models = FailedCase(
        "x", Profile.STANDARD, BundleChoiceError("none", code="no-patient-bundle")
    )
    assert exit_code([case_result()]) == 0
    assert exit_code([case_result(), failed_case()]) == 1
    assert exit_code([failed_case()]) == 1
    assert exit_code([no_models, no_models]) == 2
    assert exit_code([no_models, failed_case()]) == 1
    assert exit_code([no_models, case_result()]) == 1


def test_an_output_folder_that_cannot_be_is_said_before_any_work(
    engine: Engine, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def analysed(*_: object) -> None:
        raise AssertionError("a case was analysed for nothing")

    monkeypatch.setattr("rcc_onnx.batch.cases.analyse_case", analysed)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --out"):
        list(analyse_cases(engine, find_cases(studies), tmp_path / "file"))


def test_checking_the_output_folder_leaves_nothing_in_it(engine: Engine, tmp_path: Path) -> None:
    assert list(analyse_cases(engine, (), tmp_path / "new" / "out")) == []
    assert list((tmp_path / "new" / "out").iterdir()) == []


@pytest.mark.parametrize("error", [PixelsError("gone"), ZeroDivisionError()], ids=repr)
def test_a_case_whose_files_cannot_be_made_fails_alone(
    engine: Engine,
    studies: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    write = case_files.write_case

    def spoilt(result: CaseResult | FailedCase, out: Path, saving: Saving | None = None) -> Path:
        if isinstance(result, CaseResult) and result.case == "one":
            raise error
        return write(result, out, saving)

    monkeypatch.setattr("rcc_onnx.batch.cases.write_case", spoilt)
    cases = [Case(name, studies / "b good") for name in ("one", "two")]
    one, two = analyse_cases(engine, cases, tmp_path)
    assert isinstance(one, FailedCase)
    assert isinstance(two, CaseResult)
    code = one.error.code
    assert code == getattr(error, "code", "unexpected")
    assert json.loads((tmp_path / "one.json").read_text())["error"]["code"] == code
