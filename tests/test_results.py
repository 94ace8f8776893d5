"""Results are valid once built."""

from dataclasses import replace

import pytest

from rcc_onnx.results import SideFinding
from rcc_onnx.types import Note, Outcome, Thresholds
from tests.support.results import NO_KIDNEY, WITH_LESION, WITHOUT_LESION, case_result


def test_findings_that_contradict_each_other_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="cannot be lesion"):
        SideFinding(Outcome.LESION, WITH_LESION.kidney, WITHOUT_LESION.lesion)
    with pytest.raises(ValueError, match="cannot be no_lesion"):
        SideFinding(Outcome.NO_LESION, NO_KIDNEY.kidney, None)


def test_a_case_that_contradicts_itself_cannot_be_made() -> None:
    result = case_result()
    for changes, message in (
        ({"sides": {"right": WITH_LESION}}, "two sides"),
        ({"timings_s": {}}, "seconds"),
        ({"flags": (Note("few-slices", "Few slices."),)}, "cannot be assessable"),
        ({"thresholds": Thresholds(lesion=1e9)}, "cannot be lesion with this sum"),
        ({"thresholds": Thresholds(lesion=0)}, "cannot be no_lesion with this sum"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(result, **changes)
