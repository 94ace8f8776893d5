"""manifest.json of a model bundle, schema version 1.

The dataclasses are the only statement of its keys and values. `read_manifest` reads them, and
`system.documents.document_bytes` writes them. Each checks its values when it is made, so a manifest
that the converter puts together is as valid as one that was read.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from rcc_onnx.errors import BundleManifestError
from rcc_onnx.system.documents import STRICT, DocumentError, read_document
from rcc_onnx.types import CROP_SHAPE_ZYX, GRID_SIZE, NETWORK_NAMES, NetworkName, Thresholds

SCHEMA_VERSION: Literal[1] = 1
MANIFEST_FILE = "manifest.json"
REFERENCE_OUTPUTS_FILE: Literal["reference_outputs.npz"] = "reference_outputs.npz"
DOCUMENTS = ("MODEL_CARD.md", "LICENSE", "NOTICE")
"""Files for people that a bundle may have; nothing that runs depends on them."""
RESERVED_FILES = (MANIFEST_FILE, REFERENCE_OUTPUTS_FILE, *DOCUMENTS)
"""Names that no network's file can have."""
LONGEST_TEXT = 2000
"""Characters in any text of the manifest: it is printed in tables and error messages."""

KIDNEY_SHAPE = (GRID_SIZE, GRID_SIZE, 1)
"""Shape of one input, and of one output, of the 2D network: rows, columns, channel."""
LESION_SHAPE = (*CROP_SHAPE_ZYX, 1)
"""Shape of one input, and of one output, of the 3D network: slices, rows, columns, channel."""
BATCH = "batch"
"""Name of the first dimension: providers that need fixed shapes override it by this name."""

StudyKind = Literal["patient", "digital-phantom"]
ExtraVariant = Literal["cpu", "int8", "float16"]
"""`cpu`: float32, rewritten for CPUs. `int8`: 8-bit integers, for CPUs. `float16`: for GPUs."""
VariantName = Literal["plain", "cpu", "int8", "float16"]
"""The ONNX files that a bundle can have of one network: the plain one, and its variants."""

_BUNDLE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Windows opens a device, not a file, for these names with any extension.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)

T = TypeVar("T")


@dataclass(frozen=True)
class ByNetwork(Generic[T]):
    """One value for each of the two networks."""

    kidney: T
    lesion: T

    def __getitem__(self, name: NetworkName) -> T:
        return self.kidney if name == "kidney" else self.lesion


@dataclass(frozen=True)
class TensorEntry:
    """The only input or output of a network; `shape` starts with the name "batch"."""

    name: str
    shape: tuple[str | int, ...]
    dtype: Literal["float32"]

    def __post_init__(self) -> None:
        _check_text(self.name, "name")


@dataclass(frozen=True)
class VariantComparison:
    """How a variant compared with the plain network on the same inputs.

    Attributes:
        decisions: how many were compared: each a sum against the threshold, and what was located.
        largest_difference: in probability.
        largest_sum_difference: of a sum of probabilities, relative to it or to the threshold,
            whichever is larger.
        least_dice: of the two masks at 0.5, over all maps in which something is found; 1 if
            no map has anything.
    """

    inputs: int
    decisions: int
    decisions_equal: bool
    largest_difference: float
    largest_sum_difference: float
    least_dice: float

    def __post_init__(self) -> None:
        for name in ("inputs", "decisions"):
            _check_least(getattr(self, name), 1, name)
        for name in ("largest_difference", "largest_sum_difference", "least_dice"):
            _check_least(getattr(self, name), 0, name)


@dataclass(frozen=True)
class VariantEntry:
    """An ONNX file with the weights of a network, arranged or rounded for some processors.

    It takes and gives what the plain network does. `note` says for people how it was made.
    """

    file: str
    sha256: str
    note: str
    comparison: VariantComparison

    def __post_init__(self) -> None:
        _check_file_name(self.file)
        _check_hex(self.sha256, 64, "sha256")
        _check_text(self.note, "note")


