"""The studies of an input: one or several."""

import shutil

import numpy as np
import pytest

from rcc_onnx import errors
from rcc_onnx.dicom import find_studies, read_study
from rcc_onnx.types import InputIs, Profile
from tests.support.dicom_factory import ct_series, set_all, write_series
from tests.support.errors import raises_code

FLAT = np.zeros((7, 8, 10), np.int16)


def study_in(folder, study, series="1"):
    datasets = ct_series(FLAT, series=series)
    set_all(datasets, StudyInstanceUID=f"1.2.{study}")
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


def test_results_of_an_earlier_run_are_not_a_study_at_any_depth(tmp_path):
    study_in(tmp_path / "case1", 1)
    out = tmp_path / "results" / "monday"
    out.mkdir(parents=True)
    (out / "case1.json").write_text("{}")
    assert names(tmp_path, skip=out) == ["case1"]
    assert names(tmp_path) == ["case1", "results"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("case1", "CASE1"), ("b\u00e9", "be\u0301"), ("stra\u00dfe", "STRASSE")],
)
def test_two_cases_whose_results_would_be_one_file_elsewhere(tmp_path, first, second):
    study_in(tmp_path / first, 1)
    study_in(tmp_path / second, 2)
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system takes them for the same name")
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
    shutil.make_archive(str(tmp_path / "b"), "zip", study_in(tmp_path / "in" / "x", 1))
    shutil.rmtree(tmp_path / "in")
    study_in(tmp_path / "a", 2)
    assert names(tmp_path) == ["a", "b"]
    assert names(tmp_path / "b.zip") == ["b"]
    study_in(tmp_path / "b", 3)
    with pytest.raises(errors.AmbiguousInputError, match=r"b and b\.zip would have one name"):
        find_studies(tmp_path)


@pytest.mark.parametrize("arrived", [b"", b"not yet an archive"])
def test_an_archive_that_has_not_arrived_yet_is_not_dropped(tmp_path, arrived):
    study_in(tmp_path / "in" / "a", 1)
    (tmp_path / "in" / "b.ZIP").write_bytes(arrived)
    assert names(tmp_path / "in") == ["a", "b"]
    with raises_code("archive-damaged", match="copy it again"):
        read_study(tmp_path / "in" / "b.ZIP", Profile.STANDARD)


def test_a_generic_folder_name_is_not_the_name_of_a_case(tmp_path):
    study_in(tmp_path / "patient1" / "DICOM" / "ST1", 1)
    assert names(tmp_path / "patient1") == ["patient1"]
    study_in(tmp_path / "inbox" / "case7", 1)
    assert names(tmp_path / "inbox") == ["case7"]


def test_an_input_without_studies_is_refused(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(errors.InputFolderError):
            find_studies(root)
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.InputFolderError, match="not a folder and not a zip"):
        find_studies(tmp_path / "file")


def test_finding_studies_quotes_nothing_of_the_patient(tmp_path, recwarn):
    """pydicom's warnings quote values that break their VR; here they are errors anyway."""
    folder = study_in(tmp_path / "case", 1)
    path = folder / "001.dcm"
    path.write_bytes(path.read_bytes().replace(b"ORIGINAL", b"Doe^Jane"))
    assert names(tmp_path) == ["case"]
    read_study(folder, Profile.STANDARD)
    assert not recwarn.list
