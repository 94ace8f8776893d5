"""Made-up results, for tests of what is written and shown."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rcc_onnx.errors import IntakeError
from rcc_onnx.imaging.images import CropImage, NetworkImages
from rcc_onnx.options import InferenceOptions
from rcc_onnx.results import (
    AnalysedCase,
    Diameter,
    ErrorRecord,
    FailedCase,
    KidneyFinding,
    KidneyMeasures,
    LesionFinding,
    LesionMeasures,
    ModelsUsed,
    Sensitivity,
    SideFinding,
    SourceBox,
    StudyFacts,
)
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.system.host import environment
from rcc_onnx.types import (
    Centre,
    IntakeRecord,
    LesionBox,
    Note,
    Outcome,
    ProviderName,
    SeriesRow,
    Side,
    SkippedFile,
    Thresholds,
)

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{ 7*7 }}</template>"
THRESHOLDS = Thresholds()
CROP = np.random.default_rng(5).integers(0, 256, (40, 64, 64)).astype(np.uint8)


def kidney_finding(probability_sum: float, centre: Centre | None = None) -> KidneyFinding:
    margin = THRESHOLDS.margin("kidney", probability_sum)
    return KidneyFinding(probability_sum, margin, centre)


def lesion_finding(probability_sum: float, box: LesionBox | None = None) -> LesionFinding:
    return LesionFinding(probability_sum, THRESHOLDS.margin("lesion", probability_sum), box)


WITH_LESION = SideFinding(
    Outcome.LESION,
    kidney_finding(4000.5, Centre(20, 90, 41)),
    lesion_finding(120.25, LesionBox(17, 10, 30, 12, 32)),
)
WITHOUT_LESION = SideFinding(
    Outcome.NO_LESION, kidney_finding(3900.0, Centre(21, 88, 39)), lesion_finding(1.5)
)
NETWORK_IMAGES = NetworkImages(
    np.zeros((44, 160, 160), np.float32),
    {
        "right": CropImage((2, 58, 9), CROP, np.zeros(CROP.shape, np.float32)),
        "left": CropImage((3, 56, 87), CROP, np.zeros(CROP.shape, np.float32)),
    },
)
NO_KIDNEY = SideFinding(Outcome.KIDNEY_NOT_FOUND, kidney_finding(3.0))

SERIES = SeriesRow(
    label="2",
    series_instance_uid="1.2.3",
    study_instance_uid="1.2",
    number="2",
    description="venous",
    image_type="ORIGINAL\\PRIMARY\\AXIAL",
    contrast="Iohexol",
    kernel="B30f",
    slices=44,
    matrix=(512, 512),
    thickness_mm=5.0,
    spacing_mm=5.0,
    extent_mm=215.0,
    verdict="suitable",
    reason="",
)
INTAKE = IntakeRecord(
    chosen=SERIES,
    chosen_because="it is the only suitable series",
    other_series=(replace(SERIES, label="3", number="3", verdict="not-axial", reason="coronal"),),
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

SENSITIVITY = Sensitivity(
    lesion_thresholds=(25.0, 50.0, 200.0),
    outcomes=(Outcome.LESION, Outcome.LESION, Outcome.NO_LESION),
    mask_cutoffs=(0.1, 0.5, 0.9),
    kidney_volumes_ml=(151.0, 150.25, 149.0),
    lesion_volumes_ml=(22.0, 21.5, 20.0),
)
LESION_MEASURES = LesionMeasures(
    volume_ml=21.5,
    parts=1,
    longest_axial_diameter=Diameter(
        mm=31.25,
        slice=21,
        sop_instance_uid="1.2.3.21",
        frame=None,
        ends_row_column=((100, 90), (134, 118)),
        ends_lps_mm=((-80.0, 20.0, 5.0), (-60.0, 44.0, 5.0)),
    ),
    centre_lps_mm=(-70.0, 30.0, 5.5),
    box=SourceBox(
        slices=(18, 24),
        sop_instance_uids=("1.2.3.18", "1.2.3.24"),
        rows=(98, 140),
        columns=(88, 120),
        lowest_lps_mm=(-85.0, 18.0, -10.0),
        highest_lps_mm=(-58.0, 46.0, 20.0),
    ),
    touches_crop_border=False,
    mean_hu=75.5,
)


def measured(finding: SideFinding, lesion: LesionMeasures | None = None) -> SideFinding:
    """The same side with measurements, and those of its lesion if they are given."""
    kidney = replace(finding.kidney, measures=KidneyMeasures(150.25, 171.5))
    found = finding.lesion and replace(finding.lesion, measures=lesion)
    volumes = SENSITIVITY.lesion_volumes_ml if lesion else None
    sensitivity = replace(SENSITIVITY, lesion_volumes_ml=volumes)
    return replace(finding, kidney=kidney, lesion=found, sensitivity=sensitivity)


MEASURED_SIDES: Mapping[Side, SideFinding] = {
    "right": measured(WITH_LESION, LESION_MEASURES),
    "left": measured(WITHOUT_LESION),
}


def case_result(case: str = "case", **changes: object) -> AnalysedCase:
    """A case with a suspected lesion on the right; `changes` replace fields."""
    fields: dict[str, object] = {
        "case": case,
        "options": InferenceOptions(),
        "thresholds": THRESHOLDS,
        "intake": INTAKE,
        "study": StudyFacts(
            kind="patient",
            pseudonym=False,
            files_found=45,
            slices_in_series=44,
            slices_analysed=44,
            stride=1,
            spacing_zyx_mm=(5.0, 0.7, 0.7),
            skipped_files=(SkippedFile("x.txt", "no DICOM"),),
        ),
        "models": ModelsUsed(
            "tiny", "1.0.0", {"kidney": "a" * 64, "lesion": "b" * 64}, ("patient",), True
        ),
        "provider": ProviderRecord(
            ProviderName.AUTO,
            ProviderName.CPU,
            "took cpu",
            2,
            "1.32.0",
            variants={"kidney": "plain", "lesion": "cpu"},
        ),
        "environment": environment(),
        "timings_s": {
            "reading_headers": 0.1,
            "loading_networks": 0.1,
            "preprocessing": 0.5,
            "kidney_network": 0.3,
            "lesion_network": 0.2,
            "measuring": 0.05,
            "total": 1.25,
        },
        "measured": False,
        "sides": {"right": WITH_LESION, "left": WITHOUT_LESION},
        "network_images": NETWORK_IMAGES,
        "patient_images": None,
    }
    return _judged(fields | changes)


def measured_case(case: str = "case", **changes: object) -> AnalysedCase:
    """A suspected lesion on the right, flags of every kind, and measurements of both sides."""
    flags = (
        Note("body-outside-grid", "The body goes on."),
        Note("kidney-cut-by-first-slice", "The kidney is cut off."),
    )
    sides = {**MEASURED_SIDES, "right": replace(MEASURED_SIDES["right"], flags=flags)}
    own = {"sides": sides, "measured": True, "flags": (Note("few-slices", "Few slices."),)}
    return case_result(case, **(own | changes))


def evil_case() -> AnalysedCase:
    """A case in which every text is an attack on a page that would not escape it."""
    flag = Note(EVIL, EVIL)
    result = case_result(
        EVIL.replace("/", "\u2215"),
        warnings=(EVIL,),
        flags=(flag,),
        intake=replace(
            INTAKE,
            chosen=replace(SERIES, description=EVIL, contrast=EVIL, kernel=EVIL, label=EVIL),
            chosen_because=EVIL,
            other_series=(replace(SERIES, description=EVIL, reason=EVIL, verdict=EVIL),),
            warnings=(flag,),
            order=EVIL,
            patient_position=EVIL,
        ),
        measured=True,
        sides=MEASURED_SIDES,
    )
    study = replace(result.study, skipped_files=(SkippedFile(EVIL, EVIL),))
    models = replace(result.models, name=EVIL, version=EVIL)
    provider = replace(result.provider, reason=EVIL)
    return replace(result, study=study, models=models, provider=provider)


def failed_case(case: str = "broken", **changes: object) -> FailedCase:
    error = IntakeError("slices are missing", code="missing-slices")
    failed = FailedCase(case=case, options=InferenceOptions(), error=ErrorRecord.of(error))
    return replace(failed, **changes)  # type: ignore[arg-type]


def _judged(fields: dict[str, object]) -> AnalysedCase:
    """A case whose sides are assessable where no flag says otherwise."""
    flags, sides = fields.get("flags", ()), fields["sides"]
    judged = {
        side: replace(finding, assessable=not (flags or finding.flags))
        for side, finding in sides.items()  # type: ignore[attr-defined]
    }
    return AnalysedCase(**(fields | {"sides": judged}))  # type: ignore[arg-type]
