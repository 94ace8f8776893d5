"""What all commands share: exit codes, errors and the terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from rcc_onnx.errors import RccOnnxError
from rcc_onnx.system.log_privacy import sanitize

if TYPE_CHECKING:
    from rich.console import Console

EXIT_SOME_FAILED = 1
EXIT_NOT_STARTED = 2
EXIT_INTERRUPTED = 130


def print_error(error: RccOnnxError) -> None:
    """Print an error as one line on standard error."""
    print(f"error [{error.code}]: {sanitize(str(error))}", file=sys.stderr)


def console(*, soft_wrap: bool = True, quiet: bool = False) -> "Console":
    """Return the terminal; a quiet one shows nothing.

    `soft_wrap` leaves the breaking of long lines to it, which tables do not want.
    """
    from rich.console import Console  # noqa: PLC0415  `--version` does without

    # Without `emoji=False` a case `a:b` is shown with a picture instead of the letter.
    return Console(highlight=False, soft_wrap=soft_wrap, emoji=False, quiet=quiet)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End with one line on standard error: an error with exit code 2, Ctrl-C with 130."""
    try:
        yield
    except RccOnnxError as error:
        print_error(error)
        raise typer.Exit(EXIT_NOT_STARTED) from None
    except KeyboardInterrupt:
        print("interrupted; cases that were finished are complete", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
