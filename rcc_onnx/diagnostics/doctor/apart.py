"""Things tried in a process of their own, so that what crashes there is a line in the report."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from rcc_onnx.batch.worker_pool import Handler, Limits, TaskProcess
from rcc_onnx.errors import CaseMemoryError, CaseProcessError, CaseTimeoutError

Given = TypeVar("Given")
Found = TypeVar("Found")


class CrashedError(Exception):
    """What was tried ended its process, or never came to an end. It becomes a line."""


def apart(function: Callable[[Given], Found], given: Given, seconds: float) -> Found:
    """`function(given)` in another process; both, and the result, must be picklable.

    Raises:
        RccOnnxError: what the function raised.
        CrashedError: the process died, wanted more memory than there is, or took too long.
    """
    process: TaskProcess[Given, Found] = TaskProcess(partial(_handler, function), Limits(seconds))
    try:
        return process.do(given, lambda stage, done: None)
    except CaseTimeoutError as error:
        raise CrashedError(f"not done after {seconds:.0f} s") from error
    except CaseMemoryError as error:
        raise CrashedError("there was not enough memory for it") from error
    except CaseProcessError as error:
        raise CrashedError("it crashed the process that tried it") from error
    finally:
        process.close()


def _handler(function: Callable[[Given], Found]) -> Handler[Given, Found]:
    return lambda given, tell: function(given)
