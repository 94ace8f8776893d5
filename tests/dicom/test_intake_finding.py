"""Finding a study's files: depth, names, archives, what is passed over; and what an input is."""

import io
import shutil
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

from rcc_onnx import errors
from rcc_onnx.dicom import find_studies, read_study, sources
from rcc_onnx.dicom import sources as archives
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import InputIs, Profile
from tests.support.dicom_factory import body_volume, ct_series, write_series
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
    (tmp_path / "a" / "DICOMDIR.inf").write_bytes(b"\x08\x00 starts like one, and is none")
    study = same(write_series(tmp_path, ct_series(body_volume()), names), plain)
    assert [one.header.file_name for one in study.slices] == names
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
    assert [one.name for one in tmp_path.iterdir()] == ["study.zip"]


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
            patch.setattr(archives, name, limit)
            with raises_code("archive-too-large"):
                read_study(path, STANDARD)


def test_members_on_top_of_one_another(tmp_path):
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


# --- What an input is -----------------------------------------------------------------------------


def study_in(folder, study, series="1"):
    datasets = ct_series(FLAT, series=series)
    for dataset in datasets:
        dataset.StudyInstanceUID = f"1.2.{study}"
    return write_series(folder, datasets)


def names(root, **options):
    return [place.name for place in find_studies(root, **options)]


def test_dicom_directly_in_it_is_one_study(tmp_path):
    study_in(tmp_path / "case", 1)
    study_in(tmp_path / "case" / "more", 2, "2")
    assert names(tmp_path / "case") == ["case"]


def test_folders_of_different_studies(tmp_path):
    for number in (2, 1):
        study_in(tmp_path / f"case{number}" / "deep" / "down", number)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    study_in(tmp_path / "out", 9)
    assert names(tmp_path, skip=tmp_path / "out") == ["case1", "case2"]


def test_results_of_an_earlier_run_are_no_study_at_any_depth(tmp_path):
    study_in(tmp_path / "case1", 1)
    out = tmp_path / "results" / "monday"
    out.mkdir(parents=True)
    (out / "case1.json").write_text("{}")
    assert names(tmp_path, skip=out) == ["case1"]
    assert names(tmp_path) == ["case1", "results"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("case1", "CASE1"), ("b\u00e9", "be\u0301"), ("stra\u00dfe", "STRASSE")],
)
def test_two_cases_whose_results_would_be_one_file_elsewhere(tmp_path, one, other):
    study_in(tmp_path / one, 1)
    study_in(tmp_path / other, 2)
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system holds them for one already")
    with pytest.raises(errors.AmbiguousInputError, match="would have one name"):
        find_studies(tmp_path)


def test_an_entry_without_dicom_is_not_dropped(tmp_path):
    study_in(tmp_path / "case1", 1)
    (tmp_path / "case2").mkdir()
    (tmp_path / "case2" / "readme.txt").write_text("x")
    assert names(tmp_path) == ["case1", "case2"]


def test_folders_of_series_of_one_study(tmp_path):
    study_in(tmp_path / "case" / "SE1", 1, "1")
    study_in(tmp_path / "case" / "SE2", 1, "2")
    assert names(tmp_path / "case") == ["case"]
    assert names(tmp_path / "case", input_is=InputIs.STUDIES) == ["SE1", "SE2"]


def test_copies_of_one_study_are_cases(tmp_path):
    study_in(tmp_path / "a", 1)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path) == ["a", "b"]
    assert names(tmp_path, input_is=InputIs.STUDY) == [tmp_path.name]


def test_half_and_half_is_ambiguous(tmp_path):
    study_in(tmp_path / "a1", 1, "1")
    study_in(tmp_path / "a2", 1, "2")
    study_in(tmp_path / "b", 2, "3")
    with pytest.raises(errors.AmbiguousInputError, match="a1 and a2"):
        find_studies(tmp_path)
    assert names(tmp_path, input_is=InputIs.STUDIES) == ["a1", "a2", "b"]


def test_archives_are_entries(tmp_path):
    zipped(study_in(tmp_path / "in" / "x", 1), tmp_path / "b.zip")
    shutil.rmtree(tmp_path / "in")
    study_in(tmp_path / "a", 2)
    assert names(tmp_path) == ["a", "b"]
    assert names(tmp_path / "b.zip") == ["b"]
    study_in(tmp_path / "b", 3)
    with pytest.raises(errors.AmbiguousInputError, match=r"b and b\.zip would have one name"):
        find_studies(tmp_path)


@pytest.mark.parametrize("arrived", [b"", b"not yet an archive"])
def test_an_archive_of_which_nothing_has_arrived_is_not_dropped(tmp_path, arrived):
    study_in(tmp_path / "in" / "a", 1)
    (tmp_path / "in" / "b.ZIP").write_bytes(arrived)
    assert names(tmp_path / "in") == ["a", "b"]
    with raises_code("archive-damaged", match="copy it again"):
        read_study(tmp_path / "in" / "b.ZIP", Profile.STANDARD)


def test_a_folder_that_is_called_dicom_gives_no_name(tmp_path):
    study_in(tmp_path / "patient1" / "DICOM" / "ST1", 1)
    assert names(tmp_path / "patient1") == ["patient1"]
    study_in(tmp_path / "inbox" / "case7", 1)
    assert names(tmp_path / "inbox") == ["case7"]


def test_nothing_there(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(errors.InputFolderError):
            find_studies(root)
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.InputFolderError, match="not a folder and not a zip"):
        find_studies(tmp_path / "file")


def test_dicomdir_is_passed_over_and_makes_the_folder_a_study(tmp_path, plain):
    index = ct_series(FLAT[:1])[0]
    index.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    for keyword in ("SOPClassUID", "StudyInstanceUID", "Modality", "PixelData", "Rows"):
        if keyword in index:
            delattr(index, keyword)
    write_series(tmp_path, [index], ["DICOMDIR"])
    for number, dataset in enumerate(ct_series(body_volume())):
        write_series(tmp_path / "DICOM" / f"SE{number}", [dataset], ["IM0"])
    assert names(tmp_path) == [tmp_path.name]
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
def test_what_image_type_tells(tmp_path, plain, image_type, reason):
    write_series(tmp_path, ct_series(body_volume()))
    others = ct_series(FLAT, series="2")
    for dataset in others:
        dataset.ImageType = image_type
    write_series(tmp_path / "other", others)
    study = same(tmp_path, plain)
    assert set(skipped(study).values()) == {reason}


def test_an_object_of_another_class_is_no_ct_whatever_its_modality_says(tmp_path, plain):
    write_series(tmp_path, ct_series(body_volume()))
    dose = ct_series(FLAT, series="2")
    for dataset in dose:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = RTDoseStorage
    write_series(tmp_path / "other", dose)
    study = same(tmp_path, plain)
    assert set(skipped(study).values()) == {"SOP class is not of a CT image"}


def test_looking_at_an_input_quotes_nothing_of_the_patient(tmp_path, recwarn):
    """pydicom's warnings quote values that break their VR; here they are errors anyway."""
    folder = study_in(tmp_path / "case", 1)
    path = folder / "001.dcm"
    path.write_bytes(path.read_bytes().replace(b"ORIGINAL", b"Doe^Jane"))
    assert names(tmp_path) == ["case"]
    read_study(folder, STANDARD)
    assert not recwarn.list
