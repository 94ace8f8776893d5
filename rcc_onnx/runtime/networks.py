"""The two networks as the pipeline sees them: arrays in, probabilities out."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import NetworkError, NetworkOutputError, ProbabilityMapError
from rcc_onnx.types import CROP_SHAPE_ZYX, GRID_SIZE, HALF_WIDTH, SLICE_SHAPE, Side

_Scalar = TypeVar("_Scalar", bound=np.generic)

PROBABILITY_TOLERANCE = 1e-5
"""How far outside 0 to 1 an answer may lie: float32 rounding of a sigmoid on some providers. Such a
value is handed on as it is, since clipping would hide what the network said."""


class Networks(Protocol):
    """Both networks, ready to run. Inputs are grey values divided by 255."""

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of kidney for each pixel of slices (n, 160, 160); same shape, float32.

        No slices give an empty answer of shape (0, 160, 160).

        Raises:
            NetworkError (network-input): the array has another shape or type.
            NetworkError (network-run), NetworkOutputError: the network fails, or answers nonsense.
        """
        ...

    def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of a suspected lesion for each voxel of a crop (40, 64, 64); same shape.

        Raises:
            NetworkError (network-input): the array has another shape or type.
            NetworkError (network-run), NetworkOutputError: the network fails, or answers nonsense.
        """
        ...


@dataclass(frozen=True)
class FakeNetworks:
    """Networks without weights, for tests of the stages: bright is kidney, brighter is lesion.

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


def check_slices(slices: NDArray[np.float32]) -> None:
    """Raises NetworkError unless the array is float32 (n, 160, 160)."""
    if slices.dtype != np.float32 or slices.ndim != 3 or slices.shape[1:] != SLICE_SHAPE:
        raise NetworkError(
            f"the kidney network takes float32 (n, 160, 160), not {slices.dtype} {slices.shape}",
            code="network-input",
        )


def check_crop(crop: NDArray[np.float32]) -> None:
    """Raises NetworkError unless the array is float32 (40, 64, 64)."""
    if crop.dtype != np.float32 or crop.shape != CROP_SHAPE_ZYX:
        raise NetworkError(
            f"the lesion network takes float32 {CROP_SHAPE_ZYX}, not {crop.dtype} {crop.shape}",
            code="network-input",
        )


def check_probability(
    answer: NDArray[np.float32], shape: tuple[int, ...], network: str
) -> NDArray[np.float32]:
    """A network's answer, if it is float32 probabilities of `shape`; else NetworkOutputError."""
    if answer.dtype != np.float32 or answer.shape != shape:
        problem = f"answered {answer.dtype} {answer.shape} where float32 {shape} was due"
    elif not np.isfinite(answer).all():
        problem = "answered numbers that are not finite"
    elif answer.size and (
        answer.min() < -PROBABILITY_TOLERANCE or answer.max() > 1 + PROBABILITY_TOLERANCE
    ):
        problem = f"answered {answer.min():.6g} to {answer.max():.6g}, which is no probability"
    else:
        return answer
    raise NetworkOutputError(
        f"the {network} network {problem}. Check the bundle with `rcc-onnx models verify`, and try "
        "--provider cpu."
    )


def network_input(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Voxels 0 ... 255 as the float32 0 ... 1 that both networks take; same shape.

    Dividing in float32 gives the same 256 numbers as the notebook's division in float64 that is
    rounded to float32 afterwards.
    """
    return values.astype(np.float32) / np.float32(255)


def split_sides(volume: NDArray[_Scalar]) -> dict[Side, NDArray[_Scalar]]:
    """Views of the two halves of a (slices, 160, 160) volume: columns 0-79 right, 80-159 left.

    Raises:
        ProbabilityMapError: the shape is another one.
    """
    if volume.ndim != 3 or volume.shape[1:] != (GRID_SIZE, GRID_SIZE):
        raise ProbabilityMapError(
            f"a volume to split has the shape (slices, {GRID_SIZE}, {GRID_SIZE}), "
            f"not {volume.shape}"
        )
    return {"right": volume[:, :, :HALF_WIDTH], "left": volume[:, :, HALF_WIDTH:]}
