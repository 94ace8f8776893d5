"""The root of the tree."""

from typing import ClassVar


class RccOnnxError(Exception):
    """Anything that rcc-onnx refuses. `code` is stable between releases."""

    code: ClassVar[str] = "error"
