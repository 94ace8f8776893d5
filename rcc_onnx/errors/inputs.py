"""Refusals of what a run is given: studies, model bundles, providers, options."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rcc_onnx.types import SeriesRow

Codes = Mapping[str, str]


class RccOnnxError(Exception):
    """Any refusal of rcc-onnx.

    Args:
        message: what happened, where, and what to do.
        code: a key of the class's `codes`; needed where the class has no `code` of its own.
    """

    code: str = "error"
    codes: ClassVar[Codes] = {}
    """The sentence in docs/errors.md for each code beside the class's own `code`, which the first
    paragraph of its docstring describes."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


# --- Studies -------------------------------------------------------------------------------------


class IntakeError(RccOnnxError, ValueError):
    """A folder does not hold one study that can be analysed without guessing."""

    codes: ClassVar[Codes] = {
        "too-many-files": "The folder holds more files than a study can have.",
        "archive-damaged": "The file is damaged or is not a zip archive.",
        "archive-too-large": "Unpacked, the archive would exceed a limit on size, number or ratio.",
        "archive-unsafe-name": "A name in the archive leads outside of it.",
        "archive-encrypted": "The archive is encrypted.",
        "no-dicom": "No DICOM file was found.",
        "no-ct": "There are DICOM files, but none is a usable CT slice.",
        "missing-attribute": "A slice lacks a required DICOM attribute.",
        "invalid-attribute": "A DICOM attribute has an impossible value, such as a spacing of 0.",
        "mixed-series": "Slices of one stack differ in what they must share.",
        "mixed-matrix": "Slices of one stack differ in rows or columns.",
        "mixed-spacing": "Slices of one stack differ in PixelSpacing.",
        "mixed-orientation": "Slices of one stack differ in ImageOrientationPatient.",
        "not-axial": "The slices are coronal, sagittal or oblique.",
        "gantry-tilt": "The slices are tilted about the patient's left-right axis (gantry tilt).",
        "sheared-series": "The slices are shifted against each other, as by a tilted gantry.",
        "too-few-slices": "The series has too few slices to determine their spacing.",
        "missing-slices": "A gap between neighbours is a multiple of the slice spacing.",
        "uneven-spacing": "The gaps between neighbours differ.",
        "spacing-out-of-range": "A slice or pixel spacing is outside the supported range.",
        "values-not-hu": "Air, fat and soft tissue do not have plausible Hounsfield units.",
        "notebook-stops": "The published notebook fails on this study, so its profile does too.",
    }


class FolderNotFoundError(IntakeError, FileNotFoundError):
    """The study folder or archive does not exist, or is something else."""

    code = "folder-not-found"


class SeveralSeriesError(IntakeError):
    """More than one series is suitable, and none was selected.

    `series`: the candidates, as in the table of `rcc-onnx series`.
    """

    code = "several-series"
    codes: ClassVar[Codes] = {
        "several-studies": "The suitable series belong to more than one study.",
        "no-suitable-series": "There are several series, and none is suitable.",
        "unknown-series": "The requested series does not exist.",
    }

    def __init__(
        self, message: str, series: Sequence[SeriesRow] = (), code: str | None = None
    ) -> None:
        super().__init__(message, code)
        self.series = tuple(series)


class DuplicatePositionsError(IntakeError):
    """Two different slices of a series have the same position."""

    code = "duplicate-positions"


class PixelsError(IntakeError):
    """The pixels of a slice cannot be decoded: truncated, damaged, or not as in the header."""

    code = "pixels-undecodable"
    codes: ClassVar[Codes] = {
        "stored-bits": "Stored values do not fit the bits and the sign that the header names.",
        "transfer-syntax": "No decoder exists for the transfer syntax of a slice.",
        "pixel-plugin-missing": "The package that decodes this transfer syntax is not installed.",
    }


class ProbabilityMapError(RccOnnxError, ValueError):
    """An array given as a probability map or a volume cannot be one."""

    code = "probability-map"


# --- Model bundles -------------------------------------------------------------------------------


