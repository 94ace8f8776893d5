"""The report of an evaluation: JSON and CSV files, and the tables and notes for the terminal.

CSV: UTF-8, commas, a header, points as decimal marks, empty where there is no value. The last
column of every row is the notice, so that an excerpt still carries it.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from rich.table import Table
from rich.text import Text

from rcc_onnx.errors import OutputError
from rcc_onnx.evaluate.cohort import Cohort, Group, GroupSize, Kidney, group_size
from rcc_onnx.evaluate.figures import Evaluation, PopulationFigures, scores_by_label
from rcc_onnx.evaluate.labels import few
from rcc_onnx.evaluate.masks import Average, Comparison, MaskResults
from rcc_onnx.evaluate.statistics import Auc, Proportion, sweep
from rcc_onnx.results import SUSPECTED
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.system.files import write_whole
from rcc_onnx.types import Outcome

FILES = (
    "evaluation.json", "evaluation.csv", "sweep.csv", "kidneys.csv", "masks.csv",
    "roc.png", "roc.svg", "scores.png", "scores.svg",
)  # fmt: skip
"""All files that an evaluation may write into its folder."""

FIGURE_COLUMNS = (
    "population", "measure", "lesion_size", "value", "low", "high", "count", "of", "method",
)  # fmt: skip
SWEEP_COLUMNS = (
    "population", "threshold", "tp", "fp", "tn", "fn", "sensitivity", "specificity", "accuracy",
)  # fmt: skip
EXACT_COLUMNS = ("score", "threshold")
"""Written in full: a threshold of fewer digits may fall on the other side of its own score."""

GROUP_NAMES = {
    Group.ASSESSABLE: "assessable",
    Group.NOT_ASSESSABLE: "not assessable (flagged)",
    Group.KIDNEY_NOT_FOUND: "kidney not found",
    Group.KIDNEY_NOT_LOCATED: "kidney not located",
    Group.CASE_FAILED: "case failed",
    Group.NO_RESULT: "case has no result",
}
NO_VALUE = "none"


# --- Files ---------------------------------------------------------------------------------------


def remove_old(folder: Path) -> None:
    """Remove the files of an earlier evaluation, so that no old figure stands beside a new one.

    Raises:
        OutputError: a file cannot be removed.
    """
    for name in FILES:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {folder / name}: {error.strerror}") from error


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all; its folder is created if missing.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Write the document. Raises OutputError if that fails."""
    data = document_bytes(evaluation)
    write_file(path, lambda to: to.write_bytes(data))


def write_tables(evaluation: Evaluation, folder: Path) -> None:
    """Write evaluation.csv, sweep.csv, kidneys.csv, masks.csv if there are, evaluation.json last.

    Raises:
        OutputError: a file cannot be written.
    """
    notice = evaluation.notice
    _write_csv(folder / "evaluation.csv", FIGURE_COLUMNS, _figure_rows(evaluation), notice)
    _write_csv(folder / "sweep.csv", SWEEP_COLUMNS, _sweep_rows(evaluation), notice)
    columns = [field.name for field in fields(Kidney)]
    _write_csv(folder / "kidneys.csv", columns, map(astuple, evaluation.cohort.kidneys), notice)
    if evaluation.masks is not None:
        columns = [field.name for field in fields(Comparison)]
        _write_csv(folder / "masks.csv", columns, map(astuple, evaluation.masks.cases), notice)
    write_json(evaluation, folder / "evaluation.json")


def _write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], notice: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*columns, "notice"))
    writer.writerows((*map(_cell, columns, row), notice) for row in rows)
    # Case names are folder names, which need not be UTF-8: such a byte is written as an escape.
    data = text.getvalue().encode("utf-8", "backslashreplace")
    write_file(path, lambda to: to.write_bytes(data))


def _cell(column: str, value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, float):
        return repr(value) if column in EXACT_COLUMNS else f"{value:.6g}"
    return value


def _figure_rows(evaluation: Evaluation) -> Iterator[Sequence[object]]:
    for figures, _ in evaluation.populations:
        name, counts = figures.population, figures.counts
        yield (name, "auc", "", *_auc_cells(figures.auc))
        for measure in ("sensitivity", "specificity", "accuracy"):
            yield (name, measure, "", *_proportion_cells(getattr(counts, measure)))
        for measure in ("tp", "fp", "tn", "fn"):
            yield (name, measure, "", getattr(counts, measure), *[None] * 5)
        for part in figures.by_size:
            yield (name, "sensitivity", part.size.name, *_proportion_cells(part.sensitivity))
            yield (name, "auc", part.size.name, *_auc_cells(part.auc))


