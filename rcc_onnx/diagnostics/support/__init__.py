"""What goes into a support bundle: verdicts, logs and the doctor's report, without identity."""

from rcc_onnx.diagnostics.support.bundle import Packed, write_bundle

__all__ = ["Packed", "write_bundle"]
