"""Errors, distinguished by their stable codes."""

import pytest

from rcc_onnx.errors import RccOnnxError


def raises_code(code: str, match: str | None = None) -> pytest.RaisesExc[RccOnnxError]:
    """Return `pytest.raises` for a refusal with this code."""
    return pytest.raises(RccOnnxError, match=match, check=lambda error: error.code == code)
