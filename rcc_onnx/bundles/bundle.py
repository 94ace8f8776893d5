"""Model bundles: folders with a manifest and two networks, found, checked and chosen.

Nothing of a network is used before its bytes have the hash in the manifest, and the very bytes that
were hashed are the ones handed on: no file is read again between check and use. Where the bytes
come from, a folder or a zip file, the same checks decide.
"""

import hashlib
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.bundles.data_folder import MODELS_VARIABLE, installed_folders, is_folder
from rcc_onnx.bundles.manifest import (
    DOCUMENTS,
    MANIFEST_FILE,
    REFERENCE_OUTPUTS_FILE,
    Manifest,
    NetworkEntry,
    ReferenceOutputsEntry,
    StudyKind,
    VariantName,
    read_manifest,
)
from rcc_onnx.bundles.onnx_validation import check_network, read_onnx
from rcc_onnx.bundles.reference_outputs import (
    LARGEST_REFERENCE_OUTPUTS,
    ReferenceOutputs,
    read_reference_outputs,
)
from rcc_onnx.errors import BundleChoiceError, BundleError, BundleFolderError, OnnxFormatError
from rcc_onnx.types import NETWORK_NAMES, NetworkName

_log = logging.getLogger(__name__)

SHIPPED_NAMES = frozenset({"phantom"})
"""Bundles of every rcc-onnx. `demo` uses them by name, so that none is installed over them."""
LARGEST_DOCUMENT = 2**20
"""Bytes of the manifest, the model card ...; they have some thousand."""
LARGEST_NETWORK = 2**31 - 1
"""Bytes; protobuf cannot hold more, so no ONNX file without external data can be larger."""

