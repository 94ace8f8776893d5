"""The pipeline on arrays, with networks that need no weights."""

import threading
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from rcc_onnx.dicom import pixels, read_study
from rcc_onnx.errors import NetworkError, PixelsError
from rcc_onnx.pipeline import SLICES_A_CALL, analyse_sides, analyse_study, kidney_probability
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.pipeline.timing import Stopwatch
from rcc_onnx.runtime.networks import network_input
from rcc_onnx.types import LesionBox, NetworkVolume, Outcome, Profile, Thresholds
from tests.support.dicom_factory import body_volume, ct_series, write_series
from tests.support.errors import raises_code
from tests.support.fake_networks import FakeNetworks

KIDNEY, LESION = 140, 220
"""Grey values that the fake networks take for kidney, and for kidney with suspected lesion."""


def volume_with(*blocks: tuple[tuple[slice, slice, slice], int], slices: int = 48) -> NetworkVolume:
    values = np.zeros((slices, 160, 160), np.uint8)
    for where, value in blocks:
        values[where] = value
    return NetworkVolume(values, padding_before=0, real_slices=slices)


def block(z: int, y: int, x: int, size: int) -> tuple[slice, slice, slice]:
    return slice(z, z + size), slice(y, y + size), slice(x, x + size)


def analyse_volume(volume, networks=None, thresholds=None, watch=None):
    """Findings on both sides of a network volume that is there as a whole, and its images."""
    networks, watch = networks or FakeNetworks(), watch or Stopwatch()
    depth = len(volume.values)
    starts = range(0, depth, SLICES_A_CALL)
    parts = [slice(start, min(start + SLICES_A_CALL, depth)) for start in starts]
    kidneys = kidney_probability(volume.values, parts, networks, watch)
    return analyse_sides(volume, kidneys, networks, thresholds or Thresholds(), watch)


def analyse(volume: NetworkVolume, thresholds: Thresholds | None = None):
    return analyse_volume(volume, thresholds=thresholds)[0]


def test_nothing_is_found_in_an_empty_volume() -> None:
    for finding in analyse(volume_with()).values():
        assert finding.outcome is Outcome.KIDNEY_NOT_FOUND
        assert finding.kidney.probability_sum == 0
        assert finding.kidney.centre_zyx is None
        assert finding.lesion is None


def test_a_kidney_is_found_on_its_own_side_only() -> None:
    sides = analyse(volume_with((block(10, 70, 20, 12), KIDNEY)))
    assert sides["right"].outcome is Outcome.NO_LESION
    assert sides["right"].kidney.probability_sum == 12**3
    # Runs end at the first row or column that is not kidney any more.
    assert sides["right"].kidney.centre_zyx == (10, 76, 26)
    assert sides["left"].outcome is Outcome.KIDNEY_NOT_FOUND


def test_the_left_centre_counts_columns_of_its_half() -> None:
    sides = analyse(volume_with((block(10, 70, 100, 12), KIDNEY)))
    assert sides["left"].kidney.centre_zyx == (10, 76, 26)


def test_a_lesion_is_boxed_in_the_coordinates_of_its_crop() -> None:
    volume = volume_with((block(10, 70, 20, 14), KIDNEY), (block(12, 72, 22, 6), LESION))
    sides, images = analyse_volume(volume)
    finding = sides["right"]
    assert finding.outcome is Outcome.LESION
    assert finding.lesion is not None
    assert finding.lesion.probability_sum == 6**3
    # The crop starts at slice 0, row 77 - 32 = 45, column 0.
    assert finding.lesion.box == LesionBox(12, 30 - 9, 30 + 9, 25 - 9, 25 + 9)
    crop = images.crops["right"]
    assert crop.start_zyx == (0, 45, 0)
    np.testing.assert_array_equal(crop.values, volume.values[:40, 45:109, :64])
    np.testing.assert_array_equal(crop.probability, crop.values == LESION)
    assert set(images.crops) == {"right"}


def test_the_left_crop_has_its_place_in_the_whole_volume() -> None:
    volume = volume_with((block(10, 70, 100, 14), KIDNEY), (block(12, 72, 102, 6), LESION))
    _, images = analyse_volume(volume)
    crop = images.crops["left"]
    np.testing.assert_array_equal(crop.values, volume.values[crop.where])
    assert crop.start_zyx == (0, 45, 80)
    np.testing.assert_array_equal(images.kidney_probability, volume.values >= KIDNEY)


@pytest.mark.parametrize(("above", "outcome"), [(0, "no_lesion"), (1, "lesion")])
def test_a_sum_must_exceed_its_threshold(above: int, outcome: str) -> None:
    volume = volume_with((block(10, 70, 20, 14), KIDNEY), (block(12, 72, 22, 6), LESION))
    assert analyse(volume, Thresholds(lesion=6**3 - above))["right"].outcome == outcome
    not_found = analyse(volume, Thresholds(kidney=14**3))["right"].outcome
    assert not_found is Outcome.KIDNEY_NOT_FOUND
    found = analyse(volume, Thresholds(kidney=14**3 - 1))["right"].outcome
    assert found is not Outcome.KIDNEY_NOT_FOUND


def test_a_kidney_of_single_columns_cannot_be_located() -> None:
    # Plenty of kidney in all, but no row of any slice sums to 2.
    values = np.zeros((48, 160, 160), np.uint8)
    values[:, :, 40] = KIDNEY
    finding = analyse(NetworkVolume(values, 0, 48))["right"]
    assert finding.outcome is Outcome.KIDNEY_NOT_LOCATED
    assert finding.kidney.centre_zyx is None
    assert finding.lesion is None


