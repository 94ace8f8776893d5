"""Peers agree: dcm2niix and SimpleITK put every voxel where this program puts it.

Both are asked for the same generated series. A voxel of ours is taken to the patient by our affine,
and from there to the peer's array by the peer's: it must hit a voxel centre, and find the same HU.

Where a peer is not installed the test is skipped, and says so; with TEST_PEERS=required, as in
.ci/run, it fails.
"""

from pathlib import Path

import numpy as np
import pytest

from rcc_onnx.dicom import read_study
from rcc_onnx.types import Profile
from tests.support.dicom_factory import (
    LAYOUTS,
    Storage,
    body_volume,
    ct_series,
    enhanced_ct,
    write_series,
)
from tests.support.peers import CENTRE, Peer, by_dcm2niix, missing


def by_simple_itk(folder: Path, out: Path) -> Peer:
    try:
        import SimpleITK  # noqa: PLC0415
    except ImportError:
        missing("SimpleITK")
    reader = SimpleITK.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(folder))
    reader.SetFileNames(names)
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return Peer(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), affine)


PEERS = {"dcm2niix": by_dcm2niix, "SimpleITK": by_simple_itk}
SPACINGS = [(5.0, 0.8, 0.8), (1.25, 0.7, 0.9), (3.0, 1.5, 0.6)]


def study_files(layout, number):
    """A series that differs in everything a peer might trip over."""
    hu = body_volume((8, 50, 70), seed=number)
    storage = [Storage(), Storage(signed=False, intercept=-1024.0)][number % 2]
    series = ct_series(hu, SPACINGS[number % 3], layout, storage)
    for dataset in series:
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", "1.2.3.4"
        dataset.PatientName = dataset.PatientID = "Test"
        dataset.PatientPosition = ["HFS", "FFS", "HFP", "FFDL"][number % 4]
    return series


def compare(folder, peer):
    study = read_study(folder, Profile.STANDARD)
    ours = np.stack([item.hounsfield().hu for item in study.slices])
    indices = np.indices(ours.shape).reshape(3, -1)
    places = study.affine_zyx_lps() @ np.vstack([indices, np.ones(indices.shape[1])])
    found = (np.linalg.inv(peer.xyz_to_lps) @ places)[:3]
    nearest = np.rint(found).astype(int)
    assert np.abs(found - nearest).max() < CENTRE
    assert ours.size == peer.values.size
    assert (nearest >= 0).all()
    assert (nearest < np.array(peer.values.shape)[:, None]).all()
    np.testing.assert_array_equal(peer.values[tuple(nearest)], ours.ravel())
    theirs = np.linalg.norm(peer.xyz_to_lps[:3, :3], axis=0)
    np.testing.assert_allclose(sorted(theirs), sorted(study.spacing_zyx_mm), rtol=1e-5)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("number", range(8))
def test_peers_agree(tmp_path, number, peer):
    series = study_files(LAYOUTS[number], number)
    names = [f"{(index * 3 + number) % 8}.dcm" for index in range(8)]
    folder = write_series(tmp_path / "study", series, names)
    compare(folder, PEERS[peer](folder, tmp_path / "out"))


def test_dcm2niix_agrees_on_multi_frame(tmp_path):
    series = study_files(LAYOUTS[0], 0)
    dataset = enhanced_ct(series)
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID"):
        setattr(dataset, keyword, getattr(series[0], keyword))
    folder = write_series(tmp_path / "study", [dataset])
    compare(folder, by_dcm2niix(folder, tmp_path / "out"))


def test_a_mirrored_array_would_be_detected(tmp_path):
    folder = write_series(tmp_path / "study", study_files(LAYOUTS[0], 0))
    peer = by_dcm2niix(folder, tmp_path / "out")
    with pytest.raises(AssertionError):
        compare(folder, peer._replace(values=peer.values[::-1]))
    with pytest.raises(AssertionError):
        compare(folder, peer._replace(values=peer.values[:, :, ::-1]))
