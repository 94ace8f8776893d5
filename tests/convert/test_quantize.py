"""Adding int8 variants to a bundle: all of it or nothing, and only if every decision holds."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from pydicom.data import get_testdata_file

from convert import quantize
from convert.errors import QuantizedDecisionsError, QuantizeError
from convert.optimize.compare_precisions import StudySample
from convert.quantize import Quantized, quantize_bundle
from rcc_onnx.bundles.bundle import load_bundle
from rcc_onnx.bundles.reference_outputs import write_reference_outputs
from rcc_onnx.errors import InputFolderError
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import Precision, ProviderName
from tests.support.fixtures_convert import contents, run_convert
from tests.support.reference_outputs import put_reference_outputs, reference_outputs_of
from tests.support.tiny_networks import write_bundle


def few_studies(seeds: Iterable[int]) -> Iterator[StudySample]:
    """Noise in place of phantoms, which take longer to draw."""
    for seed in list(seeds)[:2]:
        rng = np.random.default_rng(seed)
        crops = rng.random((1, 40, 64, 64), np.float32)
        yield StudySample(rng.random((5, 160, 160), np.float32), crops)


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(quantize, "phantom_studies", few_studies)
    return write_bundle(tmp_path / "tiny")


def quietly(folder: Path, calibrate: Path | None = None) -> Quantized:
    return quantize_bundle(folder, calibrate, progress=lambda text: None)


def test_the_bundle_gets_both_variants(folder: Path) -> None:
    before = contents(folder)
    quantized = quietly(folder)
    after = contents(folder)
    assert set(after) - set(before) == {"kidney.int8.onnx", "lesion.int8.onnx"}
    assert all(after[name] == before[name] for name in ("kidney.onnx", "lesion.onnx"))
    bundle = load_bundle(folder)
    bundle.check()
    assert bundle.manifest == quantized.manifest
    variant = bundle.manifest.networks.lesion.variants["int8"]
    assert variant.comparison.decisions_equal
    assert variant.comparison.inputs == 2
    assert variant.note.startswith("8-bit integers, calibrated on 2 phantoms")
    networks = open_networks(bundle, ProviderName.CPU, precision=Precision.INT8)
    assert networks.record.variants == {"kidney": "int8", "lesion": "int8"}


def test_the_bundle_gets_both_variants_in_float16(folder: Path) -> None:
    quietly(folder)
    before = contents(folder)
    quantized = quantize_bundle(folder, None, progress=lambda text: None, kind="float16")
    after = contents(folder)
    assert set(after) - set(before) == {"kidney.float16.onnx", "lesion.float16.onnx"}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"manifest.json"}
    bundle = load_bundle(folder)
    bundle.check()
    assert bundle.manifest == quantized.manifest
    entry = bundle.manifest.networks.kidney
    assert set(entry.variants) == {"int8", "float16"}
    assert entry.variants["float16"].comparison.decisions_equal
    # Noise through one convolution: rounded to three digits, so it is neither the same nor far.
    assert 1e-5 < entry.variants["float16"].comparison.largest_difference < 5e-3
    assert quietly(folder).manifest.networks.kidney.variants.keys() == entry.variants.keys()


def spoil(rewrite: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `rewrite` set the weights of the kidney network to `value`."""
    real = getattr(quantize, rewrite)

    def spoilt(*given: object) -> onnx.ModelProto:
        model: onnx.ModelProto = real(*given)
        for weight in model.graph.initializer:
            if len(weight.dims) == 4:
                values = np.full_like(onnx.numpy_helper.to_array(weight), value)
                weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return model

    monkeypatch.setattr(quantize, rewrite, spoilt)


def test_float16_that_overflows_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil("to_float16", np.nan, monkeypatch)
    before = contents(folder)
    with pytest.raises(QuantizeError, match="in float16 the kidney network returned"):
        quantize_bundle(folder, None, progress=lambda text: None, kind="float16")
    assert contents(folder) == before


def test_once_more_gives_the_same_bundle_and_keeps_what_else_it_holds(folder: Path) -> None:
    put_reference_outputs(folder, write_reference_outputs(reference_outputs_of(folder)))
    (folder / "LICENSE").write_text("kept")
    before = contents(folder)
    quietly(folder)
    first = contents(folder)
    assert (
        first.items() >= {name: before[name] for name in before if name != "manifest.json"}.items()
    )
    assert load_bundle(folder).manifest.reference_outputs is not None
    quietly(folder)
    assert contents(folder) == first


def test_a_decision_that_differs_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil("to_int8", -5, monkeypatch)
    before = contents(folder)
    with pytest.raises(QuantizedDecisionsError, match="4 of 4 maps") as raised:
        quietly(folder)
    assert raised.value.code == "convert-quantize-decisions"
    assert run_convert("quantize", folder) == 2
    assert "error [convert-quantize-decisions]" in capsys.readouterr().err
    assert contents(folder) == before


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Fewer studies are not enough, and float32 is there already.
    for refused in (("--studies", "199"), ("--precision", "float32")):
        assert run_convert("quantize", folder, *refused) == 2
    assert "kidney.int8.onnx" not in contents(folder)
    capsys.readouterr()
    for precision in ("int8", "float16"):
        assert run_convert("quantize", folder, "--precision", precision) == 0
        printed = capsys.readouterr().out
        assert "kidney: all 4 decisions as in float32, on 10 inputs" in printed
        assert f"--precision {precision}" in printed


def test_nothing_to_calibrate_on(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputFolderError):
        quietly(folder, tmp_path / "nowhere")
    study = tmp_path / "study"
    study.mkdir()
    picture = get_testdata_file("MR_small.dcm", download=False)
    assert isinstance(picture, str)
    shutil.copy(picture, study / "a.dcm")
    with pytest.raises(QuantizeError, match="no study that can be analysed"):
        quietly(folder, study)
    assert "kidney.int8.onnx" not in contents(folder)