@dataclass(frozen=True)
class NetworkEntry:
    """One ONNX file: its name inside the bundle folder, its hash and what it must look like.

    Attributes:
        variants: of this network, each in a file of its own.
        left_out: why a variant that was tried is not there.
    """

    file: str
    sha256: str
    opset: int
    input: TensorEntry
    output: TensorEntry
    variants: Mapping[ExtraVariant, VariantEntry] = field(default_factory=dict)
    left_out: Mapping[ExtraVariant, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_file_name(self.file)
        _check_hex(self.sha256, 64, "sha256")
        _check_least(self.opset, 1, "opset")
        for name, reason in self.left_out.items():
            _check_text(reason, f"left_out.{name}")

    def variant(self, name: VariantName) -> "NetworkEntry":
        """Return the entry of one variant, which must be there."""
        found = self if name == "plain" else self.variants[name]
        return replace(self, file=found.file, sha256=found.sha256, variants={}, left_out={})

    @property
    def variant_names(self) -> tuple[VariantName, ...]:
        """Every variant that the bundle has of this network, `plain` first."""
        return ("plain", *self.variants)


@dataclass(frozen=True)
class SourceFile:
    """A Keras file that a network was converted from; `published`: it is the published one."""

    file: str
    sha256: str
    git_blob: str
    published: bool

    def __post_init__(self) -> None:
        _check_text(self.file, "file")
        _check("/" not in self.file and "\\" not in self.file, "file must not name a folder")
        _check_hex(self.sha256, 64, "sha256")
        _check_hex(self.git_blob, 40, "git_blob")


@dataclass(frozen=True)
class NetworkCertificate:
    """Result of comparing Keras with ONNX Runtime. Differences are in probability.

    Attributes:
        inputs_by_kind: how many inputs of each kind; they add up to `inputs`.
    """

    inputs: int
    largest_difference: float
    decisions_equal: bool
    inputs_by_kind: Mapping[str, int]

    def __post_init__(self) -> None:
        _check_least(self.inputs, 1, "inputs")
        _check_least(self.largest_difference, 0, "largest_difference")
        for kind, count in self.inputs_by_kind.items():
            _check_text(kind, "a kind of inputs_by_kind")
            _check_least(count, 0, f"inputs_by_kind.{kind}")
        _check(
            sum(self.inputs_by_kind.values()) == self.inputs,
            "inputs_by_kind does not add up to inputs",
        )


@dataclass(frozen=True)
class Certificate:
    """Parity of both networks with their sources."""

    tolerance: float
    kidney: NetworkCertificate
    lesion: NetworkCertificate

    def __post_init__(self) -> None:
        _check_least(self.tolerance, 0, "tolerance")

    @property
    def holds(self) -> bool:
        """Both networks agree within the tolerance and every decision is the same."""
        return all(
            part.decisions_equal and part.largest_difference <= self.tolerance
            for part in (self.kidney, self.lesion)
        )


@dataclass(frozen=True)
class Provenance:
    """Where the networks came from. `converter`: versions by package."""

    sources: ByNetwork[SourceFile]
    converter: Mapping[str, str]
    certificate: Certificate

    def __post_init__(self) -> None:
        for package, version in self.converter.items():
            _check_text(package, "a package of converter")
            _check_text(version, f"converter.{package}")


@dataclass(frozen=True)
class ReferenceOutputsEntry:
    """The file of reference outputs (`bundles.reference_outputs`)."""

    file: Literal["reference_outputs.npz"]
    sha256: str

    def __post_init__(self) -> None:
        _check_hex(self.sha256, 64, "sha256")


@dataclass(frozen=True)
class Manifest:
    """A valid manifest.

    Attributes:
        use_on: kinds of studies that the bundle may be chosen for without being named.
        thresholds: sums of probabilities above which something is there, unless requested.
        provenance: None for a bundle made by hand, of which nothing is certified.
        reference_outputs: None for a bundle that no machine can be compared with.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema_version: Literal[1]
    name: str
    version: str
    purpose: str
    use_on: tuple[StudyKind, ...]
    licence: str
    thresholds: ByNetwork[float]
    networks: ByNetwork[NetworkEntry]
    provenance: Provenance | None
    reference_outputs: ReferenceOutputsEntry | None = None

    def __post_init__(self) -> None:
        _check(
            _BUNDLE_NAME.fullmatch(self.name) is not None,
            "name must be 1 to 64 of a-z, 0-9, '.', '_', '-', starting with a letter or digit",
        )
        _check(is_plain_file_name(self.name), "name cannot be the name of a folder on Windows")
        for key in ("version", "purpose", "licence"):
            _check_text(getattr(self, key), key)
        kinds = get_args(StudyKind)
        _check(bool(self.use_on), f"use_on must name at least one of {', '.join(kinds)}")
        _check(set(self.use_on) <= set(kinds), f"use_on may only name {', '.join(kinds)}")
        _check(len(set(self.use_on)) == len(self.use_on), "use_on names a kind of study twice")
        for name, shape in zip(NETWORK_NAMES, (KIDNEY_SHAPE, LESION_SHAPE), strict=True):
            _check_least(self.thresholds[name], 0, f"thresholds.{name}")
            entry, expected = self.networks[name], (BATCH, *shape)
            for end in ("input", "output"):
                _check(
                    getattr(entry, end).shape == expected,
                    f"networks.{name}.{end}.shape must be {list(expected)}",
                )
        # File systems that ignore case would hold one file for two such names.
        files = [
            entry.variant(variant).file.lower()
            for entry in (self.networks.kidney, self.networks.lesion)
            for variant in entry.variant_names
        ]
        _check(len(set(files)) == len(files), "networks name the same file twice")
        taken = set(files) & {file.lower() for file in RESERVED_FILES}
        _check(not taken, "networks name a file that has another purpose in a bundle")

    @property
    def default_thresholds(self) -> Thresholds:
        """The bundle's thresholds with the default of what a manifest does not hold."""
        return Thresholds(self.thresholds.kidney, self.thresholds.lesion)


@dataclass(frozen=True)
class _AnyManifest:
    """A manifest of any version."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {**STRICT, "extra": "ignore"}

    schema_version: int


def read_manifest(data: bytes) -> Manifest:
    """Return the manifest that the bytes of a file hold.

    Raises:
        BundleManifestError: they break the schema; `key` is the path to what is wrong.
    """
    try:
        # First, since another version has other keys.
        version = read_document(_AnyManifest, data, complete=False).schema_version
        if version != SCHEMA_VERSION:
            remedy = "install a newer rcc-onnx" if version > SCHEMA_VERSION else "convert it again"
            problem = f"this release reads version {SCHEMA_VERSION}, not {version}: {remedy}"
            raise BundleManifestError(problem, "schema_version")
        return read_document(Manifest, data)
    except DocumentError as error:
        raise BundleManifestError(error.reason, error.path) from None


def is_plain_file_name(name: str) -> bool:
    """Return whether `name` can only mean a file directly inside the folder it is joined to."""
    named = _FILE_NAME.fullmatch(name) and not _DEVICE.fullmatch(name)
    return bool(named) and not name.endswith(".")


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)


def _check_text(text: str, name: str) -> None:
    """A text that a terminal can show as it is."""
    _check(bool(text.strip()), f"{name} must not be empty")
    _check(len(text) <= LONGEST_TEXT, f"{name} is longer than {LONGEST_TEXT} characters")
    _check(text.replace("\n", "").isprintable(), f"{name} holds control characters")


def _check_file_name(file: str) -> None:
    allowed = "letters, digits, '.', '_', '-'"
    _check(
        is_plain_file_name(file),
        f"file must be a plain file name ({allowed}) in the bundle's own folder",
    )


def _check_hex(text: str, digits: int, name: str) -> None:
    _check(
        re.fullmatch(f"[0-9a-f]{{{digits}}}", text) is not None,
        f"{name} must be {digits} hexadecimal digits in lower case",
    )


def _check_least(value: float, least: int, name: str) -> None:
    # Written so that what is not a number, and infinity, fail too.
    _check(least <= value < math.inf, f"{name} must be a number of at least {least}")