def _auc_cells(auc: Auc | None) -> Sequence[object]:
    if auc is None:
        return [None] * 6
    return auc.value, auc.low, auc.high, None, None, auc.method


def _proportion_cells(share: Proportion) -> Sequence[object]:
    method = "Wilson" if share.of else None
    return share.value, share.low, share.high, share.count, share.of, method


def _sweep_rows(evaluation: Evaluation) -> Iterator[Sequence[object]]:
    for figures, kidneys in evaluation.populations:
        shown = (row.threshold for row in figures.sweep)
        for row in sweep(*scores_by_label(kidneys), *shown):
            counts = row.counts
            shares = (counts.sensitivity, counts.specificity, counts.accuracy)
            yield (
                figures.population,
                row.threshold,
                *(counts.tp, counts.fp, counts.tn, counts.fn),
                *(share.value for share in shares),
            )


# --- Terminal ------------------------------------------------------------------------------------


def opening_lines(evaluation: Evaluation) -> tuple[str, ...]:
    """Return which labels were read, and which results."""
    labels, setup = evaluation.cohort.labels, evaluation.cohort.setup
    models, thresholds = setup.models, setup.thresholds
    return (
        f"{labels.file} ({labels.separator} separated): {labels.kidneys} kidneys of "
        f"{labels.cases} cases; {labels.with_lesion} with a lesion, "
        f"{labels.kidneys - labels.with_lesion} without",
        f"Results of {evaluation.cohort.cases_with_result} cases; models {models.name} "
        f"{models.version}, {setup.precision}, profile {setup.profile}, thresholds: kidney "
        f"{thresholds.kidney:g}, lesion {thresholds.lesion:g}",
    )


def tables(evaluation: Evaluation) -> Iterator[Table]:
    """Yield the tables in the order in which they are shown."""
    yield _groups_table(evaluation.cohort)
    yield _figures_table(evaluation)
    if any(part.sensitivity.of for part in evaluation.figures.all_labelled.by_size):
        yield _sizes_table(evaluation)
    yield _sweep_table(evaluation.figures.assessable, evaluation.cohort.setup.thresholds.lesion)
    if evaluation.masks is not None and evaluation.masks.compared:
        yield _masks_table(evaluation.masks)


def _groups_table(cohort: Cohort) -> Table:
    table = _table("Labelled kidneys by group", "kidneys", "with lesion", "without")
    for group, size in cohort.groups.items():
        if size.kidneys or group is not Group.NO_RESULT:
            table.add_row(GROUP_NAMES[group], *_size_cells(size))
    table.add_section()
    table.add_row("all labelled", *_size_cells(group_size(cohort.kidneys)))
    return table


def _size_cells(size: GroupSize) -> tuple[str, str, str]:
    return str(size.kidneys), str(size.with_lesion), str(size.without_lesion)


def _figures_table(evaluation: Evaluation) -> Table:
    """AUC, and the rest at the thresholds of the run, for both sets of kidneys."""
    both = [figures for figures, _ in evaluation.populations]
    counts = [figures.counts for figures in both]
    table = _table(
        "Per kidney, at the run's lesion threshold "
        f"{evaluation.cohort.setup.thresholds.lesion:g} (95 % intervals)",
        *(f"{figures.population}\n({figures.kidneys})" for figures in both),
    )
    table.add_row("AUC", *(_auc_text(figures.auc) for figures in both))
    for measure in ("sensitivity", "specificity", "accuracy"):
        table.add_row(measure, *(_share_text(getattr(cells, measure)) for cells in counts))
    table.add_row("TP, FP, TN, FN", *(f"{c.tp}, {c.fp}, {c.tn}, {c.fn}" for c in counts))
    return table


def _sizes_table(evaluation: Evaluation) -> Table:
    """Sensitivity by size of the lesion; ranges without a lesion are left out."""
    both = [figures for figures, _ in evaluation.populations]
    names = (figures.population for figures in both)
    table = _table("Sensitivity by size of the lesion", *names)
    for sizes in zip(*(figures.by_size for figures in both), strict=True):
        if sizes[-1].sensitivity.of:
            table.add_row(sizes[0].size.name, *(_share_text(part.sensitivity) for part in sizes))
    return table


def _sweep_table(figures: PopulationFigures, threshold: float) -> Table:
    """Other thresholds, as multiples of the run's."""
    measures = ("sensitivity", "specificity", "accuracy")
    table = _table(f"Other lesion thresholds, {figures.population}", *measures)
    for row in figures.sweep:
        is_run = row.threshold == threshold
        shares: list[Proportion] = [getattr(row.counts, measure) for measure in measures]
        table.add_row(
            f"{row.threshold:g} (the run's)" if is_run else f"{row.threshold:g}",
            *(
                NO_VALUE if share.value is None else f"{share.value:.1%} ({share.count}/{share.of})"
                for share in shares
            ),
            style="bold" if is_run else "",
        )
    return table


