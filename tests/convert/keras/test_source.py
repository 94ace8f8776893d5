"""Hashes of a source file, files that are something else than HDF5, and damaged ones."""

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest

from convert.errors import (
    ConvertError,
    DamagedFileError,
    NotHdf5Error,
    SourceMissingError,
    TooLargeError,
)
from convert.keras import source
from convert.keras.hdf5 import read_keras_file
from convert.keras.source import HDF5_SIGNATURE, check_readable, identify
from rcc_onnx.bundles.manifest import ByNetwork, SourceFile
from tests.support.fixtures_convert import TINY_FILES


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
    # Printed by `git hash-object` and `sha256sum`.
    blob = "2957b4d3d11f272ae67787cea06dc4cc958cf7ef"
    sha256 = "8c5cdf5786c60f7faca2b4e6413fae77eb21af2c27aaad6aa50004823cd13605"
    found = identify(TINY_FILES.kidney, "kidney")
    assert found == SourceFile("kidney_tiny.h5", sha256, blob, published=False)
    monkeypatch.setattr(source, "PUBLISHED_GIT_BLOBS", ByNetwork(blob, "0" * 40))
    assert identify(TINY_FILES.kidney, "kidney").published
    assert not identify(TINY_FILES.kidney, "lesion").published


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (b'{"class_name": "Model"}', "JSON"),
        (b"PK\x03\x04rest", ".keras"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"some other text", "not an HDF5"),
        (b"\x00" * 4096, "not an HDF5"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "kidney.h5"
    path.write_bytes(content)
    with pytest.raises(NotHdf5Error, match=text) as raised:
        identify(path, "kidney")
    assert raised.value.code == "convert-not-hdf5"
    assert "kidney.h5" in str(raised.value)


def test_missing_files_folders_and_files_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceMissingError, match=r"none\.h5"):
        identify(tmp_path / "none.h5", "kidney")
    with pytest.raises(SourceMissingError, match="not a file"):
        identify(tmp_path, "kidney")
    monkeypatch.setattr(source, "MAX_FILE_BYTES", 1000)
    with pytest.raises(TooLargeError):
        identify(TINY_FILES.kidney, "kidney")


# --- Damaged files must not take the converter down with them ------------------------------------


def test_a_good_file_and_one_that_is_refused_are_readable(tmp_path: Path) -> None:
    check_readable(TINY_FILES.kidney)
    path = tmp_path / "other.h5"
    path.write_bytes(b"no HDF5")
    check_readable(path)


@pytest.mark.parametrize(
    ("process", "text"),
    [("import os; os.abort()", "crashed"), ("import time; time.sleep(60)", "did not end")],
)
def test_a_crash_and_a_search_without_end_are_errors(
    process: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_PROBE", process)
    if text == "did not end":
        monkeypatch.setattr(source, "PROBE_TIMEOUT_S", 0.2)
    with pytest.raises(DamagedFileError, match=text) as raised:
        check_readable(TINY_FILES.kidney)
    assert raised.value.code == "convert-damaged"


def test_random_damage_ends_in_our_error_or_a_readable_file(tmp_path: Path) -> None:
    # Some of these crash the HDF5 library when read in this process.
    content = TINY_FILES.kidney.read_bytes()
    path = tmp_path / "kidney.h5"
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(8):
        damaged = bytearray(content)
        for place in rng.integers(8, len(content), 200):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            check_readable(path)
            read_keras_file(path)
        except ConvertError:
            refused += 1
    assert refused > 4
