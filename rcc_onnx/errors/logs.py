"""Refusals of log files and of what is made of them."""

from rcc_onnx.errors.base import RccOnnxError

# --- Logs ----------------------------------------------------------------------------------------


class LogFileError(RccOnnxError, OSError):
    """The file of `--log-file` cannot be written, or lies among the studies."""

    code = "log-file"


class LogFileBusyError(LogFileError):
    """Another run writes to the same log file."""

    code = "log-file-busy"


# --- Support bundles -----------------------------------------------------------------------------


class SupportError(RccOnnxError):
    """A support bundle cannot be made."""

    code = "support"


class SupportInputError(SupportError, FileNotFoundError):
    """The folder of results or a log file is missing, or cannot be read."""

    code = "support-input"


class SupportBundleError(SupportError, OSError):
    """The zip file cannot be written where it should go."""

    code = "support-bundle"


class SupportBundleExistsError(SupportBundleError, FileExistsError):
    """The zip file is there already, and nobody said to replace it."""

    code = "support-bundle-exists"
