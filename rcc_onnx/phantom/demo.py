"""Phantom studies for people who try the program."""

from pathlib import Path

from rcc_onnx.errors import OutputError
from rcc_onnx.phantom import Anatomy, PhantomStudy, make_study
from rcc_onnx.types import SIDES


def make_phantom_folder(seed: int, out: Path) -> PhantomStudy:
    """Write the phantom of a seed to `out/phantom-<seed>`.

    Raises:
        OutputError: it cannot be written, or something lies there already.
    """
    folder = out / f"phantom-{seed:04d}"
    try:
        return make_study(seed, folder)
    except FileExistsError as error:
        raise OutputError(f"{folder} exists and is not empty; choose another folder") from error
    except OSError as error:
        raise OutputError(
            f"cannot write the phantom to {folder}: {error.strerror or error}; choose another "
            "folder"
        ) from error


def truth_line(anatomy: Anatomy) -> str:
    """What was drawn, in words, to set beside what was found."""
    sides = []
    for side in SIDES:
        kidney = anatomy.kidney(side)
        if kidney is None:
            sides.append(f"{side} kidney absent")
            continue
        growths = [f"a {growth.kind} of {growth.diameter_mm:.0f} mm" for growth in kidney.growths]
        sides.append(f"{side} kidney with {' and '.join(growths) or 'nothing'}")
    return f"What phantom {anatomy.seed} really holds: {'; '.join(sides)}."
