"""Refusals of a run over cases, and what became of single ones."""

from rcc_onnx.errors.base import RccOnnxError

# --- Running -------------------------------------------------------------------------------------


class InputFolderError(RccOnnxError, FileNotFoundError):
    """What was given as input is no study folder and no folder of study folders."""

    code = "input-folder"


class AmbiguousInputError(RccOnnxError, ValueError):
    """An input folder may be one study or a folder of studies, and nothing tells which."""

    code = "ambiguous-input"


class OutputError(RccOnnxError, OSError):
    """Results cannot be written where they should go."""

    code = "output"


class OutputBusyError(OutputError):
    """Another run writes to the same folder."""

    code = "output-busy"


class OptionError(RccOnnxError, ValueError):
    """An option has a value that it cannot have."""

    code = "option"


class BenchError(RccOnnxError, RuntimeError):
    """No setup that `rcc-onnx bench` was to measure could analyse its studies."""

    code = "bench"


class UnexpectedError(RccOnnxError, RuntimeError):
    """Something that this program did not foresee: a defect."""

    code = "unexpected"


# --- Cases in processes of their own -------------------------------------------------------------


class CaseProcessError(RccOnnxError, RuntimeError):
    """The process that analysed a case did not come to its end."""

    code = "case-process"


class CaseCrashedError(CaseProcessError):
    """It died: a decoder or a library crashed."""

    code = "case-crashed"


class CaseTimeoutError(CaseProcessError, TimeoutError):
    """It took longer than a case may."""

    code = "case-timeout"


class CaseMemoryError(CaseProcessError, MemoryError):
    """It wanted more memory than a case may have, or than there is."""

    code = "case-memory"


# --- Tables and pseudonyms -----------------------------------------------------------------------


class ReservedNameError(InputFolderError):
    """A case has a name that the files of the whole run have."""

    code = "reserved-name"


class PseudonymsError(RccOnnxError, ValueError):
    """The file of pseudonyms cannot be used. Lines are named, cases are not."""

    code = "pseudonyms"


class PseudonymsFileError(PseudonymsError):
    """The file is missing, is no CSV in UTF-8, or has other columns than `case,pseudonym`."""

    code = "pseudonyms-file"


class PseudonymMissingError(PseudonymsError, LookupError):
    """A case has no pseudonym."""

    code = "pseudonym-missing"


class PseudonymDuplicateError(PseudonymsError):
    """A case has two lines, or two names differ in nothing that every file system can tell."""

    code = "pseudonym-duplicate"


class PseudonymUnsafeError(PseudonymsError):
    """A pseudonym cannot be a file's name everywhere, or gives a case's own name away."""

    code = "pseudonym-unsafe"


class PseudonymsOutError(PseudonymsError):
    """The output folder holds results under the cases' own names."""

    code = "pseudonyms-out"
