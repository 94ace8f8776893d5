"""One image, one volume and one hash, whatever its transfer syntax."""

import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from openjpeg.utils import encode_array
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from rcc_onnx import errors
from rcc_onnx.dicom import read_study
from rcc_onnx.dicom.headers import read_file
from rcc_onnx.dicom.pixels import claimed_size, read_stored_values
from rcc_onnx.dicom.sources import Source
from rcc_onnx.pipeline.preprocess import VolumeReading, network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import (
    LAYOUTS,
    Storage,
    body_volume,
    ct_series,
    enhanced_ct,
    write_series,
)
from tests.support.errors import raises_code
from tests.support.intake import volume, warnings

HU = body_volume()
STORAGES = {"signed": Storage(), "unsigned": Storage(signed=False, intercept=-1024.0)}


def named(syntax):
    def encode(dataset):
        dataset.file_meta.TransferSyntaxUID = syntax

    return encode


def big_endian(dataset):
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian


def compressed(syntax, **options):
    return lambda dataset: dataset.compress(syntax, generate_instance_uid=False, **options)


def jpeg_2000(syntax, **options):
    def encode(dataset):
        dtype = np.int16 if dataset.PixelRepresentation else np.uint16
        stored = np.frombuffer(dataset.PixelData, dtype).reshape(dataset.Rows, dataset.Columns)
        dataset.PixelData = encapsulate([encode_array(stored, bits_stored=16, **options)])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax

    return encode


def plain(dataset):
    pass


LOSSLESS = {
    "explicit": plain,
    "implicit": named(ImplicitVRLittleEndian),
    "big endian": big_endian,
    "deflated": named(DeflatedExplicitVRLittleEndian),
    "RLE": compressed(RLELossless),
    "JPEG-LS": compressed(JPEGLSLossless),
    "JPEG 2000": jpeg_2000(JPEG2000Lossless),
}
BY_GDCM = {
    "JPEG lossless (.57)": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "JPEG lossless (.70)": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return volume(write_series(tmp_path_factory.mktemp("plain"), ct_series(HU)))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("encoding", LOSSLESS)
def test_lossless_encodings_have_one_volume_and_one_hash(tmp_path, expected, encoding, storage):
    series = ct_series(HU, storage=STORAGES[storage])
    plain_hash = ours(write_series(tmp_path / "plain", series))
    for dataset in series:
        LOSSLESS[encoding](dataset)
    folder = write_series(tmp_path / "encoded", series)
    assert ours(folder) == plain_hash
    syntax = pydicom.dcmread(folder / "001.dcm").file_meta.TransferSyntaxUID
    study = read_study(folder, Profile.STANDARD)
    assert study.record.transfer_syntax == syntax
    assert not study.record.lossy
    np.testing.assert_array_equal(network_volume(study).values, expected)


def by_gdcm(path, syntax):
    """Rewrite a file in a transfer syntax that pydicom cannot write."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("encoding", BY_GDCM)
def test_jpeg_lossless(tmp_path, expected, encoding, storage):
    series = ct_series(HU, storage=STORAGES[storage])
    raw = write_series(tmp_path / "raw", series)
    for path, dataset in zip(sorted(raw.iterdir()), series, strict=True):
        by_gdcm(path, BY_GDCM[encoding])
        # Only the pixels are taken: GDCM gives each file a study of its own.
        written = pydicom.dcmread(path)
        dataset.PixelData = written.PixelData
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = written.file_meta.TransferSyntaxUID
    folder = write_series(tmp_path / "packed", series)
    study = read_study(folder, Profile.STANDARD)
    assert f"({study.record.transfer_syntax[-3:]})" in encoding
    np.testing.assert_array_equal(network_volume(study).values, expected)


LOSSY = {
    "JPEG-LS": compressed(JPEGLSNearLossless, jls_error=2),
    "JPEG 2000": jpeg_2000(JPEG2000, compression_ratios=[4]),
}


@pytest.mark.parametrize("encoding", LOSSY)
def test_lossy_encodings_are_marked(tmp_path, encoding):
    series = ct_series(HU, storage=STORAGES["unsigned"])
    for dataset in series:
        LOSSY[encoding](dataset)
    study = read_study(write_series(tmp_path, series), Profile.STANDARD)
    assert study.record.lossy
    assert "lossy" in warnings(study)
    assert network_volume(study).values.any()


def header_of(name):
    (header,) = read_file(Source(name, Path(get_testdata_file(name, download=False)), 0))
    return header


def stored_values(name):
    return read_stored_values(header_of(name))


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
    ],
)
def test_pydicoms_test_files(name):
    expected = stored_values("MR_small.dcm")
    assert expected.max() > 1000
    np.testing.assert_array_equal(stored_values(name), expected)


def test_pydicoms_ct_slice_is_read():
    values = stored_values("CT_small.dcm")
    assert values.shape == (128, 128)
    assert (values.min(), values.max()) == (128, 2191)


@pytest.mark.parametrize(
    ("name", "lossy"),
    [
        ("JPEGLSNearLossless_16.dcm", True),
        ("693_J2KI.dcm", True),
        ("MR_small_jp2klossless.dcm", False),
        ("CT_small.dcm", False),
    ],
)
def test_lossy_by_pydicoms_files(name, lossy):
    assert header_of(name).lossy == lossy


@pytest.mark.parametrize("encoding", ["JPEG-LS", "JPEG 2000"])
def test_compressed_image_of_another_size(tmp_path, encoding):
    """The decoder is not asked: it would set aside memory for what the image claims."""
    series = ct_series(HU)
    for dataset in series:
        LOSSLESS[encoding](dataset)
        dataset.Rows, dataset.Columns = 80, 100
    with pytest.raises(errors.PixelsError, match="90 x 110"):
        volume(write_series(tmp_path, series))


def test_an_unsupported_encoding_is_not_reported_as_damage(tmp_path, monkeypatch):
    def cannot(*_, **__):
        raise RuntimeError("all failed:\n  gdcm: GDCM does not support 12-bit JPEG Extended")

    series = ct_series(HU)
    for dataset in series:
        LOSSLESS["RLE"](dataset)
    folder = write_series(tmp_path, series)
    monkeypatch.setattr("rcc_onnx.dicom.pixels.pixel_array", cannot)
    with raises_code("transfer-syntax", match="uncompressed"):
        volume(folder)


def test_frames_of_unknown_encodings_claim_no_size():
    for frame in (b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xe0\x00\x04ab\x00\x00abcd"):
        assert claimed_size(frame) is None


def test_deflated_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("rcc_onnx.dicom.dataset.MAX_INFLATED_BYTES", 10_000)
    series = ct_series(HU)
    for dataset in series:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    with raises_code("no-dicom", match="beyond its limit"):
        volume(write_series(tmp_path, series))


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
    return [(item, 0) for item in sorted(images, key=lambda item: -item.ImagePositionPatient[2])]


@pytest.mark.parametrize("storage", STORAGES)
def test_the_hash_is_as_documented(tmp_path: Path, storage: str) -> None:
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
