"""The command `rcc-onnx infer`."""

from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx.cli_options import InferOptions, with_options
from rcc_onnx.cli_run import limits_of, run, run_begins, work_of, workers_of
from rcc_onnx.cli_shared import errors_end_here


@with_options
def infer(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A study (a folder with DICOM at any depth, or a zip archive), or a folder of "
            "studies.",
        ),
    ],
    options: InferOptions,
    context: typer.Context,
) -> None:
    """Analyse one study or a folder of studies.

    Writes OUT/<case>.json and OUT/<case>_overview.png for every case,
    OUT/<case>_r.png and _l.png for each side with a suspected lesion, and
    OUT/report.html, results.csv and results.json for all.

    Exit codes: 0 all analysed, 1 at least one failed, 2 nothing was started.

    Example: rcc-onnx infer studies --out results

    Example: rcc-onnx infer study.zip --save seg --save sr
    """
    with errors_end_here(), run_begins(context, options, study) as quiet:
        from rcc_onnx.batch import find_cases  # noqa: PLC0415  heavy imports only where used

        # What is wrong with options is told before the studies are looked for.
        work = work_of(options, options.overwrite)
        cases = find_cases(study, options.out, options.input_is, options.pseudonyms)
        workers = workers_of(options, len(cases))
        # One case needs no process of its own: nothing else is lost with it.
        processes = workers if len(cases) > 1 else 0
        raise typer.Exit(
            run(work.shared_by(workers), cases, processes, limits_of(options), quiet=quiet)
        )
