"""Pixels: one answer for every encoding of a series, and errors for what cannot be decoded."""

import numpy as np
import pytest
from openjpeg.utils import encode_array
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from rcc_onnx import errors
from rcc_onnx.dicom import pixels, read_study
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import body_volume, ct_series, write_series
from tests.support.errors import raises_code

MPEG2 = "1.2.840.10008.1.2.4.100"


@pytest.fixture
def series():
    return ct_series(body_volume())


def first_slice(folder):
    return read_study(folder, Profile.STANDARD).slices[0]


def compress_jpeg_2000(dataset):
    """pydicom's own way to JPEG 2000 asks for one package more than decoding does."""
    stored = np.frombuffer(dataset.PixelData, np.int16).reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData = encapsulate([encode_array(stored, bits_stored=16)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless


COMPRESSORS = {
    "RLE": lambda dataset: dataset.compress(RLELossless, generate_instance_uid=False),
    "JPEG-LS": lambda dataset: dataset.compress(JPEGLSLossless, generate_instance_uid=False),
    "JPEG 2000": compress_jpeg_2000,
}


@pytest.mark.parametrize("encoding", COMPRESSORS)
def test_lossless_encodings_change_nothing(tmp_path, series, encoding):
    plain = network_volume(read_study(write_series(tmp_path / "plain", series), Profile.STANDARD))
    for dataset in series:
        COMPRESSORS[encoding](dataset)
    packed = network_volume(read_study(write_series(tmp_path / "packed", series), Profile.STANDARD))
    assert plain.values.any()
    np.testing.assert_array_equal(packed.values, plain.values)


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


def test_transfer_syntax_nobody_decodes(tmp_path, series):
    series[0].compress(RLELossless, generate_instance_uid=False)
    series[0].file_meta.TransferSyntaxUID = MPEG2
    one = first_slice(write_series(tmp_path, series))
    with raises_code("transfer-syntax", match="MPEG2"):
        one.stored_values()


def test_missing_plug_in(tmp_path, series, monkeypatch):
    class NoDecoder:
        is_available = False
        missing_dependencies = ("openjpeg - requires pylibjpeg-openjpeg",)

    one = first_slice(write_series(tmp_path, series))
    monkeypatch.setattr(pixels, "get_decoder", lambda _: NoDecoder())
    with raises_code("pixel-plugin-missing", match="pylibjpeg-openjpeg"):
        one.stored_values()


def test_only_needed_slices_are_decoded(tmp_path, series, monkeypatch):
    decoded = []
    read = pixels.read_hu
    monkeypatch.setattr(
        "rcc_onnx.dicom.study.read_hu",
        lambda header, seen: decoded.append(header.file_name) or read(header, seen),
    )
    folder = write_series(tmp_path, series)
    study = read_study(folder, Profile.STANDARD)
    assert decoded == []
    network_volume(study)
    assert decoded == ["001.dcm", "003.dcm", "005.dcm"]
