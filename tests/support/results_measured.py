"""A made-up result that has everything a result can have."""

from dataclasses import replace

from rcc_onnx.results import CaseResult
from rcc_onnx.types import Note
from tests.support.results import MEASURES, WITH_LESION, WITHOUT_LESION, case_result

CUT = Note("kidney-cut-by-first-slice", "The kidney is cut off.")
BEYOND = Note("body-outside-grid", "The body goes on.")


def measured_case(case: str = "case") -> CaseResult:
    """A suspected lesion on the right, flags of every kind, and measurements of both sides."""
    return case_result(
        case,
        sides={"right": replace(WITH_LESION, flags=(BEYOND, CUT)), "left": WITHOUT_LESION},
        flags=(Note("few-slices", "Few slices."),),
        measures=MEASURES,
    )
