"""The files of a study: depth, names, archives, files that are passed over."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RTDoseStorage,
)

from rcc_onnx.dicom import find_studies, read_study, sources
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import body_volume, ct_series, set_all, write_series
from tests.support.errors import raises_code
from tests.support.intake import skipped

STANDARD = Profile.STANDARD
FLAT = np.zeros((7, 8, 10), np.int16)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The volume that a study in one plain folder gives."""
    folder = write_series(tmp_path_factory.mktemp("plain"), ct_series(body_volume()))
    return network_volume(read_study(folder, STANDARD)).values


def same(root, plain):
    study = read_study(root, STANDARD)
    np.testing.assert_array_equal(network_volume(study).values, plain)
    return study


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def test_any_depth_and_any_name(tmp_path, plain):
    names = ["a/b/c/IM1", "a/IM.2", "3", "x/.hidden", "y/ä ö", "a/b/6.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "notes.txt").write_text("no slice")
    (tmp_path / "a" / "DICOMDIR.inf").write_bytes(b"\x08\x00 starts like DICOM, and is not")
    study = same(write_series(tmp_path, ct_series(body_volume()), names), plain)
    assert [item.header.file_name for item in study.slices] == names
    assert study.files_found == 8
    assert set(skipped(study).values()) == {"not a DICOM file"}


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_files_without_preamble(tmp_path, plain, syntax):
    for index, dataset in enumerate(ct_series(body_volume())):
        del dataset.file_meta
        if syntax == ExplicitVRBigEndian:
            dataset["PixelData"].VR = "OW"
            stored = np.frombuffer(dataset.PixelData, "<i2")
            dataset.PixelData = stored.astype(">i2").tobytes()
        dataset.save_as(
            tmp_path / f"{index}",
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            enforce_file_format=False,
        )
    assert (tmp_path / "0").read_bytes()[128:132] != b"DICM"
    same(tmp_path, plain)


def test_long_headers_are_read_to_their_end(tmp_path, plain):
    series = ct_series(body_volume())
    for dataset in series:
        dataset.add_new(0x00091010, "OB", b"x" * 100_000)
    same(write_series(tmp_path, series), plain)


def test_archive(tmp_path, plain):
    folder = write_series(tmp_path / "study", ct_series(body_volume()))
    (folder / "inner.zip").write_bytes(b"PK\x03\x04 never opened")
    study = same(zipped(folder, tmp_path / "study.zip"), plain)
    assert study.slices[0].header.file_name == "001.dcm"
    assert skipped(study) == {"inner.zip": "archive inside an archive, not opened"}


def test_archive_in_a_folder(tmp_path, plain):
    folder = write_series(tmp_path / "study", ct_series(body_volume()))
    (tmp_path / "out").mkdir()
    zipped(folder, tmp_path / "out" / "export.zip")
    study = same(tmp_path / "out", plain)
    assert study.slices[0].header.file_name == "export.zip/001.dcm"


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:\\evil"])
def test_archive_with_a_name_that_leads_outside(tmp_path, name):
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    with raises_code("archive-unsafe-name"):
        read_study(path, STANDARD)
    assert [item.name for item in tmp_path.iterdir()] == ["study.zip"]


def test_decompression_bomb(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(sources.HEADER_BYTES * 1500))
    with raises_code("archive-too-large", match="bombs"):
        read_study(path, STANDARD)


def test_other_limits_of_archives(tmp_path, monkeypatch):
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"x" * 100)
        archive.writestr("b", b"x" * 100)
    for name, limit in (("MAX_MEMBERS", 1), ("MAX_TOTAL_BYTES", 150), ("MAX_MEMBER_BYTES", 99)):
        with monkeypatch.context() as patch:
            patch.setattr(sources, name, limit)
            with raises_code("archive-too-large"):
                read_study(path, STANDARD)


def test_overlapping_members(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"x" * 5000)
        info = archive.infolist()[0]
        archive.filelist += [info] * 3
    path = tmp_path / "overlap.zip"
    path.write_bytes(buffer.getvalue())
    with raises_code("archive-too-large"):
        read_study(path, STANDARD)


def test_damaged_and_encrypted_archives(tmp_path):
    path = tmp_path / "study.zip"
    path.write_bytes(b"PK\x03\x04" + b"x" * 50)
    with raises_code("archive-damaged"):
        read_study(path, STANDARD)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"x")
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02") + 6
    whole[at], good = 85, whole[at]  # a version of zip that does not exist
    path.write_bytes(bytes(whole))
    with raises_code("archive-damaged"):
        read_study(path, STANDARD)
    whole[at] = good
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(whole))
    with raises_code("archive-encrypted"):
        read_study(path, STANDARD)


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILES", 3)
    with raises_code("too-many-files"):
        read_study(write_series(tmp_path, ct_series(FLAT)), STANDARD)


def test_dicomdir_is_passed_over_and_makes_the_folder_a_study(tmp_path, plain):
    index = ct_series(FLAT[:1])[0]
    index.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    for keyword in ("SOPClassUID", "StudyInstanceUID", "Modality", "PixelData", "Rows"):
        if keyword in index:
            delattr(index, keyword)
    write_series(tmp_path, [index], ["DICOMDIR"])
    for number, dataset in enumerate(ct_series(body_volume())):
        write_series(tmp_path / "DICOM" / f"SE{number}", [dataset], ["IM0"])
    (place,) = find_studies(tmp_path)
    assert place.name == tmp_path.name
    study = same(tmp_path, plain)
    assert skipped(study) == {"DICOMDIR": "DICOMDIR"}


@pytest.mark.parametrize(
    ("image_type", "reason"),
    [
        (["DERIVED", "SECONDARY", "MIP"], "projection"),
        (["DERIVED", "SECONDARY", "SCREEN SAVE"], "secondary capture"),
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        (["DERIVED", "PRIMARY", "AXIAL", "SUBTRACTION"], "computed values"),
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"], "computed values"),
    ],
)
def test_image_type_excludes_what_is_not_a_slice(tmp_path, plain, image_type, reason):
    write_series(tmp_path, ct_series(body_volume()))
    others = ct_series(FLAT, series="2")
    set_all(others, ImageType=image_type)
    write_series(tmp_path / "other", others)
    study = same(tmp_path, plain)
    assert set(skipped(study).values()) == {reason}


def test_an_object_of_another_class_is_not_ct_whatever_its_modality(tmp_path, plain):
    write_series(tmp_path, ct_series(body_volume()))
    dose = ct_series(FLAT, series="2")
    for dataset in dose:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = RTDoseStorage
    write_series(tmp_path / "other", dose)
    study = same(tmp_path, plain)
    assert set(skipped(study).values()) == {"SOP class is not of a CT image"}
