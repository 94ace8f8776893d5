"""Made-up figures of setups, for tests of what is made of them."""

from dataclasses import replace

from rcc_onnx.diagnostics.bench import (
    BenchReport,
    BenchSetup,
    CaseFigures,
    SetupFigures,
    SetupResult,
    recommend,
)
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.system.host import environment
from rcc_onnx.types import Outcome, Precision, ProviderName, Side

OUTCOMES: dict[Side, Outcome] = {"right": Outcome.LESION, "left": Outcome.NO_LESION}


def measured(
    provider: str = "cpu",
    precision: str = "float32",
    seconds: float = 2.0,
    peak_memory_bytes: int | None = 400_000_000,
    outcomes: dict[Side, Outcome] | None = None,
) -> SetupResult:
    """A setup that ran one case three times in about `seconds`."""
    setup = BenchSetup(ProviderName(provider), Precision(precision))
    warm = (0.9 * seconds, seconds, 1.5 * seconds)
    figures = SetupFigures(
        bundle="tiny 1.0.0",
        provider=ProviderRecord(setup.provider, setup.provider, "", 2, "1.32.0", setup.precision),
        cold_s=seconds + 1,
        loading_networks_s=0.5,
        warm_p50_s=seconds,
        warm_p95_s=1.45 * seconds,
        slices_per_s=80 / seconds,
        stages_p50_s={
            "reading_headers": 0.05 * seconds,
            "kidney_network": 0.6 * seconds,
            "lesion_network": 0.3 * seconds,
        },
        other_p50_s=0.05 * seconds,
        peak_memory_bytes=peak_memory_bytes,
        cases=(CaseFigures("[case]", 80, outcomes or OUTCOMES, warm),),
    )
    return SetupResult(setup, None, figures)


def refused(provider: str = "openvino", reason: str = "not installed") -> SetupResult:
    return SetupResult(BenchSetup(ProviderName(provider)), reason, None)


def report(*results: SetupResult) -> BenchReport:
    return BenchReport(1, "0.1.0", "notice", environment(), results, recommend(results))


def with_cases(result: SetupResult, *cases: CaseFigures) -> SetupResult:
    """The same setup with these cases in place of its own."""
    assert result.figures is not None
    return replace(result, figures=replace(result.figures, cases=cases))
