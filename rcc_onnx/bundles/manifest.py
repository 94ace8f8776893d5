"""manifest.json of a model bundle, schema version 1: read strictly, written always the same way.

Every class checks its own fields when it is made, so a manifest that exists is a valid one, whether
it was read from a file or put together by the converter. The classes mirror the JSON key by key.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Generic, Literal, TypeVar, get_args

from rcc_onnx.bundles.manifest_fields import (
    any_list,
    any_object,
    at,
    check_bool,
    check_count,
    check_file_name,
    check_hex,
    check_number,
    check_text,
    is_plain_file_name,
    load_json,
    object_with,
    show,
)
from rcc_onnx.bundles.variants import (
    ExtraVariant,
    VariantEntry,
    VariantName,
    check_variants,
    read_variants,
)
from rcc_onnx.errors import BundleManifestError
from rcc_onnx.types import CROP_SHAPE_ZYX, GRID_SIZE, Thresholds

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
DOCUMENTS = ("MODEL_CARD.md", "LICENSE", "NOTICE")
"""Files for people that a bundle may have; nothing that runs depends on them."""
REFERENCE_OUTPUTS_FILE = "reference_outputs.npz"
"""What the source networks answered to a few inputs, in bundles that hold it."""
NO_NETWORKS = (MANIFEST_FILE, REFERENCE_OUTPUTS_FILE, *DOCUMENTS)
"""Names that no network's file can have."""

NetworkName = Literal["kidney", "lesion"]
NETWORK_NAMES: tuple[NetworkName, NetworkName] = ("kidney", "lesion")
KIDNEY_SHAPE = (GRID_SIZE, GRID_SIZE, 1)
"""Shape of one input, and of one output, of the 2D network: rows, columns, channel."""
LESION_SHAPE = (*CROP_SHAPE_ZYX, 1)
"""Shape of one input, and of one output, of the 3D network: slices, rows, columns, channel."""
BATCH = "batch"
"""Name of the first dimension: providers that need fixed shapes override it by this name."""

StudyKind = Literal["patient", "digital-phantom"]
STUDY_KINDS: tuple[StudyKind, ...] = get_args(StudyKind)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

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
    dtype: str

    def __post_init__(self) -> None:
        check_text(self.name, "name")
        if self.dtype != "float32":
            raise BundleManifestError(f"must be 'float32', not {show(self.dtype)}", "dtype")


@dataclass(frozen=True)
class NetworkEntry:
    """One ONNX file: its name inside the bundle folder, its hash and what it must look like.

    Attributes:
        variants: other forms of the network, each in a file of its own.
        left_out: why a variant that was tried is not there.
    """

    file: str
    sha256: str
    opset: int
    input: TensorEntry
    output: TensorEntry
    variants: Mapping[ExtraVariant, VariantEntry] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_file_name(self.file, "file")
        check_hex(self.sha256, 64, "sha256")
        check_count(self.opset, "opset", least=1)
        check_variants(self.variants, self.left_out)

    def variant(self, name: VariantName) -> "NetworkEntry":
        """The entry of one form: the plain one, or that of a variant, which must be there."""
        if name == "plain":
            return replace(self, variants={}, left_out={})
        variant = self.variants[name]
        return replace(self, file=variant.file, sha256=variant.sha256, variants={}, left_out={})

    @property
    def variant_names(self) -> tuple[VariantName, ...]:
        """Every form that the bundle has of this network."""
        return ("plain", *self.variants)


@dataclass(frozen=True)
class SourceFile:
    """A Keras file that a network was converted from; `published`: it is the published one."""

    file: str
    sha256: str
    git_blob: str
    published: bool

    def __post_init__(self) -> None:
        check_text(self.file, "file")
        if "/" in self.file or "\\" in self.file:
            raise BundleManifestError("must be a file name without a folder", "file")
        check_hex(self.sha256, 64, "sha256")
        check_hex(self.git_blob, 40, "git_blob")
        check_bool(self.published, "published")


@dataclass(frozen=True)
class NetworkCertificate:
    """What comparing Keras with ONNX Runtime gave. Differences are in probability.

    Attributes:
        inputs_by_kind: (kind, how many inputs) pairs, which add up to `inputs`.
    """

    inputs: int
    largest_difference: float
    decisions_equal: bool
    inputs_by_kind: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        check_count(self.inputs, "inputs", least=1)
        check_number(self.largest_difference, "largest_difference")
        check_bool(self.decisions_equal, "decisions_equal")
        with at("inputs_by_kind"):
            for kind, count in self.inputs_by_kind:
                check_text(kind, "a kind")
                check_count(count, kind, least=0)
            total = sum(count for _, count in self.inputs_by_kind)
            if total != self.inputs:
                raise BundleManifestError(f"adds up to {total}, but inputs is {self.inputs}")


