"""`OUT/<case>_overview.png`: where in the patient a finding lies (docs/outputs.md)."""

from rcc_onnx.output.overview.page import overview
from rcc_onnx.output.overview.palette import indexed

__all__ = ["indexed", "overview"]
