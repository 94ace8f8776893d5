"""Other forms of a network in a bundle: the same weights, arranged or rounded for some processors.

A variant takes and gives what the plain network does. Its file lies beside the plain one, and its
agreement with the plain one was measured when it was made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from rcc_onnx.bundles.manifest_fields import (
    any_object,
    at,
    check_bool,
    check_count,
    check_file_name,
    check_hex,
    check_number,
    check_text,
    object_with,
    show,
)
from rcc_onnx.errors import BundleManifestError

ExtraVariant = Literal["cpu", "int8", "float16"]
"""`cpu`: float32, rewritten for CPUs. `int8`: 8-bit integers, for CPUs. `float16`: for GPUs."""
VARIANT_NAMES: tuple[ExtraVariant, ...] = get_args(ExtraVariant)

VariantName = Literal["plain", "cpu", "int8", "float16"]
"""What can run: the plain network or one of its variants."""


@dataclass(frozen=True)
class VariantComparison:
    """How a variant compared with the plain network on the same inputs.

    Attributes:
        decisions: how many were compared: each a sum against the threshold, and what was located.
        largest_difference: in probability.
        largest_sum_difference: of a sum of probabilities, relative to it or to the threshold,
            whichever is larger.
        least_dice: of the two masks at 0.5, over all maps in which something is found; 1 if
            there is none.
    """

    inputs: int
    decisions: int
    decisions_equal: bool
    largest_difference: float
    largest_sum_difference: float
    least_dice: float

    def __post_init__(self) -> None:
        check_count(self.inputs, "inputs", least=1)
        check_count(self.decisions, "decisions", least=1)
        check_bool(self.decisions_equal, "decisions_equal")
        for key in ("largest_difference", "largest_sum_difference", "least_dice"):
            check_number(getattr(self, key), key)


@dataclass(frozen=True)
class VariantEntry:
    """One more ONNX file of a network.

    Attributes:
        note: how it was made, for people.
    """

    file: str
    sha256: str
    note: str
    comparison: VariantComparison

    def __post_init__(self) -> None:
        check_file_name(self.file, "file")
        check_hex(self.sha256, 64, "sha256")
        check_text(self.note, "note")


def check_variants(
    variants: Mapping[ExtraVariant, VariantEntry], left_out: Mapping[str, str]
) -> None:
    """Raises BundleManifestError for a name that no variant has, or a reason that is no text."""
    for key, names in (("variants", variants), ("left_out", left_out)):
        unknown = sorted(set(names) - set(VARIANT_NAMES))
        if unknown:
            problem = f"must name some of {', '.join(VARIANT_NAMES)}, not {show(unknown[0])}"
            raise BundleManifestError(problem, key)
    with at("left_out"):
        for name, reason in left_out.items():
            check_text(reason, name)


def read_variants(raw: Any) -> dict[ExtraVariant, VariantEntry]:
    """From JSON values. Raises BundleManifestError."""
    variants = {}
    for name, value in any_object(raw).items():
        with at(name):
            entry = object_with(value, {field.name for field in fields(VariantEntry)})
            with at("comparison"):
                keys = {field.name for field in fields(VariantComparison)}
                comparison = VariantComparison(**object_with(entry.pop("comparison"), keys))
            variants[name] = VariantEntry(**entry, comparison=comparison)
    return variants  # type: ignore[return-value]  # check_variants looks at the names
