"""Where the data folder is, and when a variable says otherwise."""

from pathlib import Path

import platformdirs
import pytest

from rcc_onnx.bundles.data_folder import data_folder, installed_folders, is_file, is_folder
from rcc_onnx.errors import DataFolderError


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RCC_ONNX_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_the_platform_names_it_unless_the_variable_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_platform = platformdirs.user_data_path("rcc-onnx", appauthor=False)
    assert data_folder() == by_platform
    assert by_platform.name == "rcc-onnx"
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path / "mine"))
    assert data_folder() == tmp_path / "mine"
    monkeypatch.setenv("RCC_ONNX_HOME", "")
    assert data_folder() == by_platform


@pytest.mark.parametrize("named", ["models", "./models", "~/models", ".."])
def test_relative_path(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCC_ONNX_HOME", named)
    for find in (data_folder, installed_folders):
        with pytest.raises(DataFolderError, match="not an absolute path"):
            find()


def test_user_without_a_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(*_: object, **__: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(platformdirs, "user_data_path", no_home)
    assert data_folder() is None
    assert installed_folders() == ()
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *_, **__: Path("~/.local/share"))
    assert data_folder() is None


def test_installed_folders_are_those_that_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path / "data"))
    assert installed_folders() == ()
    (tmp_path / "data" / "models").mkdir(parents=True)
    assert installed_folders() == (tmp_path / "data" / "models",)
    assert len(list((tmp_path / "data").iterdir())) == 1, "looking makes nothing"


def test_named_folder_that_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path / "data"))
    with pytest.raises(DataFolderError, match="cannot be listed"):
        installed_folders()


def test_looking_never_raises(tmp_path: Path) -> None:
    assert is_folder(tmp_path)
    assert not is_file(tmp_path)
    for name in ("none", "n" * 5000, "a\0b"):
        assert not is_folder(tmp_path / name)
        assert not is_file(tmp_path / name)