GET_PUBLISHED = (
    "Take models/kidney_segmentation.h5 and models/RCC_segmentation.h5 from the repository "
    "Naoki-Toda/RCC_detection, then run: python -m convert kidney_segmentation.h5 "
    "RCC_segmentation.h5 --name published --out models/published, and where the bundle is needed: "
    "rcc-onnx models install DIR"
)
"""How to get a bundle for patients."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest is valid and whose files are there. Networks are read when asked."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    def read_network(self, name: NetworkName, variant: VariantName = "plain") -> bytes:
        """Return the bytes of one network, read once and checked.

        Args:
            name: of the network.
            variant: one of `manifest.networks[name].variant_names`.

        Raises:
            BundleError (bundle-file): the file cannot be read.
            BundleError: as `check_network_bytes`.
        """
        entry = self.manifest.networks[name].variant(variant)
        data = read_bundle_file(self.folder, entry.file)
        check_network_bytes(data, entry, str(self.folder / entry.file))
        return data

    def read_reference_outputs(self) -> ReferenceOutputs | None:
        """Return what the source networks gave for a few inputs; None if the bundle has it not.

        Raises:
            BundleError (bundle-file): the file cannot be read.
            BundleError: as `check_reference_outputs`.
        """
        entry = self.manifest.reference_outputs
        if entry is None:
            return None
        data = read_bundle_file(self.folder, entry.file)
        return check_reference_outputs(data, entry, str(self.folder / entry.file))

    def check(self) -> None:
        """Read and check every variant of both networks, and the reference outputs.

        Raises:
            BundleError: as `read_network` and `read_reference_outputs`.
        """
        for name in NETWORK_NAMES:
            for variant in self.manifest.networks[name].variant_names:
                self.read_network(name, variant)
        self.read_reference_outputs()


@dataclass(frozen=True)
class BrokenBundle:
    """A folder with a manifest.json that cannot be used, and why.

    `name` is the manifest's where that could be read, else the folder's.
    """

    folder: Path
    name: str
    error: BundleError


Installed = Bundle | BrokenBundle


def network_entries(manifest: Manifest) -> tuple[NetworkEntry, ...]:
    """Return an entry for each network file of the bundle, plain variants first."""
    entries = (manifest.networks[name] for name in NETWORK_NAMES)
    return tuple(entry.variant(variant) for entry in entries for variant in entry.variant_names)


def check_network_bytes(data: bytes, entry: NetworkEntry, where: str) -> None:
    """Check that these bytes are the network of the entry. `where` names their file in messages.

    Raises:
        BundleError (bundle-hash): their hash is not the entry's.
        BundleError: as `onnx_validation.read_onnx` and `onnx_validation.check_network`.
    """
    _check_hash(data, entry.sha256, where)
    try:
        summary = read_onnx(data)
    except OnnxFormatError as error:
        raise OnnxFormatError(f"{where}: is not a well-formed ONNX file: it {error}") from None
    check_network(summary, entry)


def check_reference_outputs(
    data: bytes, entry: ReferenceOutputsEntry, where: str
) -> ReferenceOutputs:
    """Return the reference outputs in these bytes, once they have the entry's hash.

    Raises:
        BundleError (bundle-hash): their hash is not the entry's.
        BundleError (bundle-reference-outputs): they hold anything else.
    """
    _check_hash(data, entry.sha256, where)
    return read_reference_outputs(data, where)


def _check_hash(data: bytes, sha256: str, where: str) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise BundleError(
            f"{where}: has SHA-256 {digest}, manifest.json says {sha256}. The file was "
            "changed or damaged: get the bundle again, or convert it again.",
            code="bundle-hash",
        )


def largest_file(file: str) -> int:
    """Return how many bytes a file of a bundle may have, by its name."""
    if file == REFERENCE_OUTPUTS_FILE:
        return LARGEST_REFERENCE_OUTPUTS
    return LARGEST_DOCUMENT if file in (MANIFEST_FILE, *DOCUMENTS) else LARGEST_NETWORK


def locate_bundle_file(folder: Path, file: str) -> Path:
    """Return the real path of a regular file in the folder; links may not lead out of it.

    Raises:
        BundleError (bundle-file): it is missing, or larger than it may be.
    """
    path, largest = folder / file, largest_file(file)
    try:
        home, real = folder.resolve(strict=True), path.resolve(strict=True)
        status = real.stat()
    except (OSError, RuntimeError) as error:
        # Path.resolve raises RuntimeError for a loop of links before Python 3.13.
        problem = getattr(error, "strerror", None) or "cannot be followed"
        raise BundleError(f"{path}: {problem}", code="bundle-file") from error
    if not real.is_relative_to(home):
        problem = "is a link that leads out of the bundle's folder"
    elif not stat.S_ISREG(status.st_mode):
        problem = "is not a regular file"
    elif status.st_size > largest:
        problem = f"is larger than {largest} bytes"
    else:
        return real
    raise BundleError(f"{path}: {problem}", code="bundle-file")


def read_bundle_file(folder: Path, file: str) -> bytes:
    """Return the bytes of a file that `locate_bundle_file` finds. Raises BundleError."""
    real = locate_bundle_file(folder, file)
    try:
        return real.read_bytes()
    except OSError as error:
        problem = error.strerror or "cannot be read"
        raise BundleError(f"{folder / file}: {problem}", code="bundle-file") from error


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle's manifest and check that its files are there; `Bundle.check` does the rest.

    Raises:
        BundleFolderError: there is no manifest.json.
        BundleManifestError: it breaks the schema.
        BundleError (bundle-file): a file is missing, not a regular file, or outside the folder.
    """
    if not _has_manifest(folder):
        problem = "has no manifest.json" if is_folder(folder) else "is not a folder"
        raise BundleFolderError(
            f"{folder} {problem}. A bundle is a folder with manifest.json, two .onnx files and "
            f"MODEL_CARD.md, as `python -m convert` writes it.{_bundles_below(folder)}"
        )
    bundle = Bundle(folder, read_manifest(read_bundle_file(folder, MANIFEST_FILE)))
    for entry in network_entries(bundle.manifest):
        locate_bundle_file(folder, entry.file)
    if bundle.manifest.reference_outputs is not None:
        locate_bundle_file(folder, REFERENCE_OUTPUTS_FILE)
    return bundle


