"""Every provider of this onnxruntime, tried: a session made, the stored inputs run and compared."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rcc_onnx.bundles.bundle import Bundle, load_bundle
from rcc_onnx.bundles.manifest import NETWORK_NAMES
from rcc_onnx.bundles.reference_outputs import ReferenceOutputs
from rcc_onnx.diagnostics.doctor.apart import CrashedError, apart
from rcc_onnx.diagnostics.doctor.lines import Line, Verdict
from rcc_onnx.errors import (
    ProviderDisagreesError,
    ProviderError,
    RccOnnxError,
    RuntimeNotUsableError,
)
from rcc_onnx.runtime.networks import Networks, network_input
from rcc_onnx.runtime.providers import AUTO_ORDER, SPECS, SelfTestRecord, supports_precision
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import listed_providers, open_networks
from rcc_onnx.types import CROP_SHAPE_ZYX, SLICE_SHAPE, Precision, ProviderName

ROOM = "providers"
SECONDS = 180.0
"""Of one provider: OpenVINO and CUDA compile for seconds at their first start."""
SLOW_SECONDS = 600.0
"""TensorRT builds its engine for minutes."""
TIMES = 3
"""Runs that are timed after a first one; the fastest counts."""


@dataclass(frozen=True)
class Trial:
    """What to try: a bundle's folder, on what, in which precision. Travels between processes."""

    folder: Path
    provider: ProviderName
    precision: Precision = Precision.FLOAT32

    @property
    def subject(self) -> str:
        plain = self.precision is Precision.FLOAT32
        return str(self.provider) if plain else f"{self.provider}, {self.precision}"


@dataclass(frozen=True)
class Ran:
    """What came of it.

    Attributes:
        slice_s: seconds for one slice of the kidney network.
        crop_s: seconds for one crop of the lesion network.
    """

    slice_s: float
    crop_s: float
    threads: int
    self_test: SelfTestRecord


def provider_lines(bundle: Bundle | None) -> Iterator[Line]:
    """A line for each provider that this onnxruntime lists, and one for all that it does not.

    Args:
        bundle: whose networks to run; None: there is none, and nothing can be tried.
    """
    try:
        listed = listed_providers()
    except RuntimeNotUsableError:
        mend = "See onnxruntime above."
        yield Line(ROOM, "all", Verdict.PROBLEM, "none can be tried without onnxruntime", mend)
        return
    if bundle is None:
        mend = "Install a bundle, or name one with --models."
        yield Line(ROOM, "all", Verdict.PROBLEM, "none can be tried without a bundle", mend)
        return
    good = []
    for provider in sorted(listed, key=list(SPECS).index):
        for precision in _precisions(bundle, provider):
            trial = Trial(bundle.folder.resolve(), provider, precision)
            tried = _tried(trial)
            if isinstance(tried, Ran) and precision is Precision.FLOAT32:
                good.append(provider)
            yield _ran_line(trial, tried, bundle.name) if isinstance(tried, Ran) else tried
    chosen = next((provider for provider in AUTO_ORDER if provider in good), None)
    if chosen is not None:
        yield Line(ROOM, "auto", Verdict.OK, f"would take {chosen}")
    absent = [str(name) for name in SPECS if name not in listed]
    if absent:
        said = f"{', '.join(absent)}: not in this onnxruntime"
        mend = "docs/providers.md says which package brings each, if you want one."
        yield Line(ROOM, "others", Verdict.ABSENT, said, mend)


def _precisions(bundle: Bundle, provider: ProviderName) -> Iterator[Precision]:
    """float32, and what else the bundle has for this provider."""
    there = {
        variant
        for name in NETWORK_NAMES
        for variant in bundle.manifest.networks[name].variant_names
    }
    for precision in Precision:
        own = precision is Precision.FLOAT32 or str(precision) in there
        if own and supports_precision(provider, precision):
            yield precision


def _tried(trial: Trial) -> Ran | Line:
    """What came of it; a line where nothing did."""
    seconds = SLOW_SECONDS if trial.provider is ProviderName.TENSORRT else SECONDS
    # What is tried on devices of its own may break in more ways than a message.
    is_cpu = trial.provider is ProviderName.CPU
    try:
        return apart(try_provider, trial, seconds)
    except CrashedError as error:
        mend = "Install onnxruntime again." if is_cpu else _WITHOUT
        return Line(ROOM, trial.subject, Verdict.PROBLEM, f"does not run: {error}", mend)
    except ProviderDisagreesError as error:
        return Line(ROOM, trial.subject, Verdict.PROBLEM, error.problem, f"{error.advice}.")
    except ProviderError as error:
        # Part of this onnxruntime, but not of this machine: only the CPU is everywhere.
        verdict = Verdict.WARNING if trial.provider in AUTO_ORDER else Verdict.ABSENT
        verdict = Verdict.PROBLEM if is_cpu else verdict
        return Line(ROOM, trial.subject, verdict, error.problem, error.advice)
    except RccOnnxError as error:
        mend = "See the bundle above." if is_cpu else _WITHOUT
        return Line(ROOM, trial.subject, Verdict.PROBLEM, f"does not run: {error}", mend)


_WITHOUT = "Use --provider cpu, and update the driver or the package."


def _ran_line(trial: Trial, ran: Ran, name: str) -> Line:
    speed = f"{ran.slice_s:.3f} s a slice, {ran.crop_s:.3f} s a crop, {ran.threads} threads"
    found = ran.self_test
    if not found.tested or found.largest_difference is None:
        return Line(
            ROOM,
            trial.subject,
            Verdict.WARNING,
            f"runs ({speed}), but {name} holds no stored answers to compare with",
            "Convert the bundle again, or add answers to it: python -m convert reference-outputs.",
        )
    parts = []
    if found.tolerance is not None:
        parts.append(f"by {found.largest_difference:.1e} at most ({found.tolerance:.0e} accepted)")
    if found.sum_tolerance is not None and found.largest_sum_difference is not None:
        share = f"{found.largest_sum_difference:.2%} at most ({found.sum_tolerance:.2%} accepted)"
        parts.append(f"in sums by {share}")
    said = f"answers as {name} was certified: differs {' and '.join(parts)}; {speed}"
    return Line(ROOM, trial.subject, Verdict.OK, said)


def try_provider(trial: Trial) -> Ran:
    """Open both networks, run the stored inputs, compare, and time.

    Raises:
        BundleError, ProviderError, NetworkError, OptionError: it cannot run here.
    """
    bundle = load_bundle(trial.folder)
    networks = open_networks(bundle, trial.provider, precision=trial.precision)
    answers = bundle.read_reference_outputs()
    tested = self_test(networks, networks.record, bundle.manifest, answers)
    slice_s, crop_s = _seconds(networks, answers)
    return Ran(slice_s, crop_s, networks.record.threads, tested)


def _seconds(networks: Networks, answers: ReferenceOutputs | None) -> tuple[float, float]:
    """Of one slice and of one crop: the stored ones, or zeros."""
    if answers is None:
        slices = np.zeros((2, *SLICE_SHAPE), np.float32)
        crop = np.zeros(CROP_SHAPE_ZYX, np.float32)
    else:
        slices, crop = network_input(answers.slices), network_input(answers.crop)
    kidney = _fastest(lambda: networks.kidney_probability(slices))
    return kidney / len(slices), _fastest(lambda: networks.lesion_probability(crop))


def _fastest(run: Callable[[], object]) -> float:
    spent = []
    for _ in range(TIMES):
        started = time.perf_counter()
        run()
        spent.append(time.perf_counter() - started)
    return min(spent)
