"""The commands `demo` and `phantom`, for people who try the program."""

from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx.cli.infer import run_and_show
from rcc_onnx.cli.logging import set_up_logging
from rcc_onnx.cli.options import Provider, Threads
from rcc_onnx.cli.shared import console, exit_on_error
from rcc_onnx.options import InferenceOptions
from rcc_onnx.types import ProviderName

DEMO_SEED = 9
DEMO_MODELS = "phantom"


def demo(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for the phantom and the results.")
    ] = Path("rcc-onnx-demo"),
    provider: Provider = ProviderName.AUTO,
    threads: Threads = None,
    seed: Annotated[int, typer.Option(min=0, help="Which phantom.")] = DEMO_SEED,
) -> None:
    """Make a small digital phantom and analyse it.

    To see that everything works, and what results look like.

    Example: rcc-onnx demo
    """
    set_up_logging()
    with exit_on_error():
        from rcc_onnx.batch.cases import Case  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.batch.runner import BatchConfig  # noqa: PLC0415
        from rcc_onnx.phantom.study import make_phantom_folder, truth_line  # noqa: PLC0415

        terminal = console()
        study = make_phantom_folder(seed, out)
        terminal.print(f"Digital phantom {seed} written to {study.folder}", markup=False)
        options = InferenceOptions(provider=provider, threads=threads)
        config = BatchConfig(out / "results", options, DEMO_MODELS, overwrite=True)
        code = run_and_show((Case(study.folder.name, study.folder),), config)
        terminal.print(truth_line(study.anatomy), markup=False)
        for kind in ("[rl]", "overview"):
            for picture in sorted((out / "results").glob(f"{study.folder.name}_{kind}.png")):
                terminal.print(f"Look at {picture}", markup=False)
        raise typer.Exit(code)


def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the studies.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first study.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many studies.")] = 1,
) -> None:
    """Write digital phantoms as DICOM, to try things on.

    Each is a study in a folder of its own.

    Example: rcc-onnx phantom studies --count 3
    """
    with exit_on_error():
        from rcc_onnx.phantom.study import make_phantom_folder  # noqa: PLC0415

        for number in range(seed, seed + count):
            print(make_phantom_folder(number, out).folder)
