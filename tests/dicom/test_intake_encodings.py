"""One image, one volume, whatever its transfer syntax: generated, and pydicom's own files."""

from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from openjpeg.utils import encode_array
from pydicom.data import get_testdata_file
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
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import Storage, body_volume, ct_series, write_series
from tests.support.errors import raises_code
from tests.support.intake import warnings

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


def volume(folder):
    return network_volume(read_study(folder, Profile.STANDARD)).values


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return volume(write_series(tmp_path_factory.mktemp("plain"), ct_series(HU)))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("encoding", LOSSLESS)
def test_lossless_encodings(tmp_path, expected, encoding, storage):
    series = ct_series(HU, storage=STORAGES[storage])
    for dataset in series:
        LOSSLESS[encoding](dataset)
    folder = write_series(tmp_path, series)
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
def test_pydicoms_own_files(name):
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


def test_decoder_that_cannot_do_it_is_no_damage(tmp_path, monkeypatch):
    def cannot(*_, **__):
        raise RuntimeError("all failed:\n  gdcm: GDCM does not support 12-bit JPEG Extended")

    series = ct_series(HU)
    for dataset in series:
        LOSSLESS["RLE"](dataset)
    folder = write_series(tmp_path, series)
    monkeypatch.setattr("rcc_onnx.dicom.pixels.pixel_array", cannot)
    with raises_code("transfer-syntax", match="uncompressed"):
        volume(folder)


def test_sizes_that_nobody_claims():
    for frame in (b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xe0\x00\x04ab\x00\x00abcd"):
        assert claimed_size(frame) is None


def test_deflated_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("rcc_onnx.dicom.dataset.MAX_INFLATED_BYTES", 10_000)
    series = ct_series(HU)
    for dataset in series:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    with raises_code("no-dicom", match="beyond its limit"):
        volume(write_series(tmp_path, series))
