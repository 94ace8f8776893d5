"""What the processes of test_isolation_of_cases.py do; they start by importing it."""

import ctypes
import logging
import os
import threading
import time
from pathlib import Path

import numpy as np

from rcc_onnx.batch.worker_pool import Handler, ProgressCallback
from rcc_onnx.errors import BundleError, IntakeError, SeveralSeriesError

_log = logging.getLogger("rcc_onnx.tasks")


class Stubborn:
    """A value that cannot travel."""

    def __str__(self) -> str:
        return "a value"

    def __reduce__(self) -> str:
        raise TypeError("cannot be pickled")


def _log_from_threads(number: str) -> None:
    def lines() -> None:
        for line in range(int(number)):
            _log.info("line %d: %s", line, Stubborn(), extra={"data": {"line": line}})

    threads = [threading.Thread(target=lines) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logging.getLogger("pydicom").error("DOE^JOHN")
    try:
        raise KeyError("DOE^JOHN")
    except KeyError:
        _log.exception("it broke")


def _talk_and_log(number: int, tell: ProgressCallback) -> None:
    """Messages so long that the system takes them in parts."""

    def log() -> None:
        for _ in range(number):
            _log.info("%s", "x" * 50_000)

    thread = threading.Thread(target=log)
    thread.start()
    for _ in range(number):
        tell("y" * 50_000, 0.5)
    thread.join()


def make() -> Handler[str, str]:
    """A handler that does what the task says."""
    return handle


def refuse() -> Handler[str, str]:
    raise BundleError("no such bundle")


def handle(task: str, tell: ProgressCallback) -> str:
    word, _, rest = task.partition(" ")
    if word == "crash":
        ctypes.string_at(0)
    elif word == "exit":
        os._exit(3)
    elif word == "killed":
        os.kill(os.getpid(), 9)
    elif word == "eat":
        eaten = [np.ones(2**24) for _ in range(64)]  # 8 GiB
        return str(len(eaten))
    elif word == "sleep":
        time.sleep(3600)
    elif word == "refuse":
        raise IntakeError("a slice is missing", code="missing-slices")
    elif word == "choose":
        raise SeveralSeriesError("which?", ())
    elif word == "defect":
        raise KeyError("DOE^JOHN")
    elif word == "touch":
        time.sleep(0.5)
        Path(rest).touch()
    elif word == "log":
        _log_from_threads(rest)
    elif word == "talk":
        _talk_and_log(int(rest), tell)
    elif word == "pid":
        return str(os.getpid())
    tell("stage", 0.5)
    return task.upper()
