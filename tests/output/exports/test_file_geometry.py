"""Saved masks lie where the patient's kidneys lie, whatever the files look like.

The truth is what dcm2niix makes of the same files: kidneys and lesion are told by their HU.
"""

import shutil
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import highdicom
import nibabel
import numpy as np
import pytest

from rcc_onnx.engine import Engine
from rcc_onnx.output.exports.file_geometry import file_affine_lps
from rcc_onnx.output.exports.nifti import write_mask
from rcc_onnx.output.exports.seg import write_seg
from rcc_onnx.phantom import make_study
from rcc_onnx.types import Structure
from tests.support.dicom_factory import LAYOUTS, write_series
from tests.support.drawn_studies import LESION, analysed, drawn, multi_frame, series_of, truth_of
from tests.support.peers import CENTRE, LPS_TO_RAS, by_dcm2niix
from tests.support.placements import on_grid
from tests.support.truths import dice

KIDNEY_LOSS = 0.02
"""How much Dice of kidneys, lesion included, may lose from the grid to the series. The grid's
answer is the truth, with Dice 1, and it knows nothing of edges between its pixels of 2 mm and its
slices of 5 or 6 mm."""
LESION_LOSS = 0.04
"""The same of a lesion of 42 mm: its outline is twice as long for its size."""
PHANTOM_LOSS = 0.02
"""The same of what real networks answer, whose own errors are larger than that."""
SPACINGS = [(5.0, 0.9, 0.9), (1.25, 1.6, 1.8), (3.0, 1.5, 0.7), (2.5, 2.3, 1.7), (2.0, 1.2, 1.2)]


class Saved(NamedTuple):
    """A mask file, and the volume of dcm2niix laid on it: arrays of the same voxels."""

    labels: np.ndarray
    truth: np.ndarray
    to_right_mm: np.ndarray


def over_dcm2niix(mask_file: Path, folder: Path, out: Path) -> Saved:
    peer = by_dcm2niix(folder, out)
    image = nibabel.load(mask_file)
    labels = np.asarray(image.dataobj)
    to_peer = np.linalg.inv(LPS_TO_RAS @ peer.xyz_to_lps) @ image.affine
    steps = np.rint(to_peer[:3, :3])
    # From our first voxel to our last, every voxel's centre is one of the peer's.
    for corner in (np.zeros(3), np.array(labels.shape) - 1):
        found = (to_peer @ (*corner, 1))[:3]
        np.testing.assert_allclose(found, np.rint(found), atol=CENTRE)
        assert ((found > -CENTRE) & (found < np.array(peer.values.shape) - 1 + CENTRE)).all()
    assert (np.abs(steps).sum(axis=0) == 1).all()
    assert (np.abs(steps).sum(axis=1) == 1).all()
    axes = np.abs(steps).argmax(axis=0)
    flips = tuple(slice(None, None, int(steps[axis, own])) for own, axis in enumerate(axes))
    values = peer.values.transpose(axes)[flips]
    assert values.shape == labels.shape
    to_right = image.affine[0, 0] * np.arange(labels.shape[0])[:, None, None]
    if abs(image.affine[0, 0]) < abs(image.affine[0, 1]):
        to_right = image.affine[0, 1] * np.arange(labels.shape[1])[None, :, None]
    return Saved(labels, truth_of(values), np.broadcast_to(to_right, labels.shape))


def check_saved(saved: Saved) -> None:
    lesion = saved.labels == Structure.SUSPECTED_LESION
    assert dice(saved.labels > 0, saved.truth > 0) > 1 - KIDNEY_LOSS
    assert dice(lesion, saved.truth == LESION) > 1 - LESION_LOSS
    right, left = (saved.to_right_mm[saved.labels == label] for label in (1, 2))
    assert right.size > left.size / 2 > 0
    assert right.min() > left.max()
    assert saved.to_right_mm[lesion].min() > left.max()


def seg_as_labels(path: Path, result) -> np.ndarray:
    """The segments of each slice of the series, as labels (slices, rows, columns)."""
    seg = highdicom.seg.segread(path)
    labels = np.zeros(seg.number_of_segments + 1, np.uint8)
    for number in seg.segment_numbers:
        name = seg.get_segment_description(number).segment_label
        labels[number] = 3 if "lesion" in name else {"Right kidney": 1, "Left kidney": 2}[name]
    images = result.patient_images.placement.images
    how = {
        "combine_segments": True,
        "assert_missing_frames_are_empty": True,
        "ignore_spatial_locations": True,
    }
    if images[0].frame is None:
        uids = [image.sop_instance_uid for image in images]
        return labels[seg.get_pixels_by_source_instance(uids, **how)]
    frames = [image.frame for image in images]
    return labels[seg.get_pixels_by_source_frame(images[0].sop_instance_uid, frames, **how)]


