"""Overviews: which panels a case gets, and the words beside them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rcc_onnx.output.overview import headline, overview, page_warnings, side_lines
from rcc_onnx.output.overview.drawing import KIDNEY, LESION
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import PHANTOM, RESEARCH_ONLY, Note, Outcome
from tests.support.pictures import near
from tests.support.positioned_cases import SHAPE, placed_case
from tests.support.results import NO_KIDNEY, WITH_LESION, case_result, kidney_finding
from tests.support.runs import write_case
from tests.support.truths import two_kidneys


def test_a_finding_gives_one_row_and_two_give_two(placed: AnalysedCase, tmp_path: Path) -> None:
    page = overview(placed)
    assert (page.mode, page.width) == ("RGB", 1920)
    # The lesion is on the patient's own side of the picture.
    lesion = near(page.crop((28, 124, 28 + 984, 124 + 984)), LESION)
    assert lesion[:, : 984 // 2].any()
    assert not lesion[:, 984 // 2 :].any()
    labels, mirrored = two_kidneys(SHAPE), two_kidneys(SHAPE)[:, :, ::-1]
    labels[mirrored == 3] = 3
    both = placed_case(tmp_path, labels=labels)
    assert all(both.sides[side].outcome is Outcome.LESION for side in ("right", "left"))
    assert overview(both).height - page.height > 900


@pytest.mark.parametrize(
    "labels",
    [
        two_kidneys(SHAPE, lesion=False),
        np.where(two_kidneys(SHAPE, lesion=False) == 1, 1, 0).astype(np.uint8),
        np.zeros(SHAPE, np.uint8),
        two_kidneys((9, 60, 70), lesion=False),
    ],
    ids=["two kidneys", "one kidney", "no kidney", "nine slices"],
)
def test_cases_without_a_finding_show_kidneys(tmp_path: Path, labels) -> None:
    result = placed_case(tmp_path, labels=labels)
    page = overview(result)
    assert near(page, KIDNEY).any()  # in the legend at least
    pictures = page.crop((0, 124, 1920, 700))
    assert near(pictures, KIDNEY).any() == bool(labels.any())
    assert not near(pictures, LESION).any()


def test_a_finding_that_is_not_located_shows_the_kidney(placed: AnalysedCase) -> None:
    right = placed.sides["right"]
    finding = replace(
        right,
        outcome=Outcome.LESION_NOT_LOCATED,
        lesion=replace(right.lesion, box=None, measures=None),
    )
    result = replace(placed, sides={**placed.sides, "right": finding})
    overview(result)
    assert "suspected lesion, not located" in headline(result)


def test_words(placed: AnalysedCase) -> None:
    assert headline(placed) == (
        "Right side: suspected lesion; left side: no suspected lesion (does not rule out disease)"
    )
    lines = dict(side_lines(placed, "right"))
    lesion = placed.sides["right"].lesion_measures
    assert lines["longest axial diameter"] == f"{lesion.longest_axial_diameter.mm:.0f} mm"
    assert lines["volume"] == f"{lesion.volume_ml:.1f} ml"
    assert lines["lesion sum"].endswith("(threshold 50)")
    assert "volume" not in dict(side_lines(placed, "left"))


def test_sums_near_their_threshold_are_called_borderline() -> None:
    sides = {"right": NO_KIDNEY, "left": replace(NO_KIDNEY, kidney=kidney_finding(950.0))}
    result = case_result(sides=sides)
    assert dict(side_lines(result, "right"))["kidney sum"] == "3 (threshold 1000)"
    assert dict(side_lines(result, "left"))["kidney sum"] == "950 (threshold 1000, borderline)"


def test_warnings_stand_in_the_picture() -> None:
    cut_off = replace(NO_KIDNEY, flags=(Note("body-outside-grid", "Outside."),))
    result = case_result(
        warnings=("wrong models",),
        flags=(Note("few-slices", "Few slices."),),
        sides={"right": WITH_LESION, "left": cut_off},
    )
    assert page_warnings(result) == ["wrong models", "Few slices.", "Left side: Outside."]
    phantom = replace(result, study=replace(result.study, kind="digital-phantom"))
    assert page_warnings(phantom)[0] == PHANTOM


def test_only_a_placed_case_has_an_overview_which_states_what_it_is_not(
    placed: AnalysedCase, tmp_path: Path
) -> None:
    write_case(replace(placed, warnings=("phantom models",)), tmp_path)
    with Image.open(tmp_path / "case_overview.png") as picture:
        picture.load()
        assert set(picture.info) <= {"Software", "Comment"}
        assert RESEARCH_ONLY in picture.info["Comment"]
        assert "phantom models" in picture.info["Comment"]
    write_case(case_result("case"), tmp_path)
    assert not (tmp_path / "case_overview.png").exists()
    with pytest.raises(ValueError, match="no place in the patient"):
        overview(case_result())
