"""Findings of the networks in the patient: masks, images, measurements (docs/outputs.md).

A side has its kidney's mask if a kidney was found there, and its lesion's if the lesion sum exceeds
the threshold: masks show what the outcome says. Where they overlap it is the lesion.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom import Study
from rcc_onnx.imaging.images import NetworkImages, PatientImages
from rcc_onnx.imaging.mask_resampling import SourceMask, source_mask
from rcc_onnx.imaging.placement import Placement, SourceImage
from rcc_onnx.measurement.measure import half_of, measure_side
from rcc_onnx.pipeline import Analysis
from rcc_onnx.pipeline.preprocess import axis_maps
from rcc_onnx.results import SUSPECTED, SideFinding
from rcc_onnx.types import KIDNEYS, SIDES, Outcome, Profile, Side, Structure, Thresholds


def place_in_patient(study: Study, analysis: Analysis, mask_cutoff: float) -> PatientImages | None:
    """Return masks and images with their place in the patient; None in the notebook profile.

    The notebook goes by file names and knows no positions, so nothing of its answer can be placed.
    """
    if study.profile is Profile.NOTEBOOK:
        return None
    placement = placement_of(study, analysis.volume.padding_before, len(analysis.volume.values))
    return PatientImages(
        placement=placement,
        mask_cutoff=mask_cutoff,
        labels=structure_labels(analysis.images, analysis.sides, mask_cutoff),
        masks=source_masks(analysis.images, analysis.sides, placement, mask_cutoff),
        hu=analysis.hu,
        read_hu=partial(_read_hu, study),
        read_header=partial(_read_header, study),
    )


def measure_sides(
    analysis: Analysis, patient: PatientImages, thresholds: Thresholds
) -> Mapping[Side, SideFinding]:
    """Return the findings of both sides with their measurements in the patient."""
    return {
        side: measure_side(side, analysis.sides[side], analysis.images, patient, thresholds.lesion)
        for side in SIDES
    }


def placement_of(study: Study, padding_before: int, depth: int) -> Placement:
    """Return where a study's network volume lies. Standard profile only."""
    first = study.slices[0]
    rows, columns = axis_maps(first, study.profile)
    return Placement(
        images=tuple(
            SourceImage(
                header.file_name,
                header.sop_class_uid,
                header.sop_instance_uid,
                None if header.frame is None else header.frame + 1,
                header.position,
            )
            for header in (part.header for part in study.slices)
        ),
        reorientation=first.reorientation,
        shape_yx=first.shape,
        affine_zyx_lps=study.affine_zyx_lps(),
        rows=rows,
        columns=columns,
        stride=study.stride,
        padding_before=padding_before,
        depth=depth,
    )


def structure_labels(
    images: NetworkImages, sides: Mapping[Side, SideFinding], cutoff: float
) -> NDArray[np.uint8]:
    """Return labels of the network volume: uint8, `Structure`, 0 elsewhere; same shape."""
    labels = np.zeros(images.kidney_probability.shape, np.uint8)
    for _, structure, probability in _probabilities(images, sides):
        labels[probability >= cutoff] = structure
    return labels


def source_masks(
    images: NetworkImages,
    sides: Mapping[Side, SideFinding],
    placement: Placement,
    cutoff: float,
) -> tuple[SourceMask, ...]:
    """Return the masks that have a voxel, at the voxels of the series; lesions come last."""
    made = (
        source_mask(side, structure, placement, probability, cutoff)
        for side, structure, probability in _probabilities(images, sides)
    )
    return tuple(mask for mask in made if mask is not None)


def _probabilities(
    images: NetworkImages, sides: Mapping[Side, SideFinding]
) -> Iterator[tuple[Side, Structure, NDArray[np.float32]]]:
    """Yield every structure that was found, with its own probability in the network volume."""
    for side in SIDES:
        if sides[side].outcome is not Outcome.KIDNEY_NOT_FOUND:
            kidney = np.zeros_like(images.kidney_probability)
            kidney[half_of(side)] = images.kidney_probability[half_of(side)]
            yield side, KIDNEYS[side], kidney
    for side in SIDES:
        if sides[side].outcome in SUSPECTED:
            yield side, Structure.SUSPECTED_LESION, images.lesion_probability(side)


def _read_hu(study: Study, index: int) -> NDArray[np.float64]:
    return study.slices[index].hounsfield().hu


def _read_header(study: Study, index: int) -> Any:
    return study.slices[index].dataset()
