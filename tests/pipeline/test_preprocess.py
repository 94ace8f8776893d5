"""The network volume: bit for bit what the published notebook computes."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rcc_onnx.dicom import read_study
from rcc_onnx.pipeline.preprocess import network_volume, window
from rcc_onnx.runtime.networks import network_input
from rcc_onnx.types import Profile
from tests.conftest import REFERENCE
from tests.support.dicom_factory import LAYOUTS, Storage, body_volume, ct_series, write_series
from tests.support.errors import raises_code
from tests.support.plain_body import plain_body_mask

CASES = sorted(path.stem for path in (REFERENCE / "expected").glob("*.npz"))


def test_nine_cases_are_there():
    assert len(CASES) == 9


@pytest.mark.parametrize("case", CASES)
def test_notebook_volume_equals_the_published_one(case, reference_cases):
    expected = np.load(REFERENCE / "expected" / f"{case}.npz")["volume"]
    volume = network_volume(read_study(reference_cases / case, Profile.NOTEBOOK))
    assert volume.values.dtype == expected.dtype
    np.testing.assert_array_equal(volume.values, expected)


def test_padding_is_recorded(reference_cases):
    case = reference_cases / "d02_unsigned_2p5mm_left_lesion_zpad"
    volume = network_volume(read_study(case, Profile.NOTEBOOK))
    assert (volume.real_slices, volume.padding_before, len(volume.values)) == (30, 5, 40)
    assert not volume.values[:5].any()
    assert not volume.values[35:].any()


def test_network_input_is_the_double_quotient_rounded_to_single():
    values = np.arange(256, dtype=np.uint8)
    found = network_input(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, (values / 255).astype(np.float32))


def test_window_clips_and_rounds_halves_to_even():
    hu = np.array([-3000.0, -160.0, -120.0, 40.0, 200.0, 240.0, 3000.0])
    # -120 is 25.5, 40 is 127.5, 200 is 229.5 before rounding.
    assert window(hu).tolist() == [0, 0, 26, 128, 230, 255, 255]


# --- The standard profile -------------------------------------------------------------------------


def standard_volume(folder):
    return network_volume(read_study(folder, Profile.STANDARD))


@pytest.mark.parametrize("case", CASES)
def test_standard_equals_notebook_where_it_must(case, reference_cases):
    """Axial, 512 x 512, head first, thickness = spacing hold for all nine; HU are stored as they
    are in seven. In the other two the notebook's mask does nothing."""
    expected = np.load(REFERENCE / "expected" / f"{case}.npz")["volume"]
    study = read_study(reference_cases / case, Profile.STANDARD)
    must = all(
        (item.slope, item.intercept) == (1, 0) and item.stored_values().dtype == np.int16
        for item in study.slices
    )
    assert must == (case[:3] not in ("d02", "d08"))
    assert (network_volume(study).values == expected).all() == must


def plain_volume(hu, spacing_yx):
    """The page's own order: mask, window, resize each slice with Pillow, crop, pad."""
    grid = np.zeros((max(len(hu), 40), 160, 160), np.uint8)
    for place, image in enumerate(hu, start=max(int((40 - len(hu)) / 2), 0)):
        body = plain_body_mask(image > -300)
        if body is None:
            continue
        masked = np.where(body, image, image.min())
        grey = np.round((np.clip(masked, -160.0, 240.0) + 160) * 255 / 400).astype(np.uint8)
        rows, columns = (int(n * mm / 2) for n, mm in zip(image.shape, spacing_yx, strict=True))
        small = np.asarray(Image.fromarray(grey).resize((columns, rows), Image.Resampling.NEAREST))
        top, left = (max(int((n - 160) / 2), 0) for n in small.shape)
        small = small[top : top + 160, left : left + 160]
        top, left = (int((160 - n) / 2) for n in small.shape)
        grid[place, top : top + small.shape[0], left : left + small.shape[1]] = small
    return grid


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((6, 90, 110), (5.0, 2.0, 2.0)),
        ((6, 90, 110), (5.0, 3.0, 1.1)),  # cropped in y, padded in x
        ((42, 64, 64), (5.0, 3.7, 0.8)),  # more slices than the network needs
        ((3, 261, 187), (5.0, 1.37, 1.91)),
    ],
)
def test_standard_volume_is_the_plain_one(tmp_path, shape, spacing):
    hu = body_volume(shape)
    found = standard_volume(write_series(tmp_path, ct_series(hu, spacing)))
    expected = plain_volume(hu, spacing[1:])
    assert expected.any()
    np.testing.assert_array_equal(found.values, expected)
    assert found.real_slices == shape[0]


