"""Cases that were placed in the patient, with findings that are known, for tests of pictures."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom import read_study
from rcc_onnx.measurement.patient_space import measure_sides, place_in_patient
from rcc_onnx.options import InferenceOptions
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import Profile, Structure
from tests.support.dicom_factory import Layout, ct_series, write_series
from tests.support.results import case_result
from tests.support.truths import true_analysis, two_kidneys

SHAPE, SPACING = (44, 180, 200), (5.0, 1.8, 1.5)
HU = {Structure.RIGHT_KIDNEY: 180, Structure.LEFT_KIDNEY: 160, Structure.SUSPECTED_LESION: 75}


def placed_case(
    folder: Path,
    case: str = "case",
    labels: NDArray[np.uint8] | None = None,
    *,
    layout: Layout | None = None,
    spacing: tuple[float, float, float] = SPACING,
    patient: Mapping[str, str] | None = None,
    **changes: object,
) -> AnalysedCase:
    """A result whose study is written to `folder`, with what `labels` hold found exactly.

    A bright bar lies at the patient's right, in front, in every slice of the upper half.
    `patient` holds values of attributes by keyword, for every file.
    """
    labels = two_kidneys(SHAPE) if labels is None else labels
    depth, rows, columns = labels.shape
    values = np.full(labels.shape, -1000, np.int16)
    values[:, rows // 12 : -rows // 12, columns // 12 : -columns // 12] = -100
    values[:, rows // 7 : -rows // 7, columns // 9 : -columns // 9] = 40
    values[: depth // 2, rows // 5 : rows // 4, columns // 10 : columns // 4] = 1000
    for label, hu in HU.items():
        values[labels == label] = hu
    series = ct_series(values, spacing, layout)
    for dataset in series:
        for keyword, value in (patient or {}).items():
            setattr(dataset, keyword, value)
    write_series(folder, series)
    study = read_study(folder, Profile.STANDARD)
    analysis = true_analysis(study, labels)
    result = case_result(case)
    images = place_in_patient(study, analysis, InferenceOptions().mask_cutoff)
    assert images is not None
    fields: dict[str, object] = {
        "sides": measure_sides(analysis, images, result.thresholds),
        "study": replace(result.study, slices_in_series=depth, spacing_zyx_mm=spacing),
        "measured": True,
        "network_images": analysis.images,
        "patient_images": images,
    }
    return case_result(case, **(fields | changes))
