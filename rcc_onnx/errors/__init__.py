"""Every way in which rcc-onnx refuses its input, as one tree.

The root is `RccOnnxError`. Each leaf carries a stable `code` (scripts may rely on it) and also
inherits the builtin that fits, so that callers who never heard of this module can catch it too.
A message says what is wrong, where, and what to do next; it never holds a patient's data.

A room each for what is refused where; all are imported from here.
"""

from rcc_onnx.errors.base import *  # noqa: F403
from rcc_onnx.errors.bundles import *  # noqa: F403
from rcc_onnx.errors.checking import *  # noqa: F403
from rcc_onnx.errors.evaluating import *  # noqa: F403
from rcc_onnx.errors.intake import *  # noqa: F403
from rcc_onnx.errors.logs import *  # noqa: F403
from rcc_onnx.errors.networks import *  # noqa: F403
from rcc_onnx.errors.running import *  # noqa: F403
from rcc_onnx.errors.settings import *  # noqa: F403
from rcc_onnx.errors.watching import *  # noqa: F403
