"""What `rcc-onnx doctor` looks at: software, machine, and whether answers are right here."""

from rcc_onnx.diagnostics.doctor.lines import Line, Verdict
from rcc_onnx.diagnostics.doctor.report import Report, doctor_report, report_json

__all__ = ["Line", "Report", "Verdict", "doctor_report", "report_json"]
