"""Where the data folder is on each platform, and when a variable says otherwise."""

from pathlib import Path

import pytest

from rcc_onnx.bundles.data_folder import data_folder, installed_folders, is_file, is_folder
from rcc_onnx.errors import DataFolderError

HOME = Path("/home/kim").absolute()
AT_HOME = {"HOME": str(HOME), "USERPROFILE": str(HOME)}


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, HOME / ".local" / "share" / "rcc-onnx"),
        ("linux", {"XDG_DATA_HOME": str(HOME / "x")}, HOME / "x" / "rcc-onnx"),
        ("linux", {"XDG_DATA_HOME": "x"}, HOME / ".local" / "share" / "rcc-onnx"),
        ("linux", {"XDG_DATA_HOME": ""}, HOME / ".local" / "share" / "rcc-onnx"),
        ("freebsd14", {}, HOME / ".local" / "share" / "rcc-onnx"),
        ("darwin", {}, HOME / "Library" / "Application Support" / "rcc-onnx"),
        ("win32", {"LOCALAPPDATA": str(HOME / "L")}, HOME / "L" / "rcc-onnx"),
        ("win32", {}, HOME / "AppData" / "Local" / "rcc-onnx"),
    ],
)
def test_platforms(platform: str, environ: dict[str, str], expected: Path) -> None:
    assert data_folder(AT_HOME | environ, platform) == expected
    mine = str(HOME / "mine")
    assert data_folder(AT_HOME | environ | {"RCC_ONNX_HOME": mine}, platform) == Path(mine)
    assert data_folder(AT_HOME | environ | {"RCC_ONNX_HOME": ""}, platform) == expected


@pytest.mark.parametrize("named", ["models", "./models", "~/models", "..", "a\0b"])
def test_relative_path(named: str) -> None:
    with pytest.raises(DataFolderError, match="no absolute path") as caught:
        data_folder({"RCC_ONNX_HOME": named})
    assert caught.value.code == "data-folder"
    with pytest.raises(DataFolderError):
        installed_folders({"RCC_ONNX_HOME": named})


def test_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert data_folder({}, "linux") is None
    assert installed_folders({}) == ()
    monkeypatch.setattr(Path, "home", lambda: Path("relative"))
    assert data_folder({}, "linux") is None


def test_installed_folders_are_those_that_exist(tmp_path: Path) -> None:
    environ = {"RCC_ONNX_HOME": str(tmp_path / "data")}
    assert installed_folders(environ) == ()
    (tmp_path / "data" / "models").mkdir(parents=True)
    assert installed_folders(environ) == (tmp_path / "data" / "models",)
    assert len(list((tmp_path / "data").iterdir())) == 1, "looking makes nothing"


def test_named_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DataFolderError, match="cannot be listed"):
        installed_folders({"RCC_ONNX_HOME": str(tmp_path / "data")})


def test_looking_never_raises(tmp_path: Path) -> None:
    assert is_folder(tmp_path)
    assert not is_file(tmp_path)
    for name in ("none", "n" * 5000, "a\0b"):
        assert not is_folder(tmp_path / name)
        assert not is_file(tmp_path / name)
