"""Images of a case for the report, made while the case still has them.

`OUT/.report/<case>.json` holds the overview, smaller, and the slices that the networks saw as one
sheet, both WebP in base64, and the masks as runs of pixels.
"""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from rcc_onnx.imaging.images import PatientImages
from rcc_onnx.imaging.placement import PIXEL_MM
from rcc_onnx.output.overview.reformat import windowed
from rcc_onnx.results import AnalysedCase
from rcc_onnx.system.documents import STRICT, DocumentError, read_document, to_json
from rcc_onnx.types import GRID_SIZE, SIDES

CASE_IMAGES = ".report"
"""In the folder of results, with the images of each case."""

OVERVIEW_WIDTH = 1280
OVERVIEW_BYTES = 120_000
SHEET_COLUMNS = 10
SHEET_BYTES = 185_000
"""With the overview and the masks, in base64, a case stays below 450 kB."""
OVERVIEW_QUALITIES = ((80, 0.0), (60, 0.0), (40, 0.0), (25, 0.8), (10, 1.5))
SHEET_QUALITIES = ((60, 0.0), (40, 0.0), (25, 0.7), (10, 1.2), (1, 2.5))
"""WebP's quality, and the radius of a blur that takes noise away: the first that keeps an image
within its bytes is taken."""
SLICES_AT_MOST = 72
KIDNEYS_MARGIN_MM = 60.0
"""Shown before and behind the masks, where not all slices are."""


@dataclass(frozen=True)
class Picture:
    """An image as a data URL, with its size in pixels."""

    src: str
    width: int
    height: int


@dataclass(frozen=True)
class SheetSlice:
    """One slice of a sheet.

    Attributes:
        number: of the slice in the series, from 1.
        z_mm: at the middle of the image.
        runs: of the mask, see `label_runs`.
    """

    number: int
    z_mm: float
    runs: tuple[int, ...]


@dataclass(frozen=True)
class Sheet:
    """Slices side by side in one image, `columns` a row, each `size` pixels of `pixel_mm` wide.

    Attributes:
        stops: title and place in `slices` of places to jump to; the scroller starts at the first.
    """

    picture: Picture
    columns: int
    size: int
    pixel_mm: float
    slices: tuple[SheetSlice, ...]
    stops: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class CaseImages:
    """The images of a case, as their document."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    overview: Picture
    sheet: Sheet
    version: Literal[2] = 2


def case_images_name(case: str) -> str:
    """Return the path of a case's images from the folder of results."""
    return f"{CASE_IMAGES}/{case}.json"


def write_case_images(result: AnalysedCase, overview: Path, to: Path) -> None:
    """Write the images of a placed case from its arrays and its overview's PNG."""
    images = CaseImages(_small_overview(overview), _sheet(result, result.placed))
    to.write_text(json.dumps(to_json(images), separators=(",", ":")), encoding="utf-8")


def read_case_images(path: Path) -> CaseImages | None:
    """Return the images of a case; None if they are missing or of another version."""
    try:
        return read_document(CaseImages, path.read_bytes())
    except (OSError, DocumentError):
        return None


def _small_overview(path: Path) -> Picture:
    with Image.open(path) as whole:
        height = round(whole.height * OVERVIEW_WIDTH / whole.width)
        colours = whole.convert("RGB")
        small = colours.resize((OVERVIEW_WIDTH, height), Image.Resampling.HAMMING)
    return _picture(small, _webp(small, OVERVIEW_QUALITIES, OVERVIEW_BYTES))


