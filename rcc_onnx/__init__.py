"""rcc-onnx: finds kidneys and suspected renal lesions in contrast-enhanced abdominal CT.

Research software, not for diagnosis.

    from rcc_onnx import Engine

    engine = Engine.load(models="published", provider="cpu")
    result = engine.analyse("studies/case01")
    for side, finding in result.sides.items():
        print(side, finding.outcome)
"""

from typing import TYPE_CHECKING, Any

from rcc_onnx._version import __version__

if TYPE_CHECKING:
    from rcc_onnx.engine import Engine
    from rcc_onnx.results import CaseResult

__all__ = ["CaseResult", "Engine", "__version__"]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for, so that `rcc-onnx --version` need not wait for numpy and scipy.
    if name == "Engine":
        from rcc_onnx.engine import Engine  # noqa: PLC0415

        return Engine
    if name == "CaseResult":
        from rcc_onnx.results import CaseResult  # noqa: PLC0415

        return CaseResult
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
