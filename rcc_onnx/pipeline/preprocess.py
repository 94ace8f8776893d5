"""From the slices of a study to the volume the networks see (docs/pipeline.md section 1)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom import ImagesHash, PixelObserver, Study, StudySlice
from rcc_onnx.errors import IntakeError
from rcc_onnx.imaging.body_mask import FOREGROUND_ABOVE, Mask, body_mask
from rcc_onnx.imaging.hounsfield import HuEvidence, gathered
from rcc_onnx.imaging.placement import AxisMap, axis_map, resized_length
from rcc_onnx.types import GRID_SIZE, MIN_SLICES, Edge, NetworkVolume, Profile

WINDOW_LOW_HU = -160
WINDOW_HIGH_HU = 240
WINDOW_STEPS = 255
BEYOND_MM = 20.0
"""How far the body may reach over the grid's edge without a flag: skin and the fat below it.
Every second adult is wider than 320 mm, and a flag on every study is not read."""
NOTEBOOK_MATRIX = 512
"""Rows and columns that the notebook takes every image to have."""


def network_volume(study: Study) -> NetworkVolume:
    """Return the volume of a study for the networks, decoding the needed slices one by one.

    Raises:
        PixelsError: a slice cannot be decoded.
        IntakeError (values-not-hu): standard profile: the values cannot be Hounsfield units.
        IntakeError (notebook-stops): in the notebook profile, a slice without foreground.
    """
    reading = VolumeReading(study)
    for _ in reading.parts(len(reading.values)):
        pass
    return reading.volume()


class VolumeReading:
    """A network volume that fills up, so that the networks can start before all of it is read.

    Attributes:
        values: as in `NetworkVolume`; blank where nothing was read yet.
        hu: float32 of the same shape: HU of the pixels shown, not masked; NaN where there is no
            image, and everywhere in the notebook profile.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._needed = study.needed_slices
        self._padding_before = max(MIN_SLICES - len(self._needed), 0) // 2
        self._evidence, self._beyond = HuEvidence(), set[Edge]()
        self._images, self._is_read = ImagesHash(), False
        depth = max(len(self._needed), MIN_SLICES)
        self.values = np.zeros((depth, GRID_SIZE, GRID_SIZE), dtype=np.uint8)
        self.hu = np.full(self.values.shape, np.nan, dtype=np.float32)

    def parts(self, size: int) -> Iterator[slice]:
        """Read, and yield the places that are done after each `size` slices. To be used once.

        Raises:
            PixelsError, IntakeError (values-not-hu, notebook-stops): as `network_volume`.
        """
        depth = len(self.values)
        for start in range(0, depth, size):
            part = slice(start, min(start + size, depth))
            for place in range(part.start, part.stop):
                index = place - self._padding_before
                if 0 <= index < len(self._needed):
                    self._read(place, self._needed[index])
            yield part
        if self._study.profile is not Profile.NOTEBOOK:
            self._evidence.check(self._study.folder.name)
        self._is_read = True

    def volume(self) -> NetworkVolume:
        """Return the volume, once `parts` has come to its end."""
        if not self._is_read:
            raise AssertionError("the volume was not read to its end")
        return NetworkVolume(
            self.values, self._padding_before, len(self._needed), frozenset(self._beyond)
        )

    @property
    def images_sha256(self) -> str:
        """Hash over the images that were read; to be taken after `volume`."""
        return self._images.hexdigest()

    def _read(self, place: int, source: StudySlice) -> None:
        notebook, seen = self._study.profile is Profile.NOTEBOOK, self._images.add
        rows, columns = axis_maps(source, self._study.profile)
        shown = (place, rows.places, columns.places)
        body: Mask | None
        if notebook:
            self.values[shown], body = _notebook_slice(source, rows, columns, seen)
        else:
            self.hu[shown], self.values[shown], body = _standard_slice(
                source, rows, columns, self._evidence, seen
            )
        # Where the notebook's mask is made of values that are not HU, it shows no body.
        if body is not None and not (notebook and (source.slope, source.intercept) != (1, 0)):
            self._beyond |= _edges_beyond(body, source, rows, columns)


