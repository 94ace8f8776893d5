"""ROC curve and scores as PNG and SVG, for a projector and for print.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; shapes say the same again.
Matplotlib's object interface only: nothing global is touched, no display is needed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rcc_onnx.evaluate.cohort import CountedAs, Group, Kidney
from rcc_onnx.evaluate.documents import Evaluation
from rcc_onnx.evaluate.figures import PopulationFigures
from rcc_onnx.evaluate.files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, VERMILION, GREY, INK = "#0072b2", "#e69f00", "#d55e00", "#999999", "#222222"
DPI = 200
SIZES = {"title": 15, "label": 13, "tick": 12, "legend": 11, "notice": 9}
SPREAD = 0.42
"""Half the width of a column of dots; columns are 1 apart."""
DOT_WIDTH = 0.05
"""Dots of one row are so far apart, closer where a column is full."""
DECADES_TOGETHER = 0.15
"""Scores whose logarithms differ by less would cover one another, and are put side by side."""
MANY = 200
"""Kidneys from which on dots are drawn smaller."""
LEAST_DRAWN = 1e-2
"""Scores below this are drawn here: the axis has no zero."""
NO_SCORE_AT = LEAST_DRAWN / 10


def write_plots(evaluation: Evaluation, to: Path) -> tuple[Path, ...]:
    """Write roc.png, roc.svg (unless there is no ROC), scores.png, scores.svg.

    Raises:
        OutputError: a file cannot be written.
    """
    drawings: dict[str, Callable[[Evaluation], Figure]] = {"scores": scores_figure}
    if evaluation.figures.all_labelled.roc is not None:
        drawings["roc"] = roc_figure
    written = []
    for name, draw in drawings.items():
        figure = draw(evaluation)
        for suffix in (".png", ".svg"):
            path = to / f"{name}{suffix}"
            _save(figure, path, " ".join(evaluation.notices))
            written.append(path)
    return tuple(written)


def _save(figure: "Figure", path: Path, notice: str) -> None:
    from matplotlib import rc_context  # noqa: PLC0415  an extra

    # No date and no random ids: the same figures give the same bytes.
    dates: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    with rc_context({"svg.hashsalt": "rcc-onnx", "svg.fonttype": "path"}):
        write_file(
            path,
            lambda to: figure.savefig(to, dpi=DPI, metadata={"Description": notice, **dates}),
        )


def roc_figure(evaluation: Evaluation) -> "Figure":
    """Sensitivity over 1 - specificity, both sets of kidneys, with the run's operating point."""
    figure, axes = _figure(evaluation, 7.2, 7.2)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.5, label="chance")
    assessable, every = evaluation.figures.populations
    same = evaluation.cohort.assessable == evaluation.cohort.kidneys
    if not same:
        _curve(axes, every, ORANGE, (0, (5, 2)))
    _curve(axes, assessable, BLUE, "solid")
    drawn = assessable if assessable.roc is not None else every
    _operating_point(axes, drawn, evaluation.cohort.setup.lesion_threshold)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("1 \N{MINUS SIGN} specificity", fontsize=SIZES["label"])
    axes.set_ylabel("sensitivity", fontsize=SIZES["label"])
    axes.set_title("ROC, per kidney", fontsize=SIZES["title"], loc="left")
    axes.grid(color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="lower right", fontsize=SIZES["legend"])
    return figure


def _curve(axes: "Axes", figures: PopulationFigures, colour: str, style: Any) -> None:
    roc, auc = figures.roc, figures.auc
    if roc is None or auc is None:
        return
    axes.plot(
        roc.false_positive_rate,
        roc.true_positive_rate,
        color=colour,
        linestyle=style,
        linewidth=2.8,
        label=f"{figures.name} (n = {figures.confusion.accuracy.of})\n"
        f"AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})",
        clip_on=False,
    )


