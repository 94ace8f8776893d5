"""Measurements as JSON; every field is in docs/outputs.md."""

from typing import Any

from rcc_onnx.header_text import uid
from rcc_onnx.measures import (
    KidneyMeasures,
    LesionMeasures,
    MeasuringOptions,
    Sensitivity,
    margin,
)

Json = dict[str, Any]

DECIMALS = 3
"""Of lengths in mm, volumes in ml and HU: finer than any of them is known."""


def margin_json(probability_sum: float, threshold: float, options: MeasuringOptions) -> Json:
    """How far a sum is from its threshold."""
    found = margin(probability_sum, threshold, options)
    return {
        "margin": found.absolute,
        "margin_relative": found.relative,
        "borderline": found.borderline,
    }


def kidney_json(kidney: KidneyMeasures) -> Json:
    return {
        "volume_ml": _rounded(kidney.volume_ml),
        "mean_hu": None if kidney.mean_hu is None else _rounded(kidney.mean_hu),
    }


def lesion_json(lesion: LesionMeasures) -> Json:
    diameter, box = lesion.diameter, lesion.box
    return {
        "volume_ml": _rounded(lesion.volume_ml),
        "parts": lesion.parts,
        "longest_axial_diameter": {
            "mm": _rounded(diameter.length_mm),
            "slice": diameter.slice,
            "sop_instance_uid": uid(diameter.sop_instance_uid),
            "frame": diameter.frame,
            "ends_row_column": [list(end) for end in diameter.ends_file],
            "ends_lps_mm": [_position(end) for end in diameter.ends_lps_mm],
        },
        "centre_lps_mm": _position(lesion.centre_lps_mm),
        "box": {
            "slices": list(box.slices),
            "sop_instance_uids": [uid(one) for one in box.sop_instance_uids],
            "rows": list(box.rows),
            "columns": list(box.columns),
            "lowest_lps_mm": _position(box.lowest_lps_mm),
            "highest_lps_mm": _position(box.highest_lps_mm),
        },
        "touches_crop_border": lesion.touches_crop_border,
        "mean_hu": _rounded(lesion.mean_hu),
    }


def sensitivity_json(sensitivity: Sensitivity) -> Json:
    lesion = sensitivity.lesion_volumes_ml
    return {
        "lesion_thresholds": list(sensitivity.thresholds),
        "outcomes": [str(one) for one in sensitivity.outcomes],
        "mask_cutoffs": list(sensitivity.cutoffs),
        "kidney_volumes_ml": [_rounded(one) for one in sensitivity.kidney_volumes_ml],
        "lesion_volumes_ml": None if lesion is None else [_rounded(one) for one in lesion],
    }


def _rounded(value: float) -> float:
    return round(value, DECIMALS)


def _position(xyz: tuple[float, float, float]) -> list[float]:
    return [_rounded(value) for value in xyz]