def check_seg(path: Path, mask_file: Path, result) -> None:
    """The Segmentation and the NIfTI are the same, voxel for voxel and place for place."""
    mask = nibabel.load(mask_file)
    from_seg = seg_as_labels(path, result)
    np.testing.assert_array_equal(from_seg, np.asarray(mask.dataobj).T)
    assert set(np.unique(from_seg)) == {0, 1, 2, 3}
    seg = highdicom.seg.segread(path)
    geometry = seg.get_volume_geometry()
    assert geometry is not None
    # The Segmentation has the slices that hold something, in whichever order.
    held = np.flatnonzero(from_seg.any(axis=(1, 2)))
    affine = LPS_TO_RAS @ mask.affine
    for index in (0, geometry.spatial_shape[0] - 1):
        corner = geometry.affine @ (index, 3, 5, 1)
        slice_index, row, column = np.linalg.inv(affine[:, (2, 1, 0, 3)]) @ corner @ np.eye(4, 3)
        assert (row, column) == pytest.approx((3, 5), abs=CENTRE)
        assert round(slice_index) in (held[0], held[-1])
        assert slice_index == pytest.approx(round(slice_index), abs=CENTRE)


def save_and_check(source: Path, folder: Path, out: Path) -> None:
    result = analysed(source)
    out.mkdir(exist_ok=True)
    write_mask(result, out / "mask.nii.gz")
    write_seg(result, out / "seg.dcm")
    check_saved(over_dcm2niix(out / "mask.nii.gz", folder, out / "peer"))
    check_seg(out / "seg.dcm", out / "mask.nii.gz", result)


CASES = list(zip_longest(LAYOUTS, SPACINGS, fillvalue=SPACINGS[0]))


@pytest.mark.parametrize(("layout", "spacing"), CASES, ids=str)
def test_masks_lie_on_the_truth(tmp_path, layout, spacing):
    series = series_of(drawn(spacing), spacing, layout)
    # Names that say nothing of the order, and positions of a patient who lies feet first.
    names = [f"{(index * 1009) % len(series):03}.dcm" for index in range(len(series))]
    for dataset in series:
        dataset.PatientPosition = "FFS"
    folder = write_series(tmp_path / "study", series, names)
    save_and_check(folder, folder, tmp_path / "out")


@pytest.mark.parametrize("legacy", [False, True], ids=["enhanced", "legacy"])
def test_frames_of_a_multi_frame_file(tmp_path, legacy):
    spacing = (2.5, 1.5, 1.5)
    series = series_of(drawn(spacing), spacing, LAYOUTS[5])
    folder = write_series(tmp_path / "study", [multi_frame(series[::-1], legacy)])
    save_and_check(folder, folder, tmp_path / "out")


def test_a_zip_archive(tmp_path):
    spacing = (5.0, 1.5, 1.5)
    folder = write_series(tmp_path / "study", series_of(drawn(spacing), spacing))
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    save_and_check(Path(archive), folder, tmp_path / "out")


def test_a_wrong_place_would_be_seen(tmp_path):
    spacing = (5.0, 1.5, 1.5)
    folder = write_series(tmp_path / "study", series_of(drawn(spacing), spacing))
    write_mask(analysed(folder), tmp_path / "mask.nii.gz")
    saved = over_dcm2niix(tmp_path / "mask.nii.gz", folder, tmp_path / "peer")
    check_saved(saved)
    labels = saved.labels
    names_swapped = np.array([0, 2, 1, 3], np.uint8)[labels]
    for wrong in (labels[::-1], np.roll(labels, 2, axis=1), names_swapped):
        with pytest.raises(AssertionError):
            check_saved(saved._replace(labels=wrong))


def test_real_networks_lose_little(tmp_path):
    study = make_study(9, tmp_path / "study", quick=True)
    result = Engine.load("phantom", provider="cpu").analyse(study.folder)
    patient = result.patient_images
    write_mask(result, tmp_path / "mask.nii.gz")
    # A phantom's files show rows to the back and columns to the left, so nothing is to be turned.
    saved = np.asarray(nibabel.load(tmp_path / "mask.nii.gz").dataobj).T
    truth = on_grid(patient.placement, study.labels)
    for belongs in (lambda labels: labels > 0, lambda labels: labels == Structure.SUSPECTED_LESION):
        before = dice(belongs(patient.labels), belongs(truth))
        assert dice(belongs(saved), belongs(study.labels)) > before - PHANTOM_LOSS


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_affine_leads_from_the_files_pixels_to_the_patient(tmp_path, layout):
    spacing = (5.0, 2.5, 2.0)
    series = series_of(drawn(spacing), spacing, layout)
    result = analysed(write_series(tmp_path, series))
    affine = file_affine_lps(result.patient_images.placement)
    for index, dataset in enumerate(series):
        cosines = np.array(dataset.ImageOrientationPatient)
        between_rows, between_columns = dataset.PixelSpacing
        expected = (
            np.array(dataset.ImagePositionPatient)
            + 4 * between_columns * cosines[:3]
            + 9 * between_rows * cosines[3:]
        )
        np.testing.assert_allclose((affine @ (4, 9, index, 1))[:3], expected, atol=1e-6)
