# ruff: noqa
"""The command `rcc-onnx watch`."""

import contextlib
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx.cli.infer import run_context
from rcc_onnx.cli.options import WatchOptions, with_options
from rcc_onnx.cli.shared import EXIT_INTERRUPTED, exit_on_error

if TYPE_CHECKING:
    from rcc_onnx.results import CaseResult, FailedCase

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

    Until told to stop: docs/watch.md. Writes the same files as infer; report.html and the tables
    cover everything in OUT.

    Exit codes: 0 after SIGTERM, 130 after Ctrl-C, 2 nothing was started; with --once as infer.

    Example: rcc-onnx watch inbox --out results

    Example: rcc-onnx watch inbox --out results --once --move-done done
    """
    with exit_on_error(), run_context(context, options, inbox) as quiet:
        from rcc_onnx.batch.cases import exit_code  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.types import RESEARCH_ONLY  # noqa: PLC0415
        from rcc_onnx.watch import session  # noqa: PLC0415
        from rcc_onnx.watch.rules import Rules  # noqa: PLC0415

        work = work_of(options)
        workers = workers_of(options)
        plan = session.Plan(
            inbox=inbox,
            work=work.shared_by(workers),
            rules=Rules(
                interval_s=options.interval,
                stable_s=options.stable_time,
                move_done=options.move_done,
                move_failed=options.move_failed,
                once=options.once,
            ),
            pseudonyms=options.pseudonyms,
            retry_failed=options.retry_failed,
            processes=workers,
            limits=limits_of(options),
        )
        _say(RESEARCH_ONLY, quiet)
        with run_logged(plan.work, None, workers, hidden=options.pseudonyms is not None) as results:
            # Trouble is told in any case: nobody else would.
            ended = session.watch(plan, _say, partial(_tell, quiet=quiet))
            results.extend(ended.results)
        if ended.signal is None:
            raise typer.Exit(exit_code(ended.results))
        _say(f"stopped by {ended.signal}")
        raise typer.Exit(EXIT_INTERRUPTED if ended.signal == "SIGINT" else 0)


def _say(line: str, quiet: bool = False) -> None:
    _log.info("%s", line, extra={"said": True})
    if quiet:
        return
    # Whoever reads along may be gone; the studies are not.
    with contextlib.suppress(OSError):
        # At once, as a journal or a file is not a terminal.
        print(line, flush=True)


def _tell(result: "CaseResult | FailedCase", quiet: bool = False) -> None:
    """A result in a line, and what must be read beside it."""
    from rcc_onnx.cli.console import case_line, shown_warnings  # noqa: PLC0415
    from rcc_onnx.results import FailedCase  # noqa: PLC0415

    _say(case_line(result), quiet and not isinstance(result, FailedCase))
    for warning in shown_warnings(result):
        _say(f"    warning: {warning}", quiet)
