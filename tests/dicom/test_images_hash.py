"""The hash over the analysed images, against one that was written from the page alone."""

import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from rcc_onnx.dicom import read_study
from rcc_onnx.pipeline.preprocess import VolumeReading
from rcc_onnx.types import Profile
from tests.dicom.test_intake_encodings import LOSSLESS, STORAGES
from tests.support.dicom_factory import (
    LAYOUTS,
    Storage,
    body_volume,
    ct_series,
    enhanced_ct,
    write_series,
)

HU = body_volume()
"""Six slices, 2.5 mm apart in `ct_series`: every second one is analysed."""


def ours(folder: Path, profile: Profile = Profile.STANDARD) -> str:
    reading = VolumeReading(read_study(folder, profile))
    for _ in reading.parts(16):
        pass
    return reading.images_sha256


def by_the_page(images: Sequence[tuple[Dataset, int]]) -> str:
    """From docs/outputs.md with pydicom and hashlib; 0, or the number of the frame, with each."""
    total = hashlib.sha256()
    for image, frame in images:
        sign = "int" if image.PixelRepresentation else "uint"
        kind = f"{sign}{16 if image.BitsAllocated <= 16 else 32}"
        uid = image.SOPInstanceUID
        total.update(f"{uid} {frame} {image.Rows} {image.Columns} {kind}\n".encode())
        pixels = image.pixel_array[frame - 1] if frame else image.pixel_array
        total.update(pixels.astype(np.dtype(kind).newbyteorder("<")).tobytes())
    return total.hexdigest()


def from_the_head(folder: Path) -> list[tuple[Dataset, int]]:
    images = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    return [(one, 0) for one in sorted(images, key=lambda one: -one.ImagePositionPatient[2])]


@pytest.mark.parametrize("storage", STORAGES)
def test_it_is_what_the_page_says(tmp_path: Path, storage: str) -> None:
    folder = write_series(tmp_path, ct_series(HU, storage=STORAGES[storage]))
    images = from_the_head(folder)
    assert len(images) == 6
    assert ours(folder) == by_the_page(images[::2])
    assert ours(folder) != by_the_page(images)


def test_the_notebook_goes_by_file_names(tmp_path: Path) -> None:
    series = ct_series(HU, (5.0, 2.0, 2.0))
    names = [f"{9 - place}.dcm" for place in range(len(series))]
    folder = write_series(tmp_path, series, names)
    by_name = [(pydicom.dcmread(path), 0) for path in sorted(folder.iterdir())]
    assert ours(folder, Profile.NOTEBOOK) == by_the_page(by_name)
    assert ours(folder) == by_the_page(by_name[::-1])


def test_frames_count_from_1(tmp_path: Path) -> None:
    enhanced = enhanced_ct(ct_series(HU))
    folder = write_series(tmp_path, [enhanced])
    (image,) = (pydicom.dcmread(path) for path in folder.iterdir())
    assert ours(folder) == by_the_page([(image, frame) for frame in (1, 3, 5)])


@pytest.mark.parametrize("layout", [LAYOUTS[0], LAYOUTS[5]])
def test_pixels_are_hashed_as_the_files_have_them(tmp_path: Path, layout: object) -> None:
    folder = write_series(tmp_path, ct_series(HU, layout=layout))
    assert ours(folder) == by_the_page(from_the_head(folder)[::2])


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("encoding", LOSSLESS)
def test_lossless_encodings_have_one_hash(tmp_path: Path, encoding: str, storage: str) -> None:
    series = ct_series(HU, storage=STORAGES[storage])
    plain = ours(write_series(tmp_path / "plain", series))
    for dataset in series:
        LOSSLESS[encoding](dataset)
    assert ours(write_series(tmp_path / "encoded", series)) == plain


def test_names_order_and_archives_change_nothing(tmp_path: Path) -> None:
    series = ct_series(HU)
    folder = write_series(tmp_path / "a", series)
    other = write_series(tmp_path / "b" / "deep", series[::-1], [f"x{n}" for n in range(6)])
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for path in other.iterdir():
            archive.write(path, path.name)
    assert ours(folder) == ours(tmp_path / "b") == ours(tmp_path / "c.zip")


def test_any_analysed_pixel_and_uid_counts(tmp_path: Path) -> None:
    series = ct_series(HU, storage=Storage(signed=False, intercept=-1024.0))
    found = {ours(write_series(tmp_path / "as it was", series))}
    for place, what in ((0, "pixel"), (4, "pixel"), (2, "uid")):
        folder = shutil.copytree(tmp_path / "as it was", tmp_path / f"{place} {what}")
        path = folder / f"{place + 1:03}.dcm"
        image = pydicom.dcmread(path)
        if what == "uid":
            image.SOPInstanceUID = "1.2.3"
        else:
            image.PixelData = image.PixelData[:-2] + b"\x01\x01"
        image.save_as(path)
        found.add(ours(folder))
    assert len(found) == 4


def test_slices_that_are_not_analysed_do_not_count(tmp_path: Path) -> None:
    folder = write_series(tmp_path, ct_series(HU))
    before = ours(folder)
    path = folder / "002.dcm"
    image = pydicom.dcmread(path)
    image.PixelData = image.PixelData[:-2] + b"\x01\x01"
    image.save_as(path)
    assert ours(folder) == before


def test_the_page_shows_code_that_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text(encoding="utf-8")
    code = next(part for part in page.split("```python\n")[1:] if "images_sha" in page)
    code = code.split("```")[0].replace("print(total.hexdigest())", "")
    folder = write_series(tmp_path, ct_series(HU))
    place = {"hashlib": hashlib, "pydicom": pydicom, "numpy": np}
    place["paths"] = [folder / name for name in ("001.dcm", "003.dcm", "005.dcm")]
    exec(code, place)
    assert place["total"].hexdigest() == ours(folder)