def _masks_table(masks: MaskResults) -> Table:
    """Dice and distances of every structure, over cases."""
    table = _table(
        "Masks, mean (median) over cases", "cases", "Dice", "surface mm", "Hausdorff 95 mm"
    )
    for part in masks.structures:
        averages = (part.dice, 3), (part.mean_mm, 1), (part.hausdorff_95_mm, 1)
        cells = (_average_text(average, digits) for average, digits in averages)
        table.add_row(part.structure, str(part.cases), *cells)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(Text(name), justify="right", overflow="fold")
    return table


def _auc_text(auc: Auc | None) -> str:
    return NO_VALUE if auc is None else f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"


def _share_text(share: Proportion) -> str:
    if share.value is None:
        return NO_VALUE
    return f"{share.count}/{share.of} {share.value:.1%}\n({share.low:.1%} to {share.high:.1%})"


def _average_text(average: Average, digits: int) -> str:
    if average.mean is None:
        return NO_VALUE
    return f"{average.mean:.{digits}f} ({average.median:.{digits}f})"


def notes(evaluation: Evaluation) -> Iterator[str]:
    """Yield what a person must read next to the tables, a line each; the notices come last."""
    cohort = evaluation.cohort
    for group in (Group.NOT_ASSESSABLE, Group.KIDNEY_NOT_FOUND, Group.KIDNEY_NOT_LOCATED):
        listed = [f"{kidney.case} {kidney.side}{_why(kidney)}" for kidney in cohort.of(group)]
        if listed:
            yield f"{GROUP_NAMES[group]}: {few(listed)}"
    failed = [f"{kidney.case}{_why(kidney)}" for kidney in cohort.of(Group.CASE_FAILED)]
    if failed:
        yield f"failed: {few(dict.fromkeys(failed))}"
    if cohort.groups[Group.ASSESSABLE].kidneys < len(cohort.kidneys):
        yield (
            'Among "all labelled kidneys" those without a score count as no finding and rank '
            "below every score; those that are not assessable count with the answer they got."
        )
    unlabelled = cohort.unlabelled_sides
    if unlabelled:
        findings = sum(side.outcome in SUSPECTED for side in unlabelled)
        yield (
            f"sides without a label, in no figure ({len(unlabelled)}, of them {findings} with a "
            f"suspected lesion): {few(f'{side.case} {side.side}' for side in unlabelled)}"
        )
    methods = dict.fromkeys(
        figures.auc.method for figures, _ in evaluation.populations if figures.auc
    )
    if evaluation.figures.all_labelled.auc is None:
        yield "No AUC and no ROC: that takes kidneys with a lesion and kidneys without one."
    if methods:
        yield (
            f"Intervals: {' and '.join(methods)} for the AUC, Wilson for shares. They take kidneys "
            "as independent, also two of one patient."
        )
    not_located = sum(kidney.outcome is Outcome.LESION_NOT_LOCATED for kidney in cohort.kidneys)
    if not_located:
        yield f"findings without a box, suspected lesions that were not located: {not_located}"
    if evaluation.masks is not None:
        yield from _mask_notes(evaluation.masks)
    for warning in cohort.warnings:
        yield f"warning: {warning}"
    yield from cohort.setup.notices


def _why(kidney: Kidney) -> str:
    return f" ({', '.join(kidney.why)})" if kidney.why else ""


def _mask_notes(masks: MaskResults) -> Iterator[str]:
    yield f"cases whose masks were compared: {len(masks.compared)}"
    for kind, cases in (
        ("predicted", masks.without_prediction),
        ("reference", masks.without_reference),
    ):
        if cases:
            yield f"cases without a {kind} mask ({len(cases)}): {few(cases)}"
    for part in masks.structures:
        if part.missed or part.only_predicted:
            yield (
                f"{part.structure}: {part.missed} not predicted where the reference has it (Dice "
                f"0, no distance), {part.only_predicted} predicted where the reference does not "
                "have it (in no mean)"
            )
    for refused in masks.refused:
        yield f"mask refused: {refused.case} [{refused.code}]: {refused.reason}"
    if masks.sides_look_swapped:
        yield (
            "warning: right and left look swapped between the reference and the predicted mask: "
            f"{few(masks.sides_look_swapped)}"
        )
