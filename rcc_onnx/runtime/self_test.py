"""Whether networks answer here what their sources answered where they were converted.

A bundle holds a few inputs with the answers of its Keras networks (`rcc_onnx.answers`). Another
processor, library or provider may add up in another order, so the last digits move; what moves more
than that computes something else, whatever it is called.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx._version import __version__
from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.bundles.data_folder import data_folder
from rcc_onnx.bundles.manifest import NETWORK_NAMES, Manifest, NetworkName
from rcc_onnx.bundles.reference_outputs import ReferenceOutputs
from rcc_onnx.errors import DataFolderError, NetworkError, ProviderDisagreesError
from rcc_onnx.runtime.networks import Networks, network_input, split_sides
from rcc_onnx.runtime.providers import SPECS, ProviderRecord, SelfTestRecord
from rcc_onnx.runtime.session import OnnxNetworks
from rcc_onnx.system.host import processor, processor_flags
from rcc_onnx.types import ProviderName, is_above

_log = logging.getLogger(__name__)


TOLERANCE = 1e-4
"""In probability, for bundles without a certificate that names one: what the converter accepts.
Orders of addition move float32 U-Nets by 1e-5 at most; a wrong layer, TF32 or float16 by more."""

HALF_SUM_TOLERANCE = 0.02
"""Of a sum, on providers that compute in float16 whatever they are given: ten bits of each number
move sums by some thousandths, so this is a failure and no rounding."""

LEAST_SUM_TOLERANCE = 0.01
MEASURED_TIMES = 2.0
"""Networks in fewer bits may move a sum twice as far as the worst of the studies on which they were
compared, and at least by a hundredth: the stored inputs were not among those studies."""


@dataclass(frozen=True)
class _Rule:
    """How one network is held to its answers. `sum_share`: None where probabilities are compared.

    It is the difference of a sum, relative to it or to the threshold, whichever is larger.
    """

    tolerance: float
    sum_share: float | None


def self_test(
    networks: Networks, record: ProviderRecord, manifest: Manifest, answers: ReferenceOutputs | None
) -> SelfTestRecord:
    """Run networks on the stored inputs and compare.

    float32 is compared in every probability. Where fewer bits are computed with, every decision
    (sum above threshold) must be the same, and sums may move by a stated share.

    Args:
        networks: open, of this manifest's bundle.
        record: what runs them.
        manifest: of the bundle.
        answers: None: there are none, and nothing is tested.

    Raises:
        ProviderDisagreesError: the answers are others, or the networks cannot answer at all.
    """
    if answers is None:
        return SelfTestRecord(tested=False)
    try:
        kidney = networks.kidney_probability(network_input(answers.slices))
        lesion = networks.lesion_probability(network_input(answers.crop))
    except NetworkError as error:
        raise ProviderDisagreesError(
            f"{record.ran} cannot answer the stored inputs of the bundle {manifest.name} ({error})",
            _advice(record.ran),
        ) from error
    pairs: dict[NetworkName, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {
        # A side at a time, as the pipeline decides.
        "kidney": list(
            zip(split_sides(answers.kidney).values(), split_sides(kidney).values(), strict=True)
        ),
        "lesion": [(answers.lesion, lesion)],
    }
    found = []
    for name in NETWORK_NAMES:
        threshold = getattr(manifest.thresholds, name)
        found.append(_compare(name, pairs[name], threshold, _rule(name, record, manifest), record))
    return _together(found)


def _advice(ran: ProviderName) -> str:
    """What to do about a provider that disagrees."""
    if ran is ProviderName.CPU:
        mend = "Install onnxruntime again, and get the bundle again; if both are whole, report this"
    else:
        mend = "Take --provider cpu, or update the driver or the package"
    return (
        "Its results would not be those that the bundle was certified for. "
        f"{mend}; `rcc-onnx doctor` tries each provider"
    )


def _rule(name: NetworkName, record: ProviderRecord, manifest: Manifest) -> _Rule:
    certificate = manifest.provenance and manifest.provenance.certificate
    tolerance = certificate.tolerance if certificate else TOLERANCE
    variant = record.variants.get(name, "plain")
    if variant in {"int8", "float16"}:
        measured = manifest.networks[name].variants[variant].comparison.largest_sum_difference
        share = max(_rounded_up(MEASURED_TIMES * measured), LEAST_SUM_TOLERANCE)
        return _Rule(tolerance, share)
    return _Rule(tolerance, HALF_SUM_TOLERANCE if SPECS[record.ran].always_half else None)


def _compare(
    name: NetworkName,
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    threshold: float,
    rule: _Rule,
    record: ProviderRecord,
) -> SelfTestRecord:
    """One network; raises ProviderDisagreesError."""
    largest = max(float(np.abs(expected - given).max()) for expected, given in pairs)
    sums = [[float(one.sum(dtype=np.float64)) for one in pair] for pair in pairs]
    share = max(abs(a - b) / max(a, threshold, 1.0) for a, b in sums)
    what = (
        f"{record.ran} (onnxruntime {record.onnxruntime}) does not answer as the certified {name}"
    )
    if any(is_above(a, threshold) != is_above(b, threshold) for a, b in sums):
        raise ProviderDisagreesError(
            f"{what} network: a sum of the stored answers is on the other side of {threshold:g}",
            _advice(record.ran),
        )
    # Both are written so that what is no number fails too.
    if rule.sum_share is None and not largest <= rule.tolerance:
        raise ProviderDisagreesError(
            f"{what} network: probabilities differ by up to {largest:.2g} on the stored inputs, "
            f"and by {rule.tolerance:g} they may",
            _advice(record.ran),
        )
    if rule.sum_share is not None and not share <= rule.sum_share:
        raise ProviderDisagreesError(
            f"{what} network: a sum of the stored answers differs by {share:.1%}, and by "
            f"{rule.sum_share:.1%} it may",
            _advice(record.ran),
        )
    return SelfTestRecord(
        tested=True,
        largest_difference=_rounded_up(largest),
        tolerance=rule.tolerance if rule.sum_share is None else None,
        largest_sum_difference=_rounded_up(share),
        sum_tolerance=rule.sum_share,
    )


def _together(found: list[SelfTestRecord]) -> SelfTestRecord:
    """The worst of both networks."""

    def most(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return max(known) if known else None

    return SelfTestRecord(
        tested=True,
        largest_difference=most([one.largest_difference for one in found]),
        tolerance=most([one.tolerance for one in found]),
        largest_sum_difference=most([one.largest_sum_difference for one in found]),
        sum_tolerance=most([one.sum_tolerance for one in found]),
    )


def _rounded_up(value: float) -> float:
    """To two digits, so that the last bits of a sum do not show in results."""
    if not math.isfinite(value) or value == 0:
        return value
    exact = Decimal(value)
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), rounding=ROUND_UP))


# What was found to agree on this machine, so that it is tested once and not with every start.
#
# One small file in the data folder, `self_tests.json`. Whatever is wrong with it, or with the
# folder,
# costs the time of one more test and nothing else.

SELF_TESTS_FILE = "self_tests.json"
VERSION = 1
MOST_REMEMBERED = 64
"""Machines, bundles and versions that come together in one data folder; the oldest is forgotten."""
LARGEST_FILE = 2**20
"""Bytes; an entry has some two hundred."""
STALE_S = 60.0
"""After so long, a temporary file is what a killed process left."""

ON_THE_PROCESSOR = (ProviderName.CPU, ProviderName.OPENVINO)
"""Providers of which the processor says all. Others run on a device, with a driver, that nobody
names: they are tested each time, which costs them little."""


def checked_against_reference(bundle: Bundle) -> Callable[[OnnxNetworks], OnnxNetworks]:
    """A test for `open_networks`: networks of this bundle, with what was found in their record.

    The test runs once for each processor, provider, version of onnxruntime, precision, number of
    threads and bundle. It raises ProviderDisagreesError, which is never remembered, or BundleError
    where the stored answers are broken.
    """

    def test(networks: OnnxNetworks) -> OnnxNetworks:
        record = networks.record
        key = _key(bundle, record)
        keep = bundle.manifest.reference_outputs is not None and record.ran in ON_THE_PROCESSOR
        found = _remembered(key) if keep else None
        if found is None:
            answers = bundle.read_reference_outputs()
            started = time.perf_counter()
            found = self_test(networks, record, bundle.manifest, answers)
            spent = time.perf_counter() - started
            _log.info("self-test of %s: %s (%.2f s)", record.ran, found, spent)
            if keep:
                _remember(key, found)
        return replace(networks, record=replace(record, self_test=found))

    return test


def _key(bundle: Bundle, record: ProviderRecord) -> str:
    """Hash of everything that the answers, and what is asked of them, may hang on."""
    parts = {
        "rcc_onnx": __version__,
        # Holds the hashes of networks and answers, the thresholds and the tolerance.
        "manifest": bundle.manifest.to_json(),
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


def _remembered(key: str) -> SelfTestRecord | None:
    entry = _read().get(key)
    if not isinstance(entry, dict) or set(entry) != {
        field.name for field in fields(SelfTestRecord)
    }:
        return None
    numbers = [value for name, value in entry.items() if name != "tested" and value is not None]
    if entry["tested"] is not True or not all(
        type(value) is float and math.isfinite(value) for value in numbers
    ):
        return None
    return SelfTestRecord(**entry)


def _remember(key: str, result: SelfTestRecord) -> None:
    path = _path()
    if path is None:
        return
    known = {name: entry for name, entry in _read().items() if name != key}
    known[key] = asdict(result)
    newest = dict(list(known.items())[-MOST_REMEMBERED:])
    text = json.dumps({"schema_version": VERSION, "self_tests": newest}, indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, text.encode())
    except OSError as error:
        _log.debug("%s is not written (%s): the test runs each time", path, error.strerror)


def _write_whole(path: Path, data: bytes) -> None:
    """Raises OSError, also where another process is writing at this moment."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        stream = temporary.open("xb")
    except FileExistsError:
        if abs(time.time() - temporary.stat().st_mtime) > STALE_S:
            temporary.unlink()
        raise
    try:
        with stream:
            stream.write(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _read() -> Mapping[str, Any]:
    """What is remembered; empty if nothing is, or nothing that can be read."""
    path = _path()
    if path is None:
        return {}
    try:
        with path.open("rb") as stream:
            document = json.loads(stream.read(LARGEST_FILE))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        _log.debug("%s cannot be read (%s)", path, type(error).__name__)
        return {}
    if not isinstance(document, dict) or document.get("schema_version") != VERSION:
        return {}
    known = document.get("self_tests")
    return known if isinstance(known, dict) else {}


def _path() -> Path | None:
    try:
        home = data_folder()
    except DataFolderError:
        return None
    return None if home is None else home / SELF_TESTS_FILE