class BundleError(RccOnnxError, ValueError):
    """A model bundle is missing, broken, modified or not meant for this study."""

    codes: ClassVar[Codes] = {
        "bundle-file": "A file is missing, not a regular file, or outside the bundle's folder.",
        "bundle-hash": "A network's bytes do not have the hash in manifest.json.",
        "bundle-reference-outputs": "The file of reference outputs is damaged.",
        "bundle-network": "A network's inputs, outputs or opset differ from manifest.json.",
        "external-data": "A network keeps weights outside its ONNX file, which its hash omits.",
        "custom-operator": "A network needs operators or functions that are not ONNX's own.",
        "install-running": "Another command is changing the installed bundles.",
        "bundle-sha256": "A bundle does not have the requested SHA-256.",
        "bundle-installed": "Another bundle is installed under this name.",
        "bundle-name-taken": "A bundle has the name of one that comes with rcc-onnx.",
        "bundle-not-removable": "A bundle was not installed by `rcc-onnx models install`.",
        "bundle-undeclared-file": "A zip file holds a file that manifest.json does not name.",
        "bundle-archive-damaged": "The file is not a zip file, or is truncated, damaged or padded.",
        "bundle-archive-name": "A name in the zip file is unsafe, not portable, or repeated.",
        "bundle-archive-member": "The zip file holds a link or a device, or is encrypted.",
        "bundle-archive-too-large": "The zip file or its content is larger than a bundle can be.",
    }


class BundleManifestError(BundleError):
    """manifest.json breaks the schema. `key` is the dotted path to the value at fault."""

    code = "bundle-manifest"

    def __init__(self, problem: str, key: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.key = key

    def __str__(self) -> str:
        where = f"manifest.json, {self.key}" if self.key else "manifest.json"
        return f"{where}: {self.problem}"


class OnnxFormatError(BundleError):
    """The bytes of a network are not one well-formed ONNX model."""

    code = "onnx-format"


class BundleFolderError(BundleError, FileNotFoundError):
    """A folder named as a bundle, or as a folder of bundles, is not one."""

    code = "bundle-folder"
    codes: ClassVar[Codes] = {
        "bundle-source": "The bundle to install is not a zip file or a folder.",
    }


class BundleChoiceError(BundleError, LookupError):
    """None, or more than one, of the installed bundles fits the request."""

    codes: ClassVar[Codes] = {
        "unknown-bundle": "No installed bundle has the requested name.",
        "no-bundle": "No bundle is installed, or none for this kind of study.",
        "no-patient-bundle": "No bundle that may be used on patients is installed.",
        "several-bundles": "More than one bundle fits; choose one.",
    }


class BundleExportError(BundleError, OSError):
    """The zip file of a bundle cannot be written."""

    code = "bundle-export"


class DataFolderError(BundleError, OSError):
    """The data folder is not an absolute path, or cannot be read or written."""

    code = "data-folder"


# --- Running networks ----------------------------------------------------------------------------


class ProviderError(RccOnnxError, RuntimeError):
    """The requested execution provider cannot run here. `advice`: what to do about it."""

    code = "provider"
    codes: ClassVar[Codes] = {
        "provider-not-loaded": "A library, a driver or a device that it needs is missing.",
        "provider-conflict": "Several onnxruntime packages are installed over one another.",
    }

    def __init__(self, problem: str, advice: str = "", code: str | None = None) -> None:
        super().__init__(problem, code)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem}. {self.advice}" if self.advice else self.problem


class RuntimeNotUsableError(ProviderError, ImportError):
    """onnxruntime itself is missing or cannot be imported."""

    code = "onnxruntime-not-usable"


class ProviderNotInstalledError(ProviderError):
    """The installed onnxruntime was built without this provider."""

    code = "provider-not-installed"


class ProviderDisagreesError(ProviderError):
    """The provider runs, but its outputs differ from the reference outputs; it is not used."""

    code = "provider-disagrees"


class NetworkError(RccOnnxError, RuntimeError):
    """A network cannot be loaded or run, or its output is not plausible."""

    codes: ClassVar[Codes] = {
        "network-load": "onnxruntime cannot load a network.",
        "network-run": "onnxruntime failed while running a network.",
        "network-input": "A network was given an array of a wrong shape or type.",
    }


class NetworkOutputError(NetworkError):
    """A network's output has a wrong shape or holds values that are not probabilities."""

    code = "network-output"


# --- Options and settings ------------------------------------------------------------------------


class OptionError(RccOnnxError, ValueError):
    """An option has an invalid value."""

    code = "option"
    codes: ClassVar[Codes] = {
        "threads": "The number of threads is not a whole number of at least 1.",
        "precision": "The bundle has no network of this precision, or the provider cannot run it.",
    }


class SettingsError(RccOnnxError, ValueError):
    """A settings file or an environment variable cannot be used."""

    codes: ClassVar[Codes] = {
        "settings-file": "A settings file is missing, unreadable, not TOML, or among the studies.",
        "settings-unknown-key": "A settings file names a command or an option that does not exist.",
        "settings-value": "A setting has a value of the wrong type, or an invalid one.",
        "settings-variable": "An environment variable RCC_ONNX_... names no option.",
    }