def shipped_models_folder() -> Path | None:
    """Return the folder of bundles that came with rcc-onnx, in the package or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    if (package / "models").is_dir():
        return package / "models"
    # A folder named models in site-packages would belong to another package.
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "models").is_dir():
        return checkout / "models"
    return None


def search_folders() -> tuple[Path, ...]:
    """Return where bundles are looked for: RCC_ONNX_MODELS_FOLDER, then installed and shipped.

    Raises:
        BundleFolderError: RCC_ONNX_MODELS_FOLDER is set, but is not a folder of bundles.
        DataFolderError: RCC_ONNX_HOME is set, but is not an absolute path or cannot be listed.
    """
    folders = []
    named = os.environ.get(MODELS_VARIABLE, "")
    if named:
        folder = Path(named)
        if not is_folder(folder):
            raise BundleFolderError(f"{MODELS_VARIABLE} is {named}, which is not a folder")
        if _has_manifest(folder):
            raise BundleFolderError(
                f"{MODELS_VARIABLE} is {named}, which is a bundle. It must name the folder that "
                "bundles lie in; --models takes a single bundle."
            )
        folders.append(folder)
    folders += installed_folders()
    shipped = shipped_models_folder()
    return (*folders, shipped) if shipped else tuple(folders)


def installed_bundles(
    folders: Sequence[Path] | None = None, *, check: bool = False
) -> tuple[Installed, ...]:
    """Return every bundle in `folders` (default: `search_folders()`), by name within a folder.

    A name found in one folder hides the same name in later ones, so that a user's bundle can
    replace a shipped one. Folders without a manifest.json are ignored. With `check` the networks
    are read and checked too, and a bundle that fails is broken.

    Raises:
        BundleFolderError: one of the folders cannot be listed.
    """
    return tuple(bundle for bundle, hider in _search(folders, check=check) if hider is None)


def hidden_bundles(folders: Sequence[Path] | None = None) -> tuple[tuple[Installed, Path], ...]:
    """Return bundles that `installed_bundles` leaves out, and the folder that hides each.

    Raises:
        BundleFolderError: one of the folders cannot be listed.
    """
    return tuple((bundle, hider) for bundle, hider in _search(folders) if hider is not None)


def _search(
    folders: Sequence[Path] | None, *, check: bool = False
) -> Iterator[tuple[Installed, Path | None]]:
    """Yield every bundle, and the folder of the one that hides it."""
    first: dict[str, tuple[Path, Path]] = {}
    for folder in search_folders() if folders is None else folders:
        for bundle in bundles_in(folder, check=check):
            searched, hider = first.setdefault(bundle.name, (folder, bundle.folder))
            yield bundle, None if searched == folder else hider


def bundles_in(folder: Path, *, check: bool = False) -> tuple[Installed, ...]:
    """Return the bundles that lie directly in a folder, by name. Raises BundleFolderError."""
    try:
        candidates = sorted(entry for entry in folder.iterdir() if _has_manifest(entry))
    except OSError as error:
        raise BundleFolderError(f"{folder}: {error.strerror or 'cannot be listed'}") from error
    bundles = [_inspect(candidate, check=check) for candidate in candidates]
    return tuple(sorted(bundles, key=lambda bundle: bundle.name))


def _inspect(folder: Path, *, check: bool) -> Installed:
    name = folder.name
    try:
        name = read_manifest(read_bundle_file(folder, MANIFEST_FILE)).name
        bundle = load_bundle(folder)
        if check:
            bundle.check()
    except BundleError as error:
        return BrokenBundle(folder, name, error)
    return bundle


def find_bundle(name_or_folder: str, installed: Sequence[Installed] | None = None) -> Bundle:
    """Return the bundle that a user named: a folder, or the name of an installed bundle.

    What contains a path separator, or is a folder with a manifest.json, is taken as a folder.

    Raises:
        BundleFolderError, BundleChoiceError (unknown-bundle, several-bundles): it cannot be found.
        BundleError: it was found, but is broken.
    """
    folder = Path(name_or_folder)
    if {"/", "\\", os.sep} & set(name_or_folder) or _has_manifest(folder):
        return load_bundle(folder)
    bundles = installed_bundles() if installed is None else installed
    named = [bundle for bundle in bundles if bundle.name == name_or_folder]
    if not named:
        known = ", ".join(sorted({bundle.name for bundle in bundles})) or "none"
        raise BundleChoiceError(
            f"no bundle named {name_or_folder!r} is installed. Installed: {known}. A bundle "
            f"elsewhere can be given as a folder: --models ./{name_or_folder}."
            f"{_bundles_below(folder)}",
            code="unknown-bundle",
        )
    if len(named) > 1:
        folders = ", ".join(str(bundle.folder) for bundle in named)
        raise BundleChoiceError(
            f"several bundles are named {name_or_folder!r}; give one as a folder: {folders}",
            code="several-bundles",
        )
    (only,) = named
    if isinstance(only, BrokenBundle):
        raise only.error
    return only


def choose_bundle(study_kind: StudyKind, installed: Sequence[Installed] | None = None) -> Bundle:
    """Return the only installed bundle that may be used on such a study without being named.

    Raises:
        BundleChoiceError (no-bundle): none is installed, or none for this kind of study.
        BundleChoiceError (no-patient-bundle): none may be used on patients.
        BundleChoiceError (several-bundles): more than one would do.
    """
    bundles = installed_bundles() if installed is None else installed
    broken = [bundle for bundle in bundles if isinstance(bundle, BrokenBundle)]
    usable = [bundle for bundle in bundles if isinstance(bundle, Bundle)]
    suitable = [bundle for bundle in usable if study_kind in bundle.manifest.use_on]
    if len(suitable) > 1:
        names = ", ".join(f"{bundle.name} ({bundle.folder})" for bundle in suitable)
        raise BundleChoiceError(
            f"several bundles would do: {names}. Say --models NAME or DIR.", code="several-bundles"
        )
    if suitable:
        for bundle in broken:
            _log.warning("bundle %s is broken and not used: %s", bundle.name, bundle.error)
        return suitable[0]
    note = "".join(f" Bundle {bundle.name} is broken: {bundle.error}" for bundle in broken)
    if study_kind == "patient":
        raise BundleChoiceError(_no_patient_bundle(usable) + note, code="no-patient-bundle")
    if not usable:
        raise BundleChoiceError(
            f"no usable model bundle is installed. {GET_PUBLISHED}.{note}", code="no-bundle"
        )
    names = ", ".join(bundle.name for bundle in usable)
    raise BundleChoiceError(
        f"no installed bundle is meant for digital phantoms (installed: {names}). "
        f"Name one by hand with --models NAME.{note}",
        code="no-bundle",
    )


def _no_patient_bundle(usable: Sequence[Bundle]) -> str:
    message = f"no installed bundle may be used on patients. {GET_PUBLISHED}."
    for bundle in usable:
        message += (
            f" --models {bundle.name} forces the bundle made for "
            f"{' and '.join(bundle.manifest.use_on)} studies, whose results on patients mean "
            "nothing."
        )
    return message


def _has_manifest(folder: Path) -> bool:
    """Return whether there is a manifest.json. A broken link counts: a broken bundle."""
    return os.path.lexists(folder / MANIFEST_FILE)


def _bundles_below(folder: Path) -> str:
    """Return a hint for users who named a folder of bundles as a bundle; "" for others."""
    try:
        names = sorted(entry.name for entry in folder.iterdir() if _has_manifest(entry))
    except (OSError, ValueError):
        return ""
    if not names:
        return ""
    return (
        f" Bundles lie in it ({', '.join(names)}): name one of them, or let {MODELS_VARIABLE} "
        "name the folder."
    )
