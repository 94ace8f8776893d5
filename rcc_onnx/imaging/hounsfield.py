"""Hounsfield units: of one image without a whole array of them, and the check that values are HU.

A slice is asked few things: which pixels are above a limit, and the values of a few thousand of
them. Both are computed from the stored integers, and equal those of the whole array in float64.

The check: a missing or doubled intercept, a wrong sign or an 8-bit export passes every check of
geometry and then gives pictures that a network answers with confidence. So air, fat and soft tissue
must be where HU put them. Shares are taken over all slices that go to the networks, on every fourth
pixel of both axes.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import IntakeError
from rcc_onnx.imaging.body_mask import FOREGROUND_ABOVE, Mask

AIR_HU = -1000.0
"""The value of padding: nothing was measured there, and nothing of the patient is there."""
SAMPLE = 4
"""The check looks at one pixel of so many rows and columns."""
AIR_RANGE_HU = (-1100.0, -800.0)
"""Air is -1000; scanners are off by some tens, and clothes and noise raise it."""
MIN_AIR = 0.0005
"""Share of all pixels: gas in the bowel, where the field of view shows nothing but the body."""
FAT_HU = (-160.0, -30.0)
MIN_FAT = 0.01
"""Share of the body's tissue. Lean patients have several times that."""
SOFT_HU = (-30.0, 300.0)
"""Muscle and organs, with contrast and noise."""
MIN_SOFT = 0.15
"""Share of the body's tissue: the fattest abdomen has twice that."""
DENSE_HU = 600.0
MAX_DENSE = 0.2
"""Share of the body's tissue above it: cortical bone is a few hundredths of a trunk."""
AIR_BY_PADDING_BELOW = -1100.0
"""Padding that no attribute names: nothing real is below air."""
MAX_BELOW_AIR = 0.3
"""Share of a slice without a body: unnamed padding round a circular field of view is 21 %."""
_SEARCHED_BYTES = 4
"""Integers of up to 32 bits are exact in float64, so limits can be searched among them."""


