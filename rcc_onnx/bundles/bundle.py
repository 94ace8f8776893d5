"""Model bundles: folders with a manifest and two networks, found, checked and chosen.

Nothing of a network is used before its bytes have the hash in the manifest, and the very bytes that
were hashed are the ones handed on: no file is read again between check and use.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.bundles.bundle_files import (
    LARGEST_MANIFEST,
    LARGEST_NETWORK,
    check_network_bytes,
    locate_bundle_file,
    manifest_of_bytes,
    network_entries,
    read_bundle_file,
    reference_outputs_of_bytes,
)
from rcc_onnx.bundles.data_folder import MODELS_VARIABLE, installed_folders, is_folder
from rcc_onnx.bundles.manifest import MANIFEST_FILE, NETWORK_NAMES, Manifest, NetworkName, StudyKind
from rcc_onnx.bundles.reference_outputs import LARGEST_REFERENCE_OUTPUTS, ReferenceOutputs
from rcc_onnx.bundles.variants import VariantName
from rcc_onnx.errors import BundleChoiceError, BundleError, BundleFolderError

_log = logging.getLogger(__name__)

SHIPPED_NAMES = frozenset({"phantom"})
"""Bundles of every rcc-onnx. `demo` uses them by name, so that none is installed over them."""

GET_PUBLISHED = (
    "Take models/kidney_segmentation.h5 and models/RCC_segmentation.h5 from the repository "
    "Naoki-Toda/RCC_detection, then run: python -m convert kidney_segmentation.h5 "
    "RCC_segmentation.h5 --name published --out models/published, and where the bundle is needed: "
    "rcc-onnx models install DIR"
)
"""How to come by a bundle for patients."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest is valid and whose files are there. Networks are read when asked."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    def read_network(self, name: NetworkName, variant: VariantName = "plain") -> bytes:
        """The bytes of one network, read once, checked, and given as they were checked.

        Args:
            name: which of the two.
            variant: one of `manifest.networks[name].variant_names`.

        Raises:
            BundleError (bundle-file): the file cannot be read.
            BundleError (bundle-hash): its hash is not the manifest's.
            BundleError: other leaves, see `onnx_file.read_onnx` and `onnx_check.check_network`.
        """
        entry = self.manifest.networks[name].variant(variant)
        data = read_bundle_file(self.folder, entry.file, LARGEST_NETWORK)
        check_network_bytes(data, entry, str(self.folder / entry.file))
        return data

    def read_reference_outputs(self) -> ReferenceOutputs | None:
        """What the source networks answered to a few inputs; None if the bundle does not say.

        Raises:
            BundleError (bundle-file): the file cannot be read.
            BundleError (bundle-hash): its hash is not the manifest's.
            BundleError (bundle-reference-outputs): it holds anything but answers.
        """
        entry = self.manifest.reference_outputs
        if entry is None:
            return None
        data = read_bundle_file(self.folder, entry.file, LARGEST_REFERENCE_OUTPUTS)
        return reference_outputs_of_bytes(data, entry, str(self.folder / entry.file))

    def check(self) -> None:
        """Read and check both networks in every variant, and the stored answers.

        Raises what `read_network` and `read_reference_outputs` raise.
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


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle's manifest and see that its files are there; `Bundle.check` does the rest.

    Raises:
        BundleFolderError: there is no manifest.json.
        BundleManifestError: it breaks the schema.
        BundleError (bundle-file): a file is missing, no regular file, or outside the folder.
    """
    bundle = Bundle(folder, _read_manifest(folder))
    for entry in network_entries(bundle.manifest):
        locate_bundle_file(folder, entry.file, LARGEST_NETWORK)
    if bundle.manifest.reference_outputs is not None:
        locate_bundle_file(
            folder, bundle.manifest.reference_outputs.file, LARGEST_REFERENCE_OUTPUTS
        )
    return bundle


def shipped_models_folder() -> Path | None:
    """The folder of bundles that came with rcc-onnx: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    if (package / "models").is_dir():
        return package / "models"
    # A folder named models in site-packages would belong to somebody else.
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "models").is_dir():
        return checkout / "models"
    return None


def search_folders(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Where bundles are looked for: RCC_ONNX_MODELS_FOLDER, then those installed and shipped.

    Raises:
        BundleFolderError: RCC_ONNX_MODELS_FOLDER is set, but names no folder of bundles.
        DataFolderError: RCC_ONNX_HOME is set, but is no absolute path or cannot be listed.
    """
    folders = []
    named = environ.get(MODELS_VARIABLE, "")
    if named:
        folder = Path(named)
        if not is_folder(folder):
            raise BundleFolderError(f"{MODELS_VARIABLE} is {named}, which is no folder")
        if _has_manifest(folder):
            raise BundleFolderError(
                f"{MODELS_VARIABLE} is {named}, which is a bundle. It must name the folder that "
                "bundles lie in; --models takes a single bundle."
            )
        folders.append(folder)
    folders += installed_folders(environ)
    shipped = shipped_models_folder()
    return (*folders, shipped) if shipped else tuple(folders)


def installed_bundles(
    folders: Sequence[Path] | None = None, *, check: bool = False
) -> tuple[Installed, ...]:
    """Every bundle in `folders` (default: `search_folders()`), sorted by name within a folder.

    A name found in one folder hides the same name in later ones, so that a user's bundle can
    replace a shipped one. Folders without a manifest.json are passed over.

    With `check` the networks are read and checked too (`models list` does that), and a bundle that
    fails is broken.

    Raises:
        BundleFolderError: one of the folders cannot be listed.
    """
    found: list[Installed] = []
    for folder in search_folders() if folders is None else folders:
        taken = {bundle.name for bundle in found}
        for bundle in bundles_in(folder, check=check):
            if bundle.name in taken:
                _log.info("bundle %s in %s is hidden by another", bundle.name, bundle.folder)
            else:
                found.append(bundle)
    return tuple(found)


