"""The command `rcc-onnx bench`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx.cli.demo import DEMO_SEED
from rcc_onnx.cli.logging import set_up_logging
from rcc_onnx.cli.options import Models, Threads
from rcc_onnx.cli.shared import console, exit_on_error
from rcc_onnx.types import InputIs, Precision, ProviderName


def bench(  # noqa: PLR0913, PLR0917  an option each
    studies: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="A study, or a folder of studies. Default: a digital phantom."
        ),
    ] = None,
    models: Models = None,
    provider: Annotated[
        list[ProviderName] | None,
        typer.Option(
            metavar="PROVIDER", help="May be repeated. Default: those that auto would try."
        ),
    ] = None,
    precision: Annotated[
        list[Precision] | None, typer.Option(help="May be repeated. Default: all.")
    ] = None,
    threads: Threads = None,
    repeats: Annotated[int, typer.Option(min=1, help="Warm runs of each case.")] = 5,
    cases: Annotated[int | None, typer.Option(min=1, help="Take only so many cases.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the figures here.")
    ] = None,
) -> None:
    """Measure how fast this machine analyses studies.

    Benchmarks each provider and precision in its own process, interleaved.

    Example: rcc-onnx bench --repeats 3 --plot bench.png
    """
    set_up_logging()
    with exit_on_error(), tempfile.TemporaryDirectory() as scratch:
        from rich.markup import escape  # noqa: PLC0415  heavy imports only where used

        from rcc_onnx.cli.bench_report import bench_tables, notes, save  # noqa: PLC0415
        from rcc_onnx.diagnostics.bench import default_setups, measure  # noqa: PLC0415
        from rcc_onnx.dicom import find_studies  # noqa: PLC0415
        from rcc_onnx.phantom.study import make_phantom_folder  # noqa: PLC0415

        terminal = console(soft_wrap=False)
        if studies is None:
            studies = make_phantom_folder(DEMO_SEED, Path(scratch)).folder
        found = dict(find_studies(studies, None, InputIs.AUTO)[:cases])
        setups = default_setups(models, threads, provider, precision)
        with terminal.status("starting") as status:
            report = measure(setups, found, repeats, lambda text: status.update(escape(text)))
        for table in bench_tables(report):
            terminal.print(table)
        for line in notes(report):
            terminal.print(line, markup=False, soft_wrap=True)
        save(report, json_file, plot)
