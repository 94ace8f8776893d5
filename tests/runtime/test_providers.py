"""The table of providers, which variants they run, and which onnxruntime packages are installed."""

from importlib import metadata
from pathlib import Path

import pytest

from rcc_onnx.bundles.bundle import Bundle, load_bundle
from rcc_onnx.runtime import providers
from rcc_onnx.runtime.providers import (
    AUTO_ORDER,
    SPECS,
    candidates,
    choose_variants,
    how_to_install,
    installed_runtimes,
)
from rcc_onnx.types import Precision, ProviderName
from tests.support.errors import raises_code
from tests.support.tiny_networks import add_variant, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle whose lesion network has all variants."""
    folder = write_bundle(tmp_path / "tiny")
    for name in ("cpu", "int8", "float16"):
        add_variant(folder, "lesion", name, name.encode())
    return load_bundle(folder)


def test_every_name_but_auto_has_a_provider() -> None:
    assert set(SPECS) == set(ProviderName) - {ProviderName.AUTO}
    assert AUTO_ORDER[-1] is ProviderName.CPU


def test_openvino_devices_are_named_and_only_the_cpu_is_taken_by_auto() -> None:
    # AUTO, HETERO and MULTI would let OpenVINO choose another device without saying so.
    devices = (ProviderName.OPENVINO, ProviderName.OPENVINO_GPU, ProviderName.OPENVINO_NPU)
    types = [SPECS[device].options_for(2)["device_type"] for device in devices]
    assert types == ["CPU", "GPU", "NPU"]
    assert [device for device in devices if device in AUTO_ORDER] == [ProviderName.OPENVINO]


def test_only_these_providers_compute_in_float16_whatever_they_are_given() -> None:
    half = {name for name, spec in SPECS.items() if spec.always_half}
    assert half == {ProviderName.OPENVINO_NPU, ProviderName.COREML}


@pytest.mark.parametrize(
    ("provider", "precision", "lesion"),
    [
        (ProviderName.CPU, Precision.FLOAT32, "cpu"),
        (ProviderName.CPU, Precision.INT8, "int8"),
        (ProviderName.CUDA, Precision.FLOAT32, "plain"),
        (ProviderName.OPENVINO, Precision.FLOAT32, "plain"),
        (ProviderName.CUDA, Precision.FLOAT16, "float16"),
        (ProviderName.TENSORRT, Precision.FLOAT16, "float16"),
        (ProviderName.OPENVINO_GPU, Precision.FLOAT16, "float16"),
    ],
)
def test_a_provider_runs_the_variants_that_suit_it(
    bundle: Bundle, provider: ProviderName, precision: Precision, lesion: str
) -> None:
    assert candidates(provider, precision) == (provider,)
    assert choose_variants(bundle, provider, precision) == {"kidney": "plain", "lesion": lesion}


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (Precision.FLOAT32, AUTO_ORDER),
        (Precision.INT8, (ProviderName.CPU,)),
        (Precision.FLOAT16, (ProviderName.CUDA, ProviderName.DIRECTML)),
    ],
)
def test_auto_tries_those_that_run_the_precision(
    precision: Precision, expected: tuple[ProviderName, ...]
) -> None:
    assert candidates(ProviderName.AUTO, precision) == expected


@pytest.mark.parametrize(
    ("provider", "precision", "words"),
    [
        (ProviderName.CUDA, Precision.INT8, "CPU only, not on cuda"),
        (ProviderName.CPU, Precision.FLOAT16, "runs on cuda, .* not on cpu"),
        (ProviderName.OPENVINO, Precision.FLOAT16, "runs on cuda, .* not on openvino"),
        (ProviderName.COREML, Precision.FLOAT16, "runs on cuda, .* not on coreml"),
    ],
)
def test_a_provider_that_does_not_run_the_precision(
    provider: ProviderName, precision: Precision, words: str
) -> None:
    with raises_code("precision", match=words):
        candidates(provider, precision)


@pytest.mark.parametrize(
    ("precision", "words"),
    [
        (Precision.INT8, r"convert quantize \S+ makes one"),
        (Precision.FLOAT16, r"convert quantize \S+ --precision float16 makes one"),
    ],
)
def test_a_bundle_without_the_precision_says_how_to_make_it(
    tmp_path: Path, precision: Precision, words: str
) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "without"))
    with raises_code("precision", match=words):
        choose_variants(bundle, ProviderName.CPU, precision)


def test_installed_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package in ("onnxruntime-gpu", "onnxruntime"):
            return "1.0"
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", version)
    assert installed_runtimes() == ("onnxruntime", "onnxruntime-gpu")


def test_how_to_install_removes_only_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "installed_runtimes", lambda: ("onnxruntime",))
    text = how_to_install(SPECS[ProviderName.OPENVINO])
    assert "pip uninstall -y onnxruntime, then pip install" in text
    monkeypatch.setattr(providers, "installed_runtimes", lambda: ())
    assert "uninstall" not in how_to_install(SPECS[ProviderName.OPENVINO])
    assert "part of the package onnxruntime" in how_to_install(SPECS[ProviderName.COREML])
