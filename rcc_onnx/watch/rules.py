"""How to watch, and what does the work."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rcc_onnx.errors import RccOnnxError
from rcc_onnx.watch.work import Answer, Task


@dataclass(frozen=True)
class Rules:
    """How to watch.

    Attributes:
        interval_s: between two looks at the inbox.
        stable_s: a study that has not changed for so long has arrived.
        move_done: where studies go that were analysed; None: they stay.
        move_failed: the same for those that failed.
        once: do what is there and arrived, then end.
    """

    interval_s: float = 5.0
    stable_s: float = 60.0
    move_done: Path | None = None
    move_failed: Path | None = None
    once: bool = False


class Pool(Protocol):
    """What does tasks; `task_pool.TaskPool` is one."""

    @property
    def free(self) -> int: ...

    def submit(self, task: Task) -> None: ...

    def ended(self, timeout: float) -> list[tuple[Task, Answer | RccOnnxError]]: ...

    def news(self) -> Iterator[tuple[Task, str, float]]: ...

    def rest(self) -> None: ...
