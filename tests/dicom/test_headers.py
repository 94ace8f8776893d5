"""Headers: contrast, the hash of the patient, and the frames of multi-frame files."""

import secrets
import time
from pathlib import Path

import numpy as np
import pytest

from rcc_onnx.dicom import headers as reading
from rcc_onnx.dicom import read_study
from rcc_onnx.phantom import make_study
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import LAYOUTS, body_volume, ct_series, enhanced_ct, write_series
from tests.support.errors import raises_code
from tests.support.intake import volume

STANDARD = Profile.STANDARD
HU = body_volume()
SPACING = (2.5, 2.3, 1.7)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return volume(write_series(tmp_path_factory.mktemp("plain"), ct_series(HU, SPACING)))


@pytest.mark.parametrize(
    ("attributes", "has"),
    [
        ({"ContrastBolusAgent": "Iohexol 350"}, True),
        ({"ContrastBolusAgent": "CONTRAST"}, True),
        ({"ContrastBolusAgent": "NONE"}, False),
        ({"ContrastBolusAgent": "no contrast"}, False),
        ({"ContrastBolusAgent": ""}, False),
        ({"ContrastBolusAgent": "Gastrografin", "ContrastBolusRoute": "ORAL"}, False),
        ({"ContrastBolusAgent": "Both", "ContrastBolusRoute": "Oral & IV"}, True),
        ({"ContrastBolusVolume": 90}, True),
        ({}, False),
    ],
)
def test_contrast(tmp_path, attributes, has):
    series = ct_series(body_volume())
    for dataset in series:
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    assert read_study(write_series(tmp_path, series), STANDARD).has_contrast == has


def test_threads_that_start_at_once_share_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(1, tmp_path / "study", quick=True).folder
    random = secrets.token_bytes

    def slow(count: int) -> bytes:
        time.sleep(0.05)
        return random(count)

    monkeypatch.setattr(secrets, "token_bytes", slow)
    reading._process_key.cache_clear()
    assert len(read_study(study, Profile.STANDARD).slices) > 30


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_multi_frame_is_the_same_as_single_frames(tmp_path, plain, layout, legacy):
    series = ct_series(HU, SPACING, layout)
    folder = write_series(tmp_path, [enhanced_ct([series[i] for i in (3, 0, 5, 1, 4, 2)], legacy)])
    study = read_study(folder, STANDARD)
    np.testing.assert_array_equal(network_volume(study).values, plain)
    assert study.slices[0].header.file_name == "001.dcm[1]"
    assert (study.files_found, study.record.files_used, len(study.slices)) == (1, 1, 6)


def test_multi_frame_with_a_slope_for_each_frame(tmp_path, plain):
    series = ct_series(HU, SPACING)
    stored = np.frombuffer(series[2].PixelData, np.int16)
    series[2].PixelData = (stored + 100).astype(np.int16).tobytes()
    series[2].RescaleIntercept = -100
    folder = write_series(tmp_path, [enhanced_ct(series)])
    np.testing.assert_array_equal(volume(folder), plain)


def spoilt_frames(**changes):
    dataset = enhanced_ct(ct_series(HU, SPACING))
    for name, change in changes.items():
        change(dataset) if callable(change) else setattr(dataset, name, change)
    return dataset


MULTI_FRAME_REFUSALS = {
    "no place": (
        lambda d: delattr(d.PerFrameFunctionalGroupsSequence[2], "PlanePositionSequence"),
        "missing-attribute",
    ),
    "no spacing": (
        lambda d: delattr(d.SharedFunctionalGroupsSequence[0], "PixelMeasuresSequence"),
        "missing-attribute",
    ),
    "no rescale": (
        lambda d: delattr(
            d.PerFrameFunctionalGroupsSequence[0], "PixelValueTransformationSequence"
        ),
        "missing-attribute",
    ),
    "frames and groups differ": (lambda d: setattr(d, "NumberOfFrames", 5), "no-dicom"),
    "no groups": (
        lambda d: [
            delattr(d, name)
            for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        ],
        "no-ct",
    ),
    "a frame is missing": (
        lambda d: (
            d.PerFrameFunctionalGroupsSequence.pop(3),
            setattr(d, "NumberOfFrames", 5),
        ),
        "missing-slices",
    ),
}


@pytest.mark.parametrize("case", MULTI_FRAME_REFUSALS)
def test_multi_frame_refusals(tmp_path, case):
    spoil, code = MULTI_FRAME_REFUSALS[case]
    with raises_code(code):
        volume(write_series(tmp_path, [spoilt_frames(spoil=spoil)]))
