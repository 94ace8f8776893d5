"""Masks and probabilities as NIfTI-1, slice by slice, so that no series is held in memory.

Arrays are indexed [column, row, slice] with the numbers of the JSON: columns and rows of the file's
image, slices of the series from the head. The affine leads to RAS, in mm.
"""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from rcc_onnx._version import __version__
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.output.exports.file_geometry import file_affine_lps, file_shape
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import NetworkName

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
COMPRESSION = 1
"""Masks come out as small as with more, and probabilities are written in half the time."""
PROBABILITY_STEPS = 4096
"""Probabilities are rounded to parts of this, 0.00024: finer than any of them means, and the files
are a twentieth as large."""
SCANNER = 1
"""NIfTI's code for coordinates in the frame of the scanner."""
NOT_FOR_DIAGNOSIS = "research only, not for diagnosis"


def write_mask(result: AnalysedCase, to: Path) -> None:
    """Write labels: uint8, 1 right kidney, 2 left kidney, 3 suspected lesion, 0 elsewhere."""
    patient = result.placed
    _write(to, patient.placement, np.dtype(np.uint8), "mask", patient.label_slice)


def write_probability(network: NetworkName, result: AnalysedCase, to: Path) -> None:
    """Write a network's answer: float32, linear between its voxels, 0 beyond what it looked at."""
    images = result.network_images
    volume = images.kidney_probability if network == "kidney" else images.lesion_probability()
    placement = result.placed.placement
    steps = np.float32(PROBABILITY_STEPS)

    def rounded(index: int) -> NDArray[np.float32]:
        probability: NDArray[np.float32] = np.rint(placement.resample_slice(volume, index) * steps)
        return probability / steps

    _write(to, placement, np.dtype(np.float32), f"{network} probability", rounded)


def _write(
    to: Path,
    placement: Placement,
    dtype: np.dtype[Any],
    description: str,
    canonical_slice: Callable[[int], NDArray[Any]],
) -> None:
    rows, columns = file_shape(placement)
    header = Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape((columns, rows, len(placement.images)))
    affine = LPS_TO_RAS @ file_affine_lps(placement)
    header.set_qform(affine, SCANNER)
    header.set_sform(affine, SCANNER)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    header["descrip"] = f"rcc-onnx {__version__} {description}, {NOT_FOR_DIAGNOSIS}".encode()[:79]
    if dtype == np.uint8:
        header.set_intent("label", name="research only")
        header["cal_max"] = 3
    with to.open("wb") as file, gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as packed:
        header.write_to(packed)
        little = dtype.newbyteorder("<")
        for index in range(len(placement.images)):
            # In the order of the file's rows: columns vary fastest, as NIfTI's first axis does.
            stored = placement.reorientation.undo(canonical_slice(index))
            packed.write(np.ascontiguousarray(stored, little).tobytes())
