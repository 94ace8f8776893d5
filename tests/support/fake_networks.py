"""Networks for tests of the stages, so that these use arrays and not weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.runtime.networks import check_crop, check_slices


@dataclass(frozen=True)
class FakeNetworks:
    """Networks without weights: bright is kidney, brighter is lesion.

    A pixel's probability is 1 where its value is at least the level, else 0.
    """

    kidney_level: float = 0.5
    lesion_level: float = 0.75

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        check_slices(slices)
        return (slices >= self.kidney_level).astype(np.float32)

    def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        check_crop(crop)
        return (crop >= self.lesion_level).astype(np.float32)
