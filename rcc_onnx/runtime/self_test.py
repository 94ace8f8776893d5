"""Compares the outputs of opened networks with those that their sources gave at conversion.

A bundle holds a few inputs with the outputs of its Keras networks (`bundles.reference_outputs`).
Another processor, library or provider may add up in another order, so the last digits move; what
moves more than that computes something else, whatever it is called.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rcc_onnx._version import __version__
from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.bundles.data_folder import data_folder
from rcc_onnx.bundles.manifest import Manifest
from rcc_onnx.bundles.reference_outputs import ReferenceOutputs
from rcc_onnx.errors import DataFolderError, NetworkError, ProviderDisagreesError
from rcc_onnx.runtime.networks import Networks, network_input, split_sides
from rcc_onnx.runtime.providers import SPECS, ProviderRecord, SelfTestRecord
from rcc_onnx.runtime.session import OnnxNetworks, open_network, open_networks
from rcc_onnx.system.documents import (
    STRICT,
    DocumentError,
    document_bytes,
    read_document,
    to_json,
)
from rcc_onnx.system.files import write_whole
from rcc_onnx.system.host import processor, processor_flags
from rcc_onnx.types import (
    CROP_SHAPE_ZYX,
    NETWORK_NAMES,
    SLICE_SHAPE,
    NetworkName,
    ProviderName,
    is_above,
)

_log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""In probability, for bundles without a certificate that names one: what the converter accepts.
Orders of addition move float32 U-Nets by 1e-5 at most; a wrong layer, TF32 or float16 by more."""

HALF_SUM_TOLERANCE = 0.02
"""Of a sum, on providers that compute in float16 whatever they are given: ten bits of each number
move sums by some thousandths, so this is a failure and not rounding."""

MIN_SUM_TOLERANCE = 0.01
MEASURED_FACTOR = 2.0
"""Networks in fewer bits may move a sum twice as far as the worst of the studies on which they were
compared, and at least by a hundredth: the reference inputs were not among those studies."""

SELF_TESTS_FILE = "self_tests.json"
"""In the data folder: results of self-tests, so that each runs once a machine and not with every
start. Whatever is wrong with it, or with the folder, costs the time of one more test."""
MAX_REMEMBERED = 64
"""Machines, bundles and versions that come together in one data folder; the oldest is dropped."""
LARGEST_FILE = 2**20
"""Bytes; an entry has some two hundred."""

REMEMBERED_PROVIDERS = (ProviderName.CPU, ProviderName.OPENVINO)
"""Providers that the processor determines. Others run on a device, with a driver, that nothing
identifies: they are tested each time, which costs them little."""


def verify_bundle(bundle: Bundle) -> ProviderRecord:
    """Check hashes, shapes and operators, and run every variant of both networks once on the CPU.

    The variants that the CPU takes by itself are compared with the reference outputs. Returns what
    ran them.

    Raises:
        BundleError: a file is missing, changed, or not what the manifest says.
        NetworkError: a network cannot be loaded or its output is not a probability.
        ProviderDisagreesError: the outputs differ from the reference outputs.
    """
    bundle.check()
    for name in NETWORK_NAMES:
        entry = bundle.manifest.networks[name]
        shape = SLICE_SHAPE if name == "kidney" else CROP_SHAPE_ZYX
        for variant in entry.variant_names:
            data = bundle.read_network(name, variant)
            network = open_network(name, data, entry.variant(variant))
            network.probability(np.zeros((1, *shape), np.float32))
    networks = open_networks(bundle, ProviderName.CPU)
    outputs = bundle.read_reference_outputs()
    tested = self_test(networks, networks.record, bundle.manifest, outputs)
    return replace(networks.record, self_test=tested)


