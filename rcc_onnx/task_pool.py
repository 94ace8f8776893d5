"""Several processes that do tasks, each the next one that comes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self

from rcc_onnx.errors import RccOnnxError
from rcc_onnx.isolation import Result, Task, TaskProcess

NEWS_S = 0.1
"""How often stages are told."""


class TaskPool(Generic[Task, Result]):
    """Gives tasks to processes that are free. Used by one thread; leaving it drops what is being
    done."""

    def __init__(self, workers: Sequence[TaskProcess[Task, Result]]) -> None:
        self._workers = tuple(workers)
        self._free: SimpleQueue[TaskProcess[Task, Result]] = SimpleQueue()
        self._news: SimpleQueue[tuple[Task, str, float]] = SimpleQueue()
        self._running: set[Future[tuple[Task, Result | RccOnnxError]]] = set()
        self._threads = ThreadPoolExecutor(len(workers))
        for worker in workers:
            self._free.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        # What is still being done ends with its process, so that the threads end too; a thread may
        # just be about to start one.
        for worker in self._workers:
            worker.close()
        while self._running:
            _, self._running = wait(self._running, NEWS_S)
            for worker in self._workers:
                worker.close()

    @property
    def free(self) -> int:
        """How many more tasks can be begun at once."""
        return len(self._workers) - len(self._running)

    def submit(self, task: Task) -> None:
        """Have a task done as soon as a process is free."""
        self._running.add(self._threads.submit(self._one, task))

    def ended(self, timeout: float) -> list[tuple[Task, Result | RccOnnxError]]:
        """Tasks that have ended, with what became of them; waits so many seconds for a first."""
        done, self._running = wait(self._running, timeout, return_when=FIRST_COMPLETED)
        return [future.result() for future in done]

    def news(self) -> Iterator[tuple[Task, str, float]]:
        """What tasks said of their stages since they were asked last."""
        while not self._news.empty():
            yield self._news.get()

    def rest(self) -> None:
        """End processes that have nothing to do, with the memory that they hold. The next task
        starts one again."""
        if not self._running:
            for worker in self._workers:
                worker.close()

    def _one(self, task: Task) -> tuple[Task, Result | RccOnnxError]:
        worker = self._free.get()
        try:
            return task, worker.do(task, lambda stage, done: self._news.put((task, stage, done)))
        except RccOnnxError as error:
            return task, error
        finally:
            self._free.put(worker)


def done_by_processes(
    tasks: Sequence[Task],
    workers: Sequence[TaskProcess[Task, Result]],
    tell: Callable[[Task, str, float], None],
) -> Iterator[tuple[Task, Result | RccOnnxError]]:
    """Each task with its result or what became of it, in the order in which they end.

    `tell` is called in this thread. Where the caller stops early, tasks being done are dropped.
    """
    waiting = list(reversed(tasks))
    with TaskPool(workers) as pool:
        while waiting or pool.free < len(workers):
            while waiting and pool.free:
                pool.submit(waiting.pop())
            ended = pool.ended(NEWS_S)
            for news in pool.news():
                tell(*news)
            yield from ended
