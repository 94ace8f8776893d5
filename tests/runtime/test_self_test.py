"""The self-test: networks whose outputs differ by more than they may are not used."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from rcc_onnx.bundles.bundle import Bundle, find_bundle, load_bundle
from rcc_onnx.bundles.manifest import Manifest, read_manifest
from rcc_onnx.bundles.reference_outputs import ReferenceOutputs
from rcc_onnx.engine import Engine
from rcc_onnx.errors import NetworkOutputError, ProviderDisagreesError
from rcc_onnx.runtime import self_test as self_tests
from rcc_onnx.runtime import session as sessions
from rcc_onnx.runtime.providers import SPECS, ProviderRecord, SelfTestRecord
from rcc_onnx.runtime.self_test import (
    SELF_TESTS_FILE,
    checked_against_reference,
    self_test,
    verify_bundle,
)
from rcc_onnx.runtime.session import open_network, open_networks
from rcc_onnx.types import NetworkName, Precision, ProviderName
from tests.support.reference_outputs import bundle_with_reference_outputs
from tests.support.tiny_networks import add_variant, manifest_of, tiny_model, write_bundle

MANIFEST = read_manifest(
    json.dumps(
        manifest_of({name: tiny_model(name).SerializeToString() for name in ("kidney", "lesion")})
    ).encode()
)
RECORD = ProviderRecord(ProviderName.AUTO, ProviderName.CUDA, "x", 1, "9.9")
RNG = np.random.default_rng(1)
OUTPUTS = ReferenceOutputs(
    RNG.integers(0, 256, (2, 160, 160)).astype(np.uint8),
    RNG.integers(0, 256, (40, 64, 64)).astype(np.uint8),
    RNG.random((2, 160, 160), np.float32),
    RNG.random((40, 64, 64), np.float32),
)


@dataclass
class Off:
    """Networks whose outputs are the reference outputs, but for so much."""

    kidney: float = 0.0
    lesion: float = 0.0

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        assert slices.dtype == np.float32
        assert slices.max() <= 1
        return (OUTPUTS.kidney + np.float32(self.kidney)).astype(np.float32)

    def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        changed = OUTPUTS.lesion.copy()
        changed[20, 30, 30] += np.float32(self.lesion)
        return changed


def test_outputs_that_are_the_same() -> None:
    assert self_test(Off(), RECORD, MANIFEST, OUTPUTS) == SelfTestRecord(True, 0, 1e-4, 0, None)


def test_without_reference_outputs_nothing_is_tested_and_nothing_claimed() -> None:
    class NotAsked:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    found = self_test(NotAsked(), RECORD, MANIFEST, None)  # type: ignore[arg-type]
    assert found == SelfTestRecord(False, None, None, None, None)


def test_small_differences_are_reported_and_rounded_up() -> None:
    found = self_test(Off(lesion=1.234e-5), RECORD, MANIFEST, OUTPUTS)
    assert found.largest_difference == 1.3e-5
    assert found.tested


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        (Off(kidney=0.01), "certified kidney network: probabilities differ by up to 0.01"),
        (Off(lesion=0.01), "certified lesion network: probabilities differ by up to 0.01"),
        (Off(lesion=1.1e-4), "certified lesion network: .*0.0001 they may"),
        (Off(lesion=float("nan")), "certified lesion network: "),
    ],
)
def test_outputs_that_differ_by_more_are_refused(networks: Off, words: str) -> None:
    with pytest.raises(ProviderDisagreesError, match=words) as caught:
        self_test(networks, RECORD, MANIFEST, OUTPUTS)
    assert caught.value.code == "provider-disagrees"
    assert "--provider" in caught.value.advice


def test_decisions_must_be_the_same_even_where_probabilities_hardly_differ() -> None:
    total = float(OUTPUTS.lesion.sum(dtype=np.float64))
    close = replace(MANIFEST.thresholds, lesion=total + 2e-5)
    with pytest.raises(ProviderDisagreesError, match="other side"):
        self_test(Off(lesion=5e-5), RECORD, replace(MANIFEST, thresholds=close), OUTPUTS)


def test_networks_that_fail_disagree() -> None:
    class Broken(Off):
        def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
            raise NetworkOutputError("not finite")

    with pytest.raises(
        ProviderDisagreesError, match=r"cannot run the reference inputs.*not finite"
    ):
        self_test(Broken(), RECORD, MANIFEST, OUTPUTS)


# --- Fewer bits ----------------------------------------------------------------------------------


@pytest.fixture
def small_manifest(tmp_path: Path) -> Manifest:
    folder = write_bundle(tmp_path / "tiny")
    for name in ("kidney", "lesion"):
        add_variant(folder, name, "int8", tiny_model(name).SerializeToString())
    return load_bundle(folder).manifest


INT8 = replace(
    RECORD,
    ran=ProviderName.CPU,
    precision=Precision.INT8,
    variants={"kidney": "int8", "lesion": "int8"},
)


def test_networks_in_fewer_bits_are_compared_by_sums(small_manifest: Manifest) -> None:
    found = self_test(Off(kidney=0.004, lesion=0.5), INT8, small_manifest, OUTPUTS)
    assert found.tolerance is None
    assert found.sum_tolerance == 0.01
    assert found.largest_difference == pytest.approx(0.5, rel=0.02)
    assert found.largest_sum_difference == pytest.approx(0.008, rel=0.1)
    with pytest.raises(ProviderDisagreesError, match=r"differs by .*%, and by 1.0% it may"):
        self_test(Off(kidney=0.02), INT8, small_manifest, OUTPUTS)


def test_the_measured_comparison_of_a_variant_widens_its_tolerance(
    small_manifest: Manifest,
) -> None:
    kidney = small_manifest.networks.kidney
    variant = kidney.variants["int8"]
    wide = replace(variant.comparison, largest_sum_difference=0.03)
    entry = replace(kidney, variants={"int8": replace(variant, comparison=wide)})
    manifest = replace(small_manifest, networks=replace(small_manifest.networks, kidney=entry))
    assert self_test(Off(kidney=0.02), INT8, manifest, OUTPUTS).sum_tolerance == 0.06


def test_each_network_is_compared_as_its_own_variant(small_manifest: Manifest) -> None:
    """Where a bundle has int8 of one network only, the other runs in float32."""
    half = replace(INT8, variants={"kidney": "int8", "lesion": "plain"})
    found = self_test(Off(kidney=0.004), half, small_manifest, OUTPUTS)
    assert (found.tolerance, found.sum_tolerance) == (1e-4, 0.01)
    with pytest.raises(ProviderDisagreesError, match="certified lesion network: probabilities"):
        self_test(Off(lesion=0.01), half, small_manifest, OUTPUTS)


def test_devices_that_have_nothing_wider_are_compared_by_sums() -> None:
    npu = replace(RECORD, ran=ProviderName.OPENVINO_NPU)
    assert self_test(Off(kidney=0.004), npu, MANIFEST, OUTPUTS).sum_tolerance == 0.02
    with pytest.raises(ProviderDisagreesError, match="sum"):
        self_test(Off(kidney=0.02), npu, MANIFEST, OUTPUTS)


@pytest.mark.parametrize("name", ["kidney", "lesion"])
def test_the_shipped_reference_outputs_tell_tf32_from_float32(name: NetworkName) -> None:
    """Weights with the 10 bits that TF32 keeps, which is less than TF32 does."""
    bundle = find_bundle("phantom")
    networks = open_networks(bundle, ProviderName.CPU)
    answers = bundle.read_reference_outputs()
    assert self_test(networks, networks.record, bundle.manifest, answers).tested
    model = onnx.load_from_string(bundle.read_network(name))
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT:
            bits = onnx.numpy_helper.to_array(weight).view(np.uint32)
            rounded = ((bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32)
            weight.CopyFrom(onnx.numpy_helper.from_array(rounded, weight.name))
    entry = bundle.manifest.networks[name].variant("plain")
    coarse = open_network(name, model.SerializeToString(), entry)
    off = replace(networks, kidney=coarse) if name == "kidney" else replace(networks, lesion=coarse)
    with pytest.raises(ProviderDisagreesError, match=f"certified {name} network: probabilities"):
        self_test(off, networks.record, bundle.manifest, answers)


# --- Once for each machine -----------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data folder"
    monkeypatch.setenv("RCC_ONNX_HOME", str(folder))
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return load_bundle(bundle_with_reference_outputs(tmp_path / "tiny"))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[ProviderRecord]:
    """Return the list of the tests that are really run."""
    run: list[ProviderRecord] = []
    real = self_tests.self_test

    def counted(networks: Any, record: ProviderRecord, *rest: Any) -> SelfTestRecord:
        run.append(record)
        return real(networks, record, *rest)

    monkeypatch.setattr(self_tests, "self_test", counted)
    return run


Runs = list[ProviderRecord]


def opened(bundle: Bundle, **options: Any) -> SelfTestRecord:
    networks = open_networks(
        bundle, ProviderName.CPU, test=checked_against_reference(bundle), **options
    )
    assert networks.record.self_test is not None
    return networks.record.self_test


def test_the_test_runs_once_and_its_result_is_remembered(
    bundle: Bundle, home: Path, runs: Runs
) -> None:
    first = opened(bundle)
    assert first.tested
    assert first.largest_difference is not None
    assert 0 < first.largest_difference < 2e-5
    assert opened(bundle) == first
    assert len(runs) == 1
    assert [path.name for path in home.iterdir()] == [SELF_TESTS_FILE]


def test_the_remembered_result_names_neither_machine_nor_user(
    bundle: Bundle, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_tests, "processor", lambda: "Secret Processor")
    opened(bundle)
    text = (home / SELF_TESTS_FILE).read_text()
    assert "Secret" not in text
    assert str(home) not in text


def _other_threshold(patch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    path = bundle.folder / "manifest.json"
    path.write_text(path.read_text().replace('"kidney": 1000.0', '"kidney": 999.0'))


@pytest.mark.parametrize(
    "change",
    [
        lambda patch, _: patch.setattr(self_tests, "processor", lambda: "another one"),
        lambda patch, _: patch.setattr(self_tests, "processor_flags", lambda: ("sse",)),
        lambda patch, _: patch.setattr(self_tests, "__version__", "99"),
        lambda patch, _: patch.setattr(sessions, "runtime_version", lambda: "99.1"),
        lambda patch, _: patch.setattr(sessions, "usable_cpus", lambda: 99),
        _other_threshold,
    ],
    ids=["processor", "flags", "rcc-onnx", "onnxruntime", "threads", "threshold"],
)
def test_another_machine_version_or_bundle_is_tested_again(
    change: Callable[..., None],
    bundle: Bundle,
    home: Path,
    runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened(bundle)
    change(monkeypatch, bundle)
    opened(load_bundle(bundle.folder))
    assert len(runs) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"schema_version": 2, "self_tests": {}}',
        '{"schema_version": 1, "self_tests": []}',
        '{"schema_version": 1}',
    ],
    ids=["empty", "list", "cut", "deep", "newer", "no object", "nothing"],
)
def test_a_damaged_file_costs_one_test(text: str, bundle: Bundle, home: Path, runs: Runs) -> None:
    home.mkdir()
    (home / SELF_TESTS_FILE).write_text(text)
    first = opened(bundle)
    assert opened(bundle) == first
    assert len(runs) == 1


@pytest.mark.parametrize(
    "entry",
    [
        {"tested": False},
        {"tested": True, "largest_difference": "0"},
        {"tested": True, "largest_difference": float("nan")},
        {"surprise": 1},
        None,
    ],
)
def test_a_tampered_entry_is_not_used(entry: Any, bundle: Bundle, home: Path, runs: Runs) -> None:
    first = opened(bundle)
    path = home / SELF_TESTS_FILE
    document = json.loads(path.read_text())
    (key,) = document["self_tests"]
    whole = document["self_tests"][key]
    document["self_tests"][key] = entry if entry is None else {**whole, **entry}
    path.write_text(json.dumps(document))
    assert opened(bundle) == first
    assert len(runs) == 2


def test_the_oldest_result_is_dropped(
    bundle: Bundle, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_tests, "MAX_REMEMBERED", 2)
    for threads in (1, 2, 3):
        opened(bundle, threads=threads)
    assert len(json.loads((home / SELF_TESTS_FILE).read_text())["self_tests"]) == 2


def test_a_data_folder_that_cannot_be_written_is_not_an_error(
    bundle: Bundle, home: Path, runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    home.write_text("a file where the folder should be")
    with caplog.at_level(logging.DEBUG, "rcc_onnx.runtime.self_test"):
        first = opened(bundle)
        assert opened(bundle) == first
    assert len(runs) == 2
    said = [record for record in caplog.records if "is not written" in record.message]
    assert {record.levelno for record in said} == {logging.DEBUG}
    assert home.read_text() == "a file where the folder should be"


def test_a_missing_home_folder_is_not_an_error(
    bundle: Bundle, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_tests, "data_folder", lambda: None)
    opened(bundle)
    opened(bundle)
    assert len(runs) == 2


def test_bundles_without_reference_outputs_say_so_and_leave_no_file(
    tmp_path: Path, home: Path
) -> None:
    assert opened(load_bundle(write_bundle(tmp_path / "plain"))) == SelfTestRecord(tested=False)
    assert not home.exists()


def test_a_failed_test_runs_again_each_time(tmp_path: Path, home: Path, runs: Runs) -> None:
    bundle = load_bundle(bundle_with_reference_outputs(tmp_path / "off", off_by=0.01))
    for _ in range(2):
        with pytest.raises(ProviderDisagreesError, match=r"differ by up to 0.01"):
            opened(bundle)
    assert len(runs) == 2
    assert not home.exists()


# --- Where providers are chosen ------------------------------------------------------------------

CUDA, CPU = (SPECS[name].runtime_name for name in (ProviderName.CUDA, ProviderName.CPU))


@pytest.fixture
def cuda_is_off(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A CUDA that computes what the CPU does, and a bit more; the list holds how much."""
    real, by = sessions._session, [0.01]

    def session(
        data: bytes, provider: ProviderName, batch: int, threads: int, *rest: Precision
    ) -> Any:
        made = real(data, ProviderName.CPU, batch, threads)
        if provider is not ProviderName.CUDA:
            return made
        return SimpleNamespace(
            get_providers=lambda: [CUDA, CPU],
            run=lambda names, feed: [
                np.clip(made.run(names, feed)[0] + np.float32(by[0]), 0, 1).astype(np.float32)
            ],
        )

    monkeypatch.setattr(sessions, "_session", session)
    monkeypatch.setattr(sessions, "listed_providers", lambda: (ProviderName.CUDA, ProviderName.CPU))
    return by


