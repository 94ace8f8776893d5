"""ROC and score plots: reproducible, without side effects, for unusual cohorts too."""

import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from rcc_onnx.evaluate.figures import Evaluation, evaluate
from rcc_onnx.evaluate.plots import write_plots
from rcc_onnx.evaluate.report import write_tables
from rcc_onnx.types import Thresholds
from tests.support.cohorts import Answer, cohort_of, small_cohort, write_answer, write_labels


def of_one(folder: Path, right: Answer, rows: tuple[int, int], **changes: object) -> Evaluation:
    """Return the evaluation of one case whose left kidney was not found."""
    write_answer(folder / "out", "a", right, Answer(None), **changes)
    labels = {("a", "right"): (rows[0], None), ("a", "left"): (rows[1], None)}
    return evaluate(cohort_of(folder / "out", write_labels(folder / "labels.csv", labels)))


def test_plots_are_reproducible_and_change_nothing_global(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    found = evaluate(cohort_of(*small_cohort(tmp_path)))
    for folder in ("one", "other"):
        assert len(write_plots(found, tmp_path / folder)) == 4
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()
    assert dict(mpl.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.mark.parametrize("lesion", [0, 1])
def test_kidneys_of_one_kind_have_no_roc(tmp_path: Path, lesion: int) -> None:
    found = of_one(tmp_path, Answer(120.0), (lesion, lesion))
    names = {path.name for path in write_plots(found, tmp_path / "to")}
    assert names == {"scores.png", "scores.svg"}
    write_tables(found, tmp_path / "to")
    figures = found.figures.all_labelled
    assert figures.auc is None
    share = figures.counts.specificity if lesion else figures.counts.sensitivity
    assert share.value is None


def test_plots_of_unusual_scores(tmp_path: Path) -> None:
    """No assessable kidney, a score of 0, a threshold of 0."""
    answer = Answer(0.0, assessable=False)
    found = of_one(tmp_path, answer, (1, 0), thresholds=Thresholds(1000, 0))
    assert len(write_plots(found, tmp_path / "to")) == 4
    assert found.figures.all_labelled.auc is not None
    assert found.figures.all_labelled.auc.value == 1
