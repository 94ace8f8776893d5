"""Images of a case for the report: what the networks saw, within their bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rcc_onnx.output.html.case_images import (
    SHEET_BYTES,
    case_images_name,
    label_runs,
    read_case_images,
)
from rcc_onnx.results import AnalysedCase
from tests.support.positioned_cases import SHAPE, placed_case
from tests.support.results import failed_case
from tests.support.runs import write_case
from tests.support.truths import two_kidneys

CASE_BYTES = 450_000
"""What one case may cost in the report."""


def test_images_are_removed_where_the_case_fails_later(
    tmp_path: Path, placed: AnalysedCase
) -> None:
    write_case(placed, tmp_path)
    path = tmp_path / case_images_name("case")
    assert read_case_images(path) is not None
    write_case(failed_case("case"), tmp_path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"version": 999}', b"\xff"])
def test_images_that_cannot_be_read_are_missing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "case.json"
    assert read_case_images(path) is None
    path.write_bytes(content)
    assert read_case_images(path) is None


def noisy(result: AnalysedCase, case: str) -> AnalysedCase:
    """With images of noise, which no compression makes small."""
    hu = np.random.default_rng(1).normal(40, 100, result.placed.hu.shape).astype(np.float32)
    return replace(result, case=case, patient_images=replace(result.placed, hu=hu))


def test_no_case_costs_more_than_it_may(tmp_path: Path, placed: AnalysedCase) -> None:
    tall = placed_case(tmp_path / "study", "tall", two_kidneys((200, 90, 100)), spacing=(4, 3, 3))
    for result in (placed, noisy(placed, "noisy"), noisy(tall, "tall")):
        write_case(result, tmp_path)
        path = tmp_path / case_images_name(result.case)
        images = read_case_images(path)
        assert len(images.sheet.picture.src) <= SHEET_BYTES * 4 / 3 + 100
        assert path.stat().st_size <= CASE_BYTES
    # Of many slices, those round the masks are there.
    assert len(images.sheet.slices) < 100
    assert any(part.runs for part in images.sheet.slices)


def test_the_sheet_is_what_the_networks_saw(tmp_path: Path, placed: AnalysedCase) -> None:
    write_case(placed, tmp_path)
    sheet = read_case_images(tmp_path / case_images_name("case")).sheet
    assert [part.number for part in sheet.slices] == list(range(1, SHAPE[0] + 1))
    assert np.diff([part.z_mm for part in sheet.slices]) == pytest.approx(-5.0)
    real = placed.placed.placement.real_places
    for part, labels in zip(sheet.slices, placed.placed.labels[real], strict=True):
        np.testing.assert_array_equal(decoded(part.runs), labels)
    title, at = sheet.stops[0]
    assert title == "right finding"
    diameter = placed.sides["right"].lesion_measures.longest_axial_diameter
    assert sheet.slices[at].number == diameter.slice + 1


def decoded(runs: tuple[int, ...], size: int = 160) -> np.ndarray:
    """As the report's script does."""
    labels, at = np.zeros(size * size, np.uint8), 0
    for between, length, label in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        labels[at + between : at + between + length] = label
        at += between + length
    return labels.reshape(size, size)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=16, max_size=16))
def test_runs_hold_every_label(labels: list[int]) -> None:
    array = np.array(labels, np.uint8).reshape(4, 4)
    np.testing.assert_array_equal(decoded(label_runs(array), 4), array)
