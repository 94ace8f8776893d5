"""rcc-onnx: finds kidneys and suspected renal lesions in contrast-enhanced abdominal CT.

Research software, not for diagnosis.

    from rcc_onnx import Engine

    engine = Engine.load(models="published", provider="cpu")
    result = engine.analyse("studies/case01")
    for side, finding in result.sides.items():
        print(side, finding.outcome)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rcc_onnx._version import __version__

if TYPE_CHECKING:
    from rcc_onnx.engine import Engine
    from rcc_onnx.options import InferenceOptions
    from rcc_onnx.results import CaseResult

__all__ = ["CaseResult", "Engine", "InferenceOptions", "__version__"]

_HOMES = {"Engine": "engine", "InferenceOptions": "options", "CaseResult": "results"}


def __getattr__(name: str) -> Any:
    # Loaded when first used, so that `rcc-onnx --version` need not wait for numpy.
    if name in _HOMES:
        return getattr(import_module(f"rcc_onnx.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
