"""Reference outputs: in every conversion, and added to bundles from their sources."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from convert.errors import ParityError, SourceMismatchError
from convert.keras import reference_outputs as module
from convert.keras.reference_outputs import (
    GREY_STEP,
    add_reference_outputs,
    choose_reference_outputs,
)
from convert.keras.verification import SampleGroup
from rcc_onnx.bundles.bundle import load_bundle
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE, ByNetwork
from rcc_onnx.bundles.reference_outputs import STEPS
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import ProviderName
from tests.support.fixtures_convert import TINY_FILES, contents, run_convert
from tests.support.reference_outputs import bundle_with_reference_outputs


@pytest.fixture(name="bare")
def fixture_bare(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A converted bundle without reference outputs."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "bare")
    (folder / REFERENCE_OUTPUTS_FILE).unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["reference_outputs"] = None
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (folder / "LICENSE").write_text("kept")
    return folder


# --- Which inputs ---------------------------------------------------------------------------------


class Bright:
    """A network that finds as much in an input as it is bright, off by so much."""

    def __init__(self, off: float = 0.0) -> None:
        self.off = np.float32(off)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return (inputs >= 0.5).astype(np.float32) - self.off


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    shape = (1, 160, 160, 1)
    images = [(rng.random(shape) < share).astype(np.float32) for share in (0.9, 0.5, 0.1, 0.6)]
    found = [SampleGroup("phantom", image) for image in images]
    found.append(SampleGroup("ones", np.ones(shape, np.float32)))
    monkeypatch.setattr(module, "sample_groups", lambda network: found)


@pytest.mark.usefixtures("groups")
def test_inputs_are_kept_for_which_outputs_are_high_and_low() -> None:
    kept = choose_reference_outputs("kidney", Bright(), Bright())
    assert kept.inputs.shape == kept.outputs.shape == (2, 160, 160)
    # In the order of the phantoms: the second and the fourth.
    assert [round(float(output.mean()), 1) for output in kept.outputs] == [0.5, 0.6]
    assert set(np.unique(kept.inputs % GREY_STEP)) == {0}
    assert (kept.inputs.dtype, kept.outputs.dtype) == (np.uint8, np.float32)


@pytest.mark.usefixtures("groups")
def test_outputs_are_kept_only_where_the_onnx_network_agrees() -> None:
    with pytest.raises(ParityError, match="differ on the inputs that the bundle"):
        choose_reference_outputs("kidney", Bright(), Bright(off=0.001))


# --- With TensorFlow -----------------------------------------------------------------------------


def test_every_conversion_keeps_outputs_of_keras(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    outputs = bundle.read_reference_outputs()
    assert outputs is not None
    networks = open_networks(bundle, ProviderName.CPU)
    record = self_test(networks, networks.record, bundle.manifest, outputs)
    assert record.largest_difference is not None
    # Keras and ONNX, and the rounding in the file.
    assert record.largest_difference < 1e-5 + 1 / STEPS


def test_the_command_adds_what_a_conversion_writes(
    bare: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bare, TINY_FILES) == 0
    captured = capsys.readouterr()
    assert "largest difference is" in captured.out
    steps = captured.err.splitlines()
    assert (steps[0], steps[-1]) == ("Reading the files ...", "Writing the bundle ...")
    after = contents(bare)
    assert after.pop("LICENSE") == b"kept"
    assert after == contents(tiny_bundle)


def test_a_variant_with_other_outputs_writes_nothing(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(bare)
    real = module.self_test

    def off(networks: object, record: object, manifest: object, outputs: object) -> object:
        object.__setattr__(outputs, "lesion", outputs.lesion * np.float32(0.9))  # type: ignore[attr-defined]
        return real(networks, record, manifest, outputs)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "self_test", off)
    with pytest.raises(ParityError, match=r"certified lesion network.*nothing was written"):
        add_reference_outputs(bare, TINY_FILES, lambda step: None)
    assert contents(bare) == before


# --- Refusals before TensorFlow ------------------------------------------------------------------


def run(bundle: Path, sources: ByNetwork[Path]) -> int:
    return run_convert("reference-outputs", bundle, sources.kidney, sources.lesion)


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "import_frameworks", lambda: pytest.fail("TensorFlow was loaded"))


@pytest.mark.usefixtures("no_tensorflow")
def test_other_sources_are_refused(bare: Path) -> None:
    path = bare / "manifest.json"
    path.write_text(path.read_text().replace('"sha256": "8c5c', '"sha256": "0000'))
    before = contents(bare)
    with pytest.raises(SourceMismatchError, match=r"the kidney network of .* with SHA-256 0000"):
        add_reference_outputs(bare, TINY_FILES, lambda step: None)
    assert contents(bare) == before


@pytest.mark.usefixtures("no_tensorflow")
def test_bundles_and_files_that_cannot_belong_together_are_refused(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_by_hand = bundle_with_reference_outputs(tmp_path / "tiny")
    cases = [
        (made_by_hand, TINY_FILES, "convert-source-mismatch"),
        (made_by_hand, ByNetwork(tmp_path / "no.h5", TINY_FILES.lesion), "convert-missing"),
        (bare, ByNetwork(TINY_FILES.lesion, TINY_FILES.kidney), "convert-swapped"),
    ]
    for bundle, sources, code in cases:
        assert run(bundle, sources) == 2
        assert f"error [{code}]" in capsys.readouterr().err