@dataclass(frozen=True)
class HuImage:
    """HU = stored x slope + intercept in float64, where there is no padding, and -1000 where it is.

    Attributes:
        stored: shape (rows, columns); integers, or HU already (float64, slope 1, intercept 0).
        slope: not zero.
        padded: where padding is, of the same shape; None without padding.
    """

    stored: NDArray[Any]
    slope: float
    intercept: float
    padded: Mask | None

    @property
    def hu(self) -> NDArray[np.float64]:
        """HU of all pixels, float64, computed anew."""
        return self._hu(self.stored, self.padded)

    def at(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return `hu` of these rows and columns, shape (rows, columns)."""
        padded = None if self.padded is None else gathered(self.padded, rows, columns)
        return self._hu(gathered(self.stored, rows, columns), padded)

    def every(self, step: int) -> NDArray[np.float64]:
        """Return `hu` of every `step`-th row and column, from the first on."""
        padded = None if self.padded is None else self.padded[::step, ::step]
        return self._hu(self.stored[::step, ::step], padded)

    def above(self, limit: float) -> Mask:
        """Return `hu > limit`."""
        kind, itemsize = self.stored.dtype.kind, self.stored.dtype.itemsize
        if kind not in "iu" or itemsize > _SEARCHED_BYTES or limit < AIR_HU:
            return self.hu > limit
        # Rounding keeps the order of numbers, so HU rise, or fall, with the stored value.
        info = np.iinfo(self.stored.dtype)
        first = _first_beyond(limit, self.slope, self.intercept, int(info.min), int(info.max))
        above: Mask = self.stored >= first if self.slope > 0 else self.stored < first
        if self.padded is not None:
            above &= ~self.padded
        return above

    def lowest(self) -> float:
        """Return the smallest of `hu`; -1000 with padding, though other values may be less."""
        if self.padded is not None:
            return AIR_HU
        end = self.stored.min() if self.slope > 0 else self.stored.max()
        return float(end) * self.slope + self.intercept

    def _hu(self, stored: NDArray[Any], padded: Mask | None) -> NDArray[np.float64]:
        hu = stored.astype(np.float64)
        hu *= self.slope
        hu += self.intercept
        if padded is not None:
            hu[padded] = AIR_HU
        return hu


def gathered(
    image: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[Any]:
    """Return `image[np.ix_(rows, columns)]`, in a third of the time: whole rows first."""
    return image[rows].take(columns, axis=1)


@lru_cache(maxsize=64)
def _first_beyond(limit: float, slope: float, intercept: float, low: int, high: int) -> int:
    """Return the first integer from `low` on whose HU are above the limit (slope above 0), or no
    longer above it (slope below 0); `high + 1` without such an integer."""
    integers = range(low, high + 1)
    if slope > 0:
        return low + bisect_right(integers, limit, key=lambda value: value * slope + intercept)
    return low + bisect_left(integers, -limit, key=lambda value: -(value * slope + intercept))


@dataclass
class HuEvidence:
    """Counts over the slices of a study, to decide whether its values are HU."""

    _pixels: int = 0
    _air: int = 0
    _tissue: int = 0
    _fat: int = 0
    _soft: int = 0
    _dense: int = 0
    _odd_slices: int = 0
    _outside: list[float] = field(default_factory=list)

    def add(self, image: HuImage, body: Mask | None) -> None:
        """Count one slice; `body`: None without a body."""
        few = (slice(None, None, SAMPLE), slice(None, None, SAMPLE))
        values = image.every(SAMPLE)
        real = values >= AIR_BY_PADDING_BELOW
        below = float((~real).mean())
        if image.padded is not None:
            real &= ~image.padded[few]
        self._pixels += int(real.sum())
        self._air += int((real & (values < AIR_RANGE_HU[1])).sum())
        if body is None:
            self._outside += _median(values[real])
            self._odd_slices += below > MAX_BELOW_AIR
            return
        inside = body[few]
        tissue = values[inside & real & (values > FOREGROUND_ABOVE)]
        self._tissue += tissue.size
        self._fat += _between(tissue, FAT_HU)
        self._soft += _between(tissue, SOFT_HU)
        dense = int((tissue > DENSE_HU).sum())
        self._dense += dense
        # Bone without any air: the top of a skull has much bone too, but air round it.
        airless = not (real & (values <= FOREGROUND_ABOVE)).any()
        self._odd_slices += airless and dense > MAX_DENSE * tissue.size
        self._outside += _median(values[~inside & real & (values <= FOREGROUND_ABOVE)])

    def check(self, name: str) -> None:
        """Raise unless the slices, all together, can be HU of a body.

        Raises:
            IntakeError (values-not-hu): with what is not where it should be.
        """
        tissue = max(self._tissue, 1)
        outside = float(np.median(self._outside)) if self._outside else None
        wrong = {
            "there is no body": self._tissue == 0,
            "there is no air": self._air < MIN_AIR * max(self._pixels, 1),
            f"what surrounds the body is at {outside or 0:.0f}, not near -1000": (
                outside is not None and not AIR_RANGE_HU[0] <= outside <= AIR_RANGE_HU[1]
            ),
            "there is no fat": self._fat < MIN_FAT * tissue,
            "there is hardly any soft tissue": self._soft < MIN_SOFT * tissue,
            f"{self._dense / tissue:.0%} of the body would be bone": (
                self._dense > MAX_DENSE * tissue
            ),
        }
        problems = [problem for problem, applies in wrong.items() if applies]
        if self._odd_slices and not problems:
            # A few slices with another intercept, which the others hide in sums over all.
            have = "1 slice has" if self._odd_slices == 1 else f"{self._odd_slices} slices have"
            problems = [f"{have} other values than the rest"]
        if problems:
            raise IntakeError(
                f"{name}: the values are not Hounsfield units of a body: {'; '.join(problems)}; "
                "export the series again from its source, with its rescale attributes",
                code="values-not-hu",
            )


def _between(values: NDArray[np.float64], limits: tuple[float, float]) -> int:
    return int(((values >= limits[0]) & (values <= limits[1])).sum())


def _median(values: NDArray[np.float64]) -> list[float]:
    return [float(np.median(values))] if values.size else []
