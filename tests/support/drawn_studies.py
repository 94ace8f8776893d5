"""Studies with known kidneys and a known lesion, analysed by networks that answer the truth.

So whatever differs from the truth afterwards comes from geometry alone.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from rcc_onnx.dicom import read_study
from rcc_onnx.measurement.patient_space import measure_sides, place_in_patient
from rcc_onnx.options import InferenceOptions
from rcc_onnx.pipeline import analyse_study
from rcc_onnx.pipeline.timing import Stopwatch
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import Profile, Thresholds
from tests.support.dicom_factory import Layout, ct_series, enhanced_ct
from tests.support.results import case_result

EXTENT_MM = (150.0, 230.0, 330.0)
"""Of the drawn volume: head to feet, anterior to posterior, right to left."""
KIDNEY_HU, LESION_HU, BODY_HU, FAT_HU, AIR_HU = 300, 140, 40, -100, -1000
RIGHT, LEFT, LESION = 1, 2, 3
ELLIPSOIDS = {
    RIGHT: ((74.0, 130.0, 100.0), (56.0, 31.0, 30.0)),
    LEFT: ((82.0, 126.0, 232.0), (53.0, 30.0, 31.0)),
    LESION: ((88.0, 118.0, 80.0), (22.0, 20.0, 21.0)),
}
"""Middle and half axes in mm, z, y, x; the lesion grows from the right kidney."""
THRESHOLDS = Thresholds(kidney=500.0, lesion=50.0)


class TruthNetworks:
    """Kidney and lesion where the pixels have their HU. The kidney's answer includes the lesion."""

    def kidney_probability(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return (values.reshape(values.shape[:3]) > 0.7).astype(np.float32)

    def lesion_probability(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        values = values.reshape(40, 64, 64)
        return ((values > 0.7) & (values < 0.8)).astype(np.float32)


def drawn(
    spacing_zyx: tuple[float, float, float], lesion: bool = True, kidneys: bool = True
) -> NDArray[np.int16]:
    """HU: a body with two kidneys of different sizes and a lesion on the patient's right."""
    axes = [
        (np.arange(round(extent / step)) + 0.5) * step
        for extent, step in zip(EXTENT_MM, spacing_zyx, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    off_axis = ((y - 115) / 105) ** 2 + ((x - 165) / 150) ** 2 + 0 * z
    hu = np.where(off_axis < 0.85, BODY_HU, np.where(off_axis < 1, FAT_HU, AIR_HU)).astype(np.int16)
    wanted = ((RIGHT, LEFT) if kidneys else ()) + ((LESION,) if lesion else ())
    for label in wanted:
        middle, radii = ELLIPSOIDS[label]
        parts = zip((z, y, x), middle, radii, strict=True)
        inside = sum(((at - centre) / radius) ** 2 for at, centre, radius in parts) < 1
        hu[inside] = LESION_HU if label == LESION else KIDNEY_HU
    return hu


def truth_of(hu: NDArray[np.floating]) -> NDArray[np.uint8]:
    """1 for kidneys, 3 for the lesion, from HU, of any shape."""
    return np.where(hu == KIDNEY_HU, 1, np.where(hu == LESION_HU, LESION, 0)).astype(np.uint8)


def series_of(
    hu: NDArray[np.int16], spacing_zyx: tuple[float, float, float], layout: Layout | None = None
) -> list[Dataset]:
    """As single-frame files, with what DICOM wants of a patient and a study."""
    series = ct_series(hu, spacing_zyx, layout)
    for dataset in series:
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", "1.2.3.4"
        dataset.PatientName, dataset.PatientID = "Drawn^Body", "D-1"
        dataset.PatientBirthDate, dataset.PatientSex = "19500102", "O"
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20200304", "101500", "7"
        dataset.AccessionNumber, dataset.ReferringPhysicianName = "A-1", ""
        dataset.Manufacturer = "Tests"
    return series


def multi_frame(series: list[Dataset], legacy: bool = False) -> Dataset:
    """The same as one file."""
    dataset = enhanced_ct(series, legacy)
    for element in series[0]:
        if element.tag not in dataset and element.tag.group in (0x0008, 0x0010, 0x0020):
            dataset.add(element)
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    return dataset


def analysed(path: Path, case: str = "case", **changes: object) -> AnalysedCase:
    """The result of a study, by networks that answer the truth; `changes` replace fields."""
    study = read_study(path, Profile.STANDARD)
    analysis = analyse_study(study, TruthNetworks(), THRESHOLDS, Stopwatch())
    patient = place_in_patient(study, analysis, InferenceOptions().mask_cutoff)
    assert patient is not None
    fields: dict[str, object] = {
        "thresholds": THRESHOLDS,
        "sides": measure_sides(analysis, patient, THRESHOLDS),
        "measured": True,
        "network_images": analysis.images,
        "patient_images": patient,
    }
    return case_result(case, **(fields | changes))
