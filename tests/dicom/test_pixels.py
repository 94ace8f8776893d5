"""Stored values and HU of one image: read natively or by pydicom, or refused."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from rcc_onnx import errors
from rcc_onnx.dicom import pixels, read_study
from rcc_onnx.dicom.headers import read_file
from rcc_onnx.dicom.pixels import read_hu, read_native, read_stored_values
from rcc_onnx.dicom.sources import Source
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import Storage, body_volume, ct_series, enhanced_ct, write_series
from tests.support.errors import raises_code

HU = body_volume((3, 30, 41))


def one_slice():
    return ct_series(HU, storage=Storage(signed=False, intercept=-1024.0))[0]


def written(dataset, folder, tail=b""):
    path = write_series(folder, [dataset]) / "001.dcm"
    path.write_bytes(path.read_bytes() + tail)
    return path


def headers_of(path):
    return read_file(Source(path.name, path, path.stat().st_size))


def by_pydicom(header):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels, "read_native", lambda _: None)
        return read_stored_values(header)


def assert_read_natively(header):
    found = read_native(header)
    assert found is not None
    expected = by_pydicom(header)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def stored_as(dataset, words, bits=16):
    dataset.PixelData = words.tobytes()
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(words.dtype.kind == "i")


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_plain_files(tmp_path, signed, implicit):
    dataset = ct_series(HU, storage=Storage(signed=signed))[0]
    if implicit:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    (header,) = headers_of(written(dataset, tmp_path))
    assert_read_natively(header)


def test_long_headers(tmp_path):
    dataset = one_slice()
    dataset.add_new(0x00091001, "OB", bytes(70_000))
    dataset.add_new(0x00090010, "LO", "PRIVATE")
    (header,) = headers_of(written(dataset, tmp_path))
    assert header.pixels_at > 70_000
    assert_read_natively(header)


def test_frames(tmp_path):
    series = ct_series(HU)
    path = written(enhanced_ct(series), tmp_path)
    headers = headers_of(path)
    assert len(headers) == 3
    for header, image in zip(headers, HU, strict=True):
        assert_read_natively(header)
        np.testing.assert_array_equal(read_native(header), image)


def test_frames_cut_short(tmp_path):
    dataset = enhanced_ct(ct_series(HU))
    dataset.PixelData = dataset.PixelData[: -2 * HU[0].size]
    *first, last = headers_of(written(dataset, tmp_path))
    for header in first:
        assert_read_natively(header)
    assert read_native(last) is None
    with pytest.raises(errors.PixelsError):
        read_stored_values(last)


def spoil(keyword, value):
    def change(dataset):
        setattr(dataset, keyword, value)

    return change


def without(keyword):
    return lambda dataset: delattr(dataset, keyword)


def big_endian(dataset):
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian


def bytes_not_words(dataset):
    dataset["PixelData"].VR = "OB"


def cut(dataset):
    dataset.PixelData = dataset.PixelData[:-2]


def excess(dataset):
    dataset.PixelData = dataset.PixelData + bytes(2)


def trailing(dataset):
    dataset.add_new(0xFFFCFFFC, "OB", bytes(10))


LEFT_TO_PYDICOM = {
    "big endian": big_endian,
    "OB": bytes_not_words,
    "trailing padding": trailing,
    "cut short": cut,
    "too long": excess,
    "no PixelRepresentation": without("PixelRepresentation"),
    "PixelRepresentation 2": spoil("PixelRepresentation", 2),
    "no SamplesPerPixel": without("SamplesPerPixel"),
    "no photometric interpretation": without("PhotometricInterpretation"),
    "MONOCHROME1": spoil("PhotometricInterpretation", "MONOCHROME1"),
    "no BitsAllocated": without("BitsAllocated"),
    "no BitsStored": without("BitsStored"),
    "BitsStored 17": spoil("BitsStored", 17),
    "HighBit 11": spoil("HighBit", 11),
    "no Rows": without("Rows"),
    "no pixels": without("PixelData"),
    "8 bits": spoil("BitsAllocated", 8),
    "32 bits": spoil("BitsAllocated", 32),
    "other frames": spoil("NumberOfFrames", 2),
}


@pytest.mark.parametrize("what", LEFT_TO_PYDICOM)
def test_other_files_are_left_to_pydicom(tmp_path, what):
    dataset = one_slice()
    dataset["PixelData"].VR = "OW"
    LEFT_TO_PYDICOM[what](dataset)
    (header,) = headers_of(written(dataset, tmp_path))
    assert read_native(header) is None


def test_deflated_files_have_no_offset_of_the_pixels(tmp_path):
    dataset = one_slice()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    (header,) = headers_of(written(dataset, tmp_path))
    assert header.pixels_at is None
    assert read_native(header) is None


def test_anything_after_the_pixels_is_left_to_pydicom(tmp_path):
    (header,) = headers_of(written(one_slice(), tmp_path, tail=b"\0"))
    assert read_native(header) is None


def test_a_file_that_changed_since_its_header_was_read(tmp_path):
    path = written(one_slice(), tmp_path)
    (header,) = headers_of(path)
    whole = path.read_bytes()
    for changed in (whole[:-1], whole[: header.pixels_at + 3], b"", bytes(len(whole))):
        path.write_bytes(changed)
        assert read_native(header) is None
    path.unlink()
    with pytest.raises(errors.PixelsError):
        read_stored_values(header)


@settings(max_examples=60)
@given(
    bits=st.integers(2, 16),
    signed=st.booleans(),
    padding=st.sampled_from([None, (0, 0), (-2000, -2000), (63536, 63536), (-5, -2), (3, 9)]),
    beyond=st.integers(-3, 3),
    seed=st.integers(0, 2**32),
)
def test_bits_to_spare(tmp_path_factory, *, bits, signed, padding, beyond, seed):
    """The same values, or the same refusal, whatever lies in the bits above BitsStored."""
    rng = np.random.default_rng(seed)
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    words = rng.integers(low, high, (7, 9))
    # At times one more than fits, at times the value of padding.
    words[0, 0] = (high - 1 + max(beyond, 0)) if beyond else words[0, 0]
    words[0, 1] = (low + min(beyond, 0)) if beyond else words[0, 1]
    dataset = one_slice()
    dataset.Rows, dataset.Columns = words.shape
    if padding is not None:
        words[1, 1:3] = padding
        dataset.add_new(0x00280120, "US", padding[0] % 0x10000)
        dataset.add_new(0x00280121, "US", padding[1] % 0x10000)
    stored_as(dataset, words.astype(np.int64).astype("<i2" if signed else "<u2"), bits)
    (header,) = headers_of(written(dataset, tmp_path_factory.mktemp("bits")))
    try:
        expected = by_pydicom(header)
    except errors.PixelsError as error:
        with pytest.raises(type(error)):
            read_stored_values(header)
        assert read_native(header) is None
    else:
        np.testing.assert_array_equal(read_stored_values(header), expected)
        np.testing.assert_array_equal(read_hu(header).stored, expected)


def test_the_element_must_be_the_pixels(tmp_path):
    """Float pixels stand where the header ends, and pydicom says what it thinks of them."""
    dataset = one_slice()
    count = dataset.Rows * dataset.Columns
    dataset.add_new(0x7FE00008, "OF", struct.pack(f"<{count}f", *range(count)))
    (header,) = headers_of(written(dataset, tmp_path))
    assert read_native(header) is None


MPEG2 = "1.2.840.10008.1.2.4.100"


@pytest.fixture
def series():
    return ct_series(body_volume())


def first_slice(folder):
    return read_study(folder, Profile.STANDARD).slices[0]


def test_cut_short(tmp_path, series):
    folder = write_series(tmp_path, series)
    whole = (folder / "001.dcm").read_bytes()
    (folder / "001.dcm").write_bytes(whole[:-5000])
    with pytest.raises(errors.PixelsError, match=r"001\.dcm") as caught:
        network_volume(read_study(folder, Profile.STANDARD))
    assert caught.value.code == "pixels-undecodable"


def test_no_pixels(tmp_path, series):
    del series[0].PixelData
    with pytest.raises(errors.PixelsError):
        first_slice(write_series(tmp_path, series)).stored_values()


def test_a_transfer_syntax_without_decoder_is_refused(tmp_path, series):
    series[0].compress(RLELossless, generate_instance_uid=False)
    series[0].file_meta.TransferSyntaxUID = MPEG2
    first = first_slice(write_series(tmp_path, series))
    with raises_code("transfer-syntax", match="MPEG2"):
        first.stored_values()


def test_missing_plug_in(tmp_path, series, monkeypatch):
    class NoDecoder:
        is_available = False
        missing_dependencies = ("openjpeg - requires pylibjpeg-openjpeg",)

    first = first_slice(write_series(tmp_path, series))
    monkeypatch.setattr(pixels, "get_decoder", lambda _: NoDecoder())
    with raises_code("pixel-plugin-missing", match="pylibjpeg-openjpeg"):
        first.stored_values()


def test_only_needed_slices_are_read(tmp_path, series, monkeypatch):
    opened = []
    read = Source.open
    monkeypatch.setattr(Source, "open", lambda self: opened.append(self.name) or read(self))
    study = read_study(write_series(tmp_path, series), Profile.STANDARD)
    assert opened == []
    network_volume(study)
    assert opened == ["001.dcm", "003.dcm", "005.dcm"]
