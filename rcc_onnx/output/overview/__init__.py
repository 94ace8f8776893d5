"""`OUT/<case>_overview.png`: where in the patient a finding lies (docs/outputs.md)."""

import numpy as np
from PIL import Image, ImageDraw

from rcc_onnx._version import __version__
from rcc_onnx.imaging.images import PatientImages
from rcc_onnx.output.overview.drawing import (
    AMBER,
    GREY_INK,
    INK,
    KIDNEY,
    LESION,
    PAGE,
    cut,
    drawable,
    panel,
    stroke,
    width_of,
    wrapped,
    write,
)
from rcc_onnx.output.overview.reformat import (
    Spot,
    axial_plane,
    coronal_plane,
    sagittal_plane,
    zyx_of,
)
from rcc_onnx.results import SUSPECTED, AnalysedCase, CaseResult, KidneyFinding, LesionFinding
from rcc_onnx.types import (
    KIDNEYS,
    NO_KIDNEY,
    NO_LESION_FOUND,
    PAGE_WORDS,
    PHANTOM,
    RESEARCH_ONLY,
    SIDES,
    Outcome,
    Side,
)

WIDTH = 1920
MARGIN = 28
GAP = 16
AXIAL = 984
"""Width and height of the large axial panel."""
SMALL = (WIDTH - 2 * MARGIN - 2 * GAP - AXIAL) // 2
KIDNEYS_HEIGHT = 800
"""Of the panels where there is no finding, at most."""
KIDNEYS_WORDS = 230
TEXT = 24
"""Size of letters: on a page as wide as A4's short side this is 6 pt."""
ZOOM_MM = 80.0
"""Of a zoom at least; more where the lesion is larger than half of it."""


def overview(result: AnalysedCase) -> Image.Image:
    """Return the overview of a case of the standard profile: RGB, 1920 wide.

    Raises:
        ValueError: findings of the case have no place in the patient.
        PixelsError: a slice cannot be decoded any more.
    """
    patient = result.placed
    found = [side for side in SIDES if result.sides[side].outcome in SUSPECTED]
    rows = [_finding_row(result, patient, side) for side in found]
    if not rows:
        rows = [_kidneys_row(result, patient)]
    parts = [_header(result), *rows, _footer(result)]
    page = Image.new("RGB", (WIDTH, sum(part.height for part in parts)), PAGE)
    top = 0
    for part in parts:
        page.paste(part, (0, top))
        top += part.height
    return page


def _header(result: AnalysedCase) -> Image.Image:
    part = Image.new("RGB", (WIDTH, 124), PAGE)
    made = drawable(made_by(result))
    write(part, (WIDTH - MARGIN, 40), made, 22, GREY_INK, "rm")
    room = WIDTH - 3 * MARGIN - width_of(made, 22)
    write(part, (MARGIN, 40), cut(drawable(result.case), 40, room), 40, anchor="lm", bold=True)
    write(part, (MARGIN, 92), headline(result), 28, INK, "lm")
    return part


def _footer(result: AnalysedCase) -> Image.Image:
    width = WIDTH - 2 * MARGIN
    lines: list[str] = []
    for sentence in page_warnings(result):
        lines += wrapped(drawable(sentence), TEXT, width - 2 * GAP)
    step = 34
    band = len(lines) * step + 20 if lines else 0
    part = Image.new("RGB", (WIDTH, band + 76), PAGE)
    if lines:
        ImageDraw.Draw(part).rectangle((MARGIN, 8, WIDTH - MARGIN, band), AMBER)
    for number, line in enumerate(lines):
        write(part, (MARGIN + GAP, 18 + number * step), line, TEXT)
    write(part, (MARGIN, band + 42), RESEARCH_ONLY, TEXT, anchor="lm", bold=True)
    _legend(part, band + 42)
    return part


