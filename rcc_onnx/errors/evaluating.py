"""Refusals of `rcc-onnx evaluate`, and of what an extra is missing for."""

from rcc_onnx.errors.base import RccOnnxError


class MissingExtraError(RccOnnxError, ImportError):
    """An optional package that this command needs is not installed."""

    code = "missing-extra"


class EvaluateError(RccOnnxError, ValueError):
    """Results and labels cannot be set against each other without guessing."""

    code = "evaluate"


class LabelsFileError(EvaluateError, OSError):
    """The file of labels cannot be read, is not UTF-8 text or CSV, or holds no row."""

    code = "labels-file"


class LabelsColumnsError(EvaluateError):
    """The header of the labels lacks a column, or names one twice."""

    code = "labels-columns"


class LabelsValueError(EvaluateError):
    """Cells of the labels hold what cannot stand there."""

    code = "labels-value"


class LabelsDuplicateError(EvaluateError):
    """One kidney is labelled in more than one row."""

    code = "labels-duplicate"


class UnknownCaseError(EvaluateError, LookupError):
    """Cases are labelled that have no result."""

    code = "labels-unknown-case"


class UnlabelledCaseError(EvaluateError, LookupError):
    """Cases have a result and no label."""

    code = "labels-missing-case"


class NoResultsError(EvaluateError, FileNotFoundError):
    """The folder does not exist, or holds no result of `rcc-onnx infer`."""

    code = "no-results"


class ResultDocumentError(EvaluateError):
    """A result in the folder is damaged, contradicts itself or is of another schema version."""

    code = "result-document"


class MixedRunsError(EvaluateError):
    """The results come of different models, thresholds or settings, so no figure fits all."""

    code = "mixed-runs"


class MaskError(EvaluateError):
    """A mask cannot be compared."""

    code = "mask"


class MaskUnreadableError(MaskError, OSError):
    """A mask is damaged, or is no label image of three axes."""

    code = "mask-unreadable"


class MaskLabelsError(MaskError):
    """A mask holds values or segments of which nothing says what they stand for."""

    code = "mask-labels"


class MaskPlaceError(MaskError):
    """A reference mask has no place in the patient, or lies elsewhere than the predicted one."""

    code = "mask-place"


class MasksMissingError(MaskError, FileNotFoundError):
    """There is not one pair of a predicted and a reference mask."""

    code = "masks-missing"
