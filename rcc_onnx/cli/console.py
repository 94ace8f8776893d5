"""What a person sees on the terminal of a run: lines, tables and a progress bar."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import CaseOutcome, Reporter
from rcc_onnx.cli.shared import console
from rcc_onnx.output.html import REPORT_NAME
from rcc_onnx.output.run import RunRecord
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.system.log_privacy import sanitize
from rcc_onnx.types import (
    OUTCOME_WORDS,
    RESEARCH_ONLY,
    SIDES,
    Outcome,
    SeriesRow,
    Side,
    counted,
)

_log = logging.getLogger(__name__)


OUTCOME_STYLES = {
    Outcome.KIDNEY_NOT_FOUND: "yellow",
    Outcome.KIDNEY_NOT_LOCATED: "yellow",
    Outcome.NO_LESION: "",
    Outcome.LESION_NOT_LOCATED: "bold yellow",
    Outcome.LESION: "bold red",
}


def case_line(result: CaseResult | FailedCase) -> str:
    """Return one case in one line of plain text."""
    if isinstance(result, FailedCase):
        return sanitize(f"{result.case}: FAILED [{result.error.code}] {result.error.message}")
    sides = "; ".join(f"{side}: {', '.join(_outcome_and_size(result, side))}" for side in SIDES)
    return f"{sanitize(result.case)}: {sides} ({result.timings_s['total']:.1f} s)"


def setup_line(result: CaseResult) -> str:
    """Return which models and which provider a result is from."""
    models, provider = result.models, result.provider
    return (
        f"models {models.name} {models.version}, provider {provider.ran} ({provider.reason}), "
        f"{provider.threads} threads, {provider.precision}, profile {result.profile}"
    )


def results_table(results: Sequence[CaseResult | FailedCase]) -> Table:
    """Return a table of all cases: outcome, size and probability sums of each side."""
    table = Table(title="Results", title_justify="left", show_lines=True)
    table.add_column("case", overflow="fold", min_width=16)
    for side in SIDES:
        table.add_column(side, overflow="fold", min_width=20)
    table.add_column("s", justify="right", no_wrap=True)
    for result in results:
        if isinstance(result, FailedCase):
            failure = Text(f"failed\n{result.error.code}", style="bold yellow")
            table.add_row(Text(sanitize(result.case)), failure, "", "")
            continue
        cells = [_side_cell(result, side) for side in SIDES]
        table.add_row(Text(sanitize(result.case)), *cells, f"{result.timings_s['total']:.1f}")
    return table


def _side_cell(result: CaseResult, side: Side) -> Text:
    finding = result.sides[side]
    outcome, *lines = _outcome_and_size(result, side)
    cell = Text(outcome, style=OUTCOME_STYLES[finding.outcome])
    for name, found in (("kidney", finding.kidney), ("lesion", finding.lesion)):
        if found is not None:
            near = ", borderline" if found.margin.borderline else ""
            lines.append(f"{name} sum {found.probability_sum:.0f}{near}")
    cell.append("".join(f"\n{line}" for line in lines), style="not bold default")
    for flag in result.flags_of(side):
        cell.append(f"\n! {flag.code}", style="not bold yellow")
    return cell


def _outcome_and_size(result: CaseResult, side: Side) -> list[str]:
    """Return the outcome in words, and the size of a suspected lesion if it was measured."""
    words, lesion = [OUTCOME_WORDS[result.sides[side].outcome]], result.sides[side].lesion_measures
    if lesion is not None:
        words.append(f"{lesion.longest_axial_diameter.mm:.0f} mm, {lesion.volume_ml:.1f} ml")
    return words


def shown_warnings(result: CaseResult | FailedCase) -> tuple[str, ...]:
    """Return what must be read next to a case's line: warnings, and flags in words."""
    if isinstance(result, FailedCase):
        return ()
    flags = (*result.flags, *(flag for side in SIDES for flag in result.sides[side].flags))
    return tuple(map(sanitize, (*result.warnings, *dict.fromkeys(flag.text for flag in flags))))


