"""A case's document against that of an analysis made again: what differs, and what that means."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rcc_onnx.diagnostics.verify.compare_files import FileDifference
from rcc_onnx.runtime.providers import SPECS
from rcc_onnx.runtime.self_test import HALF_SUM_TOLERANCE
from rcc_onnx.types import Precision

Json = dict[str, Any]

SUM_TOLERANCE = 1e-3
"""Of a sum of probabilities, as a part of it or of its threshold, whichever is larger. Processors
and providers add up in other orders, and a certificate accepts 1e-4 in a probability: sums stay
well within a thousandth, and one that moved further has another cause. Where either analysis
computed in fewer bits, `HALF_SUM_TOLERANCE` of the agreement test counts."""
MEASURE_TOLERANCE = 0.01
"""Of volumes, mean HU and centres: a probability at the cut-off may fall on its other side, and
then a voxel of the outline is gone."""
LEAST_DIFFERENCE = 0.1
"""In ml, HU and mm: what such a voxel may do to a value near 0."""

TIMES = ("timings_s", "files")
"""Not compared here: seconds, and hashes of files, which are compared as files."""
SETUP = (
    "rcc_onnx_version",
    "environment",
    "provider",
    "options.provider",
    "models.sha256",
    "fingerprint.settings_sha256",
)
"""Fields that say what ran where. `models.sha256` names the form that ran, of the same bundle."""
PACKAGING = (
    "fingerprint.inputs_sha256",
    "study.files_found",
    "study.left_out",
    "intake.files_found",
    "intake.files_used",
    "intake.files_left_out",
    "intake.left_out_reasons",
    "intake.other_series",
    "intake.first",
    "intake.last",
    "intake.transfer_syntax",
)
"""Fields that say which files the images came in."""
SUMS = ("probability_sum", "margin", "margin_relative")
MEASURED = ("volume_ml", "mean_hu", "centre_lps_mm", "kidney_volumes_ml", "lesion_volumes_ml")
MISSING = "(no such field)"


class Verdict(StrEnum):
    """`same`: decisions and pictures are the same, and numbers within the tolerances."""

    IDENTICAL = "identical"
    SAME = "same"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Difference:
    """A field with two values."""

    field: str
    before: Any
    now: Any


@dataclass(frozen=True)
class Comparison:
    """Of a result with the same made again.

    Attributes:
        setup: fields that say what ran where.
        packaging: fields that say which files the images came in.
        numbers: sums and measurements that differ within the tolerances.
        answers: every other field that differs.
        files: that differ.
        largest_sum: difference of a sum, as `SUM_TOLERANCE` counts it.
        sum_tolerance: what was accepted of it.
    """

    setup: tuple[Difference, ...]
    packaging: tuple[Difference, ...]
    numbers: tuple[Difference, ...]
    answers: tuple[Difference, ...]
    files: tuple[FileDifference, ...]
    largest_sum: float
    sum_tolerance: float

    @property
    def verdict(self) -> Verdict:
        """What it comes to. Files may follow numbers and setup, which they show."""
        follows = bool(self.setup or self.numbers)
        if self.answers or any(one.is_answer or not follows for one in self.files):
            return Verdict.DIFFERENT
        return Verdict.SAME if self.numbers or self.files else Verdict.IDENTICAL


def compare(before: Json, now: Json, files: tuple[FileDifference, ...] = ()) -> Comparison:
    """Two documents of one case. `files`: those of the case that differ."""
    found = list(_differences(before, now, ""))
    other_version = before.get("rcc_onnx_version") != now.get("rcc_onnx_version")
    setup, packaging, numbers, answers = [], [], [], []
    largest_sum, accepted = 0.0, _sum_tolerance(before, now)
    for one in found:
        is_sum = one.field.endswith(SUMS) and one.field.startswith("sides.")
        if _is_of(one.field, TIMES):
            continue
        if _is_of(one.field, SETUP) or (other_version and MISSING in (one.before, one.now)):
            setup.append(one)
        elif _is_of(one.field, PACKAGING):
            packaging.append(one)
        elif is_sum and _apart(before, one) <= accepted:
            largest_sum = max(largest_sum, _apart(before, one))
            numbers.append(one)
        elif _is_measured(one) and _is_near(one.before, one.now):
            numbers.append(one)
        else:
            answers.append(one)
    return Comparison(
        tuple(setup), tuple(packaging), tuple(numbers), tuple(answers), files, largest_sum, accepted
    )


def _sum_tolerance(before: Json, now: Json) -> float:
    for document in (before, now):
        provider = document["provider"]
        always_half = provider["ran"] in [
            str(one) for one, spec in SPECS.items() if spec.always_half
        ]
        if always_half or provider["precision"] != Precision.FLOAT32:
            return HALF_SUM_TOLERANCE
    return SUM_TOLERANCE


def _differences(before: Any, now: Any, at: str) -> Iterator[Difference]:
    """Field by field; lists item by item where they are of one length."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*before, *now)):
            place = f"{at}.{name}".lstrip(".")
            yield from _differences(before.get(name, MISSING), now.get(name, MISSING), place)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _differences(one, other, f"{at}[{index}]")
    elif before != now or isinstance(before, bool) != isinstance(now, bool):
        yield Difference(at, before, now)


def _is_of(field: str, parents: tuple[str, ...]) -> bool:
    return any(field == one or field.startswith((f"{one}.", f"{one}[")) for one in parents)


def _apart(document: Json, one: Difference) -> float:
    """How far a sum, or its distance from the threshold, moved: a part of the sum or threshold."""
    _, side, network, name = one.field.split(".")
    total = _number(document["sides"][side][network]["probability_sum"])
    threshold = _number(document["thresholds"][network])
    moved = abs(_number(one.before) - _number(one.now))
    if name == "margin_relative":
        moved *= threshold
    return moved / max(total, threshold, 1.0)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.inf


def _is_measured(one: Difference) -> bool:
    parts = one.field.partition("[")[0].split(".")
    return parts[0] == "sides" and parts[-1] in MEASURED


def _is_near(before: Any, now: Any) -> bool:
    one, other = _number(before), _number(now)
    if math.inf in (one, other):
        return False
    return abs(one - other) <= max(MEASURE_TOLERANCE * max(abs(one), abs(other)), LEAST_DIFFERENCE)
