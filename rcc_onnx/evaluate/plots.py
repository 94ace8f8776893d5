"""ROC curve and scores as PNG and SVG, for a projector and for print.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; shapes say the same again.
Matplotlib's object interface only: nothing global is changed, no display is needed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rcc_onnx.evaluate.cohort import Group, Kidney
from rcc_onnx.evaluate.figures import Evaluation, PopulationFigures, scores_by_label
from rcc_onnx.evaluate.report import write_file
from rcc_onnx.evaluate.statistics import roc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, VERMILION, GREY, INK = "#0072b2", "#e69f00", "#d55e00", "#999999", "#222222"
DPI = 200
SIZES = {"title": 15, "label": 13, "tick": 12, "legend": 11, "notice": 9}
SPREAD = 0.42
"""Half the width of a column of dots; columns are 1 apart."""
DOT_WIDTH = 0.05
"""Distance between dots of one row; smaller where a column is full."""
ROW_DECADES = 0.15
"""Scores whose logarithms differ by less would overlap, and are put side by side."""
MANY = 200
"""From this many kidneys on, dots are smaller."""
LEAST_DRAWN = 1e-2
"""Scores below this are drawn here: a logarithmic axis has no zero."""
NO_SCORE_AT = LEAST_DRAWN / 10


def write_plots(evaluation: Evaluation, folder: Path) -> tuple[Path, ...]:
    """Write roc.png, roc.svg (unless there is no ROC), scores.png, scores.svg.

    Raises:
        OutputError: a file cannot be written.
    """
    drawings: dict[str, Callable[[Evaluation], Figure]] = {"scores": scores_figure}
    if evaluation.figures.all_labelled.auc is not None:
        drawings["roc"] = roc_figure
    written = []
    for name, draw in drawings.items():
        figure = draw(evaluation)
        for suffix in (".png", ".svg"):
            _save(figure, folder / f"{name}{suffix}", evaluation.notice)
            written.append(folder / f"{name}{suffix}")
    return tuple(written)


def _save(figure: "Figure", path: Path, notice: str) -> None:
    from matplotlib import rc_context  # noqa: PLC0415  an extra

    # No date and no random ids: the same figures give the same bytes.
    metadata = {"Description": notice} | ({"Date": None} if path.suffix == ".svg" else {})
    with rc_context({"svg.hashsalt": "rcc-onnx", "svg.fonttype": "path"}):
        write_file(path, lambda to: figure.savefig(to, dpi=DPI, metadata=metadata))


def roc_figure(evaluation: Evaluation) -> "Figure":
    """Draw sensitivity over 1 - specificity for both sets of kidneys, and the operating point."""
    figure, axes = _figure(evaluation, 7.2, 7.2)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.5, label="chance")
    (assessable, some), (all_labelled, every) = evaluation.populations
    if len(some) < len(every):
        _curve(axes, all_labelled, every, ORANGE, (0, (5, 2)))
    _curve(axes, assessable, some, BLUE, "solid")
    drawn = all_labelled if assessable.auc is None else assessable
    _operating_point(axes, drawn, evaluation.cohort.setup.thresholds.lesion)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("1 \N{MINUS SIGN} specificity", fontsize=SIZES["label"])
    axes.set_ylabel("sensitivity", fontsize=SIZES["label"])
    axes.set_title("ROC, per kidney", fontsize=SIZES["title"], loc="left")
    axes.grid(color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="lower right", fontsize=SIZES["legend"])
    return figure


def _curve(
    axes: "Axes", figures: PopulationFigures, kidneys: Sequence[Kidney], colour: str, style: Any
) -> None:
    rates, auc = roc(*scores_by_label(kidneys)), figures.auc
    if rates is None or auc is None:
        return
    axes.plot(
        *rates,
        color=colour,
        linestyle=style,
        linewidth=2.8,
        label=f"{figures.population} (n = {figures.kidneys})\n"
        f"AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})",
        clip_on=False,
    )


def _operating_point(axes: "Axes", figures: PopulationFigures, threshold: float) -> None:
    """Draw the run's threshold with its intervals as a cross."""
    sensitivity, specificity = figures.counts.sensitivity, figures.counts.specificity
    if not (sensitivity.of and specificity.of):
        return
    y, low, high = sensitivity.value or 0.0, sensitivity.low or 0.0, sensitivity.high or 0.0
    x = 1 - (specificity.value or 0.0)
    left, right = 1 - (specificity.high or 0.0), 1 - (specificity.low or 0.0)
    axes.errorbar(
        x,
        y,
        # Never below 0 by rounding: matplotlib refuses that.
        xerr=[[max(0.0, x - left)], [max(0.0, right - x)]],
        yerr=[[max(0.0, y - low)], [max(0.0, high - y)]],
        fmt="o",
        color=INK,
        markersize=9,
        capsize=4,
        linewidth=1.6,
        label=f"the run's threshold {threshold:g}\nsensitivity {y:.1%}, specificity {1 - x:.1%}",
        clip_on=False,
        zorder=5,
    )


