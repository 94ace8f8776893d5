"""One synthetic patient, drawn from a seed: the trunk, organs, bowel, spine, vessels and kidneys.

Kidneys have cortex, medulla, sinus, suspected lesions and simple cysts. Sizes, positions and
Hounsfield units are round figures for adults in the portal venous to nephrographic phase. The
phantoms give the networks a task of the right kind; they are not meant to be realistic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from rcc_onnx.phantom.shapes import Capsule, Ellipsoid, Part, Point, point, rotation
from rcc_onnx.types import SIDES, Side

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
    """Frequencies per kidney (`absent`: per study, one side of the two)."""

    lesion: float = 0.35
    cyst: float = 0.35
    absent: float = 0.10


@dataclass(frozen=True)
class Growth:
    """A lesion or cyst. The diameter is that of a sphere of equal volume."""

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


def draw_kidney(
    rng: np.random.Generator, side: Side, phase: float, prevalence: Prevalence
) -> Kidney:
    sign = -1 if side == "right" else 1
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
    chances = {"lesion": prevalence.lesion, "cyst": prevalence.cyst}
    wanted = [kind for kind, chance in chances.items() if rng.random() < chance]
    growths: list[Growth] = []
    for kind in wanted:
        for _ in range(20):
            growth = _draw_growth(rng, kind, outline, sign, medulla_hu)
            if all(_apart(growth, other) for other in growths):
                growths.append(growth)
                break
    return tuple(growths)


def _apart(first: Growth, second: Growth) -> bool:
    distance = float(np.linalg.norm(np.subtract(first.solid.centre, second.solid.centre)))
    return distance > 0.6 * (first.diameter_mm + second.diameter_mm) + 4


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
    axes = rotation(*rng.uniform(0, 180, size=3))
    solid = Ellipsoid(outline.at(direction, depth), point(semi), axes)
    if kind == "cyst":
        return Growth(kind, solid, diameter, hu=rng.uniform(-2, 18))
    hu = rng.uniform(50, medulla_hu - LEAST_CONTRAST_HU)
    core = None
    if diameter > 20 and rng.random() < 0.4:
        inner = point(float(length) * rng.uniform(0.3, 0.5) for length in semi)
        core = Part(Ellipsoid(solid.centre, inner, solid.axes), hu=rng.uniform(22, 40))
    return Growth(kind, solid, diameter, hu, core)


def kidney_parts(rng: np.random.Generator, kidney: Kidney) -> list[Part]:
    outline, sinus = kidney.outline, kidney.sinus
    label = int(kidney.label)
    parts = [Part(outline, kidney.cortex_hu, label, carve=sinus)]
    for _ in range(rng.integers(9, 14)):
        direction = rng.normal(size=3)
        centre = outline.at(direction, rng.uniform(0.5, 0.66))
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


@dataclass(frozen=True)
class Body:
    """The trunk's cross-section: a rounded rectangle, the same at every height.

    `half_width_mm` and `half_depth_mm` reach the skin; layers below it follow one another inwards.
    """

    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    muscle_mm: float
    roundness: float
    fat_hu: float
    muscle_hu: float
    ribs: bool


def draw_body(rng: np.random.Generator) -> Body:
    half_width = rng.uniform(138, 182)
    return Body(
        half_width_mm=half_width,
        half_depth_mm=half_width * rng.uniform(0.66, 0.76),
        fat_mm=rng.uniform(6, 26),
        muscle_mm=rng.uniform(10, 18),
        roundness=rng.uniform(2.1, 2.7),
        fat_hu=rng.uniform(-115, -90),
        muscle_hu=rng.uniform(48, 70),
        ribs=bool(rng.random() < 0.9),
    )


def organ_parts(rng: np.random.Generator, body: Body) -> list[Part]:
    width = body.half_width_mm - body.fat_mm - body.muscle_mm
    depth = body.half_depth_mm - body.fat_mm - body.muscle_mm

    def jitter(x: float, y: float, z: float, by: float = 6) -> Point:
        return point(rng.normal((x, y, z), by))

    def tilt() -> np.ndarray:
        return rotation(*rng.uniform(-15, 15, size=3))

    liver = Ellipsoid(
        jitter(-0.52 * width, -0.12 * depth, 75),
        (0.6 * width, 0.82 * depth, rng.uniform(62, 84)),
        tilt(),
    )
    spleen = Ellipsoid(
        jitter(0.72 * width, 0.3 * depth, 80), (28, 0.5 * depth, rng.uniform(36, 52)), tilt()
    )
    stomach_at = jitter(0.42 * width, -0.3 * depth, 85, 10)
    parts = [
        Part(Ellipsoid(liver.centre, liver.semi_mm, liver.axes), rng.uniform(95, 128)),
        Part(spleen, rng.uniform(108, 138)),
        Part(Ellipsoid(stomach_at, (40, 32, 45), tilt()), rng.uniform(15, 60)),
        Part(
            Ellipsoid((stomach_at[0], stomach_at[1] - 14, stomach_at[2]), (24, 10, 28)),
            rng.uniform(-950, -700),
        ),
        Part(Ellipsoid(jitter(-30, -0.4 * depth, 25), (14, 14, 26), tilt()), rng.uniform(0, 16)),
        Part(Ellipsoid(jitter(15, -0.2 * depth, 35), (52, 13, 15), tilt()), rng.uniform(75, 110)),
    ]
    for _ in range(4):
        start = jitter(-0.5 * width, -0.1 * depth, 75, 14)
        end = (start[0] + rng.normal(0, 35), start[1] + rng.normal(0, 25), start[2] + 30)
        parts.append(Part(Capsule(start, end, rng.uniform(2, 5)), rng.uniform(140, 175)))
    for x in (-0.5 * width, 0.5 * width):
        lung = Ellipsoid((x, 0.1 * depth, rng.uniform(205, 225)), (0.48 * width, 0.8 * depth, 88))
        parts.append(Part(lung, rng.uniform(-880, -820)))
    return parts + _bowel(rng, width, depth)


def _bowel(rng: np.random.Generator, width: float, depth: float) -> list[Part]:
    parts: list[Part] = []
    places = [
        (rng.uniform(-0.75, 0.75) * width, rng.uniform(-0.8, -0.2) * depth, rng.uniform(-150, 10))
        for _ in range(rng.integers(14, 26))
    ]
    # The colon runs down both flanks, in front of and beside the kidneys.
    for x in (-0.84, 0.84):
        places += [
            (x * width + rng.normal(0, 5), rng.uniform(-0.35, 0.1) * depth, float(z))
            for z in np.arange(-140, 30, 32)
        ]
    for centre in map(point, places):
        semi = point(rng.uniform(9, 19, size=3))
        hu = rng.uniform(150, 320) if rng.random() < 0.1 else rng.uniform(10, 75)
        loop = Ellipsoid(centre, semi, rotation(*rng.uniform(0, 180, size=3)))
        parts.append(Part(loop, rng.uniform(70, 110)))
        parts.append(Part(loop.grown(-2.5), hu))
        if rng.random() < 0.45:
            top = (centre[0], centre[1] - 0.35 * semi[1], centre[2])
            gas = Ellipsoid(top, (semi[0] * 0.55, semi[1] * 0.4, 8.0))
            parts.append(Part(gas, rng.uniform(-950, -600)))
    return parts


def spine_parts(rng: np.random.Generator, body: Body) -> list[Part]:
    y = 0.42 * body.half_depth_mm
    bone, disc = rng.uniform(170, 270), rng.uniform(80, 120)
    parts: list[Part] = []
    for side in (-1, 1):
        for z in (-150.0, -95.0, -40.0, 15.0):
            grow = 1 - (z + 150) / 400
            psoas = Ellipsoid((side * 38 * grow**0.3, y + 4, z), (19 * grow, 20 * grow, 48))
            parts.append(Part(psoas, body.muscle_hu))
        erector = Capsule((side * 34, y + 48, -300), (side * 34, y + 48, 300), 23)
        parts.append(Part(erector, body.muscle_hu))
    parts.append(Part(Capsule((0, y, -300), (0, y, 300), 20), disc))
    first = rng.uniform(-20, 15)
    for z in np.arange(-190 + first, 230, 35.0):
        parts.append(Part(Ellipsoid((0, y, float(z)), (23, 19, 15)), 420))
        parts.append(Part(Ellipsoid((0, y, float(z)), (21, 17, 14)), bone))
        for side in (-1, 1):
            process = Capsule((side * 12, y + 22, z), (side * 42, y + 28, z), 5)
            parts.append(Part(process, 330))
        parts.append(Part(Capsule((0, y + 34, z), (0, y + 62, z - 8), 5), 360))
    parts.append(Part(Capsule((0, y + 25, -300), (0, y + 25, 300), 9), 18))
    return parts


def vessel_parts(rng: np.random.Generator, body: Body, kidneys: Sequence[Kidney]) -> list[Part]:
    y = 0.42 * body.half_depth_mm - 34
    aorta, cava = (12.0, y), (-20.0, y - 2)
    aorta_hu, cava_hu = rng.uniform(150, 260), rng.uniform(110, 180)
    parts = [
        Part(Capsule((*aorta, -300.0), (*aorta, 300.0), rng.uniform(8, 12)), aorta_hu),
        Part(Capsule((*cava, -300.0), (*cava, 300.0), rng.uniform(9, 13)), cava_hu),
    ]
    for kidney in kidneys:
        parts.append(Part(kidney.outline.grown(kidney.fat_mm), body.fat_hu))
    for kidney in kidneys:
        end = kidney.sinus.centre
        for start, hu, radius in ((aorta, aorta_hu, 2.8), (cava, cava_hu, 4.5)):
            at = (*start, end[2] + float(rng.uniform(0, 12)))
            parts.append(Part(Capsule(at, end, radius), hu))
    return parts


@dataclass(frozen=True)
class Anatomy:
    seed: int
    body: Body
    kidneys: tuple[Kidney, ...]
    parts: tuple[Part, ...]
    """In painting order: what comes later covers what came before."""

    def kidney(self, side: Side) -> Kidney | None:
        return next((k for k in self.kidneys if k.side == side), None)


def draw_anatomy(seed: int, prevalence: Prevalence | None = None) -> Anatomy:
    """Return the patient of a seed. The same seed and prevalence give the same patient."""
    prevalence = prevalence or Prevalence()
    rng = np.random.default_rng((seed, 0x52CC))
    body = draw_body(rng)
    absent = rng.choice(SIDES) if rng.random() < prevalence.absent else None
    phase = rng.uniform(0, 1)
    kidneys = tuple(draw_kidney(rng, side, phase, prevalence) for side in SIDES if side != absent)
    parts = [*organ_parts(rng, body), *spine_parts(rng, body), *vessel_parts(rng, body, kidneys)]
    for kidney in kidneys:
        parts += kidney_parts(rng, kidney)
    return Anatomy(seed, body, kidneys, tuple(parts))
