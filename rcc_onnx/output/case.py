"""The files of a case: `OUT/<case>.json`, and whatever `CASE_FILES` names beside it.

Each is written under a temporary name and renamed, the JSON last: that it is there means that all
are.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rcc_onnx.output.document import Case
from rcc_onnx.output.exports import EXPORTS, CaseFile, is_placed
from rcc_onnx.output.html.case_images import CASE_IMAGES, write_case_images
from rcc_onnx.output.overview import overview
from rcc_onnx.output.overview.drawing import indexed
from rcc_onnx.results import AnalysedCase, CaseResult, WrittenFile
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.system.files import size_and_sha256, write_whole
from rcc_onnx.types import RESEARCH_ONLY, SIDES, LesionBox, Outcome, Side

OVERVIEW_COMPRESSION = 3
"""Of the PNG. Pillow's own, 6, saves a tenth of the bytes and takes twice as long."""
OVERVIEW = "_overview.png"
RED = (255, 0, 0)


def write_case_files(result: AnalysedCase | Case, out: Path) -> Case:
    """Write the files of a case into `out` and return its result, without arrays.

    Files that an earlier run left for this case and that this result does not have are removed, so
    that no old finding stands beside a new answer.

    Raises:
        OSError: a file cannot be written.
        ImportError: a package that writes one of them is not installed (`exports.check_exports`).
        IntakeError: the source's header cannot be read any more.
    """
    path = out / f"{result.case}.json"
    # It goes first and comes last.
    path.unlink(missing_ok=True)
    files: list[WrittenFile] = []
    started = time.perf_counter()
    for kind in CASE_FILES:
        file = out / kind.name(result.case)
        if isinstance(result, AnalysedCase) and kind.is_wanted(result):
            file.parent.mkdir(exist_ok=True)
            files.append(_write_hashed(kind, result, file))
        else:
            file.unlink(missing_ok=True)
    if isinstance(result, AnalysedCase):
        saving_s = round(time.perf_counter() - started, 4)
        timings_s = {**result.timings_s, "saving": saving_s}
        result = replace(result, files=tuple(files), timings_s=timings_s).without_images()
    data = document_bytes(result)
    write_whole(path, lambda to: to.write_bytes(data))
    return result


def is_complete(result: CaseResult, out: Path) -> bool:
    """Return whether every file that was written for this result is in `out`."""
    return all((out / file.name).is_file() for file in result.files)


def case_file_names(case: str) -> tuple[str, ...]:
    """Return the names that files of a case may have in the folder of results, the JSON first."""
    return (f"{case}.json", *(kind.name(case) for kind in CASE_FILES))


def lesion_picture(crop: NDArray[np.uint8], box: LesionBox) -> Image.Image:
    """Return the published picture: the box's slice in grey, its four edges in pure red.

    Args:
        crop: uint8 (40, 64, 64), what the lesion network saw.
        box: in voxels of the crop, edges included.

    Returns:
        RGB, 64x64.

    Source: docs/pipeline.md section 3.
    """
    grey = crop[box.slice]
    pixels = np.repeat(grey[:, :, None], 3, axis=2)
    rows, columns = slice(box.top, box.bottom + 1), slice(box.left, box.right + 1)
    for edge in ((box.top, columns), (box.bottom, columns), (rows, box.left), (rows, box.right)):
        pixels[edge] = RED
    return Image.fromarray(pixels)


def _write_hashed(kind: CaseFile, result: AnalysedCase, file: Path) -> WrittenFile:
    """Write one file, and take its hash before anything else can happen to it."""
    found: list[WrittenFile] = []

    def write(to: Path) -> None:
        kind.write(result, to)
        found.append(WrittenFile(kind.name(result.case), *size_and_sha256(to)))

    write_whole(file, write)
    return found[0]


def _png(image: Image.Image, result: CaseResult, to: Path, compression: int = 6) -> None:
    """Write an image with the sentences that must stay with it."""
    notes = PngInfo()
    notes.add_text("Software", "rcc-onnx")
    notes.add_text("Comment", " ".join((RESEARCH_ONLY, *result.warnings)))
    image.save(to, format="PNG", pnginfo=notes, compress_level=compression)


def _lesion_picture(side: Side) -> CaseFile:
    def write(result: AnalysedCase, to: Path) -> None:
        lesion = result.sides[side].lesion
        if lesion is None or lesion.box is None:
            raise AssertionError("a picture of no lesion")
        values = result.network_images.crops[side].values
        _png(lesion_picture(values, lesion.box), result, to)

    return CaseFile(
        f"_{side[0]}.png", write, lambda result: result.sides[side].outcome is Outcome.LESION
    )


def _write_overview(result: AnalysedCase, to: Path) -> None:
    _png(indexed(overview(result)), result, to, OVERVIEW_COMPRESSION)


def _write_case_images(result: AnalysedCase, to: Path) -> None:
    # Written after the overview of this result, which is in the folder above.
    write_case_images(result, to.parent.parent / f"{result.case}{OVERVIEW}", to)


CASE_FILES: tuple[CaseFile, ...] = (
    *(_lesion_picture(side) for side in SIDES),
    CaseFile(OVERVIEW, _write_overview, is_placed),
    CaseFile(".json", _write_case_images, is_placed, folder=f"{CASE_IMAGES}/"),
    *EXPORTS,
)
"""In the order in which they are written."""
