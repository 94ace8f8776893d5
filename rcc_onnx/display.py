"""What a person sees on the terminal: sentences and tables. Nothing here prints."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from rcc_onnx.findings import CaseResult, FailedCase
from rcc_onnx.intake_record import SeriesRow
from rcc_onnx.measures import margin
from rcc_onnx.shown import shown
from rcc_onnx.values import SIDES, Outcome, Side
from rcc_onnx.words import OUTCOME_WORDS

OUTCOME_STYLES = {
    Outcome.KIDNEY_NOT_FOUND: "yellow",
    Outcome.KIDNEY_NOT_LOCATED: "yellow",
    Outcome.NO_LESION: "",
    Outcome.LESION_NOT_LOCATED: "bold yellow",
    Outcome.LESION: "bold red",
}


def case_line(result: CaseResult | FailedCase) -> str:
    """One case in one line of plain text."""
    if isinstance(result, FailedCase):
        return shown(f"{result.case}: FAILED [{result.error.code}] {result.error}")
    sides = "; ".join(f"{side}: {_side_words(result, side)}" for side in SIDES)
    return f"{shown(result.case)}: {sides} ({result.timings_s['total']:.1f} s)"


def setup_line(result: CaseResult) -> str:
    """Which models and which provider gave the answer."""
    models, provider = result.models, result.provider
    return (
        f"models {models.name} {models.version}, provider {provider.ran} ({provider.reason}), "
        f"{provider.threads} threads, {provider.precision}, profile {result.profile}"
    )


def results_table(results: Sequence[CaseResult | FailedCase]) -> Table:
    """All cases: outcome and sums per side. The sums are what the thresholds are compared with."""
    table = Table(title="Results", title_justify="left", show_lines=True)
    table.add_column("case", overflow="fold", min_width=16)
    for side in SIDES:
        table.add_column(side, overflow="fold", min_width=20)
    table.add_column("s", justify="right", no_wrap=True)
    for result in results:
        if isinstance(result, FailedCase):
            failure = Text(f"failed\n{result.error.code}", style="bold yellow")
            table.add_row(Text(shown(result.case)), failure, "", "")
            continue
        cells = [_side_cell(result, side) for side in SIDES]
        table.add_row(Text(shown(result.case)), *cells, f"{result.timings_s['total']:.1f}")
    return table


def _side_cell(result: CaseResult, side: Side) -> Text:
    finding = result.sides[side]
    cell = Text(OUTCOME_WORDS[finding.outcome], style=OUTCOME_STYLES[finding.outcome])
    sums = [("kidney", finding.kidney.probability_sum, result.thresholds.kidney)]
    if finding.lesion is not None:
        sums.append(("lesion", finding.lesion.probability_sum, result.thresholds.lesion))
    lines = [_measures_words(result, side)]
    for name, found, threshold in sums:
        near = margin(found, threshold, result.options).borderline
        lines.append(f"{name} sum {found:.0f}{', borderline' if near else ''}")
    cell.append("".join(f"\n{line}" for line in lines if line), style="not bold default")
    for flag in result.flags_of(side):
        cell.append(f"\n! {flag.code}", style="not bold yellow")
    return cell


def _side_words(result: CaseResult, side: Side) -> str:
    measures = _measures_words(result, side)
    words = OUTCOME_WORDS[result.sides[side].outcome]
    return f"{words}, {measures}" if measures else words


def _measures_words(result: CaseResult, side: Side) -> str:
    """How large a suspected lesion is; "" where there is none, or it could not be measured."""
    lesion = result.measures[side].lesion if result.measures else None
    if lesion is None:
        return ""
    return f"{lesion.diameter.length_mm:.0f} mm, {lesion.volume_ml:.1f} ml"


def shown_warnings(result: CaseResult | FailedCase) -> tuple[str, ...]:
    """What a person must read next to a case's line: warnings, and why a side may say nothing."""
    if isinstance(result, FailedCase):
        return ()
    flags = (*result.flags, *(flag for side in SIDES for flag in result.sides[side].flags))
    return tuple(map(shown, (*result.warnings, *dict.fromkeys(flag.text for flag in flags))))


def series_table(rows: Sequence[SeriesRow]) -> Table:
    """The series of a study: what tells them apart, and what could be done with each.

    Four columns of short lines, to fit 80 characters.
    """
    table = Table(title="Series", title_justify="left", show_lines=True)
    for name in ("series", "what", "slices", "verdict"):
        table.add_column(name, overflow="fold")
    for row in rows:
        what = [
            shown(row.description),
            shown(f"contrast {row.contrast}") if row.contrast else "no contrast recorded",
            row.kernel and shown(f"kernel {row.kernel}"),
        ]
        slices = [
            f"{row.slices} of {row.rows}x{row.columns}",
            row.spacing_mm is not None
            and f"every {row.spacing_mm:.4g} mm over {row.extent_mm:.0f} mm",
            row.thickness_mm is not None and f"{row.thickness_mm:g} mm thick",
        ]
        table.add_row(
            Text(row.label),
            Text("\n".join(line for line in what if line)),
            Text("\n".join(line for line in slices if line)),
            Text(row.verdict, style="" if row.is_suitable else "yellow"),
        )
    return table


def refused_series(rows: Sequence[SeriesRow]) -> tuple[str, ...]:
    """Why each series that was refused was, one line each."""
    return tuple(
        shown(f"series {row.label} [{row.verdict}]: {row.reason}")
        for row in rows
        if not row.is_suitable
    )