def test_a_diffuse_lesion_cannot_be_located() -> None:
    class Diffuse(FakeNetworks):
        def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.full_like(crop, 0.01)

    volume = volume_with((block(10, 70, 20, 12), KIDNEY))
    sides, _ = analyse_volume(volume, Diffuse())
    assert sides["right"].outcome is Outcome.LESION_NOT_LOCATED
    assert sides["right"].lesion is not None
    assert sides["right"].lesion.box is None


def test_networks_get_grey_values_divided_by_255() -> None:
    seen: list[NDArray[np.float32]] = []

    class Recording(FakeNetworks):
        def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
            seen.append(slices)
            return super().kidney_probability(slices)

    values = np.random.default_rng(0).integers(0, 256, (41, 160, 160)).astype(np.uint8)
    analyse_volume(NetworkVolume(values, 0, 41), Recording())
    expected = (values.astype(np.float64) / 255).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate(seen), expected)


def test_stages_are_timed_and_reported() -> None:
    reported: list[tuple[str, float]] = []
    watch = Stopwatch(lambda stage, done: reported.append((stage, done)))
    volume = volume_with((block(10, 70, 20, 12), KIDNEY))
    analyse_volume(volume, watch=watch)
    seconds = watch.seconds()
    assert set(seconds) == {"kidney_network", "lesion_network", "total"}
    assert seconds["total"] >= seconds["kidney_network"] > 0
    assert ("kidney_network", 1.0) in reported
    assert reported.index(("kidney_network", 0.0)) < reported.index(("kidney_network", 1.0))


class CountingNetworks(FakeNetworks):
    """Counts the slices it is given."""

    given: int = 0

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        type(self).given += len(slices)
        return super().kidney_probability(slices)


def test_the_same_slice_is_given_to_the_kidney_network_once(monkeypatch) -> None:
    monkeypatch.setattr(CountingNetworks, "given", 0)
    rng = np.random.default_rng(0)
    distinct = rng.integers(0, 256, (21, 160, 160)).astype(np.uint8)
    order = rng.permutation([*range(21), *range(5), *[3] * 20])
    values = np.concatenate([distinct[order], np.zeros((4, 160, 160), np.uint8)])
    parts = [slice(start, start + 10) for start in range(0, 50, 10)]
    assert len(values) == 50
    found = kidney_probability(values, parts, CountingNetworks(), Stopwatch())
    assert CountingNetworks.given == 22
    assert found.dtype == np.float64
    expected = FakeNetworks().kidney_probability(network_input(values))
    np.testing.assert_array_equal(found, expected)


def study_of(folder: Path, slices: int = 53):
    """Bodies of noise, no two slices alike."""
    hu = np.concatenate([body_volume((1, 60, 70), seed) for seed in range(slices)])
    return write_series(folder, ct_series(hu, (5.0, 2.0, 2.0)))


@pytest.mark.parametrize("slices", [19, 53])
@pytest.mark.parametrize("profile", Profile)
def test_reading_ahead_changes_nothing(tmp_path, profile, slices) -> None:
    study = read_study(study_of(tmp_path, slices), profile)
    thresholds, watch = Thresholds(100, 5), Stopwatch()
    found = analyse_study(study, FakeNetworks(0.4, 0.9), thresholds, watch).sides
    expected, _ = analyse_volume(network_volume(study), FakeNetworks(0.4, 0.9), thresholds)
    assert {"preprocessing", "kidney_network"} <= set(watch.seconds())
    assert found["right"].kidney.probability_sum > 100
    for side, finding in found.items():
        plain = expected[side]
        assert (finding.outcome, finding.kidney, finding.flags) == (
            plain.outcome,
            plain.kidney,
            plain.flags,
        )


def test_slices_are_read_while_the_network_runs(tmp_path) -> None:
    """The network waits for the slices after its own to be decoded; one at a time it would never
    be answered."""
    study = read_study(study_of(tmp_path), Profile.STANDARD)
    decoded = Event()

    class Waiting(FakeNetworks):
        def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
            assert decoded.wait(timeout=20)
            return super().kidney_probability(slices)

    read = pixels.read_hu
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "rcc_onnx.dicom.study.read_hu",
            lambda header, seen: (
                (header.file_name == "025.dcm" and decoded.set()) or read(header, seen)
            ),
        )
        analyse_study(study, Waiting(), Thresholds(), Stopwatch())


@pytest.mark.parametrize("number", [1, 25, 53])
def test_a_slice_that_cannot_be_read_ends_the_study(tmp_path, number) -> None:
    folder = study_of(tmp_path)
    study = read_study(folder, Profile.STANDARD)
    path = folder / f"{number:03}.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PixelsError, match=path.name):
        analyse_study(study, FakeNetworks(), Thresholds(), Stopwatch())


def test_values_that_are_not_hu_end_the_study(tmp_path) -> None:
    hu = body_volume((6, 60, 70)) + 1024
    study = read_study(write_series(tmp_path, ct_series(hu)), Profile.STANDARD)
    with raises_code("values-not-hu"):
        analyse_study(study, FakeNetworks(), Thresholds(), Stopwatch())


def test_a_failing_network_ends_the_study(tmp_path) -> None:
    class Failing(FakeNetworks):
        def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
            raise NetworkError("on purpose", code="network-run")

    study = read_study(study_of(tmp_path), Profile.STANDARD)
    before = threading.active_count()
    with raises_code("network-run"):
        analyse_study(study, Failing(), Thresholds(), Stopwatch())
    assert threading.active_count() == before