@dataclass(frozen=True)
class Certificate:
    """Parity of both networks with their sources."""

    tolerance: float
    kidney: NetworkCertificate
    lesion: NetworkCertificate

    def __post_init__(self) -> None:
        check_number(self.tolerance, "tolerance")

    @property
    def holds(self) -> bool:
        """Both networks agree within the tolerance and every decision is the same."""
        return all(
            part.decisions_equal and part.largest_difference <= self.tolerance
            for part in (self.kidney, self.lesion)
        )


@dataclass(frozen=True)
class Provenance:
    """Where the networks came from. `converter`: (package, version) pairs."""

    sources: ByNetwork[SourceFile]
    converter: tuple[tuple[str, str], ...]
    certificate: Certificate

    def __post_init__(self) -> None:
        with at("converter"):
            for package, version in self.converter:
                check_text(package, "a package")
                check_text(version, package)


@dataclass(frozen=True)
class ReferenceOutputsEntry:
    """The file of stored answers (`bundles.reference_outputs`); always `REFERENCE_OUTPUTS_FILE`."""

    file: str
    sha256: str

    def __post_init__(self) -> None:
        if self.file != REFERENCE_OUTPUTS_FILE:
            raise BundleManifestError(
                f"must be {REFERENCE_OUTPUTS_FILE!r}, not {show(self.file)}", "file"
            )
        check_hex(self.sha256, 64, "sha256")


@dataclass(frozen=True)
class Manifest:
    """A valid manifest. `provenance` is None for a bundle made by hand: nothing is certified.

    `reference_outputs` is None for a bundle that cannot be asked whether a machine answers rightly.
    """

    name: str
    version: str
    purpose: str
    use_on: tuple[StudyKind, ...]
    licence: str
    thresholds: Thresholds
    networks: ByNetwork[NetworkEntry]
    provenance: Provenance | None
    reference_outputs: ReferenceOutputsEntry | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            problem = "must be 1 to 64 of a-z, 0-9, '.', '_', '-', starting with a letter or digit"
            raise BundleManifestError(f"{problem}, not {show(self.name)}", "name")
        if not is_plain_file_name(self.name):
            problem = f"{show(self.name)} cannot be the name of a folder on Windows"
            raise BundleManifestError(problem, "name")
        for key in ("version", "purpose", "licence"):
            check_text(getattr(self, key), key)
        kinds = self.use_on
        if not kinds or any(kind not in STUDY_KINDS for kind in kinds):
            problem = f"must be a list of one or more of {', '.join(STUDY_KINDS)}"
            raise BundleManifestError(f"{problem}, not {show(list(kinds))}", "use_on")
        if len(set(kinds)) != len(kinds):
            raise BundleManifestError("names the same kind of study twice", "use_on")
        for name, shape in (("kidney", KIDNEY_SHAPE), ("lesion", LESION_SHAPE)):
            entry = getattr(self.networks, name)
            _check_shape(entry.input.shape, shape, f"networks.{name}.input.shape")
            _check_shape(entry.output.shape, shape, f"networks.{name}.output.shape")
        # File systems that ignore case would hold one file for two such names.
        files = [
            entry.variant(form).file.lower()
            for entry in (self.networks.kidney, self.networks.lesion)
            for form in entry.variant_names
        ]
        if len(set(files)) != len(files):
            raise BundleManifestError("two networks name the same file", "networks")
        if taken := set(files) & {file.lower() for file in NO_NETWORKS}:
            problem = f"{show(min(taken))} cannot be the name of a network"
            raise BundleManifestError(problem, "networks")

    @staticmethod
    def from_json(text: str) -> "Manifest":
        """Read a manifest. Raises BundleManifestError, which names the key at fault."""
        raw = any_object(load_json(text))
        # First of all: another version has other keys, and it is the version that is the matter.
        _check_schema_version(raw.get("schema_version", SCHEMA_VERSION))
        raw = {"reference_outputs": None} | raw
        raw = object_with(raw, {"schema_version"} | {field.name for field in fields(Manifest)})
        with at("use_on"):
            use_on = any_list(raw["use_on"])
        with at("thresholds"):
            thresholds = _thresholds(raw["thresholds"])
        with at("networks"):
            networks = _both(raw["networks"], _network)
        provenance = None
        if raw["provenance"] is not None:
            with at("provenance"):
                provenance = _provenance(raw["provenance"])
        reference_outputs = None
        if raw["reference_outputs"] is not None:
            with at("reference_outputs"):
                reference_outputs = ReferenceOutputsEntry(
                    **object_with(raw["reference_outputs"], {"file", "sha256"})
                )
        plain = {key: raw[key] for key in ("name", "version", "purpose", "licence")}
        return Manifest(
            **plain,
            use_on=tuple(use_on),
            thresholds=thresholds,
            networks=networks,
            provenance=provenance,
            reference_outputs=reference_outputs,
        )

    def to_json(self) -> str:
        """The file's text: keys in the schema's order, two spaces, a newline at the end."""
        raw = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        # How near a threshold is borderline is the engine's matter, not the bundle's.
        del raw["thresholds"]["borderline"]
        if self.reference_outputs is None:
            del raw["reference_outputs"]
        for name in NETWORK_NAMES:
            entry = raw["networks"][name]
            raw["networks"][name] = {
                key: value for key, value in entry.items() if value or key not in _OPTIONAL
            }
        if self.provenance is not None:
            raw["provenance"]["converter"] = dict(self.provenance.converter)
            certificate = raw["provenance"]["certificate"]
            for name in NETWORK_NAMES:
                pairs = getattr(self.provenance.certificate, name).inputs_by_kind
                certificate[name]["inputs_by_kind"] = dict(pairs)
        return json.dumps(raw, indent=2, allow_nan=False) + "\n"


