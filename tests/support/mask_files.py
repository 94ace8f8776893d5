"""Mask files for tests: NIfTI in any voxel order, and DICOM SEG."""

from collections.abc import Sequence
from pathlib import Path

import highdicom
import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from tests.support.dicom_factory import body_volume, ct_series, set_all

SHAPE_ZYX = (24, 40, 60)
SPACING_ZYX = (5.0, 1.5, 1.5)
AFFINE = np.array([[-1.5, 0, 0, 40.0], [0, -1.5, 0, 35.0], [0, 0, 5.0, -60.0], [0, 0, 0, 1.0]])
"""To RAS of arrays in the order x to the left, y to the back, z to the head, as dcm2niix does."""
ABNORMAL = highdicom.sr.CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure")


def kidneys(shift: int = 0) -> NDArray[np.uint8]:
    """Two boxes of kidney, a lesion in the left dataset; array (x, y, z), shifted along x."""
    mask = np.zeros(SHAPE_ZYX[::-1], np.uint8)
    mask[8 + shift : 20 + shift, 10:25, 5:17] = 1
    mask[38 + shift : 50 + shift, 10:25, 5:17] = 2
    mask[40 + shift : 46 + shift, 12:18, 9:13] = 3
    return mask


def write_nifti(
    path: Path, mask: NDArray[np.generic], affine: NDArray[np.float64] = AFFINE
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(mask, affine), path)
    return path


def in_order(
    mask: NDArray[np.uint8], affine: NDArray[np.float64], order: str
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The same mask with its voxels in another order, such as "PIR"."""
    image = nibabel.Nifti1Image(mask, affine)
    target = nibabel.orientations.axcodes2ornt(order)
    moved = image.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), target)
    )
    return np.asarray(moved.dataobj), np.asarray(moved.affine)


def source_slices() -> list[Dataset]:
    """CT slices for a SEG to refer to, whose affine is `seg_affine`."""
    slices = ct_series(body_volume(SHAPE_ZYX), SPACING_ZYX)
    return set_all(
        slices,
        **dict.fromkeys(("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName"), ""),
        PositionReferenceIndicator="",
        StudyID="1",
        StudyDate="20000101",
        StudyTime="120000",
        PatientSex="O",
        PatientName="Test^Case",
        PatientID="1",
        StudyInstanceUID="1.2.3",
        FrameOfReferenceUID="1.2.4",
    )


def seg_affine(slices: list[Dataset]) -> NDArray[np.float64]:
    """To RAS of arrays (x, y, z) in the order of the slices."""
    first, last = (
        np.array(dataset.ImagePositionPatient, float) for dataset in (slices[0], slices[-1])
    )
    affine = np.eye(4)
    affine[0, 0] = affine[1, 1] = SPACING_ZYX[1]
    affine[:3, 2] = (last - first) / (len(slices) - 1)
    affine[:3, 3] = first
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def segment(number: int, label: str, *, side: str | None, lesion: bool = False) -> Dataset:
    category, kind = (ABNORMAL, codes.SCT.Mass) if lesion else (codes.SCT.Organ, codes.SCT.Kidney)
    description = highdicom.seg.SegmentDescription(
        number, label, category, kind, "MANUAL", anatomic_regions=[codes.SCT.Kidney]
    )
    if side is not None:
        code = codes.SCT.Right if side == "right" else codes.SCT.Left
        modifier = highdicom.sr.CodedConcept.from_code(code)
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [modifier]
    return description


def write_seg(
    path: Path, slices: list[Dataset], segments: Sequence[tuple[Dataset, NDArray[np.bool_]]]
) -> Path:
    """Write segments, each with a bool mask (x, y, z); empty slices are left out."""
    pixels = np.stack([mask.T for _, mask in segments], axis=-1).astype(np.uint8)
    seg = highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=[description for description, _ in segments],
        series_instance_uid=generate_uid(),
        series_number=100,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="tests",
        manufacturer_model_name="tests",
        software_versions="1",
        device_serial_number="1",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    seg.save_as(path)
    return path


def coded_segments(mask: NDArray[np.uint8]) -> list[tuple[Dataset, NDArray[np.bool_]]]:
    """As kidneys with a coded side, the lesion overlapping its kidney, numbered the other way."""
    return [
        (segment(1, "suspected lesion", side="left", lesion=True), mask == 3),
        (segment(2, "left", side="left"), mask >= 2),
        (segment(3, "right", side="right"), mask == 1),
    ]
