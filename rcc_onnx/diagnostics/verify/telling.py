"""What a check came to, in sentences and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rcc_onnx.diagnostics.verify.compare import (
    MEASURE_TOLERANCE,
    Comparison,
    Difference,
    Verdict,
)
from rcc_onnx.diagnostics.verify.folder import FolderCheck
from rcc_onnx.diagnostics.verify.reproduce import Reproduction
from rcc_onnx.output.checksums import SUMS_NAME
from rcc_onnx.system.log_privacy import sanitize
from rcc_onnx.types import counted

Json = dict[str, Any]

SHOWN_FIELDS = 20
"""Of each group; the JSON has all."""
MACHINE = ("environment.", "provider.")
"""Fields that explain other numbers."""


def folder_lines(check: FolderCheck) -> Iterator[str]:
    """A line for each difference, notes, and what it comes to."""
    for one in check.findings:
        yield f"{one.kind}: {sanitize(one.name)}: {one.text}"
    for note in check.notes:
        yield f"note: {note}"
    yield f"note: the SHA-256 of {SUMS_NAME} itself is {check.sums_sha256}"
    same = f"{check.same} of {counted(check.listed, 'listed file')}, {counted(check.cases, 'case')}"
    if check.holds:
        yield f"ALL AS WRITTEN: {same}"
    else:
        yield f"NOT AS WRITTEN: {counted(len(check.findings), 'difference')}; as written are {same}"


def folder_json(check: FolderCheck) -> Json:
    """The same for scripts."""
    return {
        "verdict": "as-written" if check.holds else "differs",
        "listed": check.listed,
        "same": check.same,
        "cases": check.cases,
        "findings": [
            {"kind": one.kind.replace(" ", "-"), "file": one.name, "text": one.text}
            for one in check.findings
        ],
        "notes": list(check.notes),
        "run_under_way": str(check.under_way),
        "sums_sha256": check.sums_sha256,
    }


def reproduction_lines(made: Reproduction) -> Iterator[str]:
    """What is the same, what is not, and the verdict."""
    comparison = made.comparison
    if made.as_listed is False:
        yield f"note: the case's JSON was changed since {SUMS_NAME} was written"
    elif made.as_listed is None:
        yield f"note: no usable {SUMS_NAME} lists the case's JSON"
    if made.same_files:
        yield "input: the same files"
    else:
        yield "input: other files with the same images (UIDs and pixels)"
    yield "models: the same bundle"
    yield from _field_lines("what ran where differs", comparison.setup)
    yield from _field_lines("within the tolerances", comparison.numbers)
    yield from _field_lines("DIFFERS", comparison.answers)
    for file in comparison.files:
        yield f"{sanitize(file.name)} {file.text}"
    yield f"{sanitize(made.case)}: {_verdict(comparison)}"


def reproduction_json(made: Reproduction) -> Json:
    """The same for scripts."""
    comparison = made.comparison
    groups = {
        name: [asdict(one) for one in getattr(comparison, name)]
        for name in ("setup", "packaging", "numbers", "answers")
    }
    return {
        "case": made.case,
        "verdict": str(comparison.verdict),
        "same_files": made.same_files,
        "as_listed": made.as_listed,
        "largest_sum_difference": comparison.largest_sum,
        "sum_tolerance": comparison.sum_tolerance,
        "measure_tolerance": MEASURE_TOLERANCE,
        **groups,
        "files": [{"file": one.name, "text": one.text} for one in comparison.files],
    }


def _verdict(comparison: Comparison) -> str:
    if comparison.verdict is Verdict.IDENTICAL:
        return "IDENTICAL apart from times"
    if comparison.verdict is Verdict.DIFFERENT:
        return "DIFFERENT"
    reason = _reason(comparison.setup)
    return (
        f"SAME DECISIONS AND PICTURES; sums differ by at most {comparison.largest_sum:.1e} of "
        f"themselves, where {comparison.sum_tolerance:g} is accepted. {reason}"
    )


def _reason(setup: Sequence[Difference]) -> str:
    causes = []
    for field, cause in (
        ("provider.ran", "another provider"),
        ("environment.processor", "another processor"),
        ("environment.architecture", "another kind of processor"),
        ("provider.threads", "another number of threads"),
        ("provider.onnxruntime", "another version of onnxruntime"),
        ("provider.variants", "another form of a network"),
        ("rcc_onnx_version", "another version of rcc-onnx"),
    ):
        if any(one.field.startswith(field) for one in setup):
            causes.append(cause)
    if not causes:
        return "Nothing that the documents state explains it"
    return f"The reason may be {', '.join(causes)}: they add up in other orders"


def _field_lines(title: str, differences: Sequence[Difference]) -> Iterator[str]:
    for one in differences[:SHOWN_FIELDS]:
        yield f"{title}: {one.field}: {_value(one.before)} then, {_value(one.now)} now"
    if len(differences) > SHOWN_FIELDS:
        yield f"{title}: {len(differences) - SHOWN_FIELDS} more fields; --json has all"


def _value(value: Any) -> str:
    return repr(value)[:80]
