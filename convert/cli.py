"""The command line: `python -m convert KIDNEY.h5 RCC.h5 --name NAME --out DIR`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from convert.conversion import Conversion, Request, convert_files
from convert.errors import ConvertOptionError
from convert.keras.reference_outputs import add_reference_outputs
from convert.keras.verification import TOLERANCE
from convert.quantize import MIN_STUDIES, quantize_bundle
from rcc_onnx.bundles.manifest import ByNetwork, NetworkEntry
from rcc_onnx.errors import RccOnnxError
from rcc_onnx.types import NETWORK_NAMES, Thresholds

PROGRAM = "python -m convert"
DEFAULT_COMMAND = "keras"
"""The command that runs if the first argument names none: `python -m convert A.h5 B.h5`."""

REFUSED = 2
INTERRUPTED = 130
"""The exit code that shells give a program stopped with Ctrl-C."""

DEFAULT_PURPOSE = (
    "Finds kidneys and suspected renal lesions in contrast-enhanced CT. Research use only."
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


class UseOn(StrEnum):
    """What a bundle may be used on without being named on the command line."""

    PATIENT = "patient"
    DIGITAL_PHANTOM = "digital-phantom"


class LowPrecision(StrEnum):
    """The precisions that `quantize` makes."""

    INT8 = "int8"
    FLOAT16 = "float16"


@app.callback()
def _commands() -> None:
    """Make model bundles for rcc-onnx."""


@app.command(DEFAULT_COMMAND)
def keras(  # noqa: PLR0913, PLR0917  one parameter for each option, as typer wants it
    kidney: Annotated[
        Path,
        typer.Argument(metavar="KIDNEY.h5", help="Keras 2 HDF5 file of the whole 2D network."),
    ],
    lesion: Annotated[
        Path,
        typer.Argument(metavar="RCC.h5", help="Keras 2 HDF5 file of the whole 3D network."),
    ],
    name: Annotated[str, typer.Option(help="Name of the bundle: a-z, 0-9, '.', '_', '-'.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist yet.")],
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1.0.0",
    purpose: Annotated[str, typer.Option(help="What it is for, in a sentence.")] = DEFAULT_PURPOSE,
    licence: Annotated[
        str | None,
        typer.Option(
            help="SPDX identifier. Default: Apache-2.0 for the published files, else NOASSERTION."
        ),
    ] = None,
    use_on: Annotated[
        list[UseOn] | None,
        typer.Option(help="What it may be used on; may be repeated. Default: patient."),
    ] = None,
    kidney_threshold: Annotated[
        float, typer.Option(help="Sum of probabilities above which there is a kidney.")
    ] = Thresholds.kidney,
    lesion_threshold: Annotated[
        float, typer.Option(help="Sum of probabilities above which there is a suspected lesion.")
    ] = Thresholds.lesion,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT if it is a bundle.")
    ] = False,
) -> None:
    """Convert two Keras 2 files to a model bundle, and check that it computes the same.

    Nothing is written unless Keras and ONNX Runtime agree on all test inputs, in all probabilities
    (within 0.0001) and in all decisions. Code in the files is never run.

    Exit code 0: the bundle was written. 2: refused, and nothing was written; the reason is printed.
    """
    try:
        thresholds = Thresholds(kidney_threshold, lesion_threshold)
    except ValueError as problem:
        raise ConvertOptionError(str(problem)) from problem
    request = Request(
        sources=ByNetwork(kidney, lesion),
        out=out,
        name=name,
        version=version,
        purpose=purpose,
        licence=licence,
        use_on=tuple(kind.value for kind in use_on or [UseOn.PATIENT]),
        thresholds=thresholds,
        overwrite=overwrite,
    )
    with _interruptible():
        conversion = convert_files(request, progress=_report)
    typer.echo("\n".join(summary(conversion, out)))


@app.command("quantize")
def quantize(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle to add them to.")
    ],
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Calibrate on the studies in DIR. Default: on digital phantoms."
        ),
    ] = None,
    studies: Annotated[
        int, typer.Option(min=MIN_STUDIES, help="Phantoms on which decisions are compared.")
    ] = MIN_STUDIES,
    precision: Annotated[
        LowPrecision, typer.Option(help="int8: for CPUs. float16: for GPUs.")
    ] = LowPrecision.INT8,
) -> None:
    """Add both networks in fewer bits: 8-bit integers for CPUs, or float16 for GPUs.

    Nothing is written unless they decide as in float32 on every study of the comparison. They are
    used with rcc-onnx infer --precision.

    Exit code 0: written. 2: refused, and the bundle is unchanged; the reason is printed.
    """
    with _interruptible():
        quantized = quantize_bundle(bundle, calibrate, _report, studies, precision.value)
    for network in NETWORK_NAMES:
        entry, tally = quantized.manifest.networks[network], quantized.tallies[network]
        found = entry.variants[precision.value].comparison
        typer.echo(
            f"{network}: all {found.decisions} decisions as in float32, on {found.inputs} inputs; "
            f"largest difference of a sum {found.largest_sum_difference:.2%}, masks overlap by "
            f"{found.least_dice:.4f} (Dice) or more, {tally.moved} of {tally.located} located "
            "elsewhere"
        )
    typer.echo(f"Next: rcc-onnx infer STUDY_FOLDER --models {bundle} --precision {precision}")


@app.command("reference-outputs")
def reference_outputs(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle to add them to.")
    ],
    kidney: Annotated[
        Path, typer.Argument(metavar="KIDNEY.h5", help="The file its 2D network was made from.")
    ],
    lesion: Annotated[
        Path, typer.Argument(metavar="RCC.h5", help="The file its 3D network was made from.")
    ],
) -> None:
    """Add to a bundle the outputs of its Keras networks for a few phantoms.

    A machine is compared with these reference outputs before it analyses anything. Every conversion
    writes them; this is for bundles without them.

    Exit code 0: written. 2: refused, and the bundle is unchanged; the reason is printed.
    """
    with _interruptible():
        record = add_reference_outputs(bundle, ByNetwork(kidney, lesion), _report)
    typer.echo(
        f"Reference outputs written to {bundle}; on the CPU of this machine the largest difference "
        f"is {record.largest_difference:.1e} (accepted: {record.tolerance:.0e})"
    )
    typer.echo("Next: rcc-onnx doctor")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Report Ctrl-C as typer does not: that nothing was written."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped; nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _report(step: str) -> None:
    typer.echo(f"{step} ...", err=True)


def summary(conversion: Conversion, out: Path) -> list[str]:
    """Return the lines that a conversion prints at its end."""
    provenance = conversion.manifest.provenance
    assert provenance is not None  # a conversion always has one
    lines = []
    for network in NETWORK_NAMES:
        source = provenance.sources[network]
        comparison = conversion.comparisons[network]
        origin = "the published file" if source.published else "not the published file"
        lines += [
            f"{network}: {source.file} ({origin}; git blob {source.git_blob})",
            f"  {comparison.inputs} inputs compared: largest difference in probability "
            f"{comparison.largest_difference:.1e} (accepted: {TOLERANCE:.0e}), "
            f"in a sum {comparison.largest_sum_difference:.1e} of it; "
            f"{comparison.decisions} of {comparison.decisions} decisions the same",
            *variant_lines(conversion.manifest.networks[network]),
        ]
    lines += [
        f"Bundle {conversion.manifest.name} {conversion.manifest.version} written to {out}",
        f"Next: rcc-onnx infer STUDY_FOLDER --models {out}",
    ]
    return lines


def variant_lines(entry: NetworkEntry) -> list[str]:
    """Return how the variants of a network compare with the plain one, and which are missing."""
    lines = []
    for name, variant in entry.variants.items():
        found = variant.comparison
        lines.append(
            f"  variant {name} ({variant.note}): {found.inputs} inputs compared with the plain "
            f"network: largest difference {found.largest_difference:.1e}, in a sum "
            f"{found.largest_sum_difference:.1e}, decisions the same"
        )
    lines += [f"  no variant {name}: {reason}" for name, reason in entry.left_out.items()]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends with SystemExit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=_with_default_command(given), prog_name=PROGRAM)
    except RccOnnxError as problem:
        typer.echo(f"error [{problem.code}]: {problem}", err=True)
        raise SystemExit(REFUSED) from None


def _with_default_command(arguments: list[str]) -> list[str]:
    """Put the default command first if the first argument is not a command."""
    commands = {command.name for command in app.registered_commands}
    if not arguments or arguments[0] in commands:
        return arguments
    return [DEFAULT_COMMAND, *arguments]
