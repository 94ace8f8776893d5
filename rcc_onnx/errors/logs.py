"""Refusals of log files and of what is made of them."""

from rcc_onnx.errors.base import RccOnnxError

# --- Logs ----------------------------------------------------------------------------------------


class LogFileError(RccOnnxError, OSError):
    """The file of `--log-file` cannot be written, or lies among the studies."""

    code = "log-file"


class LogFileBusyError(LogFileError):
    """Another run writes to the same log file."""

    code = "log-file-busy"