def window(hu: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return grey values of HU: up to -160 is 0, from 240 on 255; halves go to the even number."""
    clipped = np.clip(hu, WINDOW_LOW_HU, WINDOW_HIGH_HU)
    scaled = (clipped - WINDOW_LOW_HU) * WINDOW_STEPS / (WINDOW_HIGH_HU - WINDOW_LOW_HU)
    return np.round(scaled).astype(np.uint8)


def axis_maps(source: StudySlice, profile: Profile) -> tuple[AxisMap, AxisMap]:
    """Return the places of the slice's rows and columns on the grid."""
    if profile is Profile.NOTEBOOK:
        # Right for 512 x 512 and square pixels only; the notebook asks for neither.
        length = resized_length(NOTEBOOK_MATRIX, source.spacing_yx_mm[0])
        lengths = (length, length)
    else:
        rows, columns = zip(source.shape, source.spacing_yx_mm, strict=True)
        lengths = (resized_length(*rows), resized_length(*columns))
    if min(lengths) < 1:
        raise IntakeError(
            f"{source.header.file_name}: the image is less than one pixel of 2 mm wide or high; "
            "check its matrix and PixelSpacing",
            code="spacing-out-of-range",
        )
    return axis_map(source.shape[0], lengths[0]), axis_map(source.shape[1], lengths[1])


def _standard_slice(
    source: StudySlice, rows: AxisMap, columns: AxisMap, evidence: HuEvidence, seen: PixelObserver
) -> tuple[NDArray[np.float64], NDArray[np.uint8], Mask | None]:
    """Return HU, grey values with the body masked in HU, and the body.

    A slice without a body is blank, which is 0, whatever its HU.
    """
    image = source.hounsfield(seen)
    body = body_mask(image.above(FOREGROUND_ABOVE))
    evidence.add(image, body)
    # The few pixels that the grid shows are gathered first: same numbers, a tenth of the work.
    shown = image.at(rows.sources, columns.sources)
    if body is None:
        return shown, np.zeros(shown.shape, dtype=np.uint8), None
    inside = gathered(body, rows.sources, columns.sources)
    # Padding is below the window, whatever else is lower.
    return shown, window(np.where(inside, shown, image.lowest())), body


def _notebook_slice(
    source: StudySlice, rows: AxisMap, columns: AxisMap, seen: PixelObserver
) -> tuple[NDArray[np.uint8], Mask]:
    """Return grey values with the body masked in stored values, whatever they mean in HU."""
    stored = source.stored_values(seen)
    body = body_mask(stored > FOREGROUND_ABOVE)
    if body is None:
        raise IntakeError(
            f"{source.header.file_name}: no foreground in this slice, where the published notebook "
            "ends with an error; the standard profile takes such a slice as blank",
            code="notebook-stops",
        )
    shown = gathered(stored, rows.sources, columns.sources)
    inside = gathered(body, rows.sources, columns.sources)
    return window(source.rescale(np.where(inside, shown, stored.min()))), body


def _edges_beyond(body: Mask, source: StudySlice, rows: AxisMap, columns: AxisMap) -> set[Edge]:
    """Return the edges of the grid that the body goes beyond by more than `BEYOND_MM`."""
    spare_rows, spare_columns = (round(BEYOND_MM / mm) for mm in source.spacing_yx_mm)
    edges: dict[Edge, Mask] = {
        "right": body[:, : max(int(columns.sources[0]) - spare_columns, 0)],
        "left": body[:, int(columns.sources[-1]) + 1 + spare_columns :],
        "front": body[: max(int(rows.sources[0]) - spare_rows, 0)],
        "back": body[int(rows.sources[-1]) + 1 + spare_rows :],
    }
    return {edge for edge, outside in edges.items() if outside.any()}