ORDERS = {
    "head first": lambda names: names,
    "feet first": lambda names: names[::-1],
    "shuffled": lambda names: [names[i] for i in (3, 0, 5, 1, 4, 2)],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_orientation_and_file_order_do_not_matter(tmp_path, layout, order):
    hu, spacing = body_volume(), (5.0, 2.3, 1.7)
    series = ct_series(hu, spacing, layout)
    names = ORDERS[order]([f"{n}.dcm" for n in range(len(series))])
    found = standard_volume(write_series(tmp_path, series, names))
    np.testing.assert_array_equal(found.values, plain_volume(hu, spacing[1:]))


def test_mirrored_patient_swaps_sides(tmp_path):
    hu, spacing = body_volume(), (5.0, 2.0, 2.0)
    found = standard_volume(write_series(tmp_path / "a", ct_series(hu, spacing)))
    mirrored = standard_volume(write_series(tmp_path / "b", ct_series(hu[:, :, ::-1], spacing)))
    np.testing.assert_array_equal(mirrored.values, found.values[:, :, ::-1])


@pytest.mark.parametrize(
    "storage",
    [
        Storage(signed=False, intercept=-1024.0),
        Storage(signed=True, intercept=-1024.0),
        Storage(signed=True, intercept=24.0),
        Storage(signed=True, slope=-1.0),
        Storage(signed=False, slope=0.5, intercept=-1024.0),
    ],
    ids=str,
)
def test_storage_does_not_matter(tmp_path, storage):
    hu = body_volume()
    signed = standard_volume(write_series(tmp_path / "signed", ct_series(hu)))
    other = standard_volume(write_series(tmp_path / "other", ct_series(hu, storage=storage)))
    assert signed.values.any()
    np.testing.assert_array_equal(other.values, signed.values)


def test_slope_may_differ_from_slice_to_slice(tmp_path):
    hu = body_volume()
    signed = standard_volume(write_series(tmp_path / "signed", ct_series(hu)))
    mixed = ct_series(hu)
    mixed[2:4] = ct_series(hu, storage=Storage(signed=False, intercept=-1024.0))[2:4]
    found = standard_volume(write_series(tmp_path / "mixed", mixed))
    np.testing.assert_array_equal(found.values, signed.values)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    thickness=st.sampled_from([0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.75, 4.0, 5.0, 7.0]),
    pixel_mm=st.integers(5000, 9800).map(lambda n: n / 10000),
    slices=st.integers(3, 7),
)
def test_standard_equals_notebook_on_studies_stored_in_hu(seed, thickness, pixel_mm, slices):
    hu = body_volume((slices, 512, 512), seed)
    with TemporaryDirectory() as folder:
        write_series(Path(folder), ct_series(hu, (thickness, pixel_mm, pixel_mm)))
        found = [network_volume(read_study(Path(folder), profile)) for profile in Profile]
    needed = math.ceil(slices / math.ceil(5.0 / thickness))
    assert [volume.real_slices for volume in found] == [needed, needed]
    assert found[0].values.any()
    np.testing.assert_array_equal(found[0].values, found[1].values)


def test_slice_without_a_body(tmp_path):
    hu = body_volume()
    hu[2] = -1000
    hu[2, 40, 50] = 1000  # a speck, gone after the opening
    folder = write_series(tmp_path, ct_series(hu, (5.0, 2.0, 2.0)))
    found = standard_volume(folder)
    place = found.padding_before + 2
    assert not found.values[place].any()
    assert found.values[place - 1].any()
    assert found.values[place + 1].any()
    with raises_code("notebook-stops", match=r"003\.dcm"):
        network_volume(read_study(folder, Profile.NOTEBOOK))


def test_notebook_takes_every_matrix_for_512(tmp_path):
    hu = body_volume((5, 128, 128))
    folder = write_series(tmp_path, ct_series(hu, (5.0, 0.7, 0.7)))
    found = network_volume(read_study(folder, Profile.NOTEBOOK)).values
    # 128 pixels stretched to int(256 x 0.7) = 179, as if they were 512 of 0.7 mm.
    np.testing.assert_array_equal(found, plain_volume(hu, (2.8, 2.8)))


def test_image_smaller_than_a_pixel_of_the_grid(tmp_path):
    folder = write_series(tmp_path, ct_series(np.zeros((3, 4, 1), np.int16), (5.0, 1.0, 1.0)))
    with raises_code("spacing-out-of-range"):
        standard_volume(folder)


def test_minus_300_is_not_foreground(tmp_path):
    hu = np.full((3, 80, 80), -1000, np.int16)
    hu[:, 30:40, 30:40] = 100
    hu[:, 30:33, 30:40] = -100  # fat, without which values are not HU
    hu[:, 50:78, 2:78] = -300  # the larger piece, if it were one
    hu[:, 78:] = hu[:, :, 78:] = hu[:, :, :2] = -1000
    folder = write_series(tmp_path, ct_series(hu, (5.0, 2.0, 2.0)))
    for profile in Profile:
        assert network_volume(read_study(folder, profile)).values.any()


def test_pixels_outside_the_body_take_the_slices_smallest_value(tmp_path):
    hu = np.full((4, 80, 80), 100, np.int16)
    hu[1, 40, 40] = -100
    hu[3, 20:60, 20:60], hu[3, 40:45, 40:45] = -100, -900  # fat and air, as HU of a body have
    folder = write_series(tmp_path, ct_series(hu, (5.0, 2.0, 2.0)))
    found = standard_volume(folder)
    # The outermost pixels are never body; 100 HU is 165.75, -100 HU is 38.25.
    frame = found.values[found.padding_before :, 40, 40][:3]
    assert frame.tolist() == [166, 38, 166]
    assert found.values[found.padding_before + 1, 41, 41] == 166
