"""A progress bar on a terminal, plain lines elsewhere."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rcc_onnx.batch import Case
from rcc_onnx.shown import shown

_log = logging.getLogger(__name__)

STAGE_SPANS: Mapping[str, tuple[float, float]] = {
    "reading_headers": (0.0, 0.05),
    "loading_networks": (0.05, 0.1),
    "preprocessing": (0.1, 0.25),
    "kidney_network": (0.25, 0.8),
    "lesion_network": (0.8, 0.95),
    "measuring": (0.95, 1.0),
}
"""Where in a case each stage lies, by the share of time it usually takes."""


class CaseProgress:
    """Shows which case and stage the work is at. On no terminal, `say` just prints lines."""

    def __init__(self, console: Console, cases: int) -> None:
        self._console = console
        self._parts: dict[str, float] = {}
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=float(cases))

    def __enter__(self) -> Self:
        with _no_matter_who_listens():
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _no_matter_who_listens():
            self._bar.stop()

    def listener(self, case: Case, stage: str, done: float) -> None:
        """Is told which stage a case is at, and how much of it is done. Several cases may be at
        work at once."""
        start, end = STAGE_SPANS[stage]
        self._parts[case.name] = start + (end - start) * done
        self._bar.update(
            self._task,
            description=f"{shown(case.name)}: {stage.replace('_', ' ')}",
            completed=sum(self._parts.values()),
        )

    def ended(self, case: str) -> None:
        """A case has come to its end."""
        self._parts[case] = 1.0
        self._bar.update(self._task, completed=sum(self._parts.values()))

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        with _no_matter_who_listens():
            self._console.print(line, markup=False)


@contextmanager
def _no_matter_who_listens() -> Iterator[None]:
    """A terminal that was closed, or a full disk under the file that output is led into, is no
    reason to lose a night: from then on nothing is shown."""
    try:
        yield
    except (OSError, SystemExit) as error:  # rich ends programs whose pipe was closed
        why = error.strerror if isinstance(error, OSError) else "the pipe was closed"
        _log.warning("nothing can be shown any more (%s); the run goes on", why)
        # Python would try again what it holds, when it ends.
        with suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
