"""The command `rcc-onnx evaluate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx.cli.options import with_options
from rcc_onnx.cli.shared import EXIT_SOME_FAILED, console, exit_on_error
from rcc_onnx.errors import OptionError

if TYPE_CHECKING:
    from rcc_onnx.evaluate.cohort import Cohort
    from rcc_onnx.evaluate.figures import Evaluation
    from rcc_onnx.evaluate.mask_files import ValueMapping
    from rcc_onnx.evaluate.masks import MaskResults

SIZE_EDGES = "15,25,40"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What to compare results with, and where to write the figures."""

    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the files. Default: OUT/evaluation."),
    ] = None
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the JSON here too.")
    ] = None
    size_edges: Annotated[
        str, typer.Option(metavar="MM,MM,...", help="Upper ends of the ranges of lesion sizes.")
    ] = SIZE_EDGES
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Reference masks DIR/CASE.nii.gz, .nii or .dcm (SEG) to compare the predicted "
            "masks with.",
        ),
    ] = None
    mask_labels: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE=WORD,...",
            help="Meaning of the values of the reference masks: right, left, kidney (of either "
            'side), lesion, background. "1=kidney,2=lesion" for KiTS. '
            "Default: 1=right, 2=left, 3=lesion, or the codes of a SEG.",
        ),
    ] = None
    allow_unlabelled: Annotated[
        bool,
        typer.Option("--allow-unlabelled", help="Leave out cases without a row in LABELS.csv."),
    ] = False
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Count labelled cases without a result as no finding."
        ),
    ] = False
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw ROC and scores.")] = True


@with_options
def evaluate(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder that `rcc-onnx infer` wrote to.")
    ],
    labels_file: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS.csv",
            help="Ground truth: columns case, side (right or left), lesion (1 or 0), and size_mm "
            "if known; one row for each kidney. UTF-8, commas or semicolons.",
        ),
    ],
    options: EvaluationOptions,
) -> None:
    """Compare results with labels of each kidney.

    AUC, sensitivity, specificity and accuracy with 95 % intervals, by lesion
    size and over all thresholds. Writes kidneys.csv, other tables, plots and
    evaluation.json to OUT/evaluation.

    Exit codes: 0 done, 1 some masks could not be compared, 2 not started.

    Example: rcc-onnx evaluate results labels.csv
    """
    with exit_on_error():
        from rcc_onnx.evaluate import figures  # noqa: PLC0415
        from rcc_onnx.evaluate.cohort import build_cohort  # noqa: PLC0415  heavy
        from rcc_onnx.evaluate.labels import read_labels  # noqa: PLC0415

        edges = _edges(options.size_edges)
        mapping = _mapping(options.mask_labels, options.masks)
        _require_extras(options.plots, options.masks)
        cohort = build_cohort(
            read_labels(labels_file),
            out,
            allow_unlabelled=options.allow_unlabelled,
            allow_missing=options.allow_missing,
        )
        masks = options.masks
        compared = None if masks is None else _compare(cohort, out, masks, mapping)
        evaluation = figures.evaluate(cohort, edges, compared)
        folder = options.to or out / "evaluation"
        _write(evaluation, folder, options.plots, options.json_file)
        _show(evaluation, folder)
        if compared is not None and compared.refused:
            raise typer.Exit(EXIT_SOME_FAILED)


def _edges(text: str) -> tuple[float, ...]:
    from rcc_onnx.evaluate.figures import size_ranges  # noqa: PLC0415  as above

    try:
        edges = tuple(float(edge) for edge in text.split(","))
    except ValueError:
        raise OptionError(
            f"--size-edges: {text!r} is not a list of numbers such as {SIZE_EDGES}"
        ) from None
    size_ranges(edges)
    return edges


def _mapping(text: str | None, masks: Path | None) -> "ValueMapping | None":
    from rcc_onnx.evaluate.mask_files import parse_mapping  # noqa: PLC0415  as above

    if text is None:
        return None
    if masks is None:
        raise OptionError("--mask-labels explains reference masks; give --masks DIR as well")
    return parse_mapping(text)


def _require_extras(plots: bool, masks: Path | None) -> None:
    from rcc_onnx.evaluate import require  # noqa: PLC0415  as above

    if plots:
        require("matplotlib", purpose="Drawing", alternative="use --no-plots")
    if masks is not None:
        require("nibabel", "scipy", purpose="Comparing masks", alternative="leave out --masks")


def _compare(
    cohort: "Cohort", out: Path, masks: Path, mapping: "ValueMapping | None"
) -> "MaskResults":
    """Compare the masks of the labelled cases, also of those that failed or have no result."""
    from rich.markup import escape  # noqa: PLC0415  as above

    from rcc_onnx.evaluate.masks import compare_masks  # noqa: PLC0415

    cases = list(dict.fromkeys(kidney.case for kidney in cohort.kidneys))
    with console().status("comparing masks") as status:
        return compare_masks(
            cases,
            out,
            masks,
            mapping,
            lambda case: status.update(f"comparing masks: {escape(case)}"),
        )


def _write(evaluation: "Evaluation", folder: Path, plots: bool, json_file: Path | None) -> None:
    from rcc_onnx.evaluate.report import remove_old, write_json, write_tables  # noqa: PLC0415

    remove_old(folder)
    if plots:
        from rcc_onnx.evaluate.plots import write_plots  # noqa: PLC0415

        write_plots(evaluation, folder)
    write_tables(evaluation, folder)
    if json_file is not None:
        write_json(evaluation, json_file)


def _show(evaluation: "Evaluation", folder: Path) -> None:
    from rcc_onnx.evaluate import report  # noqa: PLC0415  as above

    terminal = console(soft_wrap=False)
    for line in report.opening_lines(evaluation):
        terminal.print(line, markup=False, soft_wrap=True)
    for table in report.tables(evaluation):
        terminal.print(table)
    closing = f"Files are in {folder}; kidneys.csv lists every kidney"
    for line in (*report.notes(evaluation), closing):
        terminal.print(line, markup=False, soft_wrap=True)
