"""The table of providers, and which onnxruntime packages are installed."""

from importlib import metadata

import pytest

from rcc_onnx.runtime import providers
from rcc_onnx.runtime.providers import AUTO_ORDER, SPECS, how_to_install, installed_runtimes
from rcc_onnx.types import ProviderName


def test_every_name_but_auto_has_a_provider() -> None:
    assert set(SPECS) == set(ProviderName) - {ProviderName.AUTO}
    assert AUTO_ORDER[-1] is ProviderName.CPU


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
