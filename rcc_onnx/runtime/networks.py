"""The two networks as the pipeline sees them: arrays in, probabilities out."""

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import NetworkError, NetworkOutputError, ProbabilityMapError
from rcc_onnx.types import CROP_SHAPE_ZYX, GRID_SIZE, HALF_WIDTH, SLICE_SHAPE, Side

_Scalar = TypeVar("_Scalar", bound=np.generic)

PROBABILITY_TOLERANCE = 1e-5
"""How far outside 0 to 1 an output may lie: float32 rounding of a sigmoid on some providers. Such a
value is handed on as it is, since clipping would hide what the network computed."""


class Networks(Protocol):
    """Both networks, ready to run. Inputs are grey values divided by 255."""

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of kidney for each pixel of float32 slices (n, 160, 160).

        The output has the same shape and type; no slices give shape (0, 160, 160).

        Raises:
            NetworkError (network-input): the array has another shape or type.
            NetworkError (network-run): the network fails.
            NetworkOutputError: its output is not a probability.
        """
        ...

    def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of a suspected lesion for each voxel of a crop (40, 64, 64).

        The output has the same shape and type. Raises what `kidney_probability` raises.
        """
        ...


def check_slices(slices: NDArray[np.float32]) -> None:
    """Raise NetworkError unless the array is float32 (n, 160, 160)."""
    if slices.dtype != np.float32 or slices.ndim != 3 or slices.shape[1:] != SLICE_SHAPE:
        raise NetworkError(
            f"the kidney network takes float32 (n, 160, 160), not {slices.dtype} {slices.shape}",
            code="network-input",
        )


def check_crop(crop: NDArray[np.float32]) -> None:
    """Raise NetworkError unless the array is float32 (40, 64, 64)."""
    if crop.dtype != np.float32 or crop.shape != CROP_SHAPE_ZYX:
        raise NetworkError(
            f"the lesion network takes float32 {CROP_SHAPE_ZYX}, not {crop.dtype} {crop.shape}",
            code="network-input",
        )


def check_probability(
    output: NDArray[np.float32], shape: tuple[int, ...], network: str
) -> NDArray[np.float32]:
    """Return a network's output.

    Raises:
        NetworkOutputError: it is not float32 probabilities of this shape.
    """
    if output.dtype != np.float32 or output.shape != shape:
        problem = f"{output.dtype} {output.shape} where float32 {shape} was expected"
    elif not np.isfinite(output).all():
        problem = "numbers that are not finite"
    elif output.size and (
        output.min() < -PROBABILITY_TOLERANCE or output.max() > 1 + PROBABILITY_TOLERANCE
    ):
        problem = f"{output.min():.6g} to {output.max():.6g}, which is not a probability"
    else:
        return output
    raise NetworkOutputError(
        f"the {network} network returned {problem}. Check the bundle with `rcc-onnx models "
        "verify`, and try --provider cpu."
    )


def network_input(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return voxels 0 ... 255 as the float32 0 ... 1 that both networks take; same shape.

    Dividing in float32 gives the same 256 numbers as the notebook's division in float64 that is
    rounded to float32 afterwards.
    """
    return values.astype(np.float32) / np.float32(255)


def split_sides(volume: NDArray[_Scalar]) -> dict[Side, NDArray[_Scalar]]:
    """Return views of the halves of a (slices, 160, 160) volume: columns 0-79 right, 80-159 left.

    Raises:
        ProbabilityMapError: the shape is another one.
    """
    if volume.ndim != 3 or volume.shape[1:] != (GRID_SIZE, GRID_SIZE):
        raise ProbabilityMapError(
            f"a volume to split has the shape (slices, {GRID_SIZE}, {GRID_SIZE}), "
            f"not {volume.shape}"
        )
    return {"right": volume[:, :, :HALF_WIDTH], "left": volume[:, :, HALF_WIDTH:]}
