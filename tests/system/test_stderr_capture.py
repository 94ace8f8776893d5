"""Standard error is captured while a library writes to it, and restored."""

import os
from contextlib import suppress

import pytest

from rcc_onnx.system.stderr_capture import LONGEST_LINE, captured_stderr, logged_errors, one_line


def test_output_is_captured_inside_the_block_only(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with captured_stderr() as captured:
        os.write(2, b"inside\n")
    os.write(2, b"after\n")
    assert captured.text == "inside\n"
    assert capfd.readouterr().err == "before\nafter\n"


def test_standard_error_is_restored_after_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(KeyError), captured_stderr() as captured:
        os.write(2, b"inside \xff\n")
        raise KeyError
    os.write(2, b"after\n")
    assert captured.text == "inside \ufffd\n"
    assert capfd.readouterr().err == "after\n"


# Lines written by onnxruntime-gpu 1.31 and onnxruntime-openvino 1.24.
MISSING_LIBRARY = (
    "\x1b[1;31m2026-11-23 08:22:36.034098708 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 "
    "operator()] /onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:2043 "
    "onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : "
    "Failed to load library /somewhere/libonnxruntime_providers_cuda.so with error: "
    "libcublasLt.so.13: cannot open shared object file: No such file or directory\n\x1b[m\n"
)
NO_DEVICE = (
    "\x1b[1;31m2026-11-23 08:22:36.920511161 [E:onnxruntime:Default, provider_bridge_ort.cc:2310 "
    "Create] /onnxruntime/onnxruntime/core/providers/openvino/openvino_provider_factory.cc:141 "
    "std::string onnxruntime::openvino_ep::ParseDeviceType(std::shared_ptr<OVCore>, const "
    "onnxruntime::ProviderOptions&) [ERROR] [OpenVINO] Device GPU is not available\n\x1b[m\n"
)


def test_the_missing_piece_is_found_in_the_output_of_onnxruntime() -> None:
    library = "libcublasLt.so.13: cannot open shared object file: No such file or directory"
    assert logged_errors(MISSING_LIBRARY) == [library]
    assert logged_errors(NO_DEVICE) == ["[OpenVINO] Device GPU is not available"]


def test_repetition_and_other_lines_are_left_out() -> None:
    text = "progress 50 %\n" + NO_DEVICE + MISSING_LIBRARY + NO_DEVICE
    assert len(logged_errors(text)) == 2
    assert logged_errors("progress 50 %\n") == []


def test_one_line() -> None:
    assert one_line(" a\n  b\tc ") == "a b c"
    assert len(one_line("x" * 10_000)) == LONGEST_LINE
