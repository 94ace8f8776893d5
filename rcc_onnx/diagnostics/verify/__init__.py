"""Results against what was written, and against an analysis made again (docs/verifying.md)."""

from rcc_onnx.diagnostics.verify.compare import Comparison, Verdict
from rcc_onnx.diagnostics.verify.folder import FolderCheck, Kind, check_folder
from rcc_onnx.diagnostics.verify.reproduce import Reproduction, reproduce

__all__ = [
    "Comparison",
    "FolderCheck",
    "Kind",
    "Reproduction",
    "Verdict",
    "check_folder",
    "reproduce",
]
