"""Every way in which rcc-onnx refuses its input, as one tree.

The root is `RccOnnxError`. Each leaf carries a stable `code` (scripts may rely on it) and also
inherits the builtin that fits, so that callers who never heard of this module can catch it too.
A message says what is wrong, where, and what to do next; it never holds a patient's data.
"""

from collections.abc import Sequence
from typing import ClassVar

from rcc_onnx.intake_record import SeriesRow


class RccOnnxError(Exception):
    """Anything that rcc-onnx refuses. `code` is stable between releases."""

    code: ClassVar[str] = "error"


# --- Reading a study -----------------------------------------------------------------------------


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


# --- Model bundles -------------------------------------------------------------------------------


class BundleError(RccOnnxError, ValueError):
    """A model bundle is missing, broken, changed or not meant for this study."""

    code = "bundle"


class BundleManifestError(BundleError):
    """manifest.json breaks the schema. `key` is the dotted path to the key at fault."""

    code = "bundle-manifest"

    def __init__(self, problem: str, key: str = "") -> None:
        super().__init__(problem, key)
        self.problem = problem
        self.key = key

    def __str__(self) -> str:
        where = f"manifest.json, {self.key}" if self.key else "manifest.json"
        return f"{where}: {self.problem}"


class OnnxFormatError(BundleError):
    """The bytes of a network are not one well-formed ONNX model."""

    code = "onnx-format"


class BundleFileError(BundleError):
    """A file of a bundle is missing, is no regular file, or lies outside the bundle's folder."""

    code = "bundle-file"


class BundleHashError(BundleError):
    """A network's bytes are not those that the manifest was written for."""

    code = "bundle-hash"


class BundleNetworkError(BundleError):
    """A network's inputs, outputs or opset are not what the manifest says."""

    code = "bundle-network"


class ExternalDataError(BundleError):
    """A network keeps weights outside its ONNX file, so outside what its hash covers."""

    code = "external-data"


class CustomOperatorError(BundleError):
    """A network needs operators, or functions, that are not ONNX's own."""

    code = "custom-operator"


class BundleFolderError(BundleError, FileNotFoundError):
    """A folder that was named as a bundle, or as a folder of bundles, is none."""

    code = "bundle-folder"


class UnknownBundleError(BundleError, LookupError):
    """No installed bundle has the name that was asked for."""

    code = "unknown-bundle"


class NoBundleError(BundleError, LookupError):
    """No bundle is installed at all, or none for this kind of study."""

    code = "no-bundle"


class NoPatientBundleError(NoBundleError):
    """No bundle that may be used on patients is installed."""

    code = "no-patient-bundle"


class SeveralBundlesError(BundleError, LookupError):
    """More than one bundle would do: the choice is the user's."""

    code = "several-bundles"


# --- Installing bundles --------------------------------------------------------------------------


class DataFolderError(BundleError, OSError):
    """The data folder is not named rightly, or cannot be read or written."""

    code = "data-folder"


class InstallRunningError(BundleError, RuntimeError):
    """Another command is changing the installed bundles at this moment."""

    code = "install-running"


class BundleSourceError(BundleError, FileNotFoundError):
    """What was given to be installed is no zip file, no folder and no URL."""

    code = "bundle-source"


class BundleSha256Error(BundleError):
    """A bundle, or what was downloaded, does not have the SHA-256 that was asked for."""

    code = "bundle-sha256"


class BundleInstalledError(BundleError, FileExistsError):
    """Another bundle is installed under this name, and nobody said to replace it."""

    code = "bundle-installed"


class BundleNameTakenError(BundleError):
    """A bundle has the name of one that comes with rcc-onnx."""

    code = "bundle-name-taken"


class BundleNotRemovableError(BundleError):
    """A bundle was not installed by `rcc-onnx models install`, so it is not removed by it."""

    code = "bundle-not-removable"


