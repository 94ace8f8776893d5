"""Stored answers: in every conversion, and added to bundles from their sources."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from convert.cli import main
from convert.errors import ParityError, SourceMismatchError
from convert.keras import reference_outputs as module
from convert.keras.reference_outputs import (
    GREY_STEP,
    add_reference_outputs,
    choose_reference_outputs,
)
from convert.keras.verification import SampleGroup
from convert.quantize import quantize_bundle
from rcc_onnx.bundles.bundle import load_bundle
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE, ByNetwork
from rcc_onnx.bundles.reference_outputs import STEPS
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import ProviderName
from tests.convert.test_quantize import few_studies
from tests.support.fixtures_convert import TINY_FILES
from tests.support.stored_answers import bundle_with_answers


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(name="old")
def fixture_old(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that was converted before there were stored answers."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "old")
    (folder / REFERENCE_OUTPUTS_FILE).unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["reference_outputs"]
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (folder / "LICENSE").write_text("kept")
    return folder


# --- What is stored ------------------------------------------------------------------------------


class Scores:
    """A network that finds as much in an input as the input is bright, and counts questions."""

    def __init__(self, off: float = 0.0) -> None:
        self.off = off

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        answer = (inputs >= 0.5).astype(np.float32)
        return answer - np.float32(self.off) if self.off else answer


def groups(_: str) -> list[SampleGroup]:
    rng = np.random.default_rng(0)
    shares = (0.9, 0.5, 0.1, 0.6)
    phantoms = [(rng.random((1, 160, 160, 1)) < share).astype(np.float32) for share in shares]
    ones = np.ones((1, 160, 160, 1), np.float32)
    return [*(SampleGroup("phantom", one) for one in phantoms), SampleGroup("ones", ones)]


def test_inputs_are_kept_on_which_answers_are_high_and_low(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("convert.keras.reference_outputs.sample_groups", groups)
    kept = choose_reference_outputs("kidney", Scores(), Scores())
    assert kept.inputs.shape == kept.outputs.shape == (2, 160, 160)
    # In the order of the phantoms: the second and the fourth.
    assert [round(float(one.mean()), 1) for one in kept.outputs] == [0.5, 0.6]
    assert set(np.unique(kept.inputs % GREY_STEP)) == {0}
    assert (kept.inputs.dtype, kept.outputs.dtype) == (np.uint8, np.float32)


def test_answers_are_stored_only_where_the_onnx_network_agrees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("convert.keras.reference_outputs.sample_groups", groups)
    with pytest.raises(ParityError, match="differ on the inputs that the bundle"):
        choose_reference_outputs("kidney", Scores(), Scores(off=0.001))


# --- With TensorFlow -----------------------------------------------------------------------------


def test_every_conversion_stores_answers_of_keras(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    answers = bundle.read_reference_outputs()
    assert answers is not None
    networks = open_networks(bundle, ProviderName.CPU)
    found = self_test(networks, networks.record, bundle.manifest, answers)
    assert found.largest_difference is not None
    # Keras and ONNX, and the rounding of what is stored.
    assert found.largest_difference < 1e-5 + 1 / STEPS


def test_answers_added_later_are_those_of_a_conversion(old: Path, tiny_bundle: Path) -> None:
    said: list[str] = []
    found = add_reference_outputs(old, TINY_FILES, said.append)
    assert found.tested
    after = contents(old)
    assert after.pop("LICENSE") == b"kept"
    assert after == contents(tiny_bundle)
    assert said[0] == "Reading the files"
    assert said[-1] == "Writing the bundle"


def test_the_command_adds_answers(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_ends(0, "reference-outputs", str(old), str(TINY_FILES.kidney), str(TINY_FILES.lesion))
    assert "largest difference is" in capsys.readouterr().out
    load_bundle(old).check()
    assert load_bundle(old).manifest.reference_outputs is not None


def test_a_form_that_answers_otherwise_writes_nothing(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(old)
    real = module.self_test

    def off(networks: object, record: object, manifest: object, answers: object) -> object:
        object.__setattr__(answers, "lesion", answers.lesion * np.float32(0.9))  # type: ignore[attr-defined]
        return real(networks, record, manifest, answers)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "self_test", off)
    with pytest.raises(ParityError, match=r"certified lesion network.*nothing was written"):
        add_reference_outputs(old, TINY_FILES, lambda text: None)
    assert contents(old) == before


# --- Refusals before TensorFlow ------------------------------------------------------------------


def main_ends(code: int, *arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert (ended.value.code or 0) == code


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "import_frameworks", lambda: pytest.fail("TensorFlow was loaded"))


@pytest.mark.usefixtures("no_tensorflow")
def test_other_sources_are_refused(old: Path) -> None:
    path = old / "manifest.json"
    path.write_text(path.read_text().replace('"sha256": "8c5c', '"sha256": "0000'))
    before = contents(old)
    with pytest.raises(SourceMismatchError, match=r"the kidney network of .* with SHA-256 0000"):
        add_reference_outputs(old, TINY_FILES, lambda text: None)
    assert contents(old) == before


@pytest.mark.usefixtures("no_tensorflow")
def test_a_bundle_made_by_hand_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundle_with_answers(tmp_path / "tiny")
    main_ends(2, "reference-outputs", str(folder), str(TINY_FILES.kidney), str(TINY_FILES.lesion))
    assert "error [convert-source-mismatch]" in capsys.readouterr().err
    main_ends(2, "reference-outputs", str(folder), str(tmp_path / "no.h5"), str(TINY_FILES.lesion))
    assert "error [convert-missing]" in capsys.readouterr().err


@pytest.mark.usefixtures("no_tensorflow")
def test_swapped_sources_are_refused(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swapped = ByNetwork(TINY_FILES.lesion, TINY_FILES.kidney)
    main_ends(2, "reference-outputs", str(old), str(swapped.kidney), str(swapped.lesion))
    assert "error [convert-swapped]" in capsys.readouterr().err


# --- Quantizing ----------------------------------------------------------------------------------


def test_quantizing_keeps_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.quantize.phantom_studies", few_studies)
    folder = bundle_with_answers(tmp_path / "tiny")
    before = contents(folder)
    quantize_bundle(folder, None, lambda text: None)
    assert contents(folder)[REFERENCE_OUTPUTS_FILE] == before[REFERENCE_OUTPUTS_FILE]
    bundle = load_bundle(folder)
    bundle.check()
    assert bundle.manifest.reference_outputs is not None
