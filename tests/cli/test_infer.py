"""The command `infer`: how many processes it starts."""

from pathlib import Path

import pytest

from rcc_onnx.batch.runner import CASE_BYTES, BatchConfig
from rcc_onnx.cli.infer import MB, build_config, limited_by_memory
from rcc_onnx.cli.options import InferOptions
from rcc_onnx.errors import MissingExtraError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.system import host
from rcc_onnx.system.host import Memory

GIB = 1 << 30


def config_of(**options: object) -> BatchConfig:
    return build_config(InferOptions(analysis=InferenceOptions(), **options))  # type: ignore[arg-type]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 2 GiB to spare."""
    monkeypatch.setattr(host, "memory", lambda: Memory(8 * GIB, 2 * GIB))


@pytest.mark.usefixtures("free")
def test_fewer_workers_for_lack_of_memory_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert limited_by_memory(config_of(workers=8), 100).workers == 3
    assert capsys.readouterr().err == (
        "3 workers in place of 8: each may want 600 MB, and 2048 MB are free\n"
    )
    assert limited_by_memory(config_of(workers=8, case_memory=2048), 100).workers == 1
    assert "1 worker in place of 8: each may want 2048 MB" in capsys.readouterr().err
    assert limited_by_memory(config_of(workers=8, case_memory=256), 100).workers == 8
    assert capsys.readouterr().err == ""
    assert CASE_BYTES % MB == 0


@pytest.mark.usefixtures("free")
def test_fewer_workers_for_fewer_cases_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert limited_by_memory(config_of(workers=3), 2).workers == 2
    assert limited_by_memory(config_of(workers=8), 1).workers == 0
    assert capsys.readouterr().err == ""


def test_limits_of_a_case(tmp_path: Path) -> None:
    limits = config_of(case_timeout=0, case_memory=300).limits
    assert (limits.seconds, limits.memory_bytes) == (None, 300 * MB)
    assert config_of(case_timeout=5).limits.seconds == 5


def test_a_missing_extra_is_reported_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rcc_onnx.output.exports.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="dicom"):
        build_config(InferOptions(analysis=InferenceOptions.parse(save="sr")))
