import logging
import warnings

import pytest

from rcc_onnx.cli_logs import LEVELS, _is_heard, silence_warnings


@pytest.mark.parametrize(
    ("name", "level", "heard"),
    [
        ("rcc_onnx.engine", logging.DEBUG, True),
        ("rcc_onnx", logging.INFO, True),
        ("rcc_onnx_other", logging.INFO, False),
        ("PIL.PngImagePlugin", logging.DEBUG, False),
        ("PIL", logging.WARNING, True),
        # It quotes what it does not understand.
        ("pydicom", logging.CRITICAL, False),
        ("pydicom.pixels.decoders.base", logging.ERROR, False),
    ],
)
def test_whose_log_is_heard(name: str, level: int, heard: bool) -> None:
    record = logging.LogRecord(name, level, "", 0, "", (), None)
    assert _is_heard(record) is heard


def test_levels() -> None:
    assert LEVELS == (logging.WARNING, logging.INFO, logging.DEBUG)


def test_what_libraries_warn_of_is_not_shown() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        warnings.warn("Invalid value for VR PN: 'Doe^Jane'", stacklevel=1)
        silence_warnings()
        warnings.warn("Invalid value for VR PN: 'Doe^Jane'", stacklevel=1)
    assert len(shown) == 1
