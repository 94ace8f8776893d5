"""Whether networks answer here what their sources answered where they were converted.

A bundle holds a few inputs with the answers of its Keras networks (`rcc_onnx.answers`). Another
processor, library or provider may add up in another order, so the last digits move; what moves more
than that computes something else, whatever it is called.
"""

import logging
import math
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.answers import Answers
from rcc_onnx.errors import NetworkError, ProviderDisagreesError
from rcc_onnx.kidneys import split_sides
from rcc_onnx.manifest import NETWORK_NAMES, Manifest, NetworkName
from rcc_onnx.networks import Networks
from rcc_onnx.preprocess import network_input
from rcc_onnx.providers import SPECS, Agreement, ProviderName, ProviderRecord

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


def agreement_of(
    networks: Networks, record: ProviderRecord, manifest: Manifest, answers: Answers | None
) -> Agreement:
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
        return Agreement(tested=False)
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
    form = record.forms.get(name, "plain")
    if form in {"int8", "float16"}:
        measured = manifest.networks[name].variants[form].agreement.largest_sum_difference
        share = max(_rounded_up(MEASURED_TIMES * measured), LEAST_SUM_TOLERANCE)
        return _Rule(tolerance, share)
    return _Rule(tolerance, HALF_SUM_TOLERANCE if SPECS[record.ran].always_half else None)


def _compare(
    name: NetworkName,
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    threshold: float,
    rule: _Rule,
    record: ProviderRecord,
) -> Agreement:
    """One network; raises ProviderDisagreesError."""
    largest = max(float(np.abs(expected - given).max()) for expected, given in pairs)
    sums = [[float(one.sum(dtype=np.float64)) for one in pair] for pair in pairs]
    share = max(abs(a - b) / max(a, threshold, 1.0) for a, b in sums)
    what = f"{record.ran} (onnxruntime {record.runtime}) does not answer as the certified {name}"
    if any((a > threshold) != (b > threshold) for a, b in sums):
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
    return Agreement(
        tested=True,
        largest_difference=_rounded_up(largest),
        tolerance=rule.tolerance if rule.sum_share is None else None,
        largest_sum_difference=_rounded_up(share),
        sum_tolerance=rule.sum_share,
    )


def _together(found: list[Agreement]) -> Agreement:
    """The worst of both networks."""

    def most(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return max(known) if known else None

    return Agreement(
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
