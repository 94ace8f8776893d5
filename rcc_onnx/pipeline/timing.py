"""Seconds by stage."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

StageListener = Callable[[str, float], None]
"""Called with the stage and how much of it is done, 0 to 1."""


class Stopwatch:
    """Wall-clock seconds of named stages, and the progress that a listener hears of."""

    def __init__(self, listener: StageListener | None = None) -> None:
        self._listener = listener
        self._seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str, done: float | None = 0.0) -> Iterator[None]:
        """Time a block, adding to the stage's seconds, and report `done` of it unless None."""
        if done is not None:
            self.progress(name, done)
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self._seconds[name] = self._seconds.get(name, 0.0) + spent

    def progress(self, stage: str, done: float) -> None:
        """Report to the listener how far a stage is."""
        if self._listener is not None:
            self._listener(stage, done)

    def seconds(self) -> Mapping[str, float]:
        """Return seconds by stage so far, and `total` since the stopwatch was made."""
        return {**self._seconds, "total": time.perf_counter() - self._started}
