"""The CSV files of an evaluation, and all its files in one go.

CSV: UTF-8, commas, a header, points as decimal marks, empty where there is no value. The last
column of every row is the notice: a table that is cut out and pasted still says what it is.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rcc_onnx.errors import OutputError
from rcc_onnx.evaluate.documents import Evaluation, evaluation_json
from rcc_onnx.evaluate.figures import Figures, PopulationFigures
from rcc_onnx.evaluate.files import write_file
from rcc_onnx.evaluate.masks import MaskResults
from rcc_onnx.evaluate.statistics import Auc, Proportion

Row = Sequence[object]

EVALUATION = (
    "population", "measure", "lesion_size", "value", "low", "high", "count", "of", "interval",
)  # fmt: skip
SWEEP = (
    "population", "threshold", "tp", "fp", "tn", "fn", "sensitivity", "specificity", "accuracy",
)  # fmt: skip
KIDNEYS = (
    "case", "side", "lesion", "size_mm", "group", "outcome", "score", "finding", "counted_as",
    "why",
)  # fmt: skip
MASKS = (
    "case", "structure", "reference_ml", "predicted_ml", "dice", "mean_mm", "hausdorff_95_mm",
)  # fmt: skip


FILES = (
    "evaluation.json", "evaluation.csv", "sweep.csv", "kidneys.csv", "masks.csv",
    "roc.png", "roc.svg", "scores.png", "scores.svg",
)  # fmt: skip
"""All that an evaluation may write into its folder."""


def remove_old(folder: Path) -> None:
    """Remove what an earlier evaluation wrote, so that no old figure stands beside a new one.

    Raises:
        OutputError: that cannot be done.
    """
    for name in FILES:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {folder / name}: {error.strerror}") from error


def write_tables(evaluation: Evaluation, to: Path) -> None:
    """Write evaluation.csv, sweep.csv, kidneys.csv, masks.csv if asked for, evaluation.json last.

    Raises:
        OutputError: a file cannot be written.
    """
    figures, notice = evaluation.figures, " ".join(evaluation.notices)
    _write_csv(to / "evaluation.csv", EVALUATION, _evaluation_rows(figures), notice)
    _write_csv(to / "sweep.csv", SWEEP, _sweep_rows(figures), notice)
    _write_csv(to / "kidneys.csv", KIDNEYS, _kidney_rows(evaluation), notice)
    if evaluation.masks is not None:
        _write_csv(to / "masks.csv", MASKS, _mask_rows(evaluation.masks), notice)
    write_json(evaluation, to / "evaluation.json")


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Write `evaluation_json` to a file. Raises OutputError if that cannot be done."""
    document: dict[str, Any] = evaluation_json(evaluation)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _write_text(path, text)


def _write_text(path: Path, text: str) -> None:
    # Case names are folder names, which need not be UTF-8: such a byte is written as an escape.
    data = text.encode("utf-8", "backslashreplace")
    write_file(path, lambda to: to.write_bytes(data))


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Row], notice: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*header, "notice"))
    writer.writerows((*(_cell(one) for one in row), notice) for row in rows)
    _write_text(path, text.getvalue())


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    return f"{value:.6g}" if isinstance(value, float) else value


def _evaluation_rows(figures: Figures) -> Iterable[Row]:
    for one in figures.populations:
        counts = one.confusion
        yield (one.name, "auc", "", *_auc_cells(one.auc))
        yield (one.name, "sensitivity", "", *_proportion_cells(counts.sensitivity))
        yield (one.name, "specificity", "", *_proportion_cells(counts.specificity))
        yield (one.name, "accuracy", "", *_proportion_cells(counts.accuracy))
        for name, count in (
            ("tp", counts.tp), ("fp", counts.fp), ("tn", counts.tn), ("fn", counts.fn),
        ):  # fmt: skip
            yield (one.name, name, "", count, None, None, None, None, None)
        for size in one.by_size:
            cells = _proportion_cells(size.sensitivity)
            yield (one.name, "sensitivity", size.size.name, *cells)
            yield (one.name, "auc", size.size.name, *_auc_cells(size.auc))


def _auc_cells(auc: Auc | None) -> Row:
    if auc is None:
        return (None,) * 6
    return (auc.value, auc.low, auc.high, None, None, auc.method)


def _proportion_cells(one: Proportion) -> Row:
    low, high = one.interval or (None, None)
    return (one.value, low, high, one.count, one.of, "Wilson" if one.of else None)


def _sweep_rows(figures: Figures) -> Iterable[Row]:
    return (row for one in figures.populations for row in _sweep_of(one))


def _sweep_of(figures: PopulationFigures) -> Iterable[Row]:
    for row in figures.sweep:
        counts = row.confusion
        yield (
            figures.name,
            # Whole: a threshold of fewer digits may fall on the other side of its own score.
            repr(row.threshold),
            counts.tp,
            counts.fp,
            counts.tn,
            counts.fn,
            counts.sensitivity.value,
            counts.specificity.value,
            counts.accuracy.value,
        )


def _kidney_rows(evaluation: Evaluation) -> Iterable[Row]:
    for one in evaluation.cohort.kidneys:
        yield (
            one.case,
            one.side,
            one.lesion,
            one.size_mm,
            str(one.group),
            None if one.outcome is None else str(one.outcome),
            None if one.score is None else repr(one.score),
            one.finding,
            str(one.counted_as),
            " ".join(one.why),
        )


def _mask_rows(masks: MaskResults) -> Iterable[Row]:
    for one in masks.comparisons:
        distances = one.distances
        yield (
            one.case,
            one.structure,
            one.reference_ml,
            one.predicted_ml,
            one.dice,
            None if distances is None else distances.mean_mm,
            None if distances is None else distances.hausdorff_95_mm,
        )