def series_table(rows: Sequence[SeriesRow]) -> Table:
    """Return a table of a study's series that fits 80 characters."""
    table = Table(title="Series", title_justify="left", show_lines=True)
    for name in ("series", "what", "slices", "verdict"):
        table.add_column(name, overflow="fold")
    for row in rows:
        what = [
            sanitize(row.description),
            sanitize(f"contrast {row.contrast}") if row.contrast else "no contrast recorded",
            row.kernel and sanitize(f"kernel {row.kernel}"),
        ]
        slices = [
            f"{row.slices} of {row.matrix[0]}x{row.matrix[1]}",
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
    """Return a line for each series that was refused, with the reason."""
    return tuple(
        sanitize(f"series {row.label} [{row.verdict}]: {row.reason}")
        for row in rows
        if not row.is_suitable
    )


STAGE_SPANS: Mapping[str, tuple[float, float]] = {
    "reading_headers": (0.0, 0.05),
    "loading_networks": (0.05, 0.1),
    "preprocessing": (0.1, 0.25),
    "kidney_network": (0.25, 0.8),
    "lesion_network": (0.8, 0.95),
    "measuring": (0.95, 1.0),
}
"""Where in a case each stage lies, by the share of time that it usually takes."""


class ConsoleReporter(Reporter):
    """Shows a run: a progress bar on a terminal, and a line for each case.

    Args:
        cases: how many there are.
        quiet: print failed cases only, on standard error.
    """

    def __init__(self, cases: int, *, quiet: bool = False) -> None:
        self._console = console(quiet=quiet)
        self._quiet = quiet
        self._shares: dict[str, float] = {}
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=float(cases))

    def __enter__(self) -> Self:
        with ignore_broken_output():
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        with ignore_broken_output():
            self._bar.stop()

    def stage(self, case: Case, stage: str, done: float) -> None:
        """Show which stage a case is at. Several cases may be analysed at once."""
        start, end = STAGE_SPANS[stage]
        self._shares[case.name] = start + (end - start) * done
        self._update(f"{sanitize(case.name)}: {stage.replace('_', ' ')}")

    def case(self, outcome: CaseOutcome, run: RunRecord) -> None:
        """Show a case that has ended; before the first result, which models give it."""
        result, results = outcome.result, run.results
        self._shares[result.case] = 1.0
        self._update()
        analysed = sum(isinstance(other, CaseResult) for other in results)
        if isinstance(result, CaseResult) and analysed == 1:
            self._print(setup_line(result))
        kept = ", skipped: unchanged since last run" if outcome.kept else ""
        line = f"[{len(results)}/{len(run.names)}] {case_line(result)}{kept}"
        self._print(line)
        if self._quiet and isinstance(result, FailedCase):
            print(line, file=sys.stderr)
        for warning in shown_warnings(result):
            self._print(f"    warning: {warning}")

    def _update(self, description: str | None = None) -> None:
        self._bar.update(self._task, description=description, completed=sum(self._shares.values()))

    def _print(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        with ignore_broken_output():
            self._console.print(line, markup=False)


def show_run(run: RunRecord, *, quiet: bool = False) -> None:
    """Show how a run ended, and where its results are."""
    terminal, out = console(), run.folder.path
    if quiet:
        analysed = sum(isinstance(result, CaseResult) for result in run.results)
        line = f"{analysed} of {len(run.names)} cases analysed; results are in {out}"
        terminal.print(line, markup=False)
        return
    terminal.print(results_table(run.results))
    terminal.print(RESEARCH_ONLY, markup=False)
    terminal.print(f"Results are in {out}", markup=False)
    if (out / REPORT_NAME).is_file():
        terminal.print(f"Open {out / REPORT_NAME}", markup=False)
    earlier = run.earlier_cases
    if earlier:
        kept = f"{counted(earlier, 'earlier result')} {'was' if earlier == 1 else 'were'} kept"
        terminal.print(f"{kept} and not included in results.csv and results.json", markup=False)


@contextmanager
def ignore_broken_output() -> Iterator[None]:
    """Go on without output after a terminal was closed, or a disk under redirected output is
    full: the run matters more."""
    try:
        yield
    except (OSError, SystemExit) as error:  # rich ends programs whose pipe was closed
        why = error.strerror if isinstance(error, OSError) else "the pipe was closed"
        _log.warning("nothing can be shown any more (%s); the run goes on", why)
        # Python would try to write what it holds again when it ends.
        with suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
