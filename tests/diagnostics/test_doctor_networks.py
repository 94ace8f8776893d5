"""The doctor's checks of bundles and providers: things broken on purpose."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rcc_onnx.bundles.bundle import Bundle, load_bundle
from rcc_onnx.diagnostics.doctor import networks
from rcc_onnx.diagnostics.doctor.checks import Check, ProbeError, Verdict
from rcc_onnx.errors import (
    BundleError,
    NetworkError,
    ProviderDisagreesError,
    ProviderError,
    RuntimeNotUsableError,
)
from rcc_onnx.runtime.providers import AUTO_ORDER, SPECS, ProviderRecord, SelfTestRecord
from rcc_onnx.types import ProviderName
from tests.support.reference_outputs import bundle_with_reference_outputs
from tests.support.tiny_networks import add_variant, tiny_model, write_bundle

OK, WARNING, PROBLEM, MISSING = Verdict


def only(found: Iterable[Check]) -> Check:
    (check,) = found
    return check


def try_providers(bundle: Bundle) -> dict[str, Check]:
    """Return the checks of a bundle on every provider, by subject."""
    return {check.subject: check for check in networks.check_providers(bundle)}


# --- Bundles -------------------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which bundles are found."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(folder))
    monkeypatch.setattr("rcc_onnx.bundles.bundle.shipped_models_folder", lambda: None)
    return folder


def test_a_good_bundle_and_what_it_is_for(shelf: Path) -> None:
    bundle_with_reference_outputs(shelf / "tiny")
    (check, patients), bundle = networks.check_bundles(None)
    assert check.verdict is OK
    assert "for digital-phantom studies, every file as listed" in check.message
    assert (patients.subject, patients.verdict) == ("for patients", MISSING)
    assert "python -m convert" in str(patients.remedy)
    assert bundle is not None
    assert bundle.name == "tiny"


def test_a_bundle_without_reference_outputs_is_a_warning(shelf: Path) -> None:
    write_bundle(shelf / "tiny", use_on=["patient"])
    check = only(networks.check_bundles(None)[0])
    assert check.verdict is WARNING
    assert "without reference outputs" in check.message
    assert "python -m convert reference-outputs" in str(check.remedy)


def test_a_certificate_that_does_not_hold_is_a_problem(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(bundle_with_reference_outputs(shelf / "tiny"))
    provenance: Any = type("", (), {"certificate": type("", (), {"holds": False})})
    manifest = replace(bundle.manifest)
    object.__setattr__(manifest, "provenance", provenance)
    bad = replace(bundle, manifest=manifest)
    monkeypatch.setattr(networks, "installed_bundles", lambda check: (bad,))
    check = networks.check_bundles(None)[0][0]
    assert (check.verdict, check.remedy) == (PROBLEM, "Convert it again.")


def test_the_bundle_for_patients_is_the_one_that_is_tried(shelf: Path) -> None:
    write_bundle(shelf / "a", name="a")
    write_bundle(shelf / "b", name="b", use_on=["patient"])
    _, bundle = networks.check_bundles(None)
    assert bundle is not None
    assert bundle.name == "b"
    write_bundle(shelf / "c", name="c", use_on=["patient"])
    found, bundle = networks.check_bundles(None)
    assert (found[-1].verdict, found[-1].message) == (WARNING, "several: b, c")


@pytest.mark.parametrize("file", ["kidney.onnx", "reference_outputs.npz", "manifest.json"])
def test_a_changed_bundle_is_a_problem(file: str, shelf: Path) -> None:
    folder = bundle_with_reference_outputs(shelf / "tiny")
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    found, bundle = networks.check_bundles(None)
    assert found[0].verdict is PROBLEM
    assert "broken [bundle-" in found[0].message
    assert bundle is None
    named, bundle = networks.check_bundles(str(folder))
    assert (only(named).verdict, bundle) == (PROBLEM, None)
    assert only(named).message.startswith("[bundle-")


def test_a_bundle_or_a_folder_of_bundles_that_does_not_exist_is_a_problem(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = only(networks.check_bundles("nowhere")[0])
    assert (check.verdict, "no bundle named 'nowhere'" in check.message) == (PROBLEM, True)
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", "/nowhere/at/all")
    assert only(networks.check_bundles(None)[0]).verdict is PROBLEM


def test_two_bundles_of_one_name_are_a_warning(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path / "data"))
    bundle_with_reference_outputs(shelf / "tiny")
    bundle_with_reference_outputs(tmp_path / "data" / "models" / "tiny")
    hidden = [check for check in networks.check_bundles(None)[0] if "hidden" in check.message]
    assert only(hidden).verdict is WARNING


# --- Providers -----------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return load_bundle(bundle_with_reference_outputs(tmp_path / "tiny"))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "probe", lambda function, value, seconds: function(value))


def set_up_providers(
    monkeypatch: pytest.MonkeyPatch, failures: dict[ProviderName, Exception]
) -> None:
    """List every provider; those named fail, the others agree."""
    monkeypatch.setattr(networks, "listed_providers", lambda: tuple(SPECS))

    def probe(_: Any, trial: networks.Trial, seconds: float) -> ProviderRecord:
        provider = trial[1]
        assert seconds == (600 if provider is ProviderName.TENSORRT else 180)
        if provider in failures:
            raise failures[provider]
        tested = SelfTestRecord(True, 1.2e-5, 1e-4, 1e-7, None)
        return ProviderRecord(provider, provider, "", 2, "1.20", self_test=tested)

    monkeypatch.setattr(networks, "probe", probe)


def test_the_verdict_on_a_provider_says_how_it_fails(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_providers(
        monkeypatch,
        {
            ProviderName.CUDA: ProviderDisagreesError("cuda does not agree", "Take another"),
            ProviderName.OPENVINO: ProviderError("no", "It needs x.", code="provider-not-loaded"),
            ProviderName.COREML: ProviderError("no", "It needs y.", code="provider-not-loaded"),
            ProviderName.TENSORRT: ProbeError("the process that tried it crashed"),
            ProviderName.DIRECTML: NetworkError("refused", code="network-load"),
        },
    )
    found = try_providers(bundle)
    assert found["cpu"].verdict is OK
    assert found["cpu"].message == (
        "agrees with the reference outputs: probabilities differ by 1.2e-05 at most "
        "(1.0e-04 accepted); 2 threads"
    )
    assert (found["cuda"].verdict, found["cuda"].remedy) == (PROBLEM, "Take another.")
    # Installed for nothing, as against a device that this machine lacks.
    assert (found["openvino"].verdict, found["coreml"].verdict) == (WARNING, MISSING)
    assert found["tensorrt"].message == "does not run: the process that tried it crashed"
    assert (found["tensorrt"].verdict, found["directml"].verdict) == (PROBLEM, PROBLEM)
    assert found["auto"].message == "would take cpu"
    assert "others" not in found
    set_up_providers(monkeypatch, {})
    assert try_providers(bundle)["auto"].message == f"would take {AUTO_ORDER[0]}"


@pytest.mark.parametrize(
    "error",
    [
        ProbeError("not finished after 180 s"),
        ProviderError("cpu does not load", "", code="provider-not-loaded"),
        BundleError("gone", code="bundle-file"),
    ],
)
def test_a_cpu_that_does_not_run_is_a_problem(
    error: Exception, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_providers(monkeypatch, dict.fromkeys(AUTO_ORDER, error))
    found = try_providers(bundle)
    assert (found["cpu"].verdict, found["auto"].verdict) == (PROBLEM, PROBLEM)


def test_a_provider_that_is_off_by_a_hundredth_is_a_problem(
    tmp_path: Path, in_this_process: None
) -> None:
    folder = bundle_with_reference_outputs(tmp_path / "off", off_by=0.01)
    check, _, others = networks.check_providers(load_bundle(folder))
    assert (check.subject, check.verdict) == ("cpu", PROBLEM)
    assert "probabilities differ by up to 0.01" in check.message
    assert others.verdict is MISSING


def test_without_reference_outputs_a_provider_is_loaded_and_not_judged(
    tmp_path: Path, in_this_process: None
) -> None:
    check, auto, _ = networks.check_providers(load_bundle(write_bundle(tmp_path / "plain")))
    assert check.verdict is WARNING
    assert "no reference outputs to compare with" in check.message
    assert auto.message == "would take cpu"


def test_every_precision_that_the_bundle_has_is_tried(
    bundle: Bundle, in_this_process: None
) -> None:
    for kind in ("int8", "float16"):
        data = tiny_model("lesion").SerializeToString()
        add_variant(bundle.folder, "lesion", kind, data)
    found = try_providers(load_bundle(bundle.folder))
    assert found["cpu, int8"].verdict is OK
    assert "sums differ by" in found["cpu, int8"].message
    assert "cpu, float16" not in found


def test_nothing_can_be_tried_without_a_bundle_or_onnxruntime(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "without a bundle" in only(networks.check_providers(None)).message

    def broken() -> Any:
        raise RuntimeNotUsableError("no", "")

    monkeypatch.setattr(networks, "listed_providers", broken)
    check = only(networks.check_providers(bundle))
    assert (check.verdict, "without onnxruntime" in check.message) == (PROBLEM, True)
