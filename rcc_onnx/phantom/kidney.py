"""Kidneys with cortex, medulla, sinus, suspected lesions and simple cysts, drawn at random.

Sizes, places and Hounsfield units are round figures for adults in the portal venous to
nephrographic phase.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from rcc_onnx.phantom.shapes import Ellipsoid, Part, rotation
from rcc_onnx.types import Side

LESION_DIAMETER_MM = (8.0, 40.0)
CYST_DIAMETER_MM = (8.0, 40.0)
LEAST_CONTRAST_HU = 40.0
"""A lesion is at least this much darker than the darkest normal tissue of its kidney."""


class Label(IntEnum):
    """Values of the truth mask."""

    BACKGROUND = 0
    RIGHT_KIDNEY = 1
    LEFT_KIDNEY = 2
    LESION = 3
    CYST = 4


@dataclass(frozen=True)
class Prevalence:
    """How often things occur, per kidney (`absent`: per study, one side of the two)."""

    lesion: float = 0.35
    cyst: float = 0.35
    absent: float = 0.10


@dataclass(frozen=True)
class Growth:
    """A lesion or cyst: where, how large, how bright. Diameter of the sphere of equal volume."""

    kind: str
    solid: Ellipsoid
    diameter_mm: float
    hu: float
    core: Part | None = None


@dataclass(frozen=True)
class Kidney:
    side: Side
    outline: Ellipsoid
    sinus: Ellipsoid
    cortex_hu: float
    medulla_hu: float
    growths: tuple[Growth, ...]
    fat_mm: float

    @property
    def label(self) -> Label:
        return Label.RIGHT_KIDNEY if self.side == "right" else Label.LEFT_KIDNEY

    def growth(self, kind: str) -> Growth | None:
        return next((g for g in self.growths if g.kind == kind), None)


def _sign(side: Side) -> int:
    return -1 if side == "right" else 1


def draw_kidney(
    rng: np.random.Generator, side: Side, phase: float, prevalence: Prevalence
) -> Kidney:
    sign = _sign(side)
    size = rng.uniform(0.88, 1.1)
    outline = Ellipsoid(
        centre=(
            sign * rng.uniform(60, 76),
            rng.uniform(18, 40),
            rng.uniform(-14, 12) - (12 if side == "right" else 0),
        ),
        semi_mm=(
            size * rng.uniform(25, 31),
            size * rng.uniform(24, 30),
            size * rng.uniform(48, 58),
        ),
        # The upper pole leans to the spine and to the back.
        axes=rotation(rng.uniform(-5, 20), sign * rng.uniform(-22, -5), rng.uniform(-25, 25)),
    )
    hilum = outline.at((-sign, 0, 0), rng.uniform(0.55, 0.75))
    a, b, c = outline.semi_mm
    sinus = Ellipsoid(
        hilum,
        (a * rng.uniform(0.45, 0.6), b * rng.uniform(0.3, 0.42), c * rng.uniform(0.3, 0.42)),
        outline.axes,
    )
    cortex = rng.uniform(165, 215)
    medulla = max(cortex - 8 - 45 * phase, 122)
    return Kidney(
        side=side,
        outline=outline,
        sinus=sinus,
        cortex_hu=cortex,
        medulla_hu=medulla,
        growths=_draw_growths(rng, outline, sign, prevalence, medulla),
        fat_mm=rng.uniform(3, 11),
    )


def _draw_growths(
    rng: np.random.Generator,
    outline: Ellipsoid,
    sign: int,
    prevalence: Prevalence,
    medulla_hu: float,
) -> tuple[Growth, ...]:
    wanted = [
        kind
        for kind, chance in (("lesion", prevalence.lesion), ("cyst", prevalence.cyst))
        if rng.random() < chance
    ]
    growths: list[Growth] = []
    for kind in wanted:
        for _ in range(20):
            growth = _draw_growth(rng, kind, outline, sign, medulla_hu)
            if all(_apart(growth, other) for other in growths):
                growths.append(growth)
                break
    return tuple(growths)


def _apart(one: Growth, other: Growth) -> bool:
    distance = float(np.linalg.norm(np.subtract(one.solid.centre, other.solid.centre)))
    return distance > 0.6 * (one.diameter_mm + other.diameter_mm) + 4


def _draw_growth(
    rng: np.random.Generator, kind: str, outline: Ellipsoid, sign: int, medulla_hu: float
) -> Growth:
    diameter = rng.uniform(*(LESION_DIAMETER_MM if kind == "lesion" else CYST_DIAMETER_MM))
    # Anywhere but at the hilum, from half way in to half way out of the kidney.
    direction = rng.normal(size=3)
    if direction[0] * sign < -0.4 * float(np.linalg.norm(direction)):
        direction[0] *= -1
    depth = rng.uniform(0.55, 1.08)
    stretch = rng.uniform(0.88, 1.14, size=2)
    ratios = np.array([stretch[0], stretch[1], 1 / (stretch[0] * stretch[1])])
    semi = ratios * diameter / 2
    solid = Ellipsoid(
        outline.at((direction[0], direction[1], direction[2]), depth),
        (float(semi[0]), float(semi[1]), float(semi[2])),
        rotation(*rng.uniform(0, 180, size=3)),
    )
    if kind == "cyst":
        return Growth(kind, solid, diameter, hu=rng.uniform(-2, 18))
    hu = rng.uniform(50, medulla_hu - LEAST_CONTRAST_HU)
    core = None
    if diameter > 20 and rng.random() < 0.4:
        inner = tuple(float(s) * rng.uniform(0.3, 0.5) for s in semi)
        core = Part(
            Ellipsoid(solid.centre, (inner[0], inner[1], inner[2]), solid.axes),
            hu=rng.uniform(22, 40),
        )
    return Growth(kind, solid, diameter, hu, core)


def kidney_parts(rng: np.random.Generator, kidney: Kidney) -> list[Part]:
    outline, sinus = kidney.outline, kidney.sinus
    label = int(kidney.label)
    parts = [Part(outline, kidney.cortex_hu, label, carve=sinus)]
    for _ in range(rng.integers(9, 14)):
        direction = rng.normal(size=3)
        centre = outline.at((direction[0], direction[1], direction[2]), rng.uniform(0.5, 0.66))
        r = rng.uniform(4.5, 7.5)
        pyramid = Ellipsoid(centre, (r, r, r * 1.2), outline.axes)
        parts.append(Part(pyramid, kidney.medulla_hu, carve=sinus))
    pelvis = Ellipsoid(
        sinus.centre,
        (sinus.semi_mm[0] * 0.6, sinus.semi_mm[1] * 0.45, sinus.semi_mm[2] * 0.6),
        outline.axes,
    )
    parts.append(Part(pelvis, rng.uniform(5, 25)))
    for growth in kidney.growths:
        is_lesion = growth.kind == "lesion"
        parts.append(Part(growth.solid, growth.hu, int(Label.LESION if is_lesion else Label.CYST)))
        if growth.core is not None:
            parts.append(growth.core)
    return parts
