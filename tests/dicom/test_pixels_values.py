"""Values: padding, bits, rescale, lookup tables, and whether they are Hounsfield units at all."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from rcc_onnx.dicom import read_study
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import Storage, body_volume, ct_series, write_series
from tests.support.errors import raises_code
from tests.support.intake import warnings

STANDARD = Profile.STANDARD
HU = body_volume()


def volume(root):
    return network_volume(read_study(root, STANDARD)).values


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return volume(write_series(tmp_path_factory.mktemp("plain"), ct_series(HU)))


def padded(series, value, tag=None, vr="SS", dtype="<i2", *, width=6):
    """The outermost pixels of each slice become padding; the tag says so unless it is None."""
    for dataset in series:
        stored = np.frombuffer(dataset.PixelData, dtype).reshape(dataset.Rows, dataset.Columns)
        stored = stored.copy()
        stored[:width] = stored[-width:] = value
        stored[:, :width] = stored[:, -width:] = value
        dataset.PixelData = stored.tobytes()
        if tag is not None:
            dataset.add_new("PixelPaddingValue", vr, tag)
    return series


@pytest.fixture(scope="module")
def framed(tmp_path_factory):
    """What padding must come out as: air."""
    folder = tmp_path_factory.mktemp("framed")
    return volume(write_series(folder, padded(ct_series(HU), -1000)))


@pytest.mark.parametrize("value", [-2000, -1500, -32768, -301, 0, 40, 3000])
def test_padding_is_air(tmp_path, framed, value):
    found = volume(write_series(tmp_path, padded(ct_series(HU), value, value)))
    # A pixel of the body that has the padding's value and touches it becomes air with it.
    assert (found != framed).sum() <= (2 if value == 40 else 0)


def test_padding_that_nothing_names(tmp_path, framed):
    found = volume(write_series(tmp_path, padded(ct_series(HU), -2000)))
    np.testing.assert_array_equal(found, framed)


def test_padding_tag_with_the_wrong_sign(tmp_path, framed):
    series = padded(ct_series(HU), -2000, 63536, vr="US")
    np.testing.assert_array_equal(volume(write_series(tmp_path, series)), framed)


def test_unsigned_padding(tmp_path, framed):
    storage = Storage(signed=False, intercept=-1024.0)
    series = padded(ct_series(HU, storage=storage), 63536, -2000, dtype="<u2")
    np.testing.assert_array_equal(volume(write_series(tmp_path, series)), framed)


def test_padding_range(tmp_path, framed):
    series = padded(ct_series(HU), 2500, 2400)
    for dataset in series:
        dataset.add_new("PixelPaddingRangeLimit", "SS", 2600)
    np.testing.assert_array_equal(volume(write_series(tmp_path, series)), framed)


def test_tissue_of_the_padding_value_inside_the_body_stays(tmp_path, plain):
    """Padding of 40 HU is tissue too, inside the body."""
    series = ct_series(HU)
    assert (HU[:, 30:60, 30:60] == 40).any()
    for dataset in series:
        dataset.add_new("PixelPaddingValue", "SS", 40)
    np.testing.assert_array_equal(volume(write_series(tmp_path, series)), plain)


def twelve_bits(signed, intercept):
    storage = Storage(signed=signed, intercept=intercept)
    series = ct_series(HU, storage=storage)
    for dataset in series:
        dataset.BitsStored, dataset.HighBit = 12, 11
    return series


def words_changed(series, change):
    for dataset in series:
        words = change(np.frombuffer(dataset.PixelData, np.uint16).astype(np.int64))
        dataset.PixelData = words.astype(np.uint16).tobytes()
    return series


def test_twelve_bits(tmp_path, plain):
    extended = twelve_bits(True, 0.0)
    np.testing.assert_array_equal(volume(write_series(tmp_path / "a", extended)), plain)
    bare = words_changed(twelve_bits(True, 0.0), lambda words: words & 0xFFF)
    np.testing.assert_array_equal(volume(write_series(tmp_path / "b", bare)), plain)
    unsigned = twelve_bits(False, -1024.0)
    np.testing.assert_array_equal(volume(write_series(tmp_path / "c", unsigned)), plain)


def test_signed_padding_beyond_the_bits(tmp_path, framed):
    """-3024 does not fit into 12 bits with a sign, where it would come out as 1072."""
    series = padded(twelve_bits(True, 0.0), -3024, -3024)
    np.testing.assert_array_equal(volume(write_series(tmp_path, series)), framed)


@pytest.mark.parametrize("intercept", [-1024, 1024])
@pytest.mark.parametrize("wrong", [range(1), range(2, 4), range(3)])
def test_a_few_slices_with_another_intercept(tmp_path, intercept, wrong):
    """They come out blank or white, and in sums over all slices the others hide them."""
    series = ct_series(body_volume((44, 90, 110)))
    for index in wrong:
        series[2 * index].RescaleIntercept = intercept
    with raises_code("values-not-hu", match=rf"{len(wrong)} slices? ha(s|ve) other"):
        volume(write_series(tmp_path, series))


def test_padding_does_not_count_as_air(tmp_path):
    """Lungs and bowel hold gas, and a room holds air; what was never measured holds neither."""
    series = padded(ct_series(np.where(HU < -300, -299, HU)), -2000, -2000)
    folder = write_series(tmp_path, series)
    with raises_code("values-not-hu", match="no air"):
        volume(folder)


def test_padding_beyond_the_bits(tmp_path, framed):
    series = padded(twelve_bits(False, -1024.0), 63536, 63536, vr="US", dtype="<u2")
    np.testing.assert_array_equal(volume(write_series(tmp_path, series)), framed)


@pytest.mark.parametrize("signed", [False, True])
def test_values_beyond_the_bits(tmp_path, signed):
    series = words_changed(
        twelve_bits(signed, -1024.0), lambda words: np.where(words > 1060, words | 0x2000, words)
    )
    with raises_code("stored-bits", match="12 bits"):
        volume(write_series(tmp_path, series))


def test_signed_values_under_an_unsigned_header(tmp_path):
    series = ct_series(HU)
    for dataset in series:
        dataset.PixelRepresentation = 0
    with raises_code("values-not-hu"):
        volume(write_series(tmp_path, series))


def test_high_bit_somewhere_else(tmp_path):
    series = twelve_bits(True, 0.0)
    for dataset in series:
        dataset.HighBit = 15
    with raises_code("stored-bits", match="HighBit 15"):
        volume(write_series(tmp_path, series))


def with_lut(series, keep_rescale=False):
    """Stored values 0 ... 4095 that a Modality LUT turns into HU, upside down."""
    for dataset in series:
        item = Dataset()
        item.add_new("LUTDescriptor", "SS", [4096, 0, 16])
        item.ModalityLUTType = "HU"
        item.add_new("LUTData", "OW", (np.arange(4096) - 1024).astype("<i2").tobytes())
        dataset.ModalityLUTSequence = [item]
        if not keep_rescale:
            del dataset.RescaleSlope, dataset.RescaleIntercept
    return series


def test_rescale_missing_without_a_lut_is_refused(tmp_path):
    series = ct_series(HU)
    for dataset in series:
        del dataset.RescaleSlope, dataset.RescaleIntercept
    with raises_code("missing-attribute", match="RescaleSlope"):
        volume(write_series(tmp_path, series))


def test_modality_lut(tmp_path, plain):
    series = with_lut(ct_series(HU, storage=Storage(signed=False, intercept=-1024.0)))
    study = read_study(write_series(tmp_path, series), STANDARD)
    assert "modality-lut" in warnings(study)
    np.testing.assert_array_equal(network_volume(study).values, plain)


WRONG = {
    "unsigned without its intercept": lambda hu: hu + 1024,
    "intercept twice": lambda hu: hu - 1024,
    "slope 2": lambda hu: hu * 2,
    "slope -1": lambda hu: -hu,
    "eight bits of a window": lambda hu: np.clip((hu + 160) * 255 // 400, 0, 255),
    "all the same": np.zeros_like,
    "all air": lambda hu: np.full_like(hu, -1000),
    "noise": lambda hu: np.random.default_rng(0).integers(-2000, 3000, hu.shape),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_values_that_are_not_hu_are_refused(tmp_path, mistake):
    wrong = WRONG[mistake](HU.astype(np.int64)).astype(np.int16)
    with raises_code("values-not-hu") as caught:
        volume(write_series(tmp_path, ct_series(wrong)))
    assert "body" in str(caught.value)


def test_each_check_of_values_alone(tmp_path):
    """A body that lacks one thing, and only that."""
    whole = np.full((4, 80, 80), -1000, np.int16)
    whole[:, 10:70, 10:70] = 40
    whole[:, 10:20, 10:70] = -100
    volume(write_series(tmp_path / "whole", ct_series(whole)))
    spoilt = {
        "there is no air": np.where(whole == -1000, -100, whole),
        "there is no fat": np.where(whole == -100, 40, whole),
        "hardly any soft tissue": np.where(whole == 40, -100, whole),
        "would be bone": np.where(np.arange(80)[:, None] > 55, whole + (whole > 0) * 900, whole),
        "surrounds the body is at -600": np.where(whole == -1000, -600, whole),
    }
    # Gas inside, so that only what surrounds the body is wrong.
    spoilt["surrounds the body is at -600"][:, 40:50, 40:50] = -1000
    for number, (said, hu) in enumerate(spoilt.items()):
        with raises_code("values-not-hu", match=said) as caught:
            volume(write_series(tmp_path / f"{number}", ct_series(hu.astype(np.int16))))
        assert str(caught.value).count(";") == 1, said


def test_the_notebook_profile_checks_no_values(tmp_path):
    series = ct_series((HU + 1024).astype(np.int16))
    assert network_volume(read_study(write_series(tmp_path, series), Profile.NOTEBOOK)).values.any()


@pytest.mark.parametrize(
    ("size", "beyond"),
    [
        ((90, 160), {"right", "left"}),
        ((190, 90), {"front", "back"}),
        ((90, 130), set()),
        ((166, 90), set()),  # 16 mm beyond
    ],
)
def test_body_beyond_the_grid(tmp_path, size, beyond):
    hu = np.full((5, *size), -1000, np.int16)
    hu[:, 2:-2, 2:-2] = 40
    hu[:, 2:20, 2:-2] = -100
    series = ct_series(hu, (5.0, 2.0, 2.5))
    found = network_volume(read_study(write_series(tmp_path, series), STANDARD))
    assert found.body_beyond == beyond
