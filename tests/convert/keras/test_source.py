"""Hashes of a source file, and files that are something else than HDF5."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from convert.errors import NotHdf5Error, SourceMissingError, TooLargeError
from convert.keras import source
from convert.keras.source import HDF5_SIGNATURE, identify
from rcc_onnx.bundles.manifest import ByNetwork
from tests.support.fixtures_convert import TINY_FILES


def test_hashes_of_a_known_file() -> None:
    found = identify(TINY_FILES.kidney, "kidney")
    # Printed by `git hash-object` and `sha256sum`.
    assert found.git_blob == "2957b4d3d11f272ae67787cea06dc4cc958cf7ef"
    assert found.sha256 == "8c5cdf5786c60f7faca2b4e6413fae77eb21af2c27aaad6aa50004823cd13605"
    assert found.file == "kidney_tiny.h5"
    assert not found.published


def test_git_agrees_about_a_file_of_several_chunks(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    path.write_bytes(HDF5_SIGNATURE + bytes(range(256)) * 10_000)
    size = path.stat().st_size
    expected = hashlib.sha1(b"blob %d\0" % size + path.read_bytes()).hexdigest()
    assert identify(path, "lesion").git_blob == expected
    try:
        git = subprocess.run(
            ["git", "hash-object", path], check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        return
    assert git.stdout.strip() == expected


def test_published_means_the_published_file_of_the_same_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blob = "2957b4d3d11f272ae67787cea06dc4cc958cf7ef"
    monkeypatch.setattr(source, "PUBLISHED_GIT_BLOBS", ByNetwork(blob, "0" * 40))
    assert identify(TINY_FILES.kidney, "kidney").published
    assert not identify(TINY_FILES.kidney, "lesion").published


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (b'{"class_name": "Model"}', "JSON"),
        (b"PK\x03\x04rest", ".keras"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"some other text", "no HDF5"),
        (b"\x00" * 4096, "no HDF5"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "kidney.h5"
    path.write_bytes(content)
    with pytest.raises(NotHdf5Error, match=said) as raised:
        identify(path, "kidney")
    assert raised.value.code == "convert-not-hdf5"
    assert "kidney.h5" in str(raised.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match=r"none\.h5"):
        identify(tmp_path / "none.h5", "kidney")
    with pytest.raises(SourceMissingError, match="not a file"):
        identify(tmp_path, "kidney")


def test_a_file_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_FILE_BYTES", 1000)
    with pytest.raises(TooLargeError):
        identify(TINY_FILES.kidney, "kidney")
