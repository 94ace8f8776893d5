"""`OUT/<case>_overview.png`: where in the patient a finding lies (docs/outputs.md)."""

from rcc_onnx.overview.page import overview

__all__ = ["overview"]
