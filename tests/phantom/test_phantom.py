"""Phantoms: anatomy, images, files, and their marks as phantoms."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rcc_onnx.dicom import read_study
from rcc_onnx.phantom import (
    Label,
    Prevalence,
    Storage,
    draw_anatomy,
    draw_scan,
    make_study,
    network_samples,
    write_study,
)
from rcc_onnx.phantom.scan import EVALUATION, EXAMPLES, TRAINING, TUNING, quick_scan, render
from rcc_onnx.phantom.shapes import Capsule, Ellipsoid, Grid, coverage, rotation
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import HALF_WIDTH, Profile

FULL = (slice(None),) * 3


def cube(step_mm: float = 1.0, thickness_mm: float = 1.0) -> Grid:
    axis = np.arange(-30, 30 + step_mm / 2, step_mm, dtype=np.float32)
    return Grid(axis, axis, axis[::-1], thickness_mm)


@pytest.mark.parametrize("thickness_mm", [1.0, 5.0])
def test_coverage_adds_up_to_the_volume(thickness_mm: float) -> None:
    ball = Ellipsoid((0.3, -0.2, 0.1), (15.0, 10.0, 12.0), rotation(20, 30, 40))
    covered = float(coverage(ball, cube(1.0, thickness_mm), FULL).sum())
    assert covered == pytest.approx(4 / 3 * np.pi * 15 * 10 * 12, rel=0.02)


def test_bounds_hold_all_that_is_covered() -> None:
    for solid in (
        Ellipsoid((3.0, 2.0, 1.0), (15.0, 5.0, 9.0), rotation(10, 50, 70)),
        Capsule((-10.0, 0.0, 5.0), (8.0, 12.0, -9.0), 4.0),
    ):
        grid = cube(1.0, 5.0)
        everywhere = coverage(solid, grid, FULL)
        window = grid.window(*solid.bounds())
        assert everywhere.sum() == pytest.approx(everywhere[window].sum())
        assert everywhere[window].size < everywhere.size


def test_a_point_inside_an_ellipsoid_is_found_along_its_own_axes() -> None:
    body = Ellipsoid((1.0, 2.0, 3.0), (10.0, 20.0, 30.0), rotation(0, 0, 90))
    assert body.at((1, 0, 0), 1.0) == pytest.approx((1.0, 12.0, 3.0))


@settings(max_examples=25, deadline=None)
@given(seed=st.sampled_from(EXAMPLES))
def test_anatomies_are_sound(seed: int) -> None:
    anatomy = draw_anatomy(seed, Prevalence(lesion=0.8, cyst=0.8, absent=0.2))
    for kidney in anatomy.kidneys:
        # +x is the patient's left (PS3.3 C.7.6.2.1.1).
        assert (kidney.outline.centre[0] > 0) == (kidney.side == "left")
        for growth in kidney.growths:
            assert 8 <= growth.diameter_mm <= 40
            volume = 4 / 3 * np.pi * np.prod(growth.solid.semi_mm)
            assert volume == pytest.approx(np.pi / 6 * growth.diameter_mm**3)
        lesion, cyst = kidney.growth("lesion"), kidney.growth("cyst")
        if lesion:
            assert 50 <= lesion.hu <= kidney.medulla_hu - 40
        if cyst:
            assert cyst.hu < 20


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first = make_study(3, tmp_path / "first", quick=True)
    two = make_study(3, tmp_path / "two", quick=True)
    other = make_study(4, tmp_path / "other", quick=True)
    assert file_bytes(first.folder) == file_bytes(two.folder)
    assert file_bytes(first.folder)["010.dcm"] != file_bytes(other.folder)["010.dcm"]
    np.testing.assert_array_equal(first.labels, two.labels)


def file_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_file_is_marked_as_a_phantom(tmp_path: Path) -> None:
    folder = make_study(5, tmp_path / "study", quick=True).folder
    for path in folder.iterdir():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert header.Manufacturer == "rcc-onnx digital phantom"
        assert header.QualityControlSubject == "YES"
        assert "Not a patient" in header.ImageComments
    assert read_study(folder, Profile.STANDARD).is_digital_phantom


def test_one_file_of_another_maker_makes_it_a_patient(tmp_path: Path) -> None:
    folder = make_study(5, tmp_path / "study", quick=True).folder
    path = folder / "004.dcm"
    header = pydicom.dcmread(path)
    header.Manufacturer = "Somebody"
    header.save_as(path)
    assert not read_study(folder, Profile.STANDARD).is_digital_phantom


def test_a_study_is_written_over_itself_but_not_over_others(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    make_study(5, folder, quick=True)
    before = file_bytes(folder)
    (folder / "001.dcm").write_bytes(b"rcc-onnx digital phantom, cut short")
    make_study(5, folder, quick=True)
    assert file_bytes(folder) == before
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        make_study(5, folder, quick=True)
    real = tmp_path / "real"
    real.mkdir()
    (real / "001.dcm").write_bytes(b"a scan of somebody")
    with pytest.raises(FileExistsError):
        make_study(5, real, quick=True)
    assert file_bytes(real) == {"001.dcm": b"a scan of somebody"}


@pytest.mark.parametrize("storage", list(Storage))
def test_storage_keeps_the_hounsfield_units(tmp_path: Path, storage: Storage) -> None:
    anatomy = draw_anatomy(8)
    scan = replace(quick_scan(draw_scan(8, anatomy.body)), storage=storage, noise_hu=0.0)
    study = write_study(anatomy, scan, tmp_path / "study")
    index = len(study.labels) // 2
    header = pydicom.dcmread(study.folder / f"{index + 1:03d}.dcm")
    hu = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    drawn, labels = render(anatomy, scan.grid())
    kidney = labels[index] == Label.RIGHT_KIDNEY
    assert kidney.sum() > 100
    np.testing.assert_allclose(hu[kidney], drawn[index][kidney], atol=0.5)
    corner = -2000 if storage is Storage.SIGNED_PADDED else -1000
    assert hu[0, 0] == corner


def test_unsigned_and_signed_twins_give_the_same_volume(tmp_path: Path) -> None:
    anatomy = draw_anatomy(9)
    scan = draw_scan(9, anatomy.body)
    volumes = []
    for storage in (Storage.SIGNED, Storage.UNSIGNED_1024):
        folder = write_study(anatomy, replace(scan, storage=storage), tmp_path / storage).folder
        volumes.append(network_volume(read_study(folder, Profile.STANDARD)).values)
    np.testing.assert_array_equal(volumes[0], volumes[1])
    assert volumes[0].any()


@settings(max_examples=6, deadline=None)
@given(
    seed=st.sampled_from(EXAMPLES),
    spacing=st.sampled_from([5.0, 2.5, 3.0, 2.0]),
    padded=st.booleans(),
)
def test_standard_is_the_notebook_on_phantoms_that_leave_no_room(
    tmp_path_factory: pytest.TempPathFactory, seed: int, spacing: float, padded: bool
) -> None:
    """Axial, 512x512, named head first, HU stored directly, thickness = spacing."""
    anatomy = draw_anatomy(seed)
    scan = replace(
        draw_scan(seed, anatomy.body),
        thickness_mm=spacing,
        spacing_mm=spacing,
        storage=Storage.SIGNED_PADDED if padded else Storage.SIGNED,
        top_mm=60.0,
        bottom_mm=-40.0,
    )
    folder = write_study(anatomy, scan, tmp_path_factory.mktemp("twin") / "study").folder
    standard, notebook = (
        network_volume(read_study(folder, profile)).values
        for profile in (Profile.STANDARD, Profile.NOTEBOOK)
    )
    np.testing.assert_array_equal(standard, notebook)
    assert standard.any()


def test_samples_are_what_the_pipeline_would_sample(tmp_path: Path) -> None:
    """The shortcut that training takes shows the same patient as DICOM through the intake."""
    seed = next(s for s in EXAMPLES if len(draw_anatomy(s).kidneys) == 2)
    samples = network_samples(seed)
    study = make_study(seed, tmp_path / "study")
    volume = network_volume(read_study(study.folder, Profile.STANDARD))
    assert samples.slices.shape == volume.values.shape
    difference = np.abs(samples.slices.astype(int) - volume.values.astype(int))
    # Other noise, and the grid lies up to a pixel elsewhere: alike, not equal.
    assert np.median(difference[samples.slices > 0]) < 25
    assert ((samples.slices > 0) == (volume.values > 0)).mean() > 0.97


def test_crops_hold_the_kidney_of_their_side() -> None:
    samples = network_samples(2, Prevalence(absent=0.0))
    assert samples.crops.shape == samples.crop_labels.shape == (2, 40, 64, 64)
    own = (Label.RIGHT_KIDNEY, Label.LEFT_KIDNEY)
    for labels, label, half in zip(
        samples.crop_labels,
        own,
        (samples.slice_labels[:, :, :HALF_WIDTH], samples.slice_labels[:, :, HALF_WIDTH:]),
        strict=True,
    ):
        assert (labels == label).sum() > 0.9 * (half == label).sum()
        assert not np.isin(labels, [item for item in own if item != label]).any()


def test_seeds_do_not_overlap() -> None:
    ranges = (EXAMPLES, TRAINING, TUNING, EVALUATION)
    ends = sorted((item.start, item.stop) for item in ranges)
    assert all(before[1] <= after[0] for before, after in pairwise(ends))
