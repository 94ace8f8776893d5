"""Values: padding, bits, rescale, lookup tables, and whether they are Hounsfield units at all."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from rcc_onnx.dicom import read_study
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import Storage, body_volume, ct_series, set_all, write_series
from tests.support.errors import raises_code
from tests.support.intake import volume, warnings

STANDARD = Profile.STANDARD
HU = body_volume()
UNSIGNED = Storage(signed=False, intercept=-1024.0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return volume(write_series(tmp_path_factory.mktemp("plain"), ct_series(HU)))


def padded(series, value, tag=None, vr="SS", dtype="<i2", *, limit=None, width=6):
    """The outermost pixels of each slice become padding; the tag says so unless it is None."""
    for dataset in series:
        stored = np.frombuffer(dataset.PixelData, dtype).reshape(dataset.Rows, dataset.Columns)
        stored = stored.copy()
        stored[:width] = stored[-width:] = value
        stored[:, :width] = stored[:, -width:] = value
        dataset.PixelData = stored.tobytes()
        if tag is not None:
            dataset.add_new("PixelPaddingValue", vr, tag)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", vr, limit)
    return series


@pytest.fixture(scope="module")
def framed(tmp_path_factory):
    """The volume with padding as air."""
    folder = tmp_path_factory.mktemp("framed")
    return volume(write_series(folder, padded(ct_series(HU), -1000)))


@pytest.mark.parametrize("value", [-2000, -1500, -32768, -301, 0, 40, 3000])
def test_padding_is_air(tmp_path, framed, value):
    found = volume(write_series(tmp_path, padded(ct_series(HU), value, value)))
    # A pixel of the body that has the padding's value and touches it becomes air with it.
    assert (found != framed).sum() <= (2 if value == 40 else 0)


def test_tissue_of_the_padding_value_inside_the_body_stays(tmp_path, plain):
    """Padding of 40 HU is tissue too, inside the body."""
    series = ct_series(HU)
    assert (HU[:, 30:60, 30:60] == 40).any()
    for dataset in series:
        dataset.add_new("PixelPaddingValue", "SS", 40)
    np.testing.assert_array_equal(volume(write_series(tmp_path, series)), plain)


def twelve_bits(signed, intercept):
    storage = Storage(signed=signed, intercept=intercept)
    return set_all(ct_series(HU, storage=storage), BitsStored=12, HighBit=11)


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


PADDED = {
    "without a tag": lambda: padded(ct_series(HU), -2000),
    "tag of the wrong sign": lambda: padded(ct_series(HU), -2000, 63536, "US"),
    "unsigned": lambda: padded(ct_series(HU, storage=UNSIGNED), 63536, -2000, dtype="<u2"),
    "range": lambda: padded(ct_series(HU), 2500, 2400, limit=2600),
    # It would come out of 12 bits with a sign as 1072.
    "signed beyond the bits": lambda: padded(twelve_bits(True, 0.0), -3024, -3024),
    "beyond the bits": lambda: padded(twelve_bits(False, -1024.0), 63536, 63536, "US", "<u2"),
}


@pytest.mark.parametrize("case", PADDED)
def test_padding_is_air_however_it_is_written(tmp_path, framed, case):
    np.testing.assert_array_equal(volume(write_series(tmp_path, PADDED[case]())), framed)


def beyond_the_bits(signed):
    series = twelve_bits(signed, -1024.0)
    return words_changed(series, lambda words: np.where(words > 1060, words | 0x2000, words))


REFUSED = {
    "signed values beyond the bits": (lambda: beyond_the_bits(True), "stored-bits", "12 bits"),
    "values beyond the bits": (lambda: beyond_the_bits(False), "stored-bits", "12 bits"),
    "high bit elsewhere": (
        lambda: set_all(twelve_bits(True, 0.0), HighBit=15),
        "stored-bits",
        "HighBit 15",
    ),
    "signed values under an unsigned header": (
        lambda: set_all(ct_series(HU), PixelRepresentation=0),
        "values-not-hu",
        "body",
    ),
    "no rescale and no table": (
        lambda: set_all(ct_series(HU), RescaleSlope=None, RescaleIntercept=None),
        "missing-attribute",
        "RescaleSlope",
    ),
    # Lungs and bowel hold gas, and a room holds air; what was never measured holds neither.
    "no air but padding": (
        lambda: padded(ct_series(np.where(HU < -300, -299, HU)), -2000, -2000),
        "values-not-hu",
        "no air",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_stored_values_that_are_refused(tmp_path, case):
    make, code, match = REFUSED[case]
    with raises_code(code, match=match):
        volume(write_series(tmp_path, make()))


@pytest.mark.parametrize("intercept", [-1024, 1024])
@pytest.mark.parametrize("wrong", [range(1), range(2, 4), range(3)])
def test_a_few_slices_with_another_intercept(tmp_path, intercept, wrong):
    """They come out blank or white, and in sums over all slices the others hide them."""
    series = ct_series(body_volume((44, 90, 110)))
    for index in wrong:
        series[2 * index].RescaleIntercept = intercept
    with raises_code("values-not-hu", match=rf"{len(wrong)} slices? ha(s|ve) other"):
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


def test_modality_lut(tmp_path, plain):
    series = with_lut(ct_series(HU, storage=UNSIGNED))
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
