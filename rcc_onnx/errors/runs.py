"""Refusals of runs and watched folders, and of the commands that read results."""

from typing import ClassVar

from rcc_onnx.errors.inputs import Codes, RccOnnxError

# --- Runs ----------------------------------------------------------------------------------------


class InputFolderError(RccOnnxError, FileNotFoundError):
    """The input is neither a study folder nor a folder of study folders."""

    code = "input-folder"
    codes: ClassVar[Codes] = {
        "reserved-name": "A case has a name that is reserved for the files of the run.",
    }


class AmbiguousInputError(RccOnnxError, ValueError):
    """An input folder may be one study or a folder of studies."""

    code = "ambiguous-input"


class PseudonymsError(RccOnnxError, ValueError):
    """The file of pseudonyms cannot be used. Messages name lines, not cases."""

    codes: ClassVar[Codes] = {
        "pseudonyms-file": "The file is missing, not CSV in UTF-8, or lacks `case,pseudonym`.",
        "pseudonym-missing": "A case has no pseudonym.",
        "pseudonym-duplicate": "A case has two lines, or two names are the same to a file system.",
        "pseudonym-unsafe": "A pseudonym is not a portable file name, or reveals the case's name.",
        "pseudonyms-out": "The output folder holds results under the cases' own names.",
    }


class OutputError(RccOnnxError, OSError):
    """Results cannot be written to the output folder."""

    code = "output"
    codes: ClassVar[Codes] = {"output-busy": "Another run writes to the same folder."}


class LogFileError(RccOnnxError, OSError):
    """The file of `--log-file` cannot be written, or is inside the input folder."""

    code = "log-file"
    codes: ClassVar[Codes] = {"log-file-busy": "Another run writes to the same log file."}


class CaseProcessError(RccOnnxError, RuntimeError):
    """The process that analysed a case did not finish."""

    code = "case-process"


class CaseCrashedError(CaseProcessError):
    """The process that analysed a case died: a decoder or a library crashed."""

    code = "case-crashed"


class CaseTimeoutError(CaseProcessError, TimeoutError):
    """A case took longer than the time limit."""

    code = "case-timeout"


class CaseMemoryError(CaseProcessError, MemoryError):
    """A case needed more memory than the limit, or than there is."""

    code = "case-memory"


# --- Watching ------------------------------------------------------------------------------------


class WatchError(RccOnnxError, RuntimeError):
    """Something is wrong with a watched folder or a study in it, perhaps for a while only."""


class InboxGoneError(WatchError, FileNotFoundError):
    """The watched folder is missing or cannot be read."""

    code = "inbox-gone"


class StudyChangedError(WatchError):
    """A study changed while it was analysed; nothing was written."""

    code = "study-changed"


class StudyUnreadableError(WatchError, OSError):
    """Files of a study cannot be read yet."""

    code = "study-unreadable"


class NameTakenError(WatchError, ValueError):
    """Two entries of a watched folder would have results of the same name."""

    code = "name-taken"


class MoveError(WatchError, OSError):
    """A finished study cannot be moved away."""

    code = "move"


# --- Verification, evaluation, diagnostics -------------------------------------------------------


class CheckError(RccOnnxError, ValueError):
    """Results cannot be checked or reproduced."""

    codes: ClassVar[Codes] = {
        "check-folder": "The folder of results is missing or cannot be read.",
        "sums-missing": "The folder has no SHA256SUMS: its run has not ended, or was killed.",
        "reproduce-input": "No input was named: results hold no paths.",
        "reproduce-case": "The folder has no result of this case that could be reproduced.",
        "other-models": "The bundle that gave the result is not installed.",
        "other-images": "The input holds other images than those that were analysed.",
    }


class SumsFormatError(CheckError):
    """SHA256SUMS is damaged, or names files outside the folder."""

    code = "sums-format"


class EvaluateError(RccOnnxError, ValueError):
    """Results cannot be compared with labels without guessing."""

    codes: ClassVar[Codes] = {
        "labels-file": "The labels cannot be read, are not UTF-8 text or CSV, or have no row.",
        "labels-columns": "The header of the labels lacks a column, or repeats one.",
        "labels-value": "Cells of the labels have invalid values.",
        "labels-duplicate": "One kidney is labelled in more than one row.",
        "labels-unknown-case": "Cases are labelled that have no result.",
        "labels-missing-case": "Cases have a result but no label.",
        "no-results": "The folder does not exist, or holds no result of `rcc-onnx infer`.",
        "mixed-runs": "The results come from different models, thresholds or settings.",
    }


class ResultDocumentError(EvaluateError):
    """A result in the folder is damaged, contradicts itself or has another schema version."""

    code = "result-document"


class MaskError(EvaluateError):
    """A mask cannot be compared."""

    codes: ClassVar[Codes] = {
        "mask-unreadable": "A mask is damaged, or is not a label image of three axes.",
        "mask-labels": "A mask holds values or segments of unknown meaning.",
        "mask-place": "A reference mask has no position, or another one than the predicted mask.",
        "masks-missing": "There is no pair of a predicted and a reference mask.",
    }


class SupportError(RccOnnxError, OSError):
    """A support bundle cannot be made."""

    codes: ClassVar[Codes] = {
        "support-input": "The folder of results or a log file is missing, or cannot be read.",
        "support-bundle": "The zip file cannot be written.",
        "support-bundle-exists": "The zip file exists already; --replace overwrites it.",
    }


class MissingExtraError(RccOnnxError, ImportError):
    """An optional package that this command needs is not installed."""

    code = "missing-extra"


class BenchError(RccOnnxError, RuntimeError):
    """No configuration that `rcc-onnx bench` was to measure could analyse its studies."""

    code = "bench"


class UnexpectedError(RccOnnxError, RuntimeError):
    """An unforeseen error: a defect of rcc-onnx."""

    code = "unexpected"
