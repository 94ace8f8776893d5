"""One patient who never lived, drawn from a seed.

The phantoms give the networks a task of the right kind; they are not meant to be realistic. The
model card of the `phantom` bundle says the same.
"""

from dataclasses import dataclass

import numpy as np

from rcc_onnx.phantom.kidney import Kidney, Prevalence, draw_kidney, kidney_parts
from rcc_onnx.phantom.shapes import Part
from rcc_onnx.phantom.surroundings import (
    Body,
    draw_body,
    organ_parts,
    spine_parts,
    vessel_parts,
)
from rcc_onnx.types import SIDES, Side


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
    """The patient of a seed. The same seed and prevalence give the same patient."""
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
