import runpy
import sys
from pathlib import Path

import pytest

from rcc_onnx import CaseResult, Engine
from rcc_onnx.errors import BundleFolderError, OptionError
from rcc_onnx.phantom import make_study
from rcc_onnx.types import Outcome, Profile
from tests.support.dicom_factory import body_volume, ct_series, write_series
from tests.support.errors import raises_code
from tests.support.tiny_networks import write_bundle

NOT_HERE = "directml" if sys.platform == "darwin" else "coreml"
EXAMPLES = Path(__file__).parent.parent / "examples"
EXAMPLE = EXAMPLES / "analyse_studies.py"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "phantom one", quick=True).folder


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of bundles, the only one that is searched."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(folder))
    monkeypatch.setattr("rcc_onnx.bundles.bundle.shipped_models_folder", lambda: None)
    return folder


def test_a_result_states_what_ran(phantom: Path, tiny_bundle: Path) -> None:
    result = Engine.load(models=tiny_bundle, provider="cpu", threads=1).analyse(phantom)
    assert isinstance(result, CaseResult)
    assert result.case == "phantom one"
    assert result.provider.requested == result.provider.ran == "cpu"
    assert result.provider.threads == 1
    assert result.models.name == "tiny"
    assert result.study.kind == "digital-phantom"
    assert result.study.slices_analysed == len(
        range(0, result.study.slices_in_series, result.study.stride)
    )
    stages = {"reading_headers", "loading_networks", "preprocessing", "kidney_network", "total"}
    assert stages <= set(result.timings_s)
    assert set(result.sides) == {"right", "left"}


def test_thresholds_are_the_bundles_unless_given(phantom: Path, tiny_bundle: Path) -> None:
    result = Engine.load(tiny_bundle, provider="cpu").analyse(phantom)
    assert (result.thresholds.kidney, result.thresholds.lesion) == (1000, 50)
    strict = Engine.load(tiny_bundle, provider="cpu", kidney_threshold=1e9).analyse(phantom)
    assert strict.thresholds.kidney == 1e9
    assert strict.thresholds.lesion == 50
    assert strict.sides["right"].outcome is Outcome.KIDNEY_NOT_FOUND


def test_options_are_checked_at_once(tiny_bundle: Path) -> None:
    with raises_code("threads"):
        Engine.load(tiny_bundle, provider="cpu", threads=0)
    with raises_code("provider-not-installed"):
        Engine.load(tiny_bundle, provider=NOT_HERE)


def test_a_missing_folder_of_bundles_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", "/no/such/folder")
    with pytest.raises(BundleFolderError, match="RCC_ONNX_MODELS_FOLDER"):
        Engine.load()


def test_the_only_suitable_bundle_is_used(phantom: Path, shelf: Path, tmp_path: Path) -> None:
    write_bundle(shelf / "patients", name="patients", use_on=["patient"])
    engine = Engine.load(provider="cpu")
    with raises_code("no-bundle", match="patients"):
        engine.analyse(phantom)
    write_bundle(shelf / "phantoms", name="phantoms", use_on=["digital-phantom"])
    assert engine.analyse(phantom).models.name == "phantoms"


def test_phantom_models_are_not_used_on_a_patient(shelf: Path, tmp_path: Path) -> None:
    write_bundle(shelf / "phantom", name="phantom", use_on=["digital-phantom"])
    patient = write_series(tmp_path / "patient", ct_series(body_volume()))
    with raises_code("no-patient-bundle", match="python -m convert") as refusal:
        Engine.load(provider="cpu").analyse(patient)
    assert "--models phantom" in str(refusal.value)


def test_phantom_models_chosen_by_hand_are_marked(shelf: Path, tmp_path: Path) -> None:
    write_bundle(shelf / "phantom", name="phantom", use_on=["digital-phantom"])
    patient = write_series(tmp_path / "patient", ct_series(body_volume()))
    result = Engine.load("phantom", provider="cpu").analyse(patient)
    assert not result.models.suitable
    assert "not meaningful" in result.warnings[0]


def test_the_networks_are_opened_once(
    phantom: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(shelf / "phantoms", name="phantoms", use_on=["digital-phantom", "patient"])
    opened = []
    import rcc_onnx.engine  # noqa: PLC0415

    real = rcc_onnx.engine.open_networks
    monkeypatch.setattr(rcc_onnx.engine, "open_networks", lambda *a: opened.append(a) or real(*a))
    engine = Engine.load(provider="cpu")
    engine.analyse(phantom)
    engine.analyse(phantom)
    assert len(opened) == 1


def test_the_profile_is_recorded(reference_cases: Path, tiny_bundle: Path) -> None:
    engine = Engine.load(tiny_bundle, provider="cpu", profile=Profile.NOTEBOOK)
    result = engine.analyse(reference_cases / "d06_left_kidney_absent", case="renamed")
    assert result.profile is Profile.NOTEBOOK
    assert result.case == "renamed"


def test_the_example_runs(
    phantom: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(EXAMPLE), str(tiny_bundle), str(phantom), str(tmp_path / "missing")]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capsys.readouterr().out
    assert "phantom one: right:" in said
    assert "missing: not analysed [folder-not-found]" in said


def test_the_example_of_a_cohort_writes_what_the_command_writes(
    phantom: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = str(EXAMPLES / "analyse_cohort.py")
    arguments = [example, str(tiny_bundle), str(phantom.parent), str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(example, run_name="__main__")
    written = {path.name for path in tmp_path.iterdir()}
    assert {"results.csv", "results.json", "phantom one.json"} <= written


def test_names_are_hidden_behind_a_case_only(tiny_bundle: Path, phantom: Path) -> None:
    engine = Engine.load(tiny_bundle, provider="cpu")
    with pytest.raises(OptionError, match="another name"):
        engine.analyse(phantom, hide_names=True)
    result = engine.analyse(phantom, "P1", hide_names=True)
    assert result.case == "P1"
    assert result.intake is not None
    assert result.intake.first == "file-000001"