def scores_figure(evaluation: Evaluation) -> "Figure":
    """Draw every labelled kidney: its score, its label, and whether the answer was right."""
    figure, axes = _figure(evaluation, 10.5, 6.4)
    every, threshold = evaluation.cohort.kidneys, evaluation.cohort.setup.thresholds.lesion
    columns = {"no lesion": [kidney for kidney in every if not kidney.lesion]}
    for part in evaluation.figures.all_labelled.by_size:
        lesions = [kidney for kidney in every if kidney.lesion and part.size.holds(kidney.size_mm)]
        if lesions:
            # "over 15 to 25 mm" takes too much room; the table has it in full.
            name = part.size.name
            name = name.removeprefix("over ") if " to " in name else name
            columns[f"lesion\n{name}"] = lesions
    dot = 8.0 if len(every) < MANY else 5.0
    for place, kidneys in enumerate(columns.values()):
        _column(axes, place, kidneys, dot)
    if threshold > 0:
        axes.axhline(threshold, color=INK, linewidth=1.4, linestyle="--")
    scores = [kidney.score for kidney in every if kidney.score is not None]
    bottom = LEAST_DRAWN if len(scores) == len(every) else NO_SCORE_AT
    axes.set_yscale("log")
    axes.set_ylim(bottom / 2, max([*scores, threshold, 1.0]) * 2)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    names = [f"{name}\n(n = {len(kidneys)})" for name, kidneys in columns.items()]
    axes.set_xticks(range(len(columns)), names, fontsize=SIZES["tick"])
    _score_ticks(axes, bottom)
    axes.set_ylabel("lesion score (sum of probabilities)", fontsize=SIZES["label"])
    title = "Lesion scores of all labelled kidneys"
    figure.suptitle(title, fontsize=SIZES["title"], x=0.01, ha="left")
    axes.grid(axis="y", which="major", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    _scores_legend(axes, every, threshold)
    return figure


def _column(axes: "Axes", place: int, kidneys: Sequence[Kidney], size: float) -> None:
    """Draw the dots of one column; those that would overlap are put side by side."""
    scores = (kidney.score for kidney in kidneys)
    heights = [NO_SCORE_AT if score is None else max(score, LEAST_DRAWN) for score in scores]
    for kidney, height, offset in zip(kidneys, heights, _offsets(heights), strict=True):
        right = kidney.finding == kidney.lesion
        assessable = kidney.group is Group.ASSESSABLE
        colour = BLUE if right else VERMILION
        axes.plot(
            place + offset,
            height,
            marker="o" if right else "X",
            markersize=size if right else size * 1.25,
            markerfacecolor=colour if assessable else "white",
            markeredgecolor="white" if assessable else colour,
            markeredgewidth=0.6 if assessable else 1.6,
            linestyle="none",
        )


def _offsets(heights: Sequence[float]) -> list[float]:
    """Return how far aside each dot is drawn: dots of about one height share a row."""
    rows: dict[int, list[int]] = {}
    for index, height in enumerate(heights):
        rows.setdefault(round(float(np.log10(height)) / ROW_DECADES), []).append(index)
    offsets = [0.0] * len(heights)
    for row in rows.values():
        step = min(DOT_WIDTH, 2 * SPREAD / max(1, len(row) - 1))
        for rank, index in enumerate(row):
            offsets[index] = (rank - (len(row) - 1) / 2) * step
    return offsets


def _score_ticks(axes: "Axes", bottom: float) -> None:
    """Label the axis with plain numbers; its lower end, and kidneys without a score, in words."""
    top = axes.get_ylim()[1]
    marks = [10.0**power for power in range(-2, 8) if 10.0**power <= top]
    names = [f"{LEAST_DRAWN:g} or less", *(f"{mark:g}" for mark in marks[1:])]
    if bottom < LEAST_DRAWN:
        marks, names = [NO_SCORE_AT, *marks], ["no score", *names]
    axes.set_yticks(marks, names, fontsize=SIZES["tick"])
    axes.set_yticks([], minor=True)


def _scores_legend(axes: "Axes", kidneys: Sequence[Kidney], threshold: float) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415  an extra

    marks = [
        ("answer as labelled", "o", BLUE, BLUE),
        ("answer not as labelled", "X", VERMILION, VERMILION),
    ]
    if any(kidney.group is not Group.ASSESSABLE for kidney in kidneys):
        marks.append(("hollow: not assessable", "o", "white", INK))
    handles = [
        Line2D(
            [], [], marker=marker, markersize=9, markerfacecolor=face, markeredgecolor=edge,
            linestyle="none", label=name,
        )
        for name, marker, face, edge in marks
    ]  # fmt: skip
    if threshold > 0:
        name = f"threshold {threshold:g}"
        handles.append(Line2D([], [], color=INK, linewidth=1.4, linestyle="--", label=name))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=len(handles),
        frameon=False,
        fontsize=SIZES["legend"],
        borderaxespad=0,
        handletextpad=0.3,
        columnspacing=1.2,
    )


def _figure(evaluation: Evaluation, width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # noqa: PLC0415  an extra

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.tick_params(labelsize=SIZES["tick"])
    axes.spines[["top", "right"]].set_visible(False)
    setup, models = evaluation.cohort.setup, evaluation.cohort.setup.models
    used = f"models {models.name} {models.version}, {setup.precision}, profile {setup.profile}"
    notice = "\n".join((used, *setup.notices))
    figure.supxlabel(notice, fontsize=SIZES["notice"], color=INK, x=0.01, ha="left")
    return figure, axes
