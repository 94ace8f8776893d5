"""A made-up result that has everything a result can have."""

from dataclasses import replace

from rcc_onnx.findings import CaseResult
from rcc_onnx.intake_record import Note
from rcc_onnx.measures import (
    Diameter,
    KidneyMeasures,
    LesionMeasures,
    Sensitivity,
    SideMeasures,
    SourceBox,
)
from rcc_onnx.values import Outcome
from tests.results import WITH_LESION, WITHOUT_LESION, case_result

LESION_SIDE = SideMeasures(
    kidney=KidneyMeasures(volume_ml=150.5, mean_hu=120.0),
    lesion=LesionMeasures(
        volume_ml=12.5,
        parts=2,
        diameter=Diameter(
            length_mm=31.2,
            slice=17,
            sop_instance_uid="1.2.3.17",
            frame=None,
            ends_lps_mm=((-60.5, 10.0, 5.0), (-40.0, 30.0, 5.0)),
            ends_file=((200, 110), (220, 140)),
        ),
        centre_lps_mm=(-50.0, 20.0, 4.5),
        box=SourceBox(
            slices=(15, 19),
            sop_instance_uids=("1.2.3.15", "1.2.3.19"),
            rows=(198, 224),
            columns=(108, 141),
            lowest_lps_mm=(-61.0, 9.0, -7.5),
            highest_lps_mm=(-39.0, 31.0, 17.5),
        ),
        touches_crop_border=True,
        mean_hu=61.25,
    ),
    sensitivity=Sensitivity(
        thresholds=(25.0, 50.0),
        outcomes=(Outcome.LESION, Outcome.LESION),
        cutoffs=(0.25, 0.5),
        kidney_volumes_ml=(160.0, 150.5),
        lesion_volumes_ml=(14.0, 12.5),
    ),
)
PLAIN_SIDE = SideMeasures(
    kidney=KidneyMeasures(volume_ml=140.0, mean_hu=None),
    lesion=None,
    sensitivity=replace(LESION_SIDE.sensitivity, lesion_volumes_ml=None)
    if LESION_SIDE.sensitivity
    else None,
)
CUT = Note("kidney-cut-by-first-slice", "The kidney is cut off.")
BEYOND = Note("body-outside-grid", "The body goes on.")


def measured_case(case: str = "case") -> CaseResult:
    """A suspected lesion on the right, flags of every kind, and measurements of both sides."""
    return case_result(
        case,
        sides={"right": replace(WITH_LESION, flags=(BEYOND, CUT)), "left": WITHOUT_LESION},
        flags=(Note("few-slices", "Few slices."),),
        measures={"right": LESION_SIDE, "left": PLAIN_SIDE},
    )
