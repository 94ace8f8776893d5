"""Flags: reasons why a side may not be judged from its answer."""

from dataclasses import replace

import numpy as np
import pytest

from rcc_onnx.cli.console import results_table, shown_warnings
from rcc_onnx.dicom import read_study
from rcc_onnx.pipeline import analyse_study
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.pipeline.quality_flags import CUT_KIDNEY_PIXELS, side_flags, study_flags
from rcc_onnx.pipeline.timing import Stopwatch
from rcc_onnx.system.documents import to_json
from rcc_onnx.types import NetworkVolume, Note, Profile, Thresholds
from tests.support.dicom_factory import ct_series, write_series
from tests.support.fake_networks import FakeNetworks
from tests.support.results import case_result


def volume(slices=20, **changes):
    blank = np.zeros((max(slices, 40), 160, 160), np.uint8)
    made = NetworkVolume(blank, padding_before=max(40 - slices, 0) // 2, real_slices=slices)
    return replace(made, **changes)


def codes(notes):
    return [note.code for note in notes]


def kidney(slices, *, pixels=CUT_KIDNEY_PIXELS):
    probability = np.zeros((40, 160, 80))
    for index in slices:
        probability[index].flat[:pixels] = 0.5
    return probability


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        (range(12, 28), []),
        (range(10, 20), ["kidney-cut-by-first-slice"]),
        (range(20, 30), ["kidney-cut-by-last-slice"]),
        (range(10, 30), ["kidney-cut-by-first-slice", "kidney-cut-by-last-slice"]),
        ([9, 30], []),  # slices of zeros that were added
    ],
)
def test_kidney_cut(slices, expected):
    """Of 20 real slices in 40, the first is 10 and the last 29."""
    assert codes(side_flags("right", volume(), kidney(slices))) == expected


def test_the_tip_of_a_kidney_is_not_a_cut():
    assert not side_flags("left", volume(), kidney([10], pixels=CUT_KIDNEY_PIXELS - 1))


@pytest.mark.parametrize(
    ("beyond", "right", "left"),
    [({"right"}, True, False), ({"left"}, False, True), ({"back"}, True, True), (set(), 0, 0)],
)
def test_body_beyond_the_grid_belongs_to_a_side(beyond, right, left):
    for side, flagged in (("right", right), ("left", left)):
        found = side_flags(side, volume(body_beyond=frozenset(beyond)), kidney([]))
        assert codes(found) == ["body-outside-grid"] * flagged


@pytest.mark.parametrize("edge", ["right", "left", "front", "back"])
@pytest.mark.parametrize(("beyond_mm", "flagged"), [(16, False), (28, True)])
def test_body_beyond_the_grid_is_measured_on_each_edge(tmp_path, edge, beyond_mm, flagged):
    """Pixels of 4 by 2 mm, a field of 400 mm, so that 40 mm on each edge lie beyond the grid; on
    the first slice only the body reaches over one of them."""
    hu = np.full((4, 100, 200), -1000, np.int16)
    hu[:, 30:70, 60:140] = 40
    hu[:, 30:70, 60:70] = -100
    rows, columns = (beyond_mm + 120) // 4, (beyond_mm + 120) // 2
    reach = {
        "right": np.s_[0, 40:60, 100 - 20 - columns : 100],
        "left": np.s_[0, 40:60, 100 : 100 + 20 + columns],
        "front": np.s_[0, 50 - 10 - rows : 50, 80:120],
        "back": np.s_[0, 50 : 50 + 10 + rows, 80:120],
    }
    hu[reach[edge]] = 40
    study = read_study(write_series(tmp_path, ct_series(hu, (5.0, 4.0, 2.0))), Profile.STANDARD)
    assert network_volume(study).body_beyond == ({edge} if flagged else set())


@pytest.mark.parametrize(
    ("slices", "contrast", "expected"),
    [
        (40, True, []),
        (39, True, ["few-slices"]),
        (40, False, ["no-contrast-recorded"]),
        (1, False, ["few-slices", "no-contrast-recorded"]),
    ],
)
def test_study_flags(slices, contrast, expected):
    assert codes(study_flags(slices, contrast)) == expected


@pytest.mark.parametrize(
    ("kidney_hu", "expected"),
    [(None, []), (35.0, ["no-enhancement-seen"]), (69.9, ["no-enhancement-seen"]), (70.0, [])],
)
def test_kidneys_without_enhancement_are_flagged(kidney_hu, expected):
    assert codes(study_flags(40, True, kidney_hu)) == expected


def test_flags_come_out_of_the_pipeline_on_their_side(tmp_path):
    """A kidney on the right, bright, on every slice; on the left one in the middle."""
    hu = np.full((44, 160, 160), -1000, np.int16)
    hu[:, 30:130, 10:150] = 0
    hu[:, 30:50, 10:150] = -100
    hu[:, 70:90, 30:60] = 90
    hu[15:30, 70:90, 100:130] = 90
    study = read_study(write_series(tmp_path, ct_series(hu, (5.0, 2.0, 2.0))), Profile.STANDARD)
    sides = analyse_study(study, FakeNetworks(0.6, 0.99), Thresholds(), Stopwatch()).sides
    assert codes(sides["right"].flags) == ["kidney-cut-by-first-slice", "kidney-cut-by-last-slice"]
    assert sides["left"].flags == ()
    assert sides["left"].kidney.centre_zyx is not None


def test_flags_are_shown_and_written():
    cut = Note("kidney-cut-by-last-slice", "The left kidney is cut off by the last slice.")
    sides = case_result().sides
    sides = {**sides, "left": replace(sides["left"], flags=(cut,))}
    result = case_result(sides=sides)
    document = to_json(result)
    assert document["sides"]["right"]["assessable"]
    assert not document["sides"]["left"]["assessable"]
    assert document["sides"]["left"]["flags"] == [{"code": cut.code, "text": cut.text}]
    assert cut.text in shown_warnings(result)
    cells = [str(cell) for column in results_table([result]).columns for cell in column.cells]
    assert [cut.code in cell for cell in cells] == [False, False, True, False]
    whole = case_result(sides=sides, flags=(Note("few-slices", "Few."),))
    assert not to_json(whole)["sides"]["right"]["assessable"]