def test_a_provider_that_disagrees_is_skipped_by_auto_and_refused_by_name(
    bundle: Bundle, home: Path, cuda_is_off: list[float]
) -> None:
    record = open_networks(bundle, test=checked_against_reference(bundle)).record
    assert record.ran is ProviderName.CPU
    assert "cuda (onnxruntime" in record.reason
    assert "probabilities differ by up to 0.01" in record.reason
    assert record.reason.endswith("took cpu")
    assert record.self_test is not None
    assert record.self_test.tested
    with pytest.raises(ProviderDisagreesError, match=r"^cuda .*0\.01.*--provider"):
        open_networks(bundle, ProviderName.CUDA, test=checked_against_reference(bundle))


def test_auto_takes_a_provider_that_agrees(
    bundle: Bundle, home: Path, cuda_is_off: list[float]
) -> None:
    cuda_is_off[0] = 0.0
    record = open_networks(bundle, test=checked_against_reference(bundle)).record
    assert record.ran is ProviderName.CUDA


def test_a_device_is_tested_each_time(
    bundle: Bundle, home: Path, cuda_is_off: list[float], runs: Runs
) -> None:
    """Another card, or another driver, has no name that could be remembered."""
    cuda_is_off[0] = 0.0
    for _ in range(2):
        open_networks(bundle, ProviderName.CUDA, test=checked_against_reference(bundle))
    assert len(runs) == 2
    assert not home.exists()


