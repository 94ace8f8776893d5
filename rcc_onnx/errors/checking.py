"""Why results cannot be checked against what was written, or made again."""

from rcc_onnx.errors.base import RccOnnxError

# --- Checking results ----------------------------------------------------------------------------


class CheckError(RccOnnxError, ValueError):
    """Results cannot be checked."""

    code = "check"


class CheckFolderError(CheckError, FileNotFoundError):
    """There is no such folder of results, or it cannot be read."""

    code = "check-folder"


class SumsMissingError(CheckError, LookupError):
    """The folder has no SHA256SUMS: its run has not ended, or was killed."""

    code = "sums-missing"


class SumsFormatError(CheckError):
    """SHA256SUMS is damaged, or names files elsewhere."""

    code = "sums-format"


# --- Making a result again -----------------------------------------------------------------------


class ReproduceError(CheckError):
    """A case cannot be made again."""

    code = "reproduce"


class ReproduceInputError(ReproduceError):
    """No input was named: results hold no paths."""

    code = "reproduce-input"


class ReproduceCaseError(ReproduceError, LookupError):
    """The folder has no such case, or one without a result that could be made again."""

    code = "reproduce-case"


class OtherModelsError(ReproduceError, LookupError):
    """The bundle that gave the result is not there."""

    code = "other-models"


class OtherImagesError(ReproduceError):
    """The input holds other images than those that were analysed."""

    code = "other-images"
