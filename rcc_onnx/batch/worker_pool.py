"""Processes that do tasks one after another, and whose death costs one task only.

A decoder in C may crash, a broken file may ask for all memory, and a network drive may never
answer. In a process of its own that ends one case; the next one gets a new process.
"""

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, Generic, Self, TypeVar

from rcc_onnx.errors import (
    CaseCrashedError,
    CaseMemoryError,
    CaseProcessError,
    CaseTimeoutError,
    RccOnnxError,
)
from rcc_onnx.system.log_privacy import PrivacyFilter, log_received, to_send, where_raised

_log = logging.getLogger(__name__)


Task = TypeVar("Task")
Result = TypeVar("Result")
ProgressCallback = Callable[[str, float], None]
"""Takes a stage's name and how much of it is done."""
Handler = Callable[[Task, ProgressCallback], Result]

START_S = 120.0
"""Seconds for a process to start and load its networks, on a slow disk with a virus scanner."""
STOP_S = 5.0
"""Seconds for an idle process to end by itself."""
_OUT_OF_MEMORY_SIGNAL = -9
"""Linux ends a process that takes the last memory by SIGKILL."""


@dataclass(frozen=True)
class Limits:
    """What one task may take. None: no limit.

    Attributes:
        seconds: wall clock of a task.
        memory_bytes: private memory of the process. Linux only; elsewhere there is no limit.
    """

    seconds: float | None = None
    memory_bytes: int | None = None


class TaskProcess(Generic[Task, Result]):
    """A process that does tasks, started with the first one and again after it died.

    Used by one thread.

    Args:
        make: called once in the process, returns what handles tasks. It, tasks and results travel
            between processes, so they must be picklable.
        limits: of a task.
        on_death: called with the id of a process that died or was killed.
    """

    def __init__(
        self,
        make: Callable[[], Handler[Task, Result]],
        limits: Limits,
        on_death: Callable[[int], None] = lambda pid: None,
    ) -> None:
        self._make = make
        self._limits = limits
        self._on_death = on_death
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def start(self) -> None:
        """Start the process if none is running, and wait until it is ready for tasks.

        Raises:
            RccOnnxError: what `make` raised.
            CaseCrashedError, CaseTimeoutError: the process died or never got ready.
        """
        if self._process is not None and self._process.is_alive():
            return
        # A forked process would share locks and threads that ONNX Runtime holds.
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        process = context.Process(
            target=_serve,
            args=(theirs, self._make, self._limits, logging.getLogger().level),
            daemon=True,
        )
        process.start()
        theirs.close()
        # From here on `close`, called by another thread, finds it.
        self._process, self._pipe = process, pipe
        self._receive(time.monotonic() + START_S, lambda *_: None)

    def do(self, task: Task, on_progress: ProgressCallback) -> Result:
        """Return the task's result.

        Raises:
            RccOnnxError: what the handler raised.
            CaseCrashedError: the process died.
            CaseTimeoutError: the task exceeded its time.
            CaseMemoryError: the task exceeded its memory.
        """
        self.start()
        if self._pipe is None:
            raise AssertionError("a started process has a pipe")
        limit = self._limits.seconds
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._pipe.send(task)
        result: Result = self._receive(
            None if limit is None else time.monotonic() + limit, on_progress
        )
        return result

    def close(self) -> None:
        """End the process, at once if it does a task, which then fails with CaseCrashedError.

        Any thread may call it.
        """
        process, pipe, idle = self._process, self._pipe, self._idle
        if pipe is not None and idle:
            # An idle one ends when its input does.
            self._pipe = None
            pipe.close()
        if process is not None:
            process.join(STOP_S if idle else 0)
        self._kill()

    _idle = True

    def _receive(self, deadline: float | None, on_progress: ProgressCallback) -> Any:
        """Return the next answer, after passing on stages and log records."""
        process, pipe = self._process, self._pipe
        if process is None or pipe is None:
            raise AssertionError("no process is running")
        self._idle = False
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            ready = wait_for_any([pipe, process.sentinel], left)
            if not ready:
                self._kill()
                raise CaseTimeoutError(
                    f"not done after {self._limits.seconds or START_S:.0f} s, and ended; raise "
                    "--case-timeout if the case is large or the disk slow"
                )
            message: tuple[Any, ...] | None = None
            if pipe in ready:
                with contextlib.suppress(EOFError, OSError):
                    message = pipe.recv()
            if message is None:
                raise self._died(process)
            kind, *content = message
            if kind == "stage":
                on_progress(*content)
                continue
            if kind == "log":
                log_received(*content)
                continue
            self._idle = True
            if kind == "error":
                if isinstance(content[0], CaseMemoryError):
                    # Other allocations may have failed in it as well.
                    self._kill()
                raise content[0]
            return content[0]

    def _died(self, process: BaseProcess) -> RccOnnxError:
        process.join(STOP_S)
        code = process.exitcode
        self._kill()
        if code == _OUT_OF_MEMORY_SIGNAL:
            return CaseMemoryError(
                "the process was killed, most likely by the system for want of memory; close other "
                "programs, or use fewer --workers"
            )
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return CaseCrashedError(
            f"the process that analysed this case died ({name}); a file of it is damaged in a way "
            "that breaks a decoder, or memory ran out. Other cases are not touched"
        )

    def _kill(self) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        self._idle = True
        if process is not None:
            process.kill()
            process.join()
            if process.exitcode != 0 and process.pid is not None:
                self._on_death(process.pid)
        if pipe is not None:
            pipe.close()


