"""Refusals of model bundles, and of installing them."""

from rcc_onnx.errors.base import RccOnnxError

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


class ReferenceOutputsError(BundleError):
    """The file of stored answers holds anything but a few inputs and what networks answered."""

    code = "bundle-reference-outputs"


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