def _check_schema_version(version: object) -> None:
    if type(version) is int and version == SCHEMA_VERSION:
        return
    problem = f"this release reads version {SCHEMA_VERSION}, not {show(version)}"
    if type(version) is int:
        newer = version > SCHEMA_VERSION
        problem += "; " + ("install a newer rcc-onnx" if newer else "convert the bundle again")
    raise BundleManifestError(problem, "schema_version")


def _check_shape(shape: tuple[str | int, ...], one: tuple[int, ...], key: str) -> None:
    """The pipeline fixes the shapes: a batch of single inputs of shape `one`."""
    expected = (BATCH, *one)
    # 160.0 and True equal whole numbers in Python, so the types are compared too.
    if shape != expected or any(
        type(a) is not type(b) for a, b in zip(shape, expected, strict=True)
    ):
        raise BundleManifestError(f"must be {show(list(expected))}, not {show(list(shape))}", key)


# --- From JSON values to classes: the types that the classes themselves cannot check ------------


_OPTIONAL = {"variants", "left_out"}
"""Keys of a network that bundles without such forms do not have."""


def _network(raw: Any) -> NetworkEntry:
    raw = {key: {} for key in _OPTIONAL} | any_object(raw)
    raw = object_with(raw, {field.name for field in fields(NetworkEntry)})
    with at("variants"):
        variants = read_variants(raw["variants"])
    with at("left_out"):
        left_out = any_object(raw["left_out"])
    tensors = {}
    for end in ("input", "output"):
        with at(end):
            tensor = object_with(raw[end], {"name", "shape", "dtype"})
            with at("shape"):
                shape = tuple(any_list(tensor["shape"]))
            tensors[end] = TensorEntry(tensor["name"], shape, tensor["dtype"])
    ends = tensors["input"], tensors["output"]
    return NetworkEntry(raw["file"], raw["sha256"], raw["opset"], *ends, variants, left_out)


def _thresholds(raw: Any) -> Thresholds:
    names = {"kidney", "lesion", "borderline"}
    raw = object_with({"borderline": Thresholds.borderline, **any_object(raw)}, names)
    for name in names:
        check_number(raw[name], name)
    return Thresholds(**{name: float(raw[name]) for name in names})


def _provenance(raw: Any) -> Provenance:
    raw = object_with(raw, {"sources", "converter", "certificate"})
    with at("sources"):
        sources = _both(raw["sources"], _source)
    with at("converter"):
        converter = tuple(any_object(raw["converter"]).items())
    with at("certificate"):
        parts = object_with(raw["certificate"], {"tolerance", *NETWORK_NAMES})
        tolerance = parts.pop("tolerance")
        pair = _both(parts, _network_certificate)
        certificate = Certificate(tolerance, pair.kidney, pair.lesion)
    return Provenance(sources, converter, certificate)


def _source(raw: Any) -> SourceFile:
    return SourceFile(**object_with(raw, {field.name for field in fields(SourceFile)}))


def _network_certificate(raw: Any) -> NetworkCertificate:
    raw = object_with(raw, {field.name for field in fields(NetworkCertificate)})
    with at("inputs_by_kind"):
        pairs = tuple(any_object(raw.pop("inputs_by_kind")).items())
    return NetworkCertificate(**raw, inputs_by_kind=pairs)


def _both(raw: Any, read: Callable[[Any], T]) -> ByNetwork[T]:
    """Read an object that holds one value for each network."""
    raw = object_with(raw, set(NETWORK_NAMES))
    values = {}
    for name in NETWORK_NAMES:
        with at(name):
            values[name] = read(raw[name])
    return ByNetwork(**values)
