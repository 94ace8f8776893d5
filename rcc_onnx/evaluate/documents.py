"""evaluation.json: everything that an evaluation found. Every field is in docs/evaluate.md."""

from dataclasses import dataclass
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.evaluate.cohort import Cohort, Group, Kidney
from rcc_onnx.evaluate.figures import Figures, PopulationFigures, SizeFigures
from rcc_onnx.evaluate.labels import Labels
from rcc_onnx.evaluate.masks import Comparison, MaskResults, Summary, mean_and_median, summaries
from rcc_onnx.evaluate.statistics import Auc, Confusion, Proportion, SweepRow
from rcc_onnx.types import RESEARCH_ONLY

SCHEMA_VERSION = 1
PHANTOMS_ONLY = "These are figures of digital phantoms and say nothing about patients."
UNSUITABLE = "The models were not made for this kind of study: the figures say nothing."

Json = dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """All that is written and shown. `masks` is None unless masks were asked for."""

    labels: Labels
    cohort: Cohort
    figures: Figures
    masks: MaskResults | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """What stands in every output."""
        found = [RESEARCH_ONLY]
        if self.cohort.is_phantom:
            found.append(PHANTOMS_ONLY)
        if not self.cohort.setup.suitable:
            found.append(UNSUITABLE)
        return tuple(found)


def evaluation_json(evaluation: Evaluation) -> Json:
    """The document, schema version 1."""
    cohort, labels = evaluation.cohort, evaluation.labels
    setup = cohort.setup
    return {
        "schema_version": SCHEMA_VERSION,
        "rcc_onnx_version": __version__,
        "notice": " ".join(evaluation.notices),
        "warnings": list(cohort.warnings),
        "labels": {
            "file": labels.file_name,
            "separator": labels.separator,
            "cases": cohort.labelled_cases,
            "kidneys": len(cohort.kidneys),
            "with_lesion": sum(one.lesion for one in cohort.kidneys),
            "ignored_columns": list(labels.ignored_columns),
        },
        "setup": {
            "study_kind": setup.study_kind,
            "profile": setup.profile,
            "precision": setup.precision,
            "models": setup.models,
            "version": setup.version,
            "sha256": dict(setup.sha256),
            "suitable": setup.suitable,
            "kidney_threshold": setup.kidney_threshold,
            "lesion_threshold": setup.lesion_threshold,
        },
        "groups": {str(group): _group_json(cohort.of(group)) for group in Group},
        "not_assessable_kidneys": [
            _kidney_json(one) for one in cohort.kidneys if one.group is not Group.ASSESSABLE
        ],
        "failed_cases": list(cohort.failed_cases),
        "unlabelled_sides": [
            {
                "case": one.case,
                "side": one.side,
                "outcome": "case_failed" if one.outcome is None else str(one.outcome),
            }
            for one in cohort.unlabelled
        ],
        "figures": {
            "assessable": _population_json(evaluation.figures.assessable),
            "all_labelled": _population_json(evaluation.figures.all_labelled),
        },
        "masks": None if evaluation.masks is None else _masks_json(evaluation.masks),
    }


def _group_json(kidneys: tuple[Kidney, ...]) -> Json:
    with_lesion = sum(one.lesion for one in kidneys)
    return {
        "kidneys": len(kidneys),
        "with_lesion": with_lesion,
        "without_lesion": len(kidneys) - with_lesion,
    }


def _kidney_json(kidney: Kidney) -> Json:
    return {
        "case": kidney.case,
        "side": kidney.side,
        "lesion": kidney.lesion,
        "group": str(kidney.group),
        "counted_as": str(kidney.counted_as),
        "why": list(kidney.why),
    }


def _population_json(figures: PopulationFigures) -> Json:
    return {
        "kidneys": figures.confusion.accuracy.of,
        **_confusion_json(figures.confusion),
        "auc": _auc_json(figures.auc),
        "by_size": [_size_json(one) for one in figures.by_size],
        "sweep": [_sweep_json(one) for one in figures.short_sweep],
    }


def _confusion_json(counts: Confusion) -> Json:
    return {
        "tp": counts.tp,
        "fp": counts.fp,
        "tn": counts.tn,
        "fn": counts.fn,
        "sensitivity": proportion_json(counts.sensitivity),
        "specificity": proportion_json(counts.specificity),
        "accuracy": proportion_json(counts.accuracy),
    }


def proportion_json(one: Proportion) -> Json:
    low, high = one.interval or (None, None)
    return {"value": one.value, "low": low, "high": high, "count": one.count, "of": one.of}


def _auc_json(one: Auc | None) -> Json | None:
    if one is None:
        return None
    return {"value": one.value, "low": one.low, "high": one.high, "interval": one.method}


def _size_json(one: SizeFigures) -> Json:
    return {
        "size": one.size.name,
        "sensitivity": proportion_json(one.sensitivity),
        "auc": _auc_json(one.auc),
    }


def _sweep_json(row: SweepRow) -> Json:
    return {"threshold": row.threshold, **_confusion_json(row.confusion)}


def _masks_json(masks: MaskResults) -> Json:
    return {
        "compared": list(masks.compared),
        "without_prediction": list(masks.without_prediction),
        "without_reference": list(masks.without_reference),
        "refused": [
            {"case": one.case, "code": one.code, "reason": one.reason} for one in masks.refused
        ],
        "sides_look_swapped": list(masks.sides_swapped),
        "structures": [_summary_json(one) for one in summaries(masks)],
        "cases": [_comparison_json(one) for one in masks.comparisons],
    }


def _summary_json(one: Summary) -> Json:
    document: Json = {
        "structure": one.structure,
        "cases": len(one.dice),
        "missed": one.missed,
        "only_predicted": one.only_predicted,
    }
    for name, values in (
        ("dice", one.dice),
        ("mean_mm", one.mean_mm),
        ("hausdorff_95_mm", one.hausdorff_95_mm),
    ):
        mean, median = mean_and_median(values) or (None, None)
        document[name] = {"of": len(values), "mean": mean, "median": median}
    return document


def _comparison_json(one: Comparison) -> Json:
    return {
        "case": one.case,
        "structure": one.structure,
        "reference_ml": one.reference_ml,
        "predicted_ml": one.predicted_ml,
        "dice": one.dice,
        "mean_mm": None if one.distances is None else one.distances.mean_mm,
        "hausdorff_95_mm": None if one.distances is None else one.distances.hausdorff_95_mm,
    }
