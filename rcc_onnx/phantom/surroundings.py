"""Everything round the kidneys: the trunk, organs, bowel, spine and vessels, drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rcc_onnx.phantom.kidney import Kidney
from rcc_onnx.phantom.shapes import Capsule, Ellipsoid, Part, Point, rotation


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
        moved = rng.normal((x, y, z), by)
        return float(moved[0]), float(moved[1]), float(moved[2])

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
    for place in places:
        centre = (float(place[0]), float(place[1]), float(place[2]))
        semi = rng.uniform(9, 19, size=3)
        hu = rng.uniform(150, 320) if rng.random() < 0.1 else rng.uniform(10, 75)
        loop = Ellipsoid(
            centre,
            (float(semi[0]), float(semi[1]), float(semi[2])),
            rotation(*rng.uniform(0, 180, size=3)),
        )
        parts.append(Part(loop, rng.uniform(70, 110)))
        parts.append(Part(loop.grown(-2.5), hu))
        if rng.random() < 0.45:
            top = (centre[0], centre[1] - 0.35 * float(semi[1]), centre[2])
            gas = Ellipsoid(top, (float(semi[0]) * 0.55, float(semi[1]) * 0.4, 8.0))
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
