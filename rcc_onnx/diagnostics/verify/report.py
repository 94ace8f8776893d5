"""What a check found, in lines of text."""

from collections.abc import Iterator, Sequence

from rcc_onnx.diagnostics.verify.folder import FolderCheck, FolderVerdict
from rcc_onnx.diagnostics.verify.reproduce import Difference, Reproduction, Verdict
from rcc_onnx.output.checksums import SUMS_NAME
from rcc_onnx.system.documents import Json
from rcc_onnx.system.log_privacy import sanitize
from rcc_onnx.types import counted

SHOWN_FIELDS = 20
"""Of each group; the JSON has all."""
CAUSES = {
    "provider.ran": "provider",
    "environment.processor": "CPU",
    "environment.architecture": "processor architecture",
    "provider.threads": "number of threads",
    "provider.onnxruntime": "version of onnxruntime",
    "provider.variants": "variant of a network",
    "rcc_onnx_version": "version of rcc-onnx",
}
"""Fields that explain other numbers."""


def folder_lines(check: FolderCheck) -> Iterator[str]:
    """Yield a line for each finding and note, and the verdict."""
    for finding in check.findings:
        kind = finding.kind.replace("-", " ")
        yield f"{kind}: {sanitize(finding.file)}: {sanitize(finding.text)}"
    for note in check.notes:
        yield f"note: {note}"
    yield f"note: the SHA-256 of {SUMS_NAME} itself is {check.sums_sha256}"
    files, cases = counted(check.listed, "listed file"), counted(check.cases, "case")
    unchanged = f"{check.unchanged} of {files} unchanged, {cases}"
    if check.verdict is FolderVerdict.OK:
        yield f"OK: {unchanged}"
    else:
        yield f"MODIFIED: {counted(len(check.findings), 'difference')}; {unchanged}"


def reproduction_lines(made: Reproduction) -> Iterator[str]:
    """Yield what is the same, what is not, and the verdict."""
    if made.as_listed is False:
        yield f"note: the case's JSON was changed since {SUMS_NAME} was written"
    elif made.as_listed is None:
        yield f"note: no usable {SUMS_NAME} lists the case's JSON"
    same = "the same files" if made.same_files else "other files with the same images"
    yield f"input: {same}"
    yield "models: the same bundle"
    yield from _field_lines("setup differs", made.setup)
    yield from _field_lines("within the tolerances", made.numbers)
    yield from _field_lines("DIFFERS", made.answers)
    for file in made.files:
        yield f"{sanitize(file.file)} {file.text}"
    yield f"{sanitize(made.case)}: {_verdict(made)}"


def _verdict(made: Reproduction) -> str:
    if made.verdict is not Verdict.SAME:
        return "IDENTICAL apart from times" if made.verdict is Verdict.IDENTICAL else "DIFFERENT"
    fields = {difference.field for difference in made.setup}
    causes = [
        f"different {cause}"
        for start, cause in CAUSES.items()
        if any(field.startswith(start) for field in fields)
    ]
    reason = "Nothing that the documents state explains it"
    if causes:
        reason = f"Likely cause: {', '.join(causes)} (floating-point summation order)"
    return (
        f"SAME DECISIONS AND PICTURES; sums differ by at most {made.largest_sum_difference:.1e} of "
        f"themselves, where {made.sum_tolerance:g} is accepted. {reason}"
    )


def _field_lines(title: str, differences: Sequence[Difference]) -> Iterator[str]:
    for difference in differences[:SHOWN_FIELDS]:
        before, now = _shorten(difference.before), _shorten(difference.now)
        yield f"{title}: {difference.field}: {before} then, {now} now"
    if len(differences) > SHOWN_FIELDS:
        yield f"{title}: {len(differences) - SHOWN_FIELDS} more fields; --json has all"


def _shorten(value: Json) -> str:
    return repr(value)[:80]