def _finding_row(result: AnalysedCase, patient: PatientImages, side: Side) -> Image.Image:
    """Draw the large axial slice; zoom, words, coronal and sagittal cut beside it, two by two."""
    row = Image.new("RGB", (WIDTH, AXIAL + GAP), PAGE)
    spot = _spot(result, patient, side)
    axial = axial_plane(patient, spot)
    small = (SMALL, (AXIAL - GAP) // 2)
    zoom = ZOOM_MM
    if axial.box is not None:
        top, bottom, left, right = axial.box
        mm = ((bottom - top) * axial.mm_yx[0], (right - left) * axial.mm_yx[1])
        zoom = max(2 * max(mm), ZOOM_MM)
    middle, last = MARGIN + AXIAL + GAP, WIDTH - MARGIN - SMALL
    below = small[1] + GAP
    row.paste(panel(axial, (AXIAL, AXIAL), TEXT + 2), (MARGIN, 0))
    row.paste(panel(axial, small, TEXT - 2, zoom), (middle, 0))
    row.paste(_words(result, side, small), (last, 0))
    row.paste(panel(coronal_plane(patient, spot), small, TEXT - 2), (middle, below))
    row.paste(panel(sagittal_plane(patient, spot), small, TEXT - 2), (last, below))
    return row


def _kidneys_row(result: AnalysedCase, patient: PatientImages) -> Image.Image:
    """Draw the axial slice through each kidney that was found and a coronal cut, words below."""
    found = [side for side in SIDES if (patient.labels == KIDNEYS[side]).any()]
    spots = [_spot(result, patient, side) for side in found] or [_middle(patient)]
    axial = {spot.axial: axial_plane(patient, spot) for spot in spots}
    planes = [*axial.values(), coronal_plane(patient, spots[0])]
    width = (WIDTH - 2 * MARGIN - (len(planes) - 1) * GAP) // len(planes)
    height = min(width, KIDNEYS_HEIGHT)
    words_top = height + 84
    row = Image.new("RGB", (WIDTH, words_top + KIDNEYS_WORDS), PAGE)
    for number, plane in enumerate(planes):
        row.paste(panel(plane, (width, height), TEXT), (MARGIN + number * (width + GAP), 0))
    sentence = NO_LESION_FOUND if found else NO_KIDNEY
    write(row, (MARGIN, height + 44), sentence, 34, anchor="lm", bold=True)
    half = (WIDTH - 2 * MARGIN - GAP) // 2
    for number, side in enumerate(SIDES):
        words = _words(result, side, (half, KIDNEYS_WORDS))
        row.paste(words, (MARGIN + number * (half + GAP), words_top))
    return row


def _words(result: AnalysedCase, side: Side, size: tuple[int, int]) -> Image.Image:
    """Write what was found and measured on a side."""
    part = Image.new("RGB", size, PAGE)
    suspected = result.sides[side].outcome in SUSPECTED
    colour = LESION if suspected else KIDNEY
    title = f"{side.capitalize()} side"
    write(part, (0, 18), title, 30, anchor="lm", bold=True)
    ImageDraw.Draw(part).rectangle((0, 42, size[0], 45), colour)
    top = 60
    for line in wrapped(PAGE_WORDS[result.sides[side].outcome], 30, size[0]):
        write(part, (0, top), line, 30, bold=suspected)
        top += 42
    lines = side_lines(result, side)
    # One under the other where the block is high, side by side where it is wide.
    columns = 1 if size[1] > size[0] else 2
    for number, (name, value) in enumerate(lines):
        x = number % columns * size[0] / columns
        y = top + 6 + number // columns * 54
        write(part, (x, y), name, 20, GREY_INK)
        write(part, (x, y + 21), value, 26)
    return part


def _legend(part: Image.Image, middle: float) -> None:
    """Write the meaning of the colours, right-aligned."""
    x = float(WIDTH - MARGIN)
    for name, colour in (("suspected lesion", LESION), ("kidney", KIDNEY)):
        x -= width_of(name, TEXT)
        write(part, (x, middle), name, TEXT, anchor="lm")
        x -= 54
        stroke(part, [(x, middle), (x + 42, middle)], colour, 5)
        x -= 28


def _spot(result: AnalysedCase, patient: PatientImages, side: Side) -> Spot:
    """Return the place of a side's finding, or else of its kidney."""
    lesion = result.sides[side].lesion_measures
    if lesion is not None:
        z, y, x = zyx_of(np.array(lesion.centre_lps_mm), patient.placement).tolist()
        return Spot((z, y, x), lesion.longest_axial_diameter.slice, lesion)
    places = np.argwhere(patient.labels == KIDNEYS[side])
    if not len(places):
        return _middle(patient)
    z, y, x = places.mean(axis=0).tolist()
    placement = patient.placement
    rows, columns = placement.rows, placement.columns
    index = min(max(placement.source_slice(round(z)), 0), len(placement.images) - 1)
    return Spot(
        (
            float(index),
            float(rows.sources[round(y) - rows.first]),
            float(columns.sources[round(x) - columns.first]),
        ),
        index,
    )


def _middle(patient: PatientImages) -> Spot:
    depth, height, width = patient.placement.shape_zyx
    return Spot(((depth - 1) / 2, (height - 1) / 2, (width - 1) / 2), depth // 2)


# --- Captions -------------------------------------------------------------------------------------

TOUCHES = "The lesion's mask reaches the border of what the network saw: it may extend further."


def headline(result: CaseResult) -> str:
    """Return both sides in a line."""
    words = []
    for side in SIDES:
        outcome = result.sides[side].outcome
        limit = " (does not rule out disease)" if outcome is Outcome.NO_LESION else ""
        words.append(f"{side} side: {PAGE_WORDS[outcome]}{limit}")
    line = "; ".join(words)
    return line[0].upper() + line[1:]


def made_by(result: CaseResult) -> str:
    models, provider = result.models, result.provider
    return (
        f"models {models.name} {models.version}, {provider.precision} on {provider.ran}, "
        f"rcc-onnx {__version__}"
    )


def page_warnings(result: CaseResult) -> list[str]:
    """Return what a person must read beside the pictures."""
    flags = [flag.text for flag in result.flags]
    for side in SIDES:
        flags += [f"{side.capitalize()} side: {flag.text}" for flag in result.sides[side].flags]
        measures = result.sides[side].lesion_measures
        if measures and measures.touches_crop_border:
            flags.append(f"{side.capitalize()} side: {TOUCHES}")
    phantom = [PHANTOM] if result.study.kind == "digital-phantom" else []
    return [*phantom, *result.warnings, *flags]


def side_lines(result: CaseResult, side: Side) -> list[tuple[str, str]]:
    """Return names and values of a side, as its text block lists them."""
    finding = result.sides[side]
    lines: list[tuple[str, str]] = []
    lesion = finding.lesion_measures
    if lesion is not None:
        lines += [
            ("longest axial diameter", f"{lesion.longest_axial_diameter.mm:.0f} mm"),
            ("volume", f"{lesion.volume_ml:.1f} ml"),
            ("mean", f"{lesion.mean_hu:.0f} HU"),
        ]
        if lesion.parts > 1:
            lines.append(("parts of the mask", f"{lesion.parts}; measured: the largest"))
    if finding.lesion is not None:
        lines.append(("lesion sum", _sum(finding.lesion, result.thresholds.lesion)))
    if finding.kidney.measures is not None:
        lines.append(("kidney volume", f"{finding.kidney.measures.volume_ml:.0f} ml"))
    lines.append(("kidney sum", _sum(finding.kidney, result.thresholds.kidney)))
    return lines


def _sum(found: KidneyFinding | LesionFinding, threshold: float) -> str:
    near = ", borderline" if found.margin.borderline else ""
    return f"{found.probability_sum:.0f} (threshold {threshold:g}{near})"
