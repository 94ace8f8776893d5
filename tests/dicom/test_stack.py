"""Order and side: however a patient lay and files are named, one volume, or a named refusal."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rcc_onnx.dicom import read_study
from rcc_onnx.pipeline import analyse_study
from rcc_onnx.pipeline.timing import Stopwatch
from rcc_onnx.types import Outcome, Profile, Thresholds
from tests.support.dicom_factory import LAYOUTS, body_volume, ct_series, set_all, write_series
from tests.support.errors import raises_code
from tests.support.fake_networks import FakeNetworks
from tests.support.intake import volume

STANDARD = Profile.STANDARD
POSITIONS = ["HFS", "HFP", "HFDL", "HFDR", "FFS", "FFP", "FFDL", "FFDR", "", "NONSENSE"]
HU = body_volume()
SPACING = (2.5, 2.3, 1.7)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return volume(write_series(tmp_path_factory.mktemp("plain"), ct_series(HU, SPACING)))


@settings(max_examples=60, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    position=st.sampled_from(POSITIONS),
    order=st.permutations(range(len(HU))),
    names=st.lists(
        st.from_regex(r"[A-Za-z0-9_. ]{1,12}[A-Za-z0-9]", fullmatch=True).filter(
            lambda name: not name.lower().endswith(".zip")
        ),
        min_size=len(HU),
        max_size=len(HU),
        unique_by=str.lower,
    ),
    shift=st.tuples(*[st.integers(-3000, 3000).map(lambda n: n / 10)] * 3),
    noise=st.integers(0, 2**32),
)
def test_one_volume_whatever_the_files_are(  # noqa: PLR0917
    plain, layout, position, order, names, shift, noise
):
    series = ct_series(HU, SPACING, layout)
    rng = np.random.default_rng(noise)
    for dataset in series:
        place = np.array(dataset.ImagePositionPatient) + shift
        dataset.ImagePositionPatient = [round(float(item), 4) for item in place]
        # Four digits, as many scanners write.
        cosines = np.array(dataset.ImageOrientationPatient) + rng.uniform(-2e-4, 2e-4, 6)
        dataset.ImageOrientationPatient = [round(float(item), 6) for item in cosines]
        dataset.PatientPosition = position
        dataset.InstanceNumber = int(rng.integers(1, 1000))
        dataset.SliceLocation = float(rng.integers(-100, 100))
    with TemporaryDirectory() as folder:
        write_series(Path(folder), [series[index] for index in order], names)
        np.testing.assert_array_equal(volume(folder), plain)


class BrightIsLesion(FakeNetworks):
    """A kidney on each side, and a lesion where the crop holds the brightest grey."""

    def __init__(self):
        pass

    def kidney_probability(self, values):
        found = np.zeros(values.shape[:3], np.float32)
        found[:, 70:90, 60:75] = found[:, 70:90, 85:100] = 1
        return found

    def lesion_probability(self, values):
        return (values.reshape(40, 64, 64) == 1).astype(np.float32)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_lesion_is_on_the_patients_right(tmp_path, layout, position):
    hu = np.full((8, 100, 140), -1000, np.int16)
    hu[:, 10:90, 10:130] = 40
    hu[:, 10:20, 10:130] = -100
    hu[:, 45:55, 45:55] = 1000  # columns 0 to 69 are the patient's right
    series = ct_series(hu, (5.0, 2.0, 2.0), layout)
    set_all(series, PatientPosition=position)
    study = read_study(write_series(tmp_path, series[::-1]), STANDARD)
    sides = analyse_study(study, BrightIsLesion(), Thresholds(), Stopwatch()).sides
    assert sides["right"].outcome is Outcome.LESION
    assert sides["left"].outcome is Outcome.NO_LESION


@pytest.mark.parametrize("degrees", [2.0, 18.5, 30.0])
@pytest.mark.parametrize("tag", [None, 0.0])
def test_gantry_tilt_is_found_whatever_its_tag(tmp_path, degrees, tag):
    series = ct_series(HU, SPACING)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    for dataset in series:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, round(c, 6), round(-s, 6)]
        if tag is not None:
            dataset.GantryDetectorTilt = tag
    with raises_code("gantry-tilt", match=f"{degrees:.1f} degrees"):
        volume(write_series(tmp_path, series))


def test_untilted_series_with_a_tilt_tag_is_taken(tmp_path, plain):
    series = ct_series(HU, SPACING)
    set_all(series, GantryDetectorTilt=18.5)
    np.testing.assert_array_equal(volume(write_series(tmp_path, series)), plain)
