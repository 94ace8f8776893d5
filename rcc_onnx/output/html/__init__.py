"""`OUT/report.html`: all cases of a run in one file that needs nothing else (docs/outputs.md)."""

from rcc_onnx.output.html.fragments import FRAGMENTS, fragment_name, write_fragment
from rcc_onnx.output.html.report import REPORT_NAME, write_report

__all__ = ["FRAGMENTS", "REPORT_NAME", "fragment_name", "write_fragment", "write_report"]
