"""Checks of the doctor beside networks: things broken on purpose, each of which it must report."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rcc_onnx.diagnostics.doctor import checks
from rcc_onnx.diagnostics.doctor.checks import Check, ProbeError, Verdict, probe
from rcc_onnx.dicom import codec_check
from rcc_onnx.errors import RuntimeNotUsableError
from rcc_onnx.system.host import Memory
from tests.support.errors import raises_code
from tests.support.probes import dies, doubled, never_ends, refuses

OK, WARNING, PROBLEM, MISSING = Verdict


def only(found: Iterable[Check]) -> Check:
    (check,) = found
    return check


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("RCC_ONNX_HOME", str(home / "data"))
    return home


def test_a_probe_returns_or_says_why_not() -> None:
    assert probe(doubled, 21, 60) == 42
    with pytest.raises(ProbeError, match="crashed"):
        probe(dies, 0, 60)
    with pytest.raises(ProbeError, match="not finished after 0 s"):
        probe(never_ends, 0, 0.1)
    with raises_code("provider-not-loaded") as caught:
        probe(refuses, 0, 60)
    assert (caught.value.problem, caught.value.advice) == ("no", "yes")


# --- Software and machine ------------------------------------------------------------------------


def test_a_required_package_that_is_missing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "packages", lambda: {"numpy": "2.4", "pydicom": None})
    check = only(checks.check_packages())
    assert check.message.endswith("numpy 2.4; not installed: pydicom")
    assert (check.verdict, check.remedy) == (PROBLEM, "pip install pydicom")


def test_an_extra_that_is_missing_is_not_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks.EXTRAS, "nifti", (("no-such-package",), "masks"))
    first, *others = checks.check_extras()
    assert (first.verdict, first.message) == (MISSING, "no-such-package not installed: masks")
    assert "rcc-onnx[nifti]" in str(first.remedy)
    assert {check.verdict for check in others} == {OK}


def test_two_runtimes_installed_over_one_another_are_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = ("onnxruntime", "onnxruntime-gpu")
    monkeypatch.setattr(checks, "installed_runtimes", lambda: both)
    check = only(checks.check_runtime())
    assert check.verdict is PROBLEM
    assert "onnxruntime and onnxruntime-gpu, which overwrite each other" in check.message
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in str(check.remedy)


def test_a_runtime_that_cannot_be_imported_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeNotUsableError("onnxruntime cannot be imported: no", "Reinstall it.")

    monkeypatch.setattr(checks, "runtime_version", broken)
    check = only(checks.check_runtime())
    assert (check.verdict, check.remedy) == (PROBLEM, "Reinstall it.")


@pytest.mark.parametrize(
    ("flags", "verdict", "message"),
    [
        (("avx2", "avx512f", "sse"), OK, "x, avx2, avx512f, 3 of 64 CPUs may be used"),
        (("asimd", "asimddp"), OK, "x, asimd, asimddp, 3 of 64 CPUs may be used"),
        (("sse2",), WARNING, "x, no AVX2, 3 of 64 CPUs may be used"),
        ((), OK, "x, features unknown, 3 of 64 CPUs may be used"),
    ],
)
def test_a_processor_without_fast_instructions_is_a_warning(
    flags: tuple[str, ...], verdict: Verdict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "processor", lambda: "x")
    monkeypatch.setattr(checks, "processor_flags", lambda: flags)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(checks, "usable_cpus", lambda: 3)
    check = next(iter(checks.check_machine()))
    assert (check.verdict, check.message) == (verdict, message)


@pytest.mark.parametrize(
    ("memory", "verdict", "message"),
    [
        (Memory(4 << 30, 2 << 30, limited=True), OK, "2.0 GiB free of 4.0 GiB, the limit of this"),
        (Memory(4 << 30, 1 << 29), WARNING, "0.5 GiB free of 4.0 GiB"),
        (Memory(4 << 30, None), OK, "unknown"),
    ],
)
def test_little_free_memory_is_a_warning(
    memory: Memory, verdict: Verdict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "memory", lambda: memory)
    *_, check = checks.check_machine()
    assert check.verdict is verdict
    assert check.message.startswith(message)


# --- Decoders ------------------------------------------------------------------------------------


def test_decoders_that_are_missing_wrong_or_crash_are_warnings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    get_decoder, pixel_array = codec_check.get_decoder, codec_check.pixel_array

    class Missing:
        is_available = False
        missing_dependencies = ("pylibjpeg - requires pylibjpeg-openjpeg",)

    class PanicError(BaseException):
        pass

    def decode(dataset: Any) -> Any:
        uid = dataset.file_meta.TransferSyntaxUID
        if uid.endswith(".4.81"):
            return pixel_array(dataset)[:5]
        if uid.endswith(".4.90"):
            raise PanicError("in Rust")
        return pixel_array(dataset) + np.uint16(uid.endswith(".4.80"))

    monkeypatch.setattr(checks, "probe", lambda function, value, seconds: function(value))
    monkeypatch.setattr(
        codec_check, "get_decoder", lambda uid: Missing() if ".4.91" in uid else get_decoder(uid)
    )
    monkeypatch.setattr(codec_check, "pixel_array", decode)
    broken = {check.subject: check for check in checks.check_decoders() if check.verdict is not OK}
    assert {check.verdict for check in broken.values()} == {WARNING}
    assert "wrong by up to 1" in broken["JPEG-LS"].message
    assert "shape (5, 32)" in broken["JPEG-LS, lossy"].message
    assert broken["JPEG 2000"].message.endswith("in Rust")
    assert "requires pylibjpeg-openjpeg" in broken["JPEG 2000, lossy"].message
    assert "or export series uncompressed" in str(broken["JPEG 2000"].remedy)
    assert len(broken) == 4


def test_a_decoder_that_crashes_its_process_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> Any:
        raise ProbeError("the process that tried it crashed")

    monkeypatch.setattr(checks, "probe", crash)
    check = only(checks.check_decoders())
    assert check.verdict is PROBLEM
    assert "python-gdcm" in str(check.remedy)


# --- Folders and telemetry -----------------------------------------------------------------------


def test_folders_that_can_be_written(tmp_path: Path, home: Path) -> None:
    temporary, data, out = checks.check_folders(tmp_path / "not" / "yet")
    assert [check.verdict for check in (temporary, data, out)] == [OK, OK, OK]
    assert temporary.message.startswith("can be written: ")
    assert data.message.startswith("can be created: ")
    assert " GiB free, can be created: " in out.message
    assert not (tmp_path / "not").exists()
    assert list(home.iterdir()) == []


def test_folders_that_cannot_be_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are where folders should be: administrators may write anywhere else."""
    for name in ("temporary", "data", "out"):
        (home / name).write_text("a file")
    monkeypatch.setattr("tempfile.tempdir", str(home / "temporary"))
    temporary, data, out = checks.check_folders(home / "out" / "results")
    assert [check.verdict for check in (temporary, data, out)] == [PROBLEM, WARNING, PROBLEM]
    assert "TMPDIR" in str(temporary.remedy)
    assert "the self-test runs at every start" in str(data.remedy)
    assert "--out" in str(out.remedy)

    def fail() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in [...]")

    monkeypatch.setattr("tempfile.gettempdir", fail)
    monkeypatch.setenv("RCC_ONNX_HOME", "relative")
    monkeypatch.setattr(checks, "ENOUGH_SPACE", 1 << 62)
    temporary, data, out = checks.check_folders(home)
    assert [check.verdict for check in (temporary, data, out)] == [PROBLEM, PROBLEM, WARNING]
    assert temporary.message.startswith("No usable")
    monkeypatch.setattr(checks, "data_folder", lambda: None)
    _, data = checks.check_folders(None)
    assert (data.verdict, data.message) == (WARNING, "this user has no home folder")


def test_what_telemetry_leaves_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(checks.check_telemetry(checks.device_ids())).verdict is OK
    left = home / ".cache" / "Microsoft" / "DeveloperTools" / ".onnxruntime" / "deviceid"
    left.parent.mkdir(parents=True)
    left.write_text("0")
    new = only(checks.check_telemetry(()))
    assert (new.verdict, "has just appeared" in new.message) == (PROBLEM, True)
    old = only(checks.check_telemetry(checks.device_ids()))
    assert (old.verdict, "another program" in old.message) == (WARNING, True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    assert checks.device_ids() == (left,), "named once"
