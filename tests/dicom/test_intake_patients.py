"""The patient's hash, by which slices of two patients in one series are told apart."""

import secrets
import time
from pathlib import Path

import pytest

from rcc_onnx.dicom import headers as reading
from rcc_onnx.dicom import read_study
from rcc_onnx.phantom import make_study
from rcc_onnx.types import Profile


def test_threads_that_start_at_once_share_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(1, tmp_path / "study", quick=True).folder
    random = secrets.token_bytes

    def slow(count: int) -> bytes:
        time.sleep(0.05)
        return random(count)

    monkeypatch.setattr(secrets, "token_bytes", slow)
    reading._process_key.cache_clear()
    assert len(read_study(study, Profile.STANDARD).slices) > 30
