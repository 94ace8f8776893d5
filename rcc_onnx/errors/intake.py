"""Refusals of a study: what is read from its files."""

from collections.abc import Sequence

from rcc_onnx.errors.base import RccOnnxError
from rcc_onnx.types import SeriesRow


class IntakeError(RccOnnxError, ValueError):
    """A folder does not hold one study that can be analysed without guessing."""

    code = "intake"


class FolderNotFoundError(IntakeError, FileNotFoundError):
    """The study folder or archive does not exist, or is something else."""

    code = "folder-not-found"


class TooManyFilesError(IntakeError):
    """The folder holds more files than a study can have."""

    code = "too-many-files"


class ArchiveError(IntakeError):
    """A zip archive cannot be used as it is."""

    code = "archive"


class ArchiveDamagedError(ArchiveError):
    """The archive is damaged, or is none."""

    code = "archive-damaged"


class ArchiveTooLargeError(ArchiveError):
    """Unpacked, the archive would break a limit on size, number or ratio."""

    code = "archive-too-large"


class ArchiveUnsafeNameError(ArchiveError):
    """A name in the archive leads outside of it."""

    code = "archive-unsafe-name"


class ArchiveEncryptedError(ArchiveError):
    """The archive is encrypted."""

    code = "archive-encrypted"


class NoDicomError(IntakeError):
    """No DICOM file was found."""

    code = "no-dicom"


class NoCtError(IntakeError):
    """There are DICOM files, but no CT slice that could be used."""

    code = "no-ct"


class SeveralSeriesError(IntakeError):
    """More than one series is suitable, and nothing says which is meant.

    `series`: the candidates, as in the table of `rcc-onnx series`.
    """

    code = "several-series"

    def __init__(self, message: str, series: Sequence[SeriesRow] = ()) -> None:
        super().__init__(message)
        self.series = tuple(series)


class SeveralStudiesError(SeveralSeriesError):
    """The suitable series belong to more than one study, where a policy must not choose."""

    code = "several-studies"


class NoSuitableSeriesError(SeveralSeriesError):
    """There are several series, and each was refused for a reason of its own."""

    code = "no-suitable-series"


class UnknownSeriesError(SeveralSeriesError, LookupError):
    """The series that was asked for is not there."""

    code = "unknown-series"


class MissingAttributeError(IntakeError):
    """A slice lacks a DICOM attribute that cannot be done without."""

    code = "missing-attribute"


class InvalidAttributeError(IntakeError):
    """A DICOM attribute holds something that cannot be meant, such as a spacing of zero."""

    code = "invalid-attribute"


class MixedSeriesError(IntakeError):
    """Slices of one stack differ in what they must share."""

    code = "mixed-series"


class MixedMatrixError(MixedSeriesError):
    """Slices of one stack differ in rows or columns."""

    code = "mixed-matrix"


class MixedSpacingError(MixedSeriesError):
    """Slices of one stack differ in PixelSpacing."""

    code = "mixed-spacing"


class MixedOrientationError(MixedSeriesError):
    """Slices of one stack differ in ImageOrientationPatient."""

    code = "mixed-orientation"


class NotAxialError(IntakeError):
    """The slices are coronal, sagittal or oblique."""

    code = "not-axial"


class GantryTiltError(NotAxialError):
    """The slices are tilted about the patient's left-right axis, as by a tilted gantry."""

    code = "gantry-tilt"


class ShearedSeriesError(IntakeError):
    """The slices are shifted against each other, as a tilted gantry shifts them."""

    code = "sheared-series"


class TooFewSlicesError(IntakeError):
    """The series has too few slices to tell their spacing."""

    code = "too-few-slices"


class DuplicatePositionsError(IntakeError):
    """Two different slices of a series lie at the same place."""

    code = "duplicate-positions"


class MissingSlicesError(IntakeError):
    """A gap between neighbours is a multiple of the slice spacing."""

    code = "missing-slices"


class UnevenSpacingError(IntakeError):
    """The gaps between neighbours differ."""

    code = "uneven-spacing"


class SpacingRangeError(IntakeError):
    """A slice or pixel spacing is outside what the networks can be given."""

    code = "spacing-out-of-range"


class PixelsError(IntakeError):
    """The pixels of a slice cannot be had: cut short, damaged, or not what the header says."""

    code = "pixels-undecodable"


class StoredBitsError(PixelsError):
    """Stored values do not fit the bits and the sign that the header names."""

    code = "stored-bits"


class TransferSyntaxError(PixelsError, NotImplementedError):
    """No decoder exists for the transfer syntax of a slice."""

    code = "transfer-syntax"


class PixelPluginError(PixelsError, RuntimeError):
    """The package that decodes this transfer syntax is not installed."""

    code = "pixel-plugin-missing"


class ValuesNotHuError(IntakeError):
    """Air, fat and soft tissue are not where Hounsfield units put them."""

    code = "values-not-hu"


class NotebookStopsError(IntakeError):
    """The published notebook ends with an error here, so its profile has no answer."""

    code = "notebook-stops"


class ProbabilityMapError(RccOnnxError, ValueError):
    """An array that was handed over as a probability map or a volume cannot be one."""

    code = "probability-map"