def self_test(
    networks: Networks,
    record: ProviderRecord,
    manifest: Manifest,
    outputs: ReferenceOutputs | None,
) -> SelfTestRecord:
    """Run networks on the reference inputs and compare.

    float32 is compared in every probability. Where fewer bits are computed with, every decision
    (sum above threshold) must be the same, and sums may move by a stated share.

    Args:
        networks: open, of this manifest's bundle.
        record: what runs them.
        manifest: of the bundle.
        outputs: None: the bundle has no reference outputs, and nothing is tested.

    Raises:
        ProviderDisagreesError: the outputs differ, or the networks fail.
    """
    if outputs is None:
        return SelfTestRecord(tested=False)
    try:
        kidney = networks.kidney_probability(network_input(outputs.slices))
        lesion = networks.lesion_probability(network_input(outputs.crop))
    except NetworkError as error:
        raise _disagrees(
            record,
            f"{record.ran} cannot run the reference inputs of the bundle {manifest.name} ({error})",
        ) from error
    pairs: dict[NetworkName, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {
        # A side at a time, as the pipeline decides.
        "kidney": list(
            zip(split_sides(outputs.kidney).values(), split_sides(kidney).values(), strict=True)
        ),
        "lesion": [(outputs.lesion, lesion)],
    }
    parts = [_compare(name, pairs[name], manifest, record) for name in NETWORK_NAMES]
    return SelfTestRecord(
        tested=True,
        largest_difference=_largest(part.largest_difference for part in parts),
        tolerance=_largest(part.tolerance for part in parts),
        largest_sum_difference=_largest(part.largest_sum_difference for part in parts),
        sum_tolerance=_largest(part.sum_tolerance for part in parts),
    )


def _compare(
    name: NetworkName,
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    manifest: Manifest,
    record: ProviderRecord,
) -> SelfTestRecord:
    """Compare one network's (expected, given) maps; raises ProviderDisagreesError."""
    certificate = manifest.provenance and manifest.provenance.certificate
    tolerance = certificate.tolerance if certificate else TOLERANCE
    sum_tolerance = _sum_tolerance(name, record, manifest)
    threshold = manifest.thresholds[name]
    largest = max(float(np.abs(expected - given).max()) for expected, given in pairs)
    sums = [[float(side.sum(dtype=np.float64)) for side in pair] for pair in pairs]
    share = max(abs(a - b) / max(a, threshold, 1.0) for a, b in sums)
    if any(is_above(a, threshold) != is_above(b, threshold) for a, b in sums):
        problem = f"a sum of the reference outputs is on the other side of {threshold:g}"
    # Both are written so that what is not a number fails too.
    elif sum_tolerance is None and not largest <= tolerance:
        problem = (
            f"probabilities differ by up to {largest:.2g} on the reference inputs, and by "
            f"{tolerance:g} they may"
        )
    elif sum_tolerance is not None and not share <= sum_tolerance:
        problem = (
            f"a sum of the reference outputs differs by {share:.1%}, and by {sum_tolerance:.1%} "
            "it may"
        )
    else:
        return SelfTestRecord(
            tested=True,
            largest_difference=_rounded_up(largest),
            tolerance=tolerance if sum_tolerance is None else None,
            largest_sum_difference=_rounded_up(share),
            sum_tolerance=sum_tolerance,
        )
    raise _disagrees(
        record,
        f"{record.ran} (onnxruntime {record.onnxruntime}) does not compute the certified {name} "
        f"network: {problem}",
    )


def _sum_tolerance(name: NetworkName, record: ProviderRecord, manifest: Manifest) -> float | None:
    """Return by what share a sum may differ; None where probabilities are compared.

    The share is of the sum or of the threshold, whichever is larger.
    """
    variant = record.variants.get(name, "plain")
    if variant in {"int8", "float16"}:
        measured = manifest.networks[name].variants[variant].comparison.largest_sum_difference
        return max(_rounded_up(MEASURED_FACTOR * measured), MIN_SUM_TOLERANCE)
    return HALF_SUM_TOLERANCE if SPECS[record.ran].always_half else None


def _disagrees(record: ProviderRecord, problem: str) -> ProviderDisagreesError:
    if record.ran is ProviderName.CPU:
        remedy = "Reinstall onnxruntime, and get the bundle again; if both are whole, report this"
    else:
        remedy = "Take --provider cpu, or update the driver or the package"
    return ProviderDisagreesError(
        problem,
        "Its results would not be those that the bundle was certified for. "
        f"{remedy}; `rcc-onnx doctor` tries each provider",
    )


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _rounded_up(value: float) -> float:
    """To two digits, so that the last bits of a sum do not show in results."""
    if not math.isfinite(value) or value == 0:
        return value
    exact = Decimal(value)
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), rounding=ROUND_UP))


def checked_against_reference(bundle: Bundle) -> Callable[[OnnxNetworks], OnnxNetworks]:
    """Return a test for `open_networks`: it gives networks back with the result in their record.

    The test runs once for each processor, provider, version of onnxruntime, precision, number of
    threads and bundle. It raises ProviderDisagreesError, which is never remembered, or BundleError
    where the reference outputs are damaged.
    """

    def test(networks: OnnxNetworks) -> OnnxNetworks:
        record = networks.record
        key = _key(bundle, record)
        has_outputs = bundle.manifest.reference_outputs is not None
        remember = has_outputs and record.ran in REMEMBERED_PROVIDERS
        result = _read_cache().get(key) if remember else None
        if result is None or not result.tested:
            outputs = bundle.read_reference_outputs()
            started = time.perf_counter()
            result = self_test(networks, record, bundle.manifest, outputs)
            spent = time.perf_counter() - started
            _log.info("self-test of %s: %s (%.2f s)", record.ran, result, spent)
            if remember:
                _remember(key, result)
        return replace(networks, record=replace(record, self_test=result))

    return test


def _key(bundle: Bundle, record: ProviderRecord) -> str:
    """Return a hash of everything that the outputs, and what is asked of them, may depend on."""
    parts = {
        "rcc_onnx": __version__,
        # Holds the hashes of networks and reference outputs, the thresholds and the tolerance.
        "manifest": to_json(bundle.manifest),
        "provider": str(record.ran),
        "onnxruntime": record.onnxruntime,
        "precision": str(record.precision),
        "variants": dict(record.variants),
        "threads": record.threads,
        # A home folder may be shared between machines.
        "processor": processor(),
        "flags": processor_flags(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Cache:
    """The file of remembered results, by key, the newest last."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema_version: Literal[1]
    self_tests: Mapping[str, SelfTestRecord]


def _read_cache() -> Mapping[str, SelfTestRecord]:
    """Return what is remembered; empty if nothing is, or nothing that can be read."""
    path = _cache_path()
    if path is None:
        return {}
    try:
        with path.open("rb") as stream:
            return read_document(_Cache, stream.read(LARGEST_FILE)).self_tests
    except (OSError, DocumentError) as error:
        _log.debug("%s is not used (%s)", path, type(error).__name__)
        return {}


def _remember(key: str, result: SelfTestRecord) -> None:
    path = _cache_path()
    if path is None:
        return
    known = {name: entry for name, entry in _read_cache().items() if name != key}
    newest = dict([*known.items(), (key, result)][-MAX_REMEMBERED:])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = document_bytes(_Cache(1, newest))
        write_whole(path, lambda temporary: temporary.write_bytes(data))
    except OSError as error:
        _log.debug("%s is not written (%s): the test runs each time", path, error.strerror)


def _cache_path() -> Path | None:
    try:
        home = data_folder()
    except DataFolderError:
        return None
    return None if home is None else home / SELF_TESTS_FILE
