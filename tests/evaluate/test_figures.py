"""Figures of a cohort by hand, and as published."""

from pathlib import Path

import pytest

from rcc_onnx.errors import OptionError
from rcc_onnx.evaluate.figures import evaluate, size_ranges
from rcc_onnx.evaluate.statistics import confusion, proportion
from tests.support.cohorts import (
    Answer,
    cohort_of,
    paper_cohort,
    small_cohort,
    write_answer,
    write_labels,
)


def test_figures_by_hand(tmp_path: Path) -> None:
    """See small_cohort for the eleven kidneys."""
    figures = evaluate(cohort_of(*small_cohort(tmp_path))).figures
    assessable, every = figures.assessable, figures.all_labelled
    # Lesions 120, 90 found, 10 not; others 60 called, 2 and 2 not.
    assert assessable.counts == confusion(tp=2, fp=1, tn=2, fn=1)
    # Nine pairs: 120 and 90 beat all three, 10 beats the two of 2.
    assert assessable.auc is not None
    assert assessable.auc.value == pytest.approx(8 / 9)
    # And 70 flagged, found; failed and not located with a lesion; two without and no score.
    assert every.counts == confusion(tp=3, fp=1, tn=4, fn=3)
    # Lesions 120, 90, 70, 10, none, none; others 60, 2, 2, none, none. 15 wins of the first
    # three, 4 of the 10, and each without a score ties with the two.
    assert every.auc is not None
    assert every.auc.value == pytest.approx((15 + 4 + 2 * 2 * 0.5) / 30)
    sizes = {part.size.name: part.sensitivity for part in every.by_size}
    assert sizes == {
        "up to 15 mm": proportion(1, 1),
        "over 15 to 25 mm": proportion(0, 1),
        "over 25 to 40 mm": proportion(1, 2),
        "over 40 mm": proportion(1, 1),
        "size not given": proportion(0, 1),
    }
    at_run = next(row for row in every.sweep if row.threshold == 50)
    assert at_run.counts == every.counts
    at_100 = next(row for row in assessable.sweep if row.threshold == 100)
    assert at_100.counts == confusion(tp=1, fp=0, tn=3, fn=2)
    # Alone of its size, 15.5 mm: the 10 beats 2 and 2 but not 60.
    (small,) = [part for part in assessable.by_size if part.size.over_mm == 15]
    assert small.auc is not None
    assert small.auc.value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("patients", "found", "cleared", "percentages"),
    [(453, 382, 418, (84.3, 92.3, 88.3)), (132, 112, 119, (84.8, 90.2, 87.5))],
)
def test_a_cohort_as_published_gives_the_published_percentages(
    tmp_path: Path, patients: int, found: int, cleared: int, percentages: tuple[float, ...]
) -> None:
    cohort = cohort_of(*paper_cohort(tmp_path, patients, found, cleared))
    for figures, _ in evaluate(cohort).populations:
        counts = figures.counts
        assert (counts.tp, counts.tn) == (found, cleared)
        shares = (counts.sensitivity, counts.specificity, counts.accuracy)
        assert tuple(round(100 * (share.value or 0), 1) for share in shares) == percentages


def test_a_kidney_without_a_score_ranks_below_a_score_of_nothing(tmp_path: Path) -> None:
    write_answer(tmp_path / "out", "a", Answer(0.0), Answer(None))
    labels = write_labels(
        tmp_path / "labels.csv", {("a", "right"): (1, 9.0), ("a", "left"): (0, None)}
    )
    every = evaluate(cohort_of(tmp_path / "out", labels)).figures.all_labelled
    assert every.auc is not None
    assert every.auc.value == 1


def test_size_ranges() -> None:
    ranges = size_ranges((15, 25))
    assert [size.name for size in ranges] == [
        "up to 15 mm", "over 15 to 25 mm", "over 25 mm", "size not given",
    ]  # fmt: skip
    for size, name in ((15, "up to 15 mm"), (15.1, "over 15 to 25 mm"), (99, "over 25 mm")):
        assert [found.name for found in ranges if found.holds(size)] == [name]
    assert [found.name for found in ranges if found.holds(None)] == ["size not given"]
    for edges in ((), (25, 15), (15, 15), (0, 15), (-1,), (float("nan"),), (float("inf"),)):
        with pytest.raises(OptionError, match="rising numbers above 0"):
            size_ranges(edges)
