"""Damaged files must not take the converter down with them."""

from pathlib import Path

import numpy as np
import pytest

from convert.errors import ConvertError, DamagedFileError
from convert.keras import probe
from convert.keras.hdf5 import read_keras_file
from convert.keras.probe import check_readable
from tests.support.fixtures_convert import TINY_FILES


def test_a_good_file_passes() -> None:
    check_readable(TINY_FILES.kidney)


def test_a_file_that_is_refused_for_a_reason_passes_too(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    path.write_bytes(b"no HDF5")
    check_readable(path)


def test_a_crash_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_CHILD", "import os; os.abort()")
    with pytest.raises(DamagedFileError, match="crashed") as raised:
        check_readable(TINY_FILES.kidney)
    assert raised.value.code == "convert-damaged"


def test_a_search_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.2)
    with pytest.raises(DamagedFileError, match="did not end"):
        check_readable(TINY_FILES.kidney)


def test_random_damage_ends_in_an_error_of_ours_or_a_readable_file(tmp_path: Path) -> None:
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
