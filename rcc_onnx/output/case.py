"""The files of a case: `OUT/<case>.json`, and whatever `CASE_OUTPUTS` names beside it.

Each is written under a temporary name and renamed, the JSON last.
"""

import errno
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rcc_onnx.errors import OutputError
from rcc_onnx.options import Saving
from rcc_onnx.output import exports
from rcc_onnx.output.checksums import size_and_sha256
from rcc_onnx.output.document import Json, case_json, overview_name, picture_name
from rcc_onnx.output.html import fragment_name, write_fragment
from rcc_onnx.output.overview import indexed, overview
from rcc_onnx.results import CaseResult, FailedCase, WrittenFile
from rcc_onnx.types import RESEARCH_ONLY, SIDES, LesionBox, Outcome, Side

# The published picture: a slice of the crop with the box in red (docs/pipeline.md section 3).

RED = (255, 0, 0)


def lesion_picture(crop: NDArray[np.uint8], box: LesionBox) -> Image.Image:
    """RGB, 64x64: the box's slice in grey, its four edges (corners included) in pure red.

    Args:
        crop: uint8 (40, 64, 64), what the lesion network saw.
        box: in voxels of the crop, edges included.
    """
    grey = crop[box.slice]
    pixels = np.repeat(grey[:, :, None], 3, axis=2)
    rows, columns = slice(box.top, box.bottom + 1), slice(box.left, box.right + 1)
    for edge in ((box.top, columns), (box.bottom, columns), (rows, box.left), (rows, box.right)):
        pixels[edge] = RED
    return Image.fromarray(pixels)


def picture_notes(*sentences: str) -> PngInfo:
    """What travels inside the PNG beside its pixels: who made it and what it is not."""
    notes = PngInfo()
    notes.add_text("Software", "rcc-onnx")
    notes.add_text("Comment", " ".join(sentences))
    return notes


_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""What some network shares say, which know no such thing."""
OVERVIEW_COMPRESSION = 3
"""Of the PNG. Pillow's own, 6, saves a tenth of the bytes and takes twice as long."""


@dataclass(frozen=True)
class CaseOutput:
    """One kind of file that an analysed case may have.

    Attributes:
        name: of the file, or its path from the folder of results, from the case's name.
        wanted: whether this result has it.
        write: into a path, whose suffixes are those of the name.
    """

    name: Callable[[str], str]
    wanted: Callable[[CaseResult, Saving], bool]
    write: Callable[[CaseResult, Saving, Path], object]


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
        ImportError: a package that writes one of them is not installed (`exports.check_saving`).
        IntakeError: the source's header cannot be read any more.
    """
    saving = saving or Saving()
    try:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{result.case}.json"
        # That it is there means that all are: it goes first and comes last.
        path.unlink(missing_ok=True)
        files: list[WrittenFile] = []
        started = time.perf_counter()
        for output in CASE_OUTPUTS:
            file = out / output.name(result.case)
            if isinstance(result, CaseResult) and output.wanted(result, saving):
                file.parent.mkdir(exist_ok=True)
                files.append(_write_hashed(output, result, saving, file))
            else:
                file.unlink(missing_ok=True)
        if isinstance(result, CaseResult):
            asked = result.asked and replace(result.asked, save=saving.names)
            spent = {"saving": time.perf_counter() - started}
            result = replace(
                result, asked=asked, files=tuple(files), timings_s={**result.timings_s, **spent}
            )
        data = json_bytes(case_json(result))
        write_whole(path, lambda to: to.write_bytes(data))
    except OSError as error:
        raise cannot_write(out, error) from error
    return path


def _write_hashed(
    output: CaseOutput, result: CaseResult, saving: Saving, file: Path
) -> WrittenFile:
    """Write one file, and take its hash before anything else can happen to it."""
    found: list[WrittenFile] = []

    def write(to: Path) -> None:
        output.write(result, saving, to)
        found.append(WrittenFile(output.name(result.case), *size_and_sha256(to)))

    write_whole(file, write)
    return found[0]


def is_complete(result: CaseResult, out: Path, saving: Saving) -> bool:
    """Whether every file that this result has lies in `out`."""
    wanted = [output for output in CASE_OUTPUTS if output.wanted(result, saving)]
    names = [f"{result.case}.json", *(output.name(result.case) for output in wanted)]
    return all((out / name).is_file() for name in names)


def case_output_names(case: str) -> tuple[str, ...]:
    """The names that files of a case may have beside the JSON's, from the folder of results."""
    return tuple(output.name(case) for output in CASE_OUTPUTS)


