"""Made-up results, for tests of what is written and shown."""

from dataclasses import replace

import numpy as np

from rcc_onnx.errors import IntakeError
from rcc_onnx.results import (
    CaseResult,
    CropImage,
    Diameter,
    FailedCase,
    KidneyFinding,
    KidneyMeasures,
    LesionFinding,
    LesionMeasures,
    ModelsUsed,
    NetworkImages,
    Sensitivity,
    SideFinding,
    SideMeasures,
    SourceBox,
    StudyFacts,
)
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.types import (
    Centre,
    IntakeRecord,
    LesionBox,
    Note,
    Outcome,
    Profile,
    ProviderName,
    SeriesRow,
    Thresholds,
)

CROP = np.random.default_rng(5).integers(0, 256, (40, 64, 64)).astype(np.uint8)
WITH_LESION = SideFinding(
    Outcome.LESION,
    KidneyFinding(4000.5, Centre(20, 90, 41)),
    LesionFinding(120.25, LesionBox(17, 10, 30, 12, 32)),
)
WITHOUT_LESION = SideFinding(
    Outcome.NO_LESION,
    KidneyFinding(3900.0, Centre(21, 88, 39)),
    LesionFinding(1.5, None),
)
NETWORK_IMAGES = NetworkImages(
    np.zeros((44, 160, 160), np.float32),
    {
        "right": CropImage((2, 58, 9), CROP, np.zeros(CROP.shape, np.float32)),
        "left": CropImage((3, 56, 87), CROP, np.zeros(CROP.shape, np.float32)),
    },
)
NO_KIDNEY = SideFinding(Outcome.KIDNEY_NOT_FOUND, KidneyFinding(3.0, None))


SERIES = SeriesRow(
    label="2",
    uid="1.2.3",
    study_uid="1.2",
    number="2",
    description="venous",
    image_type="ORIGINAL\\PRIMARY\\AXIAL",
    contrast="Iohexol",
    kernel="B30f",
    slices=44,
    rows=512,
    columns=512,
    thickness_mm=5.0,
    spacing_mm=5.0,
    extent_mm=215.0,
    verdict="suitable",
    reason="",
)
INTAKE = IntakeRecord(
    chosen=SERIES,
    chosen_because="it is the only suitable series",
    others=(replace(SERIES, label="3", number="3", verdict="not-axial", reason="coronal"),),
    files_used=44,
    order="by position along the slice normal, head first",
    first="001.dcm",
    last="044.dcm",
    orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    transpose=False,
    flip_rows=False,
    flip_columns=False,
    patient_position="HFS",
    transfer_syntax="1.2.840.10008.1.2.1",
    lossy=False,
    warnings=(Note("thick-slices", "Slices are thick."),),
)


STRIP = Sensitivity(
    (25.0, 50.0, 200.0),
    (Outcome.LESION, Outcome.LESION, Outcome.NO_LESION),
    (0.1, 0.5, 0.9),
    (151.0, 150.25, 149.0),
    (22.0, 21.5, 20.0),
)
MEASURES = {
    "right": SideMeasures(
        KidneyMeasures(150.25, 171.5),
        LesionMeasures(
            volume_ml=21.5,
            parts=1,
            diameter=Diameter(
                31.25,
                21,
                "1.2.3.21",
                None,
                ((-80.0, 20.0, 5.0), (-60.0, 44.0, 5.0)),
                ((100, 90), (134, 118)),
            ),
            centre_lps_mm=(-70.0, 30.0, 5.5),
            box=SourceBox(
                (18, 24),
                ("1.2.3.18", "1.2.3.24"),
                (98, 140),
                (88, 120),
                (-85.0, 18.0, -10.0),
                (-58.0, 46.0, 20.0),
            ),
            touches_crop_border=False,
            mean_hu=75.5,
        ),
        STRIP,
    ),
    "left": SideMeasures(
        KidneyMeasures(140.0, 170.0), None, replace(STRIP, lesion_volumes_ml=None)
    ),
}
"""What belongs to `WITH_LESION` on the right and `WITHOUT_LESION` on the left."""


def case_result(case: str = "case", **changes: object) -> CaseResult:
    """A case with a suspected lesion on the right; `changes` replace fields."""
    result = CaseResult(
        case=case,
        profile=Profile.STANDARD,
        thresholds=Thresholds(),
        sides={"right": WITH_LESION, "left": WITHOUT_LESION},
        study=StudyFacts("patient", 45, 44, 44, 1, (5.0, 0.7, 0.7), (("x.txt", "no DICOM"),)),
        models=ModelsUsed(
            "tiny", "1.0.0", {"kidney": "a" * 64, "lesion": "b" * 64}, ("patient",), True
        ),
        provider=ProviderRecord(
            ProviderName.AUTO,
            ProviderName.CPU,
            "took cpu",
            2,
            "1.32.0",
            variants={"kidney": "plain", "lesion": "cpu"},
        ),
        timings_s={
            "reading_headers": 0.1,
            "loading_networks": 0.1,
            "preprocessing": 0.5,
            "kidney_network": 0.3,
            "lesion_network": 0.2,
            "measuring": 0.05,
            "total": 1.25,
        },
        intake=INTAKE,
        network_images=NETWORK_IMAGES,
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def failed_case(case: str = "broken") -> FailedCase:
    return FailedCase(
        case, Profile.STANDARD, IntakeError("slices are missing", code="missing-slices")
    )
