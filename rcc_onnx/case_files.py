"""The files of a case: `OUT/<case>.json`, and whatever `CASE_OUTPUTS` names beside it.

Each is written under a temporary name and renamed, the JSON last.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rcc_onnx.case_json import Json, case_json, picture_name
from rcc_onnx.errors import OutputError
from rcc_onnx.findings import CaseResult, FailedCase
from rcc_onnx.notice import RESEARCH_ONLY
from rcc_onnx.pictures import lesion_picture, picture_notes
from rcc_onnx.saving import Saving
from rcc_onnx.values import SIDES, Outcome, Side


@dataclass(frozen=True)
class CaseOutput:
    """One kind of file that an analysed case may have.

    Attributes:
        name: of the file, from the case's name.
        wanted: whether this result has it.
        write: into a path, whose suffixes are those of the name.
    """

    name: Callable[[str], str]
    wanted: Callable[[CaseResult, Saving], bool]
    write: Callable[[CaseResult, Path], object]


def prepare_output(out: Path) -> None:
    """Make the folder for results, and see that files can be written there, before hours of work.

    Raises:
        OutputError: they cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / ".rcc-onnx", lambda to: to.write_bytes(b""))
        (out / ".rcc-onnx").unlink()
    except OSError as error:
        raise cannot_write(out, error) from error


def write_case(result: CaseResult | FailedCase, out: Path, saving: Saving | None = None) -> Path:
    """Write the files of a case into `out` and give back the JSON's path.

    Files that an earlier run left for this case and that this result does not have are removed, so
    that no old finding stands beside a new answer.

    Raises:
        OutputError: a file cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for output in CASE_OUTPUTS:
            path = out / output.name(result.case)
            if isinstance(result, CaseResult) and output.wanted(result, saving or Saving()):
                write_whole(path, partial(output.write, result))
            else:
                path.unlink(missing_ok=True)
        path = out / f"{result.case}.json"
        data = json_bytes(case_json(result))
        write_whole(path, lambda to: to.write_bytes(data))
    except OSError as error:
        raise cannot_write(out, error) from error
    return path


def files_of_case(case: str, out: Path) -> tuple[str, ...]:
    """The names of the files that `write_case` left for a case, the JSON first."""
    names = [f"{case}.json", *(output.name(case) for output in CASE_OUTPUTS)]
    return tuple(name for name in names if (out / name).exists())


def json_bytes(document: Json) -> bytes:
    """A document as files hold it."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # File names are bytes on Linux, and old ones are not UTF-8: Python holds such a byte as a lone
    # surrogate, which is written as JSON's own escape of it.
    return (text + "\n").encode("utf-8", "backslashreplace")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write under a temporary name in the same folder, then rename: whole or not at all."""
    # Not made from the file's name, which may be as long as names can be; writers go by suffixes.
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    temporary = path.with_name(f".rcc-onnx-{os.getpid()}.part{suffix}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def cannot_write(out: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write results to {out}: {error.strerror or error}; choose another --out"
    )


def _has_lesion(side: Side, result: CaseResult, _: Saving) -> bool:
    return result.sides[side].outcome is Outcome.LESION


def _write_picture(side: Side, result: CaseResult, to: Path) -> None:
    lesion, images = result.sides[side].lesion, result.network_images
    if images is None or lesion is None or lesion.box is None:
        raise AssertionError("a picture of no lesion, or of one whose images were dropped")
    notes = picture_notes(RESEARCH_ONLY, *result.warnings)
    picture = lesion_picture(images.crops[side].values, lesion.box)
    picture.save(to, format="PNG", pnginfo=notes)


CASE_OUTPUTS: tuple[CaseOutput, ...] = tuple(
    CaseOutput(
        partial(picture_name, side=side), partial(_has_lesion, side), partial(_write_picture, side)
    )
    for side in SIDES
)
"""In the order in which they are written."""