def hidden_bundles(folders: Sequence[Path] | None = None) -> tuple[tuple[Installed, Path], ...]:
    """Bundles that `installed_bundles` leaves out, and the folder of the one that hides each.

    Raises:
        BundleFolderError: one of the folders cannot be listed.
    """
    first: dict[str, tuple[Path, Path]] = {}
    hidden = []
    for folder in search_folders() if folders is None else folders:
        for bundle in bundles_in(folder):
            home, by = first.setdefault(bundle.name, (folder, bundle.folder))
            if home != folder:
                hidden.append((bundle, by))
    return tuple(hidden)


def bundles_in(folder: Path, *, check: bool = False) -> tuple[Installed, ...]:
    """The bundles that lie directly in a folder, sorted by name. Raises BundleFolderError."""
    try:
        candidates = sorted(one for one in folder.iterdir() if _has_manifest(one))
    except OSError as error:
        raise BundleFolderError(f"{folder}: {error.strerror or 'cannot be listed'}") from error
    here = [_inspect(candidate, check=check) for candidate in candidates]
    return tuple(sorted(here, key=lambda one: one.name))


def find_bundle(name_or_folder: str, installed: Sequence[Installed] | None = None) -> Bundle:
    """The bundle that a user named: a folder, or the name of an installed bundle.

    What contains a path separator, or is a folder with a manifest.json, is taken as a folder.

    Raises:
        BundleFolderError, BundleChoiceError (unknown-bundle, several-bundles): it cannot be found.
        BundleError: it was found, but is broken.
    """
    folder = Path(name_or_folder)
    separators = {"/", "\\", os.sep}
    if separators & set(name_or_folder) or _has_manifest(folder):
        return load_bundle(folder)
    bundles = installed_bundles() if installed is None else installed
    named = [one for one in bundles if one.name == name_or_folder]
    if not named:
        known = ", ".join(sorted({one.name for one in bundles})) or "none"
        raise BundleChoiceError(
            f"no bundle named {name_or_folder!r} is installed. Installed: {known}. A bundle "
            f"elsewhere can be given as a folder: --models ./{name_or_folder}."
            f"{_if_folder_of_bundles(folder)}",
            code="unknown-bundle",
        )
    if len(named) > 1:
        folders = ", ".join(str(one.folder) for one in named)
        raise BundleChoiceError(
            f"several bundles are named {name_or_folder!r}; give one as a folder: {folders}",
            code="several-bundles",
        )
    (only,) = named
    if isinstance(only, BrokenBundle):
        raise only.error
    return only


def choose_bundle(study_kind: StudyKind, installed: Sequence[Installed] | None = None) -> Bundle:
    """The only installed bundle that may be used on such a study without being named by hand.

    Raises:
        BundleChoiceError (no-bundle): none is installed, or none for this kind of study.
        BundleChoiceError (no-patient-bundle): none may be used on patients.
        BundleChoiceError (several-bundles): more than one would do.
    """
    bundles = installed_bundles() if installed is None else installed
    broken = [one for one in bundles if isinstance(one, BrokenBundle)]
    usable = [one for one in bundles if isinstance(one, Bundle)]
    suitable = [one for one in usable if study_kind in one.manifest.use_on]
    if len(suitable) > 1:
        names = ", ".join(f"{one.name} ({one.folder})" for one in suitable)
        raise BundleChoiceError(
            f"several bundles would do: {names}. Say --models NAME or DIR.", code="several-bundles"
        )
    if suitable:
        for one in broken:
            _log.warning("bundle %s is broken and was passed over: %s", one.name, one.error)
        return suitable[0]
    note = "".join(f" Bundle {one.name} is broken: {one.error}" for one in broken)
    if study_kind == "patient":
        raise BundleChoiceError(_no_patient_bundle(usable) + note, code="no-patient-bundle")
    if not usable:
        raise BundleChoiceError(
            f"no usable model bundle is installed. {GET_PUBLISHED}.{note}", code="no-bundle"
        )
    names = ", ".join(one.name for one in usable)
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
            f"{' and '.join(bundle.manifest.use_on)} studies, whose answers on patients mean "
            "nothing."
        )
    return message


def _inspect(folder: Path, *, check: bool) -> Installed:
    name = folder.name
    try:
        name = _read_manifest(folder).name
        bundle = load_bundle(folder)
        if check:
            bundle.check()
    except BundleError as error:
        return BrokenBundle(folder, name, error)
    return bundle


def _has_manifest(folder: Path) -> bool:
    """Whether there is a manifest.json. A link that leads nowhere counts: a broken bundle."""
    return os.path.lexists(folder / MANIFEST_FILE)


def _if_folder_of_bundles(folder: Path) -> str:
    """A sentence for those who named a folder of bundles as a bundle; "" for others."""
    try:
        names = sorted(one.name for one in folder.iterdir() if _has_manifest(one))
    except (OSError, ValueError):
        return ""
    if not names:
        return ""
    return (
        f" Bundles lie in it ({', '.join(names)}): name one of them, or let {MODELS_VARIABLE} "
        "name the folder."
    )


def _read_manifest(folder: Path) -> Manifest:
    if not _has_manifest(folder):
        what = "has no manifest.json" if is_folder(folder) else "is no folder"
        raise BundleFolderError(
            f"{folder} {what}. A bundle is a folder with manifest.json, two .onnx files and "
            f"MODEL_CARD.md, as `python -m convert` writes it.{_if_folder_of_bundles(folder)}"
        )
    return manifest_of_bytes(read_bundle_file(folder, MANIFEST_FILE, LARGEST_MANIFEST))
