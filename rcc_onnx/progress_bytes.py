"""How a download comes along: a bar on a terminal, nothing elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn


class BytesProgress:
    """Bytes received, of how many. The bar appears with the first piece and goes at the end."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            "downloading",
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def listen(self, done: int, total: int | None) -> None:
        """Show that `done` bytes of `total` are there; None: how many to come is not known."""
        whole = total is not None and done == total
        # What follows, checking and running, takes seconds without a figure to show.
        self._bar.update(self._task, completed=done, total=total, visible=not whole)