def files_of_case(case: str, out: Path) -> tuple[str, ...]:
    """The names of the files that `write_case` left for a case, the JSON first."""
    names = [f"{case}.json", *case_output_names(case)]
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
        _to_disk(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Put the bytes on the disk before the name: a power cut must leave no name without them."""
    # Windows wants a descriptor that may write.
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def cannot_write(out: Path, error: OSError) -> OutputError:
    mend = "make room, and start again" if error.errno in _FULL else "choose another --out"
    return OutputError(f"cannot write results to {out}: {error.strerror or error}; {mend}")


def _has_lesion(side: Side, result: CaseResult, _: Saving) -> bool:
    return result.sides[side].outcome is Outcome.LESION


def _write_picture(side: Side, result: CaseResult, _: Saving, to: Path) -> None:
    lesion, images = result.sides[side].lesion, result.network_images
    if images is None or lesion is None or lesion.box is None:
        raise AssertionError("a picture of no lesion, or of one whose images were dropped")
    notes = picture_notes(RESEARCH_ONLY, *result.warnings)
    picture = lesion_picture(images.crops[side].values, lesion.box)
    picture.save(to, format="PNG", pnginfo=notes)


def _is_placed(result: CaseResult, _: Saving) -> bool:
    # A result that was read back has no arrays; it had these if it was measured.
    read_back = result.network_images is None and result.measures is not None
    return result.patient_images is not None or read_back


def _write_overview(result: CaseResult, _: Saving, to: Path) -> None:
    notes = picture_notes(RESEARCH_ONLY, *result.warnings)
    page = indexed(overview(result))
    page.save(to, format="PNG", pnginfo=notes, compress_level=OVERVIEW_COMPRESSION)


def _write_fragment(result: CaseResult, _: Saving, to: Path) -> None:
    # Written after the overview of this result, which lies in the folder above.
    write_fragment(result, to.parent.parent / overview_name(result.case), to)


def _export(
    name: Callable[[str], str],
    asked: Callable[[Saving], bool],
    write: Callable[[CaseResult, Path], object],
    there: Callable[[CaseResult], bool] = lambda _: True,
) -> CaseOutput:
    """A file that is written if it was asked for and the result has it."""
    return CaseOutput(
        name,
        lambda result, saving: asked(saving) and there(result),
        lambda result, _, to: write(result, to),
    )


CASE_OUTPUTS: tuple[CaseOutput, ...] = (
    *(
        CaseOutput(
            partial(picture_name, side=side),
            partial(_has_lesion, side),
            partial(_write_picture, side),
        )
        for side in SIDES
    ),
    CaseOutput(overview_name, _is_placed, _write_overview),
    CaseOutput(fragment_name, _is_placed, _write_fragment),
    _export(exports.mask_name, lambda saving: saving.nifti, exports.write_mask),
    _export(
        exports.kidney_probability_name,
        lambda saving: saving.probabilities,
        exports.write_kidney_probability,
    ),
    _export(
        exports.lesion_probability_name,
        lambda saving: saving.probabilities,
        exports.write_lesion_probability,
        exports.has_lesion_probability,
    ),
    _export(exports.seg_name, lambda saving: saving.seg, exports.write_seg, exports.has_segments),
    CaseOutput(
        exports.sr_name,
        lambda _, saving: saving.sr,
        lambda result, saving, to: exports.write_sr(result, to, with_seg=saving.seg),
    ),
)
"""In the order in which they are written."""
