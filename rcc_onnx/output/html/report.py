"""Assembles the report of a run from results and the fragments of its cases."""

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
from rcc_onnx.output.html.fragments import Fragment, fragment_name, read_fragment
from rcc_onnx.output.html.rows import Row, flag_choices, outcome_choices, row_of
from rcc_onnx.results import SUSPECTED, CaseResult, FailedCase
from rcc_onnx.types import NO_PROOF_OF_A_SIDE, PAGE_WORDS, PHANTOM, RESEARCH_ONLY, SIDES

REPORT_NAME = "report.html"
SCROLLERS_FOR_ALL = 100
"""Up to so many cases each has its slices in the report; beyond, only those with a suspected
lesion, so that the file still opens quickly."""


@dataclass(frozen=True)
class _Shown:
    """A case as the template gets it."""

    row: Row
    document: CaseResult | FailedCase
    fragment: Fragment | None
    has_scroller: bool


def write_report(
    results: Sequence[CaseResult | FailedCase], out: Path, planned: int, to: Path
) -> None:
    """Write the report of cases whose files are in `out`, in the order given, to a path.

    Args:
        results: without arrays; their images are read from `out`.
        out: the folder of results.
        planned: cases that the run had; with fewer results the report says that it was interrupted.
        to: path of the report.

    Raises:
        OSError: it cannot be written.
    """
    rows = [row_of(number, result) for number, result in enumerate(results, 1)]
    style, script = _asset("report.css"), _asset("report.js")
    context = {
        "version": __version__,
        "notice": RESEARCH_ONLY,
        "no_proof": NO_PROOF_OF_A_SIDE,
        "phantom": PHANTOM,
        "written": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "planned": planned,
        "rows": rows,
        "outcomes": outcome_choices(rows),
        "flags": flag_choices(rows),
        "scrollers_for_all": SCROLLERS_FOR_ALL,
        "shown": partial(_shown, out, results, rows),
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
        loader=PackageLoader("rcc_onnx.output.html"),
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
    """For reading; a dash for None."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def _shown(
    out: Path, results: Sequence[CaseResult | FailedCase], rows: Sequence[Row]
) -> Iterator[_Shown]:
    for document, row in zip(results, rows, strict=True):
        fragment = read_fragment(out / fragment_name(row.case))
        found = any(outcome in SUSPECTED for outcome in row.outcomes)
        wanted = found or len(rows) <= SCROLLERS_FOR_ALL
        yield _Shown(row, document, fragment, wanted and fragment is not None)


def _asset(name: str) -> str:
    return files("rcc_onnx.output.html").joinpath("templates", name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style by."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
