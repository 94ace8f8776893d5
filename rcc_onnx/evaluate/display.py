"""What a person sees of `rcc-onnx evaluate` on the terminal. Nothing here prints."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from rcc_onnx.evaluate.cohort import Cohort, CountedAs, Group, Kidney
from rcc_onnx.evaluate.documents import Evaluation
from rcc_onnx.evaluate.figures import Figures, PopulationFigures
from rcc_onnx.evaluate.labels import few
from rcc_onnx.evaluate.masks import MaskResults, mean_and_median, summaries
from rcc_onnx.evaluate.results import FINDINGS
from rcc_onnx.evaluate.statistics import Auc, Proportion

GROUP_WORDS = {
    Group.ASSESSABLE: "assessable",
    Group.NOT_ASSESSABLE: "not assessable (flagged)",
    Group.KIDNEY_NOT_FOUND: "kidney not found",
    Group.KIDNEY_NOT_LOCATED: "kidney not located",
    Group.CASE_FAILED: "case failed",
    Group.NO_RESULT: "case has no result",
}
NO_VALUE = "none"


def opening_lines(evaluation: Evaluation) -> tuple[str, ...]:
    """What was read, and which run is judged."""
    labels, cohort = evaluation.labels, evaluation.cohort
    setup = cohort.setup
    with_lesion = sum(one.lesion for one in cohort.kidneys)
    return (
        f"{labels.file_name} ({labels.separator} separated): {len(cohort.kidneys)} kidneys of "
        f"{cohort.labelled_cases} cases; {with_lesion} with a lesion, "
        f"{len(cohort.kidneys) - with_lesion} without",
        f"Results of {cohort.cases_with_result} cases; models {setup.models} {setup.version}, "
        f"{setup.precision}, profile {setup.profile}, thresholds: kidney "
        f"{setup.kidney_threshold:g}, lesion {setup.lesion_threshold:g}",
    )


def groups_table(cohort: Cohort) -> Table:
    """What became of every labelled kidney."""
    table = _table("Labelled kidneys by what became of them", "kidneys", "with lesion", "without")
    for group in Group:
        kidneys = cohort.of(group)
        if kidneys or group is not Group.NO_RESULT:
            table.add_row(GROUP_WORDS[group], *_with_and_without(kidneys))
    table.add_section()
    table.add_row("all labelled", *_with_and_without(cohort.kidneys))
    return table


def _with_and_without(kidneys: Sequence[Kidney]) -> tuple[str, str, str]:
    with_lesion = sum(one.lesion for one in kidneys)
    return str(len(kidneys)), str(with_lesion), str(len(kidneys) - with_lesion)


def figures_table(figures: Figures, threshold: float) -> Table:
    """AUC, and the rest at the threshold of the run, for both sets of kidneys."""
    table = _table(
        f"Per kidney, at the run's lesion threshold {threshold:g} (95 % intervals)",
        *(f"{one.name}\n({one.confusion.accuracy.of})" for one in figures.populations),
    )
    both = figures.populations
    table.add_row("AUC", *(_auc_words(one.auc) for one in both))
    table.add_row("sensitivity", *(_share_words(one.confusion.sensitivity) for one in both))
    table.add_row("specificity", *(_share_words(one.confusion.specificity) for one in both))
    table.add_row("accuracy", *(_share_words(one.confusion.accuracy) for one in both))
    table.add_row("TP, FP, TN, FN", *(_counts(one) for one in both))
    return table


def sizes_table(figures: Figures) -> Table:
    """Sensitivity by size of the lesion; ranges without a lesion are left out."""
    table = _table("Sensitivity by size of the lesion", *(one.name for one in figures.populations))
    pairs = zip(figures.assessable.by_size, figures.all_labelled.by_size, strict=True)
    for assessable, every in pairs:
        if every.sensitivity.of:
            cells = (_share_words(one.sensitivity) for one in (assessable, every))
            table.add_row(assessable.size.name, *cells)
    return table


def sweep_table(figures: PopulationFigures, threshold: float) -> Table:
    """Other thresholds, as multiples of the run's."""
    table = _table(
        f"Other lesion thresholds, {figures.name}", "sensitivity", "specificity", "accuracy"
    )
    for row in figures.short_sweep:
        name = f"{row.threshold:g}"
        counts = row.confusion
        shares = (counts.sensitivity, counts.specificity, counts.accuracy)
        table.add_row(
            f"{name} (the run's)" if row.threshold == threshold else name,
            *(_percent(one) for one in shares),
            style="bold" if row.threshold == threshold else "",
        )
    return table


