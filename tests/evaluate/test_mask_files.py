"""Masks read from NIfTI and DICOM SEG, and every refusal."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from rcc_onnx.errors import MaskError, OptionError
from rcc_onnx.evaluate.mask_files import OWN_VALUES, Mask, MaskValue, parse_mapping, read_mask
from rcc_onnx.evaluate.masks import resample
from tests.support.errors import raises_code
from tests.support.mask_files import (
    AFFINE,
    coded_segments,
    kidneys,
    seg_affine,
    segment,
    source_slices,
    write_nifti,
    write_seg,
)


def test_a_mapping() -> None:
    assert parse_mapping("1=right,2=left,3=lesion") == OWN_VALUES
    for text in ("", "1", "right=1", "0=right", "256=right", "1=tumour", "1=right,1=left", "1=,"):
        with pytest.raises(OptionError, match="--mask-labels"):
            parse_mapping(text)


def test_values_of_other_data_sets(tmp_path: Path) -> None:
    """As KiTS has them: 1 either kidney, 2 tumour, 3 cyst; floating point."""
    kits = np.array([0, 1, 1, 2], np.float32)[kidneys()]
    kits[10, 12, 8] = 3
    path = write_nifti(tmp_path / "a.nii.gz", kits)
    with raises_code("mask-labels", match="it holds the value 3, whose meaning is not known"):
        read_mask(path, parse_mapping("1=kidney,2=lesion"))
    mask = read_mask(path, parse_mapping("1=kidney, 2=lesion, 3=Kidney"))
    assert not mask.has_sides
    expected = np.array([0, MaskValue.KIDNEY, MaskValue.KIDNEY, MaskValue.LESION])[kidneys()]
    np.testing.assert_array_equal(mask.values, expected)


def spoiled(path: Path, kind: str) -> None:
    """Write a file that is not a usable mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    good = kidneys()
    if kind == "text":
        path.write_bytes(gzip.compress(b"no NIfTI at all" * 100))
    elif kind == "cut":
        write_nifti(path, np.random.default_rng(0).integers(0, 3, good.shape).astype(np.uint8))
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "fractions":
        write_nifti(path, good * np.float32(0.5))
    elif kind == "nan":
        write_nifti(path, np.full(good.shape, np.nan, np.float32))
    elif kind == "large":
        write_nifti(path, good.astype(np.int16) * 200)
    elif kind == "complex":
        write_nifti(path, good.astype(np.complex64))
    elif kind == "series":
        write_nifti(path, np.stack([good, good], axis=-1))
    elif kind == "flat":
        write_nifti(path, good[:, :, 0])
    else:
        image = nibabel.Nifti1Image(good, AFFINE)
        image.set_sform(AFFINE, 0)
        image.set_qform(AFFINE, 0)
        nibabel.save(image, path)


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("text", "mask-unreadable", r"^a\.nii\.gz: it cannot be read"),
        ("cut", "mask-unreadable", r"^a\.nii\.gz: it cannot be read"),
        ("fractions", "mask-unreadable", "whole numbers"),
        ("nan", "mask-unreadable", "whole numbers"),
        ("large", "mask-unreadable", "from 0 to 600"),
        ("complex", "mask-unreadable", "complex64"),
        ("series", "mask-unreadable", "three axes"),
        ("flat", "mask-unreadable", "three axes"),
        ("no place", "mask-place", "neither sform nor qform"),
    ],
)
def test_a_bad_nifti_is_refused(tmp_path: Path, kind: str, code: str, message: str) -> None:
    spoiled(tmp_path / "a.nii.gz", kind)
    with raises_code(code, match=message):
        read_mask(tmp_path / "a.nii.gz", None)


def test_an_affine_that_leads_nowhere_is_refused() -> None:
    for affine in (np.zeros((4, 4)), np.full((4, 4), np.nan)):
        with raises_code("mask-place", match="no place in space"):
            Mask(kidneys(), affine)


def test_codes_of_a_seg_identify_its_segments(tmp_path: Path) -> None:
    slices = source_slices()
    path = write_seg(tmp_path / "a.dcm", slices, coded_segments(kidneys()))
    mask = read_mask(path, None)
    assert mask.has_sides
    # Slices without a segment are left out of the file: 12 of 24 are there.
    assert mask.values.shape[0] == 12
    affine = seg_affine(slices)
    whole = Mask(kidneys(), affine)
    np.testing.assert_array_equal(resample(mask, whole), kidneys())


def test_a_seg_without_sides_or_codes(tmp_path: Path) -> None:
    slices = source_slices()
    path = tmp_path / "a.dcm"
    write_seg(path, slices, [(segment(1, "kidney", side=None), kidneys() > 0)])
    mask = read_mask(path, None)
    assert not mask.has_sides
    assert set(np.unique(mask.values)) == {0, MaskValue.KIDNEY}
    unknown = segment(1, "thing", side=None)
    unknown.AnatomicRegionSequence[0].CodeValue = "1"
    unknown.SegmentedPropertyTypeCodeSequence[0].CodeValue = "2"
    write_seg(path, slices, [(unknown, kidneys() > 0)])
    with raises_code("mask-labels", match=r"segment 1 \(thing\) name neither"):
        read_mask(path, None)
    assert read_mask(path, parse_mapping("1=lesion")).values.max() == MaskValue.LESION
    with raises_code("mask-labels", match="does not name its segment 1"):
        read_mask(path, parse_mapping("2=lesion"))


def test_dicom_that_is_not_a_seg(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    source_slices()[0].save_as(path, enforce_file_format=True)
    with raises_code("mask-unreadable", match="cannot be read") as caught:
        read_mask(path, None)
    assert "Test" not in str(caught.value)
    path.write_bytes(b"nothing")
    with pytest.raises(MaskError, match="cannot be read"):
        read_mask(path, None)