def _sheet(result: AnalysedCase, patient: PatientImages) -> Sheet:
    places = _shown_places(patient)
    grey = windowed(patient.hu[places])
    rows = -(-len(places) // SHEET_COLUMNS)
    cells = np.zeros((rows * SHEET_COLUMNS, GRID_SIZE, GRID_SIZE), np.uint8)
    cells[: len(places)] = grey
    side_by_side = cells.reshape(rows, SHEET_COLUMNS, GRID_SIZE, GRID_SIZE).swapaxes(1, 2)
    image = Image.fromarray(side_by_side.reshape(rows * GRID_SIZE, SHEET_COLUMNS * GRID_SIZE))
    return Sheet(
        picture=_picture(image, _webp(image, SHEET_QUALITIES, SHEET_BYTES)),
        columns=SHEET_COLUMNS,
        size=GRID_SIZE,
        pixel_mm=PIXEL_MM,
        slices=tuple(_sheet_slice(patient, int(place)) for place in places),
        stops=_stops(result, patient, places),
    )


def _shown_places(patient: PatientImages) -> NDArray[np.intp]:
    """Return places of the network volume: all that show an image, or those round the masks."""
    placement = patient.placement
    real = np.arange(placement.depth)[placement.real_places]
    masked = np.flatnonzero(patient.labels.any(axis=(1, 2)))
    if real.size <= SLICES_AT_MOST:
        return real
    middle = round(float(masked[0] + masked[-1]) / 2) if masked.size else int(real[real.size // 2])
    reach = SLICES_AT_MOST // 2
    if masked.size:
        margin = round(KIDNEYS_MARGIN_MM / (placement.spacing_zyx_mm[0] * placement.stride))
        reach = min(reach, int(masked[-1] - masked[0]) // 2 + 1 + margin)
    return real[np.abs(real - middle) <= reach]


def _sheet_slice(patient: PatientImages, place: int) -> SheetSlice:
    placement = patient.placement
    index = placement.source_slice(place)
    height, width = placement.shape_yx
    z_mm = placement.to_lps(np.array([index, (height - 1) / 2, (width - 1) / 2]))[2]
    return SheetSlice(index + 1, round(float(z_mm), 1), label_runs(patient.labels[place]))


def label_runs(labels: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return runs of equal labels but 0, row after row: pixels since the last run, length, label.

    A run may go on from the end of one row to the start of the next.
    """
    flat = labels.ravel()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1))
    ends = np.append(starts[1:], flat.size)
    runs: list[int] = []
    last = 0
    for start, end, label in zip(
        starts.tolist(), ends.tolist(), flat[starts].tolist(), strict=True
    ):
        if label:
            runs += [start - last, end - start, label]
            last = end
    return tuple(runs)


def _stops(
    result: AnalysedCase, patient: PatientImages, places: NDArray[np.intp]
) -> tuple[tuple[str, int], ...]:
    """Return findings first, then kidneys, or else the middle."""
    findings: list[tuple[str, int]] = []
    kidneys: list[tuple[str, int]] = []
    for side in SIDES:
        measures = result.sides[side].lesion_measures
        if measures is not None:
            sources = [patient.placement.source_slice(int(place)) for place in places]
            away = np.abs(np.array(sources) - measures.longest_axial_diameter.slice)
            findings.append((f"{side} finding", int(away.argmin())))
        centre = result.sides[side].kidney.centre_zyx
        if centre is not None:
            kidneys.append((f"{side} kidney", int(np.abs(places - centre.z).argmin())))
    return (*findings, *kidneys) or (("middle", len(places) // 2),)


def _webp(image: Image.Image, qualities: Sequence[tuple[int, float]], most: int) -> bytes:
    """Return WebP with the first of the qualities that keeps within the bytes, or the last.

    Method 0 is several times faster than the default, for a fifth more bytes. Sharp chroma keeps
    thin coloured contours whole.
    """
    data = b""
    for quality, blur in qualities:
        into = io.BytesIO()
        softer = image.filter(ImageFilter.GaussianBlur(blur)) if blur else image
        softer.save(into, "WEBP", quality=quality, method=0, use_sharp_yuv=True)
        data = into.getvalue()
        if len(data) <= most:
            break
    return data


def _picture(image: Image.Image, data: bytes) -> Picture:
    encoded = base64.b64encode(data).decode("ascii")
    return Picture(f"data:image/webp;base64,{encoded}", image.width, image.height)