def _operating_point(axes: "Axes", figures: PopulationFigures, threshold: float) -> None:
    """The run's threshold with Wilson's intervals as a cross."""
    sensitivity, specificity = figures.confusion.sensitivity, figures.confusion.specificity
    if sensitivity.interval is None or specificity.interval is None:
        return
    y, x = sensitivity.value or 0.0, 1 - (specificity.value or 0.0)
    low, high = sensitivity.interval
    left, right = 1 - specificity.interval[1], 1 - specificity.interval[0]
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
    """Every labelled kidney as a mark: its score, its label, and whether the answer was right."""
    figure, axes = _figure(evaluation, 10.5, 6.4)
    cohort = evaluation.cohort
    threshold = cohort.setup.lesion_threshold
    columns: list[tuple[str, list[Kidney]]] = [
        ("no lesion", [one for one in cohort.kidneys if not one.lesion])
    ]
    for size in (one.size for one in evaluation.figures.all_labelled.by_size):
        kidneys = [one for one in cohort.kidneys if one.lesion and size.holds(one.size_mm)]
        if kidneys:
            # "over 15 to 25 mm" takes too much room; the table has it in full.
            name = size.name.removeprefix("over ") if " to " in size.name else size.name
            columns.append((f"lesion\n{name}", kidneys))
    dot = 8.0 if len(cohort.kidneys) < MANY else 5.0
    for place, (_, kidneys) in enumerate(columns):
        _column(axes, place, kidneys, dot)
    if threshold > 0:
        axes.axhline(threshold, color=INK, linewidth=1.4, linestyle="--")
    scores = [one.score for one in cohort.kidneys if one.score is not None]
    bottom = LEAST_DRAWN if len(scores) == len(cohort.kidneys) else NO_SCORE_AT
    axes.set_yscale("log")
    axes.set_ylim(bottom / 2, max([*scores, threshold, 1.0]) * 2)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_xticks(
        range(len(columns)),
        [f"{name}\n(n = {len(kidneys)})" for name, kidneys in columns],
        fontsize=SIZES["tick"],
    )
    _score_ticks(axes, bottom)
    axes.set_ylabel("lesion score (sum of probabilities)", fontsize=SIZES["label"])
    figure.suptitle(
        "Lesion scores of all labelled kidneys", fontsize=SIZES["title"], x=0.01, ha="left"
    )
    axes.grid(axis="y", which="major", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    _scores_legend(axes, cohort.kidneys, threshold)
    return figure


def _column(axes: "Axes", place: int, kidneys: Sequence[Kidney], size: float) -> None:
    """Dots of one column, those that would cover one another side by side."""
    heights = [NO_SCORE_AT if one.score is None else max(one.score, LEAST_DRAWN) for one in kidneys]
    for kidney, height, aside in zip(kidneys, heights, _asides(heights), strict=True):
        right = kidney.counted_as in (CountedAs.TRUE_POSITIVE, CountedAs.TRUE_NEGATIVE)
        assessable = kidney.group is Group.ASSESSABLE
        colour = BLUE if right else VERMILION
        axes.plot(
            place + aside,
            height,
            marker="o" if right else "X",
            markersize=size if right else size * 1.25,
            markerfacecolor=colour if assessable else "white",
            markeredgecolor="white" if assessable else colour,
            markeredgewidth=0.6 if assessable else 1.6,
            linestyle="none",
        )


def _asides(heights: Sequence[float]) -> list[float]:
    """How far aside each dot goes: dots of about one height share a row, from the middle out."""
    rows: dict[int, list[int]] = {}
    for index, height in enumerate(heights):
        rows.setdefault(round(float(np.log10(height)) / DECADES_TOGETHER), []).append(index)
    asides = [0.0] * len(heights)
    for row in rows.values():
        step = min(DOT_WIDTH, 2 * SPREAD / max(1, len(row) - 1))
        for rank, index in enumerate(row):
            asides[index] = (rank - (len(row) - 1) / 2) * step
    return asides


def _score_ticks(axes: "Axes", bottom: float) -> None:
    """Plain numbers; what lies under the axis' end, and kidneys without a score, in words."""
    top = axes.get_ylim()[1]
    marks = [10.0**power for power in range(-2, 8) if 10.0**power <= top]
    names = [f"{one:g}" for one in marks]
    names[0] = f"{LEAST_DRAWN:g} or less"
    if bottom < LEAST_DRAWN:
        marks, names = [NO_SCORE_AT, *marks], ["no score", *names]
    axes.set_yticks(marks, names, fontsize=SIZES["tick"])
    axes.set_yticks([], minor=True)


def _scores_legend(axes: "Axes", kidneys: Sequence[Kidney], threshold: float) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415  an extra

    def mark(name: str, marker: str, face: str, edge: str) -> Line2D:
        return Line2D(
            [], [], marker=marker, markersize=9, markerfacecolor=face, markeredgecolor=edge,
            linestyle="none", label=name,
        )  # fmt: skip

    marks = [
        mark("answer as labelled", "o", BLUE, BLUE),
        mark("answer not as labelled", "X", VERMILION, VERMILION),
    ]
    if any(one.group is not Group.ASSESSABLE for one in kidneys):
        marks.append(mark("hollow: not assessable", "o", "white", INK))
    if threshold > 0:
        name = f"threshold {threshold:g}"
        marks.append(Line2D([], [], color=INK, linewidth=1.4, linestyle="--", label=name))
    axes.legend(
        handles=marks,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=len(marks),
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
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    setup = evaluation.cohort.setup
    notice = "\n".join(
        (
            f"models {setup.models} {setup.version}, {setup.precision}, profile {setup.profile}",
            *evaluation.notices,
        )
    )
    figure.supxlabel(notice, fontsize=SIZES["notice"], color=INK, x=0.01, ha="left")
    return figure, axes
