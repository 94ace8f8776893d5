"""`OUT/report.html`: all cases of a run in one file that needs nothing else (docs/outputs.md)."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from rcc_onnx._version import __version__
from rcc_onnx.output.document import Case
from rcc_onnx.output.html.case_images import CaseImages, case_images_name, read_case_images
from rcc_onnx.results import SUSPECTED, CaseResult, FailedCase
from rcc_onnx.types import (
    NO_LESION_ON_A_SIDE,
    PAGE_WORDS,
    PHANTOM,
    RESEARCH_ONLY,
    SIDES,
    Outcome,
)

REPORT_NAME = "report.html"
SCROLLERS_FOR_ALL = 100
"""Up to so many cases each has its slices in the report; beyond, only those with a suspected
lesion, so that the file still opens quickly."""
FAILED = "failed"
BORDERLINE = "borderline"
TOUCHES_BORDER = "touches-crop-border"
UNSUITABLE = "unsuitable-models"


@dataclass(frozen=True)
class Row:
    """One case of the table.

    Attributes:
        number: of the case in the run, from 1.
        outcomes: of the right and the left side; empty for a failed case.
        flags: codes of what a reader should know before believing the outcome.
        diameter_mm, volume_ml: of the larger suspected lesion; None without one.
        lesion_sum: the higher one; None where the lesion network did not run.
    """

    number: int
    case: str
    outcomes: tuple[Outcome, ...]
    flags: tuple[str, ...]
    diameter_mm: float | None
    volume_ml: float | None
    lesion_sum: float | None
    seconds: float | None
    error_code: str

    @property
    def groups(self) -> tuple[str, ...]:
        """Values of the table's filter that the case has."""
        return tuple(dict.fromkeys(map(str, self.outcomes))) or (FAILED,)


@dataclass(frozen=True)
class Choice:
    """A filter: a value, its words, and how many cases have it."""

    value: str
    words: str
    count: int


@dataclass(frozen=True)
class _ShownCase:
    """A case for the template."""

    row: Row
    document: Case
    images: CaseImages | None
    has_scroller: bool


def write_report(results: Sequence[Case], out: Path, planned: int, to: Path) -> None:
    """Write the report of cases whose files are in `out`, in the order given, to a path.

    Args:
        results: without arrays; their images are read from `out`.
        out: the folder of results.
        planned: cases that the run had; with fewer results the report says how far it came.
        to: path of the report.

    Raises:
        OSError: it cannot be written.
    """
    rows = [row_of(number, result) for number, result in enumerate(results, 1)]
    style, script = _asset("report.css"), _asset("report.js")
    context = {
        "version": __version__,
        "notice": RESEARCH_ONLY,
        "caution": NO_LESION_ON_A_SIDE,
        "phantom": PHANTOM,
        "written": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "planned": planned,
        "rows": rows,
        "outcomes": outcome_choices(rows),
        "flags": flag_choices(rows),
        "scrollers_for_all": SCROLLERS_FOR_ALL,
        "shown_cases": partial(_shown_cases, out, results, rows),
        "sides": SIDES,
        "words": {str(outcome): words for outcome, words in PAGE_WORDS.items()},
        "style": style,
        "script": script,
        "style_hash": _csp_hash(style),
        "script_hash": _csp_hash(script),
    }
    template = _environment().get_template("report.html.j2")
    with to.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        # Piece by piece: the images of all cases need not be in memory together.
        file.writelines(template.generate(context))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__name__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["short"] = lambda value: f"{value:.4g}"
    environment.filters["dashed"] = lambda text: str(text).replace("_", "-")
    environment.filters["words"] = lambda text: str(text).replace("_", " ")
    return environment


def _number(value: float | None, decimals: int = 0, unit: str = "") -> str:
    """Return a number for reading; a dash for None."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def _shown_cases(out: Path, results: Sequence[Case], rows: Sequence[Row]) -> Iterator[_ShownCase]:
    for document, row in zip(results, rows, strict=True):
        images = read_case_images(out / case_images_name(row.case))
        found = any(outcome in SUSPECTED for outcome in row.outcomes)
        wanted = found or len(rows) <= SCROLLERS_FOR_ALL
        yield _ShownCase(row, document, images, wanted and images is not None)


def _asset(name: str) -> str:
    return files(__name__).joinpath("templates", name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """Return the name of an inline script or style in a Content-Security-Policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def row_of(number: int, result: Case) -> Row:
    if isinstance(result, FailedCase):
        return Row(number, result.case, (), (), None, None, None, None, result.error.code)
    lesions = [lesion for side in SIDES if (lesion := result.sides[side].lesion)]
    measures = [lesion.measures for lesion in lesions if lesion.measures]
    return Row(
        number=number,
        case=result.case,
        outcomes=tuple(result.sides[side].outcome for side in SIDES),
        flags=_flags(result),
        diameter_mm=max((found.longest_axial_diameter.mm for found in measures), default=None),
        volume_ml=max((found.volume_ml for found in measures), default=None),
        lesion_sum=max((lesion.probability_sum for lesion in lesions), default=None),
        seconds=result.timings_s["total"],
        error_code="",
    )


def _flags(result: CaseResult) -> tuple[str, ...]:
    codes = [flag.code for flag in result.flags]
    if not result.models.suitable:
        codes.append(UNSUITABLE)
    for finding in (result.sides[side] for side in SIDES):
        codes += [flag.code for flag in finding.flags]
        if finding.is_borderline:
            codes.append(BORDERLINE)
        if finding.lesion_measures and finding.lesion_measures.touches_crop_border:
            codes.append(TOUCHES_BORDER)
    return tuple(dict.fromkeys(codes))


def outcome_choices(rows: Sequence[Row]) -> list[Choice]:
    """Return the outcomes that occur, findings first, failures last."""
    words = {str(outcome): PAGE_WORDS[outcome] for outcome in reversed(Outcome)}
    words[FAILED] = "failed"
    counts = {value: sum(value in row.groups for row in rows) for value in words}
    return [Choice(value, words[value], count) for value, count in counts.items() if count]


def flag_choices(rows: Sequence[Row]) -> list[Choice]:
    """Return the flags that occur, most frequent first."""
    codes = sorted({flag for row in rows for flag in row.flags})
    choices = [Choice(code, code, sum(code in row.flags for row in rows)) for code in codes]
    return sorted(choices, key=lambda choice: -choice.count)
