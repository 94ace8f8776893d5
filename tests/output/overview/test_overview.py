"""Overview pictures: that everything stands where it lies in the patient, in its true size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rcc_onnx.output.overview import headline, overview, page_warnings, side_lines
from rcc_onnx.output.overview.drawing import (
    KIDNEY,
    LESION,
    WHITE,
    cut,
    drawable,
    indexed,
    outline,
    panel,
    width_of,
    wrapped,
)
from rcc_onnx.output.overview.reformat import (
    Plane,
    Spot,
    axial_plane,
    coronal_plane,
    sagittal_plane,
    windowed,
    zyx_of,
)
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import PHANTOM, RESEARCH_ONLY, Note, Outcome, Structure
from tests.support.dicom_factory import LAYOUTS
from tests.support.positioned_cases import SHAPE, SPACING, placed_case
from tests.support.results import NO_KIDNEY, WITH_LESION, case_result, kidney_finding
from tests.support.runs import write_case
from tests.support.truths import two_kidneys

MM = 1.5
"""A line is about so wide, in the plane; a mark may be off by it."""


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> AnalysedCase:
    return placed_case(tmp_path_factory.mktemp("placed") / "case")


def spot_of(result: AnalysedCase) -> Spot:
    lesion = result.sides["right"].lesion_measures
    zyx = zyx_of(np.array(lesion.centre_lps_mm), result.patient_images.placement)
    return Spot(tuple(zyx), lesion.longest_axial_diameter.slice, lesion)


def near(picture: Image.Image, colour: tuple[int, int, int], off: int = 40) -> np.ndarray:
    """Which pixels have about this colour."""
    return (np.abs(np.asarray(picture).astype(int) - colour) <= off).all(axis=2)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1], columns[0], columns[-1]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_planes_are_turned_as_radiologists_look(tmp_path: Path, layout) -> None:
    result = placed_case(tmp_path, layout=layout)
    patient, spot = result.patient_images, spot_of(result)
    axial = axial_plane(patient, replace(spot, axial=3))
    depth, rows, columns = SHAPE
    bar = axial.values == 255
    assert bar[rows // 5 : rows // 4, columns // 10 : columns // 4].all()
    assert bar.sum() == (rows // 4 - rows // 5) * (columns // 4 - columns // 10)
    assert axial.letters == ("R", "L", "A", "P")
    # The bar is at the head, at the patient's right, in front.
    at_bar = replace(spot, zyx=(3.0, rows * 0.225, columns * 0.15))
    coronal, sagittal = coronal_plane(patient, at_bar), sagittal_plane(patient, at_bar)
    assert (coronal.letters, sagittal.letters) == (("R", "L", "H", "F"), ("A", "P", "H", "F"))
    for plane in (coronal, sagittal):
        top, bottom, left, right = extent(plane.values == 255)
        assert (top, bottom) == (0, depth // 2 - 1)
        assert (left + right) / 2 < plane.values.shape[1] / 3
    # True proportions: millimetres of the grid are those of the series.
    assert coronal.mm_yx == pytest.approx((SPACING[0], 2), rel=0.02)
    assert sagittal.mm_yx == pytest.approx((SPACING[0], 2), rel=0.02)
    assert axial.mm_yx == SPACING[1:]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_marks_lie_on_the_lesion(tmp_path: Path, layout) -> None:
    result = placed_case(tmp_path, layout=layout)
    plane = axial_plane(result.patient_images, spot_of(result))
    lesion = plane.labels == Structure.SUSPECTED_LESION
    top, bottom, left, right = extent(lesion)
    box = plane.box
    # The box is that of all slices, so this slice lies in it.
    assert box[0] <= top <= bottom < box[1]
    assert box[2] <= left <= right < box[3]
    assert (box[1] - box[0], box[3] - box[2]) == pytest.approx(
        (bottom + 1 - top, right + 1 - left), abs=4
    )
    for row, column in plane.line:
        around = lesion[int(row) - 1 : int(row) + 2, int(column) - 1 : int(column) + 2]
        assert around.any()
    ends = np.array(plane.line) * plane.mm_yx
    length = np.hypot(*(ends[0] - ends[1]))
    diameter = result.sides["right"].lesion_measures.longest_axial_diameter
    assert length == pytest.approx(diameter.mm, abs=0.002)


def a_plane(**changes) -> Plane:
    labels = np.zeros((100, 80), np.uint8)
    labels[20:50, 10:40] = Structure.RIGHT_KIDNEY
    labels[30:40, 20:30] = Structure.SUSPECTED_LESION
    plane = Plane("axial", "slice 1", np.full((100, 80), 90, np.uint8), labels, (2.0, 4.0),
                  ("R", "L", "A", "P"), (35.0, 25.0))  # fmt: skip
    return replace(plane, **changes)


def test_a_panel_has_true_proportions() -> None:
    # 200 x 320 mm in 640 x 640 pixels: 2 pixels a mm, 120 pixels of black above and below.
    picture = panel(a_plane(), (640, 640), 20)
    kidney = extent(near(picture, KIDNEY))
    assert kidney == pytest.approx((120 + 20 * 4, 120 + 50 * 4, 10 * 8, 40 * 8), abs=MM * 2)
    lesion = extent(near(picture, LESION))
    assert lesion == pytest.approx((120 + 30 * 4, 120 + 40 * 4, 20 * 8, 30 * 8), abs=MM * 2)


def test_a_high_plane_fits_too() -> None:
    # 320 pixels for 200 mm: 1.6 a mm, 64 pixels of black on either side.
    kidney = extent(near(panel(a_plane(), (640, 320), 20), KIDNEY))
    assert kidney == pytest.approx((64, 160, 64 + 64, 64 + 256), abs=MM * 2)


def test_a_zoom_shows_its_part_larger() -> None:
    picture = panel(a_plane(), (400, 400), 20, zoom_mm=80)
    # 5 pixels a mm; the middle, row 35 and column 25, is in the middle of the panel.
    assert extent(near(picture, LESION)) == pytest.approx((150, 250, 100, 300), abs=2 * MM)


def test_a_zoom_at_the_edge_stays_in_the_plane() -> None:
    for middle in ((0.0, 0.0), (100.0, 80.0), (50.0, 0.0)):
        for size in ((400, 300), (300, 400)):
            panel(a_plane(middle=middle), size, 20, zoom_mm=500)
            panel(a_plane(middle=middle), size, 20, zoom_mm=30)


@pytest.mark.parametrize(("mm", "cm"), [(4.0, 10), (2.0, 5), (1.0, 2), (0.4, 1)])
def test_the_scale_bar_is_as_long_as_it_says(mm: float, cm: float) -> None:
    nothing = np.zeros((80, 80), np.uint8)
    picture = panel(a_plane(labels=nothing, values=nothing, mm_yx=(mm, mm)), (640, 640), 20)
    line = near(picture, WHITE, 60)[-19]
    assert line.sum() == pytest.approx(cm * 10 * 8 / mm, abs=5)


def test_outlines_change_no_pixel_far_from_the_edge() -> None:
    picture, mask = Image.new("RGB", (100, 100), (90, 90, 90)), Image.new("L", (100, 100))
    mask.paste(255, (25, 20, 65, 60))
    outline(picture, mask, (5, 10), LESION, 3)
    changed = (np.asarray(picture) != 90).any(axis=2)
    y, x = np.indices(changed.shape)
    distance = np.abs(np.maximum(np.abs(y - 49.5), np.abs(x - 49.5)) - 20)
    assert distance[changed].max() < 4
    assert changed[distance < 1].all()


def test_a_mask_without_pixels_and_one_that_is_full_are_drawn() -> None:
    for labels in (np.zeros((100, 80), np.uint8), np.full((100, 80), 3, np.uint8)):
        panel(a_plane(labels=labels), (200, 200), 16)


def test_palettes_change_nothing_that_one_sees(placed: AnalysedCase) -> None:
    page = overview(placed)
    few = indexed(page)
    assert few.mode == "P"
    off = np.abs(np.asarray(few.convert("RGB")).astype(int) - np.asarray(page)).max(axis=2)
    # Blends of inks with what is under them may be off, at the very edge of a line.
    assert (off <= 4).mean() > 0.97
    assert (off <= 24).mean() > 0.999
    greys = Image.fromarray(np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3))
    levels = np.asarray(indexed(greys).convert("RGB"))[..., 0].ravel()
    assert np.abs(levels.astype(int) - np.arange(256)).max() <= 1


def test_the_window_is_that_of_the_networks() -> None:
    hu = np.array([np.nan, -2000, -160, 40, 240, 3000])
    assert windowed(hu).tolist() == [0, 0, 0, 127, 255, 255]


def test_a_finding_gives_one_row_and_two_give_two(placed: AnalysedCase, tmp_path: Path) -> None:
    one = overview(placed)
    labels = two_kidneys(SHAPE)
    mirrored = two_kidneys(SHAPE)[:, :, ::-1]
    labels[(mirrored == 3) & (labels == 2)] = 3
    labels[mirrored == 3] = 3
    both = placed_case(tmp_path, labels=labels)
    assert all(both.sides[side].outcome is Outcome.LESION for side in ("right", "left"))
    assert one.mode == "RGB"
    assert one.width == 1920
    assert overview(both).height - one.height > 900


def test_the_lesion_is_on_the_patients_own_side_of_the_picture(placed: AnalysedCase) -> None:
    page = overview(placed)
    axial = page.crop((28, 124, 28 + 984, 124 + 984))
    assert near(axial, LESION)[:, : 984 // 2].any()
    assert not near(axial, LESION)[:, 984 // 2 :].any()


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


def test_thick_slices_large_and_odd_pixels(tmp_path: Path) -> None:
    for number, (spacing, shape) in enumerate(
        [((10.0, 3.1, 0.9), (22, 100, 300)), ((0.5, 3.0, 3.0), (250, 90, 100))]
    ):
        result = placed_case(tmp_path / str(number), labels=two_kidneys(shape), spacing=spacing)
        plane = coronal_plane(result.patient_images, spot_of(result))
        kidney = extent(plane.labels > 0)
        height = (kidney[1] + 1 - kidney[0]) * plane.mm_yx[0]
        assert height == pytest.approx(0.56 * shape[0] * spacing[0], abs=2 * plane.mm_yx[0])
        overview(result)


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


def test_the_file_says_what_it_is_not_and_nothing_else(
    placed: AnalysedCase, tmp_path: Path
) -> None:
    write_case(replace(placed, warnings=("phantom models",)), tmp_path)
    with Image.open(tmp_path / "case_overview.png") as picture:
        picture.load()
        assert set(picture.info) <= {"Software", "Comment"}
        assert RESEARCH_ONLY in picture.info["Comment"]
        assert "phantom models" in picture.info["Comment"]


def test_a_case_that_was_not_placed_has_no_overview(placed: AnalysedCase, tmp_path: Path) -> None:
    write_case(placed, tmp_path)
    assert (tmp_path / "case_overview.png").exists()
    write_case(case_result("case"), tmp_path)
    assert not (tmp_path / "case_overview.png").exists()
    with pytest.raises(ValueError, match="no place in the patient"):
        overview(case_result())


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60), st.integers(30, 500))
def test_any_name_fits(name: str, width: int) -> None:
    text = drawable(name)
    assert text.isascii()
    assert width_of(cut(text, 24, width), 24) <= width
    assert all(width_of(line, 24) <= width for line in wrapped(text, 24, width))


def test_accents_are_left_out_and_other_scripts_marked() -> None:
    assert drawable("Müller é 東京") == "Muller e ??"
