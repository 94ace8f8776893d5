"""Every way in which rcc-onnx refuses its input, as one tree.

The root is `RccOnnxError`. Each leaf carries a stable `code` (scripts may rely on it) and also
inherits the builtin that fits, so that callers who never heard of this module can catch it too.
A message says what is wrong, where, and what to do next; it never holds a patient's data.
"""

from typing import ClassVar


class RccOnnxError(Exception):
    """Anything that rcc-onnx refuses. `code` is stable between releases."""

    code: ClassVar[str] = "error"


# --- Reading a study -----------------------------------------------------------------------------


class IntakeError(RccOnnxError, ValueError):
    """A folder does not hold one study that can be analysed without guessing."""

    code = "intake"


# --- Model bundles -------------------------------------------------------------------------------


class BundleError(RccOnnxError, ValueError):
    """A model bundle is missing, broken, changed or not meant for this study."""

    code = "bundle"


class BundleManifestError(BundleError):
    """manifest.json breaks the schema. `key` is the dotted path to the key at fault."""

    code = "bundle-manifest"

    def __init__(self, problem: str, key: str = "") -> None:
        super().__init__(problem, key)
        self.problem = problem
        self.key = key

    def __str__(self) -> str:
        where = f"manifest.json, {self.key}" if self.key else "manifest.json"
        return f"{where}: {self.problem}"


# --- Sessions ------------------------------------------------------------------------------------


class ProviderError(RccOnnxError, RuntimeError):
    """An execution provider that was asked for cannot run here."""

    code = "provider"