def _serve(
    pipe: Connection, make: Callable[[], Handler[Any, Any]], limits: Limits, log_level: int
) -> None:
    """Do tasks until the input or the parent ends. Log records go to the parent."""
    answer = _Answers(pipe)
    logging.getLogger().addHandler(answer)
    logging.getLogger().setLevel(log_level)
    # Ctrl-C reaches every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_memory(limits.memory_bytes)
    try:
        handle = make()
    except Exception as error:
        answer("error", _sendable(error))
        return
    answer("result", None)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            result = handle(task, lambda stage, done: answer("stage", stage, done))
        except Exception as error:
            answer("error", _sendable(error))
        else:
            answer("result", result)


class _Answers(logging.Handler):
    """The pipe to the parent, for all threads of the process, and for log records."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self.addFilter(PrivacyFilter())
        self._pipe = pipe
        self._pipe_lock = threading.Lock()

    def __call__(self, *message: object) -> None:
        with self._pipe_lock, contextlib.suppress(BrokenPipeError):
            self._pipe.send(message)

    def emit(self, record: logging.LogRecord) -> None:
        # A record that cannot be sent must not fail the case.
        with contextlib.suppress(Exception):
            self("log", to_send(record))


def out_of_memory() -> CaseMemoryError:
    """Return the error of a case that exceeded its memory."""
    return CaseMemoryError(
        "the case wants more memory than it may have; raise --case-memory, or look for a damaged "
        "file"
    )


def _sendable(error: Exception) -> RccOnnxError:
    """Return an error that can be pickled; the message of a foreign one may quote a patient."""
    if isinstance(error, MemoryError):
        return out_of_memory()
    if isinstance(error, RccOnnxError):
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
    _log.error("unexpected error %s at %s", *where_raised(error))
    return CaseCrashedError(
        f"{type(error).__name__} in the process that analysed this case; this is a defect, please "
        "report it with the output of the same command and -v"
    )


def _end_with_parent() -> None:
    """End when the parent ends, so that no results are written after it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_any([parent.sentinel])
    os._exit(1)


def _limit_memory(limit: int | None) -> None:
    if limit is None or not sys.platform.startswith("linux"):
        return
    import resource  # noqa: PLC0415  missing on Windows

    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


PROGRESS_S = 0.1
"""Between two checks of the stages that tasks have reached."""


class TaskPool(Generic[Task, Result]):
    """Gives tasks to free processes. Used by one thread; leaving it drops running tasks."""

    def __init__(self, workers: Sequence[TaskProcess[Task, Result]]) -> None:
        self._workers = tuple(workers)
        self._free: SimpleQueue[TaskProcess[Task, Result]] = SimpleQueue()
        self._progress: SimpleQueue[tuple[Task, str, float]] = SimpleQueue()
        self._running: set[Future[tuple[Task, Result | RccOnnxError]]] = set()
        self._is_left = False
        self._threads = ThreadPoolExecutor(len(workers))
        for worker in workers:
            self._free.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Running tasks end with their processes, and the threads with them. Again and again, as a
        # thread may just be about to start a process.
        self._is_left = True
        for worker in self._workers:
            worker.close()
        while self._running:
            self._running = wait(self._running, PROGRESS_S).not_done
            for worker in self._workers:
                worker.close()
        self._threads.shutdown()

    @property
    def free(self) -> int:
        """The number of tasks that could begin at once."""
        return len(self._workers) - len(self._running)

    def submit(self, task: Task) -> None:
        """Have a task done as soon as a process is free."""
        self._running.add(self._threads.submit(self._do, task))

    def ended(self, timeout: float) -> list[tuple[Task, Result | RccOnnxError]]:
        """Return tasks that have ended, with results or errors; wait `timeout` seconds for one."""
        done, self._running = wait(self._running, timeout, return_when=FIRST_COMPLETED)
        return [future.result() for future in done]

    def progress_events(self) -> Iterator[tuple[Task, str, float]]:
        """Yield the stages that tasks reached since the last call."""
        while not self._progress.empty():
            yield self._progress.get()

    def stop_idle_workers(self) -> None:
        """End the processes, to free their memory, if none has a task."""
        if not self._running:
            for worker in self._workers:
                worker.close()

    def _do(self, task: Task) -> tuple[Task, Result | RccOnnxError]:
        worker = self._free.get()
        try:
            if self._is_left:
                return task, CaseProcessError("not begun, as the run ends")
            return task, worker.do(task, lambda *event: self._progress.put((task, *event)))
        except RccOnnxError as error:
            return task, error
        finally:
            self._free.put(worker)


def done_by_processes(
    tasks: Sequence[Task],
    workers: Sequence[TaskProcess[Task, Result]],
    on_progress: Callable[[Task, str, float], None],
) -> Iterator[tuple[Task, Result | RccOnnxError]]:
    """Yield each task with its result or its error, in the order in which they end.

    `on_progress` is called in this thread. If the caller stops early, running tasks are dropped.
    """
    waiting = list(reversed(tasks))
    with TaskPool(workers) as pool:
        while waiting or pool.free < len(workers):
            while waiting and pool.free:
                pool.submit(waiting.pop())
            ended = pool.ended(PROGRESS_S)
            for event in pool.progress_events():
                on_progress(*event)
            yield from ended
