"""The cases of an input, and the names of their results."""

import shutil
from pathlib import Path

import pytest

from rcc_onnx.batch.cases import Case, find_cases
from rcc_onnx.errors import InputFolderError
from rcc_onnx.phantom import make_study


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three study folders: a good one, one that is cut short, one of text only."""
    folder = tmp_path_factory.mktemp("studies")
    good = make_study(1, folder / "b good", quick=True).folder
    broken = folder / "a broken"
    shutil.copytree(good, broken)
    (broken / "020.dcm").write_bytes((broken / "020.dcm").read_bytes()[:5000])
    (folder / "c text").mkdir()
    (folder / "c text" / "readme.txt").write_text("no images here")
    return folder


def names(cases: tuple[Case, ...]) -> list[str]:
    return [case.name for case in cases]


def test_a_folder_with_dicom_files_is_one_case(studies: Path) -> None:
    assert names(find_cases(studies / "b good")) == ["b good"]


def test_a_name_that_no_result_could_have_is_refused_before_any_work(tmp_path: Path) -> None:
    for name in ("a", "x" * 245):
        (tmp_path / name).mkdir()
        (tmp_path / name / "readme.txt").write_text("no images here")
    with pytest.raises(InputFolderError, match="too long"):
        find_cases(tmp_path)


def test_dicom_files_need_no_extension(studies: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(studies / "b good", folder)
    for path in sorted(folder.iterdir()):
        path.rename(path.with_suffix(""))
    (folder / "sub").mkdir()
    assert names(find_cases(folder)) == ["case"]


def test_subfolders_are_cases_in_order_of_their_names(studies: Path) -> None:
    assert names(find_cases(studies)) == ["a broken", "b good", "c text"]


def test_results_hidden_and_empty_folders_are_no_cases(studies: Path, tmp_path: Path) -> None:
    shutil.copytree(studies / "b good", tmp_path / "case")
    for name in ("results", ".git", "empty"):
        (tmp_path / name).mkdir()
    for name in ("results", ".git"):
        (tmp_path / name / "some.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    assert names(find_cases(tmp_path, tmp_path / "results")) == ["case"]


@pytest.mark.parametrize("make", ["missing", "file", "empty"])
def test_an_input_without_cases_is_a_clear_error(tmp_path: Path, make: str) -> None:
    path = tmp_path / make
    if make == "file":
        path.write_text("")
    if make == "empty":
        path.mkdir()
    with pytest.raises(InputFolderError, match="study folder"):
        find_cases(path)
