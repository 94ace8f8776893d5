"""What a result hangs on, as plain values that its document holds: options, models, files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rcc_onnx.manifest import NETWORK_NAMES, Manifest

Json = dict[str, Any]


@dataclass(frozen=True)
class AskedOptions:
    """What was asked for. None: the default of the bundle or the machine. No path, which may hold a
    name.

    Attributes:
        save: what was asked for with `--save`.
        pseudonyms: whether the case has a pseudonym.
    """

    profile: str
    provider: str
    precision: str
    threads: int | None
    kidney_threshold: float | None
    lesion_threshold: float | None
    series: str | None
    series_policy: str | None
    mask_cutoff: float
    borderline: float
    save: tuple[str, ...] = ()
    pseudonyms: bool = False

    def as_json(self) -> Json:
        """As documents hold it."""
        return {**asdict(self), "save": list(self.save)}

    @classmethod
    def from_json(cls, document: Json) -> "AskedOptions":
        """The inverse of `as_json`. Raises TypeError or KeyError for another document."""
        return cls(**{**document, "save": tuple(document["save"])})


@dataclass(frozen=True)
class SourceUsed:
    """The Keras file that a network was made from; `published`: it is the published one."""

    sha256: str
    published: bool


@dataclass(frozen=True)
class ParityUsed:
    """What comparing a network with its source gave. The difference is in probability."""

    inputs: int
    largest_difference: float
    decisions_equal: bool


@dataclass(frozen=True)
class CertificateUsed:
    """A bundle's certificate in short. `holds`: within the tolerance, and every decision the
    same."""

    tolerance: float
    holds: bool
    networks: Mapping[str, ParityUsed]


@dataclass(frozen=True)
class CertifiedBy:
    """Where the networks of a bundle came from, and how that was shown."""

    sources: Mapping[str, SourceUsed]
    certificate: CertificateUsed

    @classmethod
    def of(cls, manifest: Manifest) -> "CertifiedBy | None":
        """None of a bundle that was made by hand."""
        origin = manifest.provenance
        if origin is None:
            return None
        certificate = origin.certificate
        parts = {"kidney": certificate.kidney, "lesion": certificate.lesion}
        return cls(
            {
                name: SourceUsed(origin.sources[name].sha256, origin.sources[name].published)
                for name in NETWORK_NAMES
            },
            CertificateUsed(
                certificate.tolerance,
                certificate.holds,
                {
                    name: ParityUsed(one.inputs, one.largest_difference, one.decisions_equal)
                    for name, one in parts.items()
                },
            ),
        )

    @staticmethod
    def as_json(certified: "CertifiedBy | None") -> Json:
        """The keys `sources` and `certificate`, both null of a bundle that was made by hand."""
        if certified is None:
            return {"sources": None, "certificate": None}
        short = certified.certificate
        return {
            "sources": {name: asdict(one) for name, one in certified.sources.items()},
            "certificate": {
                "tolerance": short.tolerance,
                "holds": short.holds,
                **{name: asdict(one) for name, one in short.networks.items()},
            },
        }

    @classmethod
    def from_json(cls, document: Json) -> "CertifiedBy | None":
        """The inverse of `as_json`. Raises TypeError or KeyError for another document."""
        sources, short = document["sources"], document["certificate"]
        if sources is None and short is None:
            return None
        return cls(
            {name: SourceUsed(**sources[name]) for name in NETWORK_NAMES},
            CertificateUsed(
                short["tolerance"],
                short["holds"],
                {name: ParityUsed(**short[name]) for name in NETWORK_NAMES},
            ),
        )


@dataclass(frozen=True)
class WrittenFile:
    """A file of a case as it was written; its name from the folder of results, with `/`."""

    name: str
    size: int
    sha256: str

    def as_json(self) -> Json:
        """As documents hold it."""
        return {"name": self.name, "bytes": self.size, "sha256": self.sha256}

    @classmethod
    def from_json(cls, document: Json) -> "WrittenFile":
        """The inverse of `as_json`. Raises TypeError or KeyError for another document."""
        return cls(document["name"], document["bytes"], document["sha256"])
