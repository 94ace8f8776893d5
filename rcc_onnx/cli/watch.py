"""The command `rcc-onnx watch`."""

import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx.cli.infer import build_config, limited_by_memory, run_context
from rcc_onnx.cli.options import WatchOptions, with_options
from rcc_onnx.cli.shared import EXIT_INTERRUPTED, exit_on_error
from rcc_onnx.types import RESEARCH_ONLY

if TYPE_CHECKING:
    from rcc_onnx.batch.runner import CaseOutcome

_log = logging.getLogger(__name__)


@with_options
def watch(
    inbox: Annotated[
        Path,
        typer.Argument(
            metavar="INBOX", help="A folder in which studies arrive: folders, or zip archives."
        ),
    ],
    options: WatchOptions,
    context: typer.Context,
) -> None:
    """Analyse studies as they arrive in a folder.

    Until it is stopped: docs/watch.md. Writes the same files as infer; report.html and the tables
    cover everything in OUT.

    Exit codes: 0 after SIGTERM, 130 after Ctrl-C, 2 nothing was started; with --once as infer.

    Example: rcc-onnx watch inbox --out results

    Example: rcc-onnx watch inbox --out results --once --move-done done
    """
    with exit_on_error(), run_context(context, options, inbox) as quiet:
        from rcc_onnx.batch.runner import exit_code  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.watch import service  # noqa: PLC0415
        from rcc_onnx.watch.watcher import WatchConfig  # noqa: PLC0415

        batch = replace(build_config(options), keep_failed=not options.retry_failed)
        config = WatchConfig(
            inbox=inbox,
            batch=limited_by_memory(batch, None),
            interval_s=options.interval,
            stable_s=options.stable_time,
            move_done=options.move_done,
            move_failed=options.move_failed,
            pseudonyms=options.pseudonyms,
            once=options.once,
        )
        reporter = LineReporter(quiet=quiet)
        reporter.show(RESEARCH_ONLY, quiet=quiet)
        results, signal = service.watch(config, reporter)
        if signal is None:
            raise typer.Exit(exit_code(results))
        reporter.message(f"stopped by {signal}")
        raise typer.Exit(EXIT_INTERRUPTED if signal == "SIGINT" else 0)


class LineReporter:
    """Prints and logs plain lines, fit for a journal.

    Args:
        quiet: of the studies, only those that failed; what the watcher waits for is shown in any
            case.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def message(self, text: str) -> None:
        self.show(text)

    def case(self, outcome: "CaseOutcome") -> None:
        """Print a result, and what must be read next to it."""
        from rcc_onnx.cli.console import case_line, shown_warnings  # noqa: PLC0415
        from rcc_onnx.results import FailedCase  # noqa: PLC0415

        result = outcome.result
        self.show(case_line(result), quiet=self._quiet and not isinstance(result, FailedCase))
        for warning in shown_warnings(result):
            self.show(f"    warning: {warning}", quiet=self._quiet)

    def show(self, line: str, *, quiet: bool = False) -> None:
        """Log a line, and print it unless `quiet`."""
        _log.info("%s", line, extra={"printed": True})
        if not quiet:
            # The reader may be gone; studies still come. A journal is not a terminal: flush.
            with contextlib.suppress(OSError):
                print(line, flush=True)