def test_no_study_is_analysed_where_no_provider_agrees(tmp_path: Path, home: Path) -> None:
    folder = bundle_with_reference_outputs(tmp_path / "off", off_by=0.01)
    with pytest.raises(ProviderDisagreesError, match="no provider gives the right results here"):
        Engine.load(str(folder))
    with pytest.raises(ProviderDisagreesError, match=r"^cpu "):
        Engine.load(str(folder), provider="cpu")


def test_the_engine_records_the_self_test(bundle: Bundle, home: Path) -> None:
    engine = Engine.load(str(bundle.folder))
    assert engine._named is not None
    result = engine._named.provider.self_test
    assert result is not None
    assert result.tested


# --- Verifying a bundle --------------------------------------------------------------------------


def test_verifying_runs_every_variant(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    for seed, name in ((1, "cpu"), (2, "int8")):
        add_variant(folder, "lesion", name, tiny_model("lesion", seed=seed).SerializeToString())
    record = verify_bundle(load_bundle(folder))
    assert record.variants == {"kidney": "plain", "lesion": "cpu"}
    assert record.self_test == SelfTestRecord(tested=False)
    add_variant(folder, "lesion", "int8", tiny_model("lesion", last="Log").SerializeToString())
    with pytest.raises(NetworkOutputError, match="not finite"):
        verify_bundle(load_bundle(folder))


def test_verifying_compares_with_the_reference_outputs(bundle: Bundle, tmp_path: Path) -> None:
    result = verify_bundle(bundle).self_test
    assert result is not None
    assert result.tested
    with pytest.raises(ProviderDisagreesError):
        verify_bundle(load_bundle(bundle_with_reference_outputs(tmp_path / "off", off_by=0.01)))