class UndeclaredFileError(BundleError):
    """A zip file holds what manifest.json does not name and no bundle has."""

    code = "bundle-undeclared-file"


class BundleExportError(BundleError, OSError):
    """The zip file of a bundle cannot be written where it should go."""

    code = "bundle-export"


class BundleArchiveError(BundleError):
    """A zip file cannot be used as a bundle."""

    code = "bundle-archive"


class BundleArchiveDamagedError(BundleArchiveError):
    """The file is no zip file, is cut short or damaged, or has something before or behind it."""

    code = "bundle-archive-damaged"


class BundleArchiveNameError(BundleArchiveError):
    """A name in the zip file leads elsewhere, cannot be a file everywhere, or is there twice."""

    code = "bundle-archive-name"


class BundleArchiveMemberError(BundleArchiveError):
    """The zip file holds a link or a device, or is encrypted or packed in an unusual way."""

    code = "bundle-archive-member"


class BundleArchiveTooLargeError(BundleArchiveError):
    """The zip file, or what it unpacks to, is larger than a bundle can be."""

    code = "bundle-archive-too-large"


class DownloadError(BundleError, OSError):
    """A bundle cannot be downloaded."""

    code = "download"


class DownloadUrlError(DownloadError):
    """The URL, or one that it leads to, is not http or https, or cannot be used."""

    code = "download-url"


class DownloadHashNeededError(DownloadError):
    """A URL was given without the SHA-256 that tells the right bundle from others."""

    code = "download-sha256-needed"


class DownloadStatusError(DownloadError):
    """The server, or a proxy, answered that it will not send the file."""

    code = "download-status"


class DownloadUnreachableError(DownloadError):
    """The server cannot be reached, or does not prove to be the one that it should be."""

    code = "download-unreachable"


class DownloadInterruptedError(DownloadError):
    """The connection broke off or fell silent; what came is kept, and is continued."""

    code = "download-interrupted"


class DownloadTooLargeError(DownloadError):
    """The file is larger than a bundle can be."""

    code = "download-too-large"


# --- Sessions ------------------------------------------------------------------------------------


class ProviderError(RccOnnxError, RuntimeError):
    """An execution provider that was asked for cannot run here. `advice`: what to do about it."""

    code = "provider"

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem}. {self.advice}" if self.advice else self.problem


class RuntimeNotUsableError(ProviderError, ImportError):
    """onnxruntime itself is missing or cannot be imported."""

    code = "onnxruntime-not-usable"


class ProviderNotInstalledError(ProviderError):
    """The onnxruntime that is installed was built without this provider."""

    code = "provider-not-installed"


class ProviderNotLoadedError(ProviderError):
    """The provider is installed, but a library, a driver or a device that it needs is missing."""

    code = "provider-not-loaded"


class ProviderConflictError(ProviderError):
    """Several onnxruntime packages are installed over one another; the wanted one is hidden."""

    code = "provider-conflict"


class ThreadsError(RccOnnxError, ValueError):
    """The number of threads is not a whole number of at least 1."""

    code = "threads"


class PrecisionError(RccOnnxError, ValueError):
    """The bundle has no network of this precision, or the provider does not run it."""

    code = "precision"


class NetworkError(RccOnnxError, RuntimeError):
    """A network cannot be loaded, cannot be run, or answers nonsense."""

    code = "network"


class NetworkLoadError(NetworkError):
    """onnxruntime refuses a network."""

    code = "network-load"


class NetworkRunError(NetworkError):
    """onnxruntime failed while it ran a network."""

    code = "network-run"


class NetworkOutputError(NetworkError):
    """A network's answer has a wrong shape or holds what is no probability."""

    code = "network-output"


class NetworkInputError(NetworkError, ValueError):
    """A network was given an array of a wrong shape or type."""

    code = "network-input"


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


# --- Cases in processes of their own --------------------------------------------------------------


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


# --- Evaluating ----------------------------------------------------------------------------------


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