def masks_table(masks: MaskResults) -> Table:
    """Dice and distances of every structure, over cases."""
    table = _table(
        "Masks, mean (median) over cases", "cases", "Dice", "surface mm", "Hausdorff 95 mm"
    )
    for one in summaries(masks):
        table.add_row(
            one.structure,
            str(len(one.dice)),
            _mean_words(one.dice, 3),
            _mean_words(one.mean_mm, 1),
            _mean_words(one.hausdorff_95_mm, 1),
        )
    return table


def notes(evaluation: Evaluation) -> Iterator[str]:
    """What a person must read next to the tables, a line each; the notices come last."""
    cohort = evaluation.cohort
    for group in (Group.NOT_ASSESSABLE, Group.KIDNEY_NOT_FOUND, Group.KIDNEY_NOT_LOCATED):
        kidneys = cohort.of(group)
        if kidneys:
            listed = (f"{one.case} {one.side}" + _why(one) for one in kidneys)
            yield f"{GROUP_WORDS[group]}: {few(listed)}"
    failed = dict.fromkeys(
        f"{one.case}{_why(one)}" for one in cohort.kidneys if one.group is Group.CASE_FAILED
    )
    if failed:
        yield f"failed: {few(failed)}"
    if len(cohort.assessable) < len(cohort.kidneys):
        yield (
            'Among "all labelled kidneys" those without a score count as no finding and rank '
            "below every score; those that are not assessable count with the answer they got."
        )
    yield from _unlabelled_words(cohort)
    yield from _auc_notes(evaluation.figures)
    not_located = sum(
        one.counted_as in (CountedAs.TRUE_POSITIVE, CountedAs.FALSE_POSITIVE)
        and one.outcome == "lesion_not_located"
        for one in cohort.kidneys
    )
    if not_located:
        yield f"findings without a box, suspected lesions that were not located: {not_located}"
    if evaluation.masks is not None:
        yield from _mask_notes(evaluation.masks)
    for warning in cohort.warnings:
        yield f"warning: {warning}"
    yield from evaluation.notices


def _why(kidney: Kidney) -> str:
    return f" ({', '.join(kidney.why)})" if kidney.why else ""


def _unlabelled_words(cohort: Cohort) -> Iterator[str]:
    if not cohort.unlabelled:
        return
    findings = sum(one.outcome in FINDINGS for one in cohort.unlabelled)
    listed = few(f"{one.case} {one.side}" for one in cohort.unlabelled)
    yield (
        f"sides without a label, in no figure ({len(cohort.unlabelled)}, of them {findings} with a "
        f"suspected lesion): {listed}"
    )


def _auc_notes(figures: Figures) -> Iterator[str]:
    if figures.all_labelled.auc is None:
        yield "No AUC and no ROC: that takes kidneys with a lesion and kidneys without one."
    methods = dict.fromkeys(one.auc.method for one in figures.populations if one.auc)
    if methods:
        yield (
            f"Intervals: {' and '.join(methods)} for the AUC, Wilson for shares. They take kidneys "
            "as independent, also two of one patient."
        )


def _mask_notes(masks: MaskResults) -> Iterator[str]:
    yield f"cases whose masks were compared: {len(masks.compared)}"
    if masks.without_prediction:
        yield (
            f"cases without a predicted mask ({len(masks.without_prediction)}): "
            f"{few(masks.without_prediction)}"
        )
    if masks.without_reference:
        yield (
            f"cases without a reference mask ({len(masks.without_reference)}): "
            f"{few(masks.without_reference)}"
        )
    for one in summaries(masks):
        if one.missed or one.only_predicted:
            yield (
                f"{one.structure}: {one.missed} not predicted where the reference has it (Dice 0, "
                f"no distance), {one.only_predicted} predicted where the reference has none (in no "
                "mean)"
            )
    for refused in masks.refused:
        yield f"mask refused: {refused.case} [{refused.code}]: {refused.reason}"
    if masks.sides_swapped:
        yield (
            "warning: right and left look swapped between the reference and the predicted mask: "
            f"{few(masks.sides_swapped)}"
        )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(Text(name), justify="right", overflow="fold")
    return table


def _auc_words(auc: Auc | None) -> str:
    return NO_VALUE if auc is None else f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"


def _share_words(one: Proportion) -> str:
    if one.value is None or one.interval is None:
        return NO_VALUE
    low, high = one.interval
    return f"{one.count}/{one.of} {one.value:.1%}\n({low:.1%} to {high:.1%})"


def _percent(one: Proportion) -> str:
    return NO_VALUE if one.value is None else f"{one.value:.1%} ({one.count}/{one.of})"


def _counts(figures: PopulationFigures) -> str:
    counts = figures.confusion
    return f"{counts.tp}, {counts.fp}, {counts.tn}, {counts.fn}"


def _mean_words(values: Sequence[float], digits: int) -> str:
    found = mean_and_median(values)
    return NO_VALUE if found is None else f"{found[0]:.{digits}f} ({found[1]:.{digits}f})"
