"""Made-up measurements, for tests of what is made of them."""

from dataclasses import replace

from rcc_onnx.diagnostics.bench import Measurement
from rcc_onnx.diagnostics.bench_worker import Answer, Setup

ANSWER = Answer(
    seconds=2.0,
    stages_s={"reading_headers": 0.1, "kidney_network": 1.2, "lesion_network": 0.6, "total": 2.0},
    loading_s=0.0,
    slices=80,
    outcomes={"right": "lesion", "left": "no_lesion"},
    sums={"right": [9000.0, 120.0], "left": [8000.0, 0.5]},
    ran="cpu",
    reason="cpu was asked for",
    runtime="1.32.0",
    threads=2,
    bundle="tiny 1.0.0",
    variants={"kidney": "plain", "lesion": "cpu"},
    memory_bytes=300_000_000,
    peak_memory_bytes=400_000_000,
)


def measurement(
    provider: str = "cpu", precision: str = "float32", seconds: float = 2.0, **changes: object
) -> Measurement:
    """A setup that ran one case three times in about `seconds`; `changes` replace answer fields."""
    scale = seconds / ANSWER.seconds
    stages = {stage: one * scale for stage, one in ANSWER.stages_s.items()}
    same = replace(ANSWER, stages_s=stages, **changes)  # type: ignore[arg-type]
    warm = [replace(same, seconds=seconds * factor) for factor in (0.9, 1.0, 1.5)]
    cold = replace(warm[0], loading_s=0.5)
    return Measurement(Setup(provider, precision), None, seconds + 1, cold, {0: warm})


def refused(provider: str = "openvino", reason: str = "not installed") -> Measurement:
    return Measurement(Setup(provider), reason)
