"""The command `rcc-onnx infer`."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx.cli_logs import set_up_logging
from rcc_onnx.cli_options import Models, Out, PrecisionOption, Provider, Threads, Verbose
from rcc_onnx.cli_run import run
from rcc_onnx.cli_shared import errors_end_here
from rcc_onnx.providers import ProviderName
from rcc_onnx.saving import Save, Saving
from rcc_onnx.values import InputIs, Precision, Profile, SeriesPolicy

BUNDLES = "the bundle's"
MB = 1 << 20


def infer(  # noqa: PLR0913, PLR0917  an option each
    study: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A study (a folder with DICOM at any depth, or a zip archive), or a folder of "
            "studies.",
        ),
    ],
    out: Out = Path("rcc-onnx-results"),
    models: Models = None,
    provider: Provider = ProviderName.AUTO,
    threads: Threads = None,
    precision: PrecisionOption = Precision.FLOAT32,
    profile: Annotated[
        Profile,
        typer.Option(help="standard, or notebook: the published notebook to the letter."),
    ] = Profile.STANDARD,
    kidney_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Probability sum above which there is a kidney.",
            show_default=BUNDLES,
        ),
    ] = None,
    lesion_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Probability sum above which there is a suspected lesion.",
            show_default=BUNDLES,
        ),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|UID",
            help="Which series to take: its label in `rcc-onnx series`, its number, or its UID.",
        ),
    ] = None,
    series_policy: Annotated[
        SeriesPolicy | None,
        typer.Option(help="Which of several suitable series to take. Default: none, refuse."),
    ] = None,
    input_is: Annotated[
        InputIs,
        typer.Option(help="Whether INPUT is one study or a folder of studies; auto looks."),
    ] = InputIs.AUTO,
    mask_cutoff: Annotated[
        float, typer.Option(help="A voxel belongs to a mask from this probability on.")
    ] = 0.5,
    borderline: Annotated[
        float,
        typer.Option(help="A sum this near to its threshold, as a part of it, is borderline."),
    ] = 0.1,
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Processes that analyse cases side by side; 0: none but this one, where a crash "
            "ends the run.",
        ),
    ] = 1,
    case_timeout: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds after which a case is given up; 0: never.", metavar="SECONDS"
        ),
    ] = 1800,
    case_memory: Annotated[
        int | None,
        typer.Option(
            min=256,
            metavar="MB",
            help="Memory that a case may have, on Linux. Default: what there is.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Analyse again what is done already, unchanged, in OUT."),
    ] = False,
    save: Annotated[
        list[Save] | None,
        typer.Option(
            help="Also write masks as NIfTI or DICOM SEG, probabilities as NIfTI, measurements as "
            "DICOM SR. May be repeated."
        ),
    ] = None,
    pseudonyms: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV with the columns case,pseudonym: the names that results and messages use. "
            "No name of a folder or file is told then.",
        ),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Analyse one study or a folder of studies.

    Writes OUT/<case>.json and OUT/<case>_overview.png for every case,
    OUT/<case>_r.png and _l.png for each side with a suspected lesion, and
    OUT/report.html, results.csv and results.json for all.

    Exit codes: 0 all analysed, 1 at least one failed, 2 nothing was started.

    Example: rcc-onnx infer studies --out results

    Example: rcc-onnx infer study.zip --save seg --save sr
    """
    set_up_logging(verbose)
    with errors_end_here():
        from rcc_onnx.batch import find_cases  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.case_tasks import case_work, threads_of  # noqa: PLC0415
        from rcc_onnx.engine import checked_options  # noqa: PLC0415
        from rcc_onnx.exports import check_saving  # noqa: PLC0415
        from rcc_onnx.isolation import Limits  # noqa: PLC0415

        saving = Saving.of(save or ())
        check_saving(saving, profile)
        cases = find_cases(study, out, input_is, pseudonyms)
        options = checked_options(
            provider,
            profile=profile,
            threads=threads_of(threads, workers),
            kidney_threshold=kidney_threshold,
            lesion_threshold=lesion_threshold,
            series=series,
            series_policy=series_policy,
            precision=precision,
            mask_cutoff=mask_cutoff,
            borderline=borderline,
        )
        work = replace(
            case_work(models, options, out, saving, overwrite),
            prepare=partial(set_up_logging, verbose),
        )
        # One case needs no process of its own: nothing else is lost with it.
        processes = workers if len(cases) > 1 else 0
        limits = Limits(case_timeout or None, case_memory and case_memory * MB)
        raise typer.Exit(run(work, cases, processes, limits))
