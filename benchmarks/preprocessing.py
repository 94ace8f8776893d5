"""Milliseconds per slice from file to network volume, stage by stage, beside a plain version.

python -m benchmarks.preprocessing [--slices 80] [--rounds 7] [--json FILE]

The plain version is docs/pipeline.md section 1 in its own order: pydicom's pixel array, HU of every
pixel, SciPy's morphology, Pillow's resizing of the whole windowed slice. Both run in turn, slice by
slice, on phantom studies of 512x512; the results must be equal. One thread; files in the disk's
cache.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks import common
from benchmarks.studies import long_study
from rcc_onnx.dicom import Study, StudySlice, read_study
from rcc_onnx.imaging.body_mask import FOREGROUND_ABOVE, body_mask
from rcc_onnx.imaging.hounsfield import HuImage, gathered
from rcc_onnx.imaging.placement import axis_map, resized_length
from rcc_onnx.phantom.scan import Storage
from rcc_onnx.pipeline.preprocess import network_volume, window
from rcc_onnx.types import GRID_SIZE, Profile

TARGET_MS = 2.0
"""Per slice, from file to network volume, on two cores."""
STAGES = ("read and decode", "mask", "grid and window")

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slices", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    document: dict[str, Any] = {
        "environment": common.environment(),
        "threads": 1,
        "slices": options.slices,
        "rounds": options.rounds,
        "ms_a_slice": {},
    }
    with tempfile.TemporaryDirectory() as name:
        for seed, storage in enumerate(Storage):
            folder = long_study(Path(name), options.slices, seed, storage=storage)
            document["ms_a_slice"][str(storage)] = _measure(folder, options.rounds)
    _show(document)
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _measure(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return medians over the rounds of the mean over the slices."""
    study = read_study(folder, Profile.STANDARD)
    seconds: dict[str, list[list[float]]] = {name: [[], []] for name in (*STAGES, "all three")}
    whole: dict[Profile, list[float]] = {profile: [] for profile in Profile}
    headers = []
    for _ in range(rounds):
        spent = np.array([_both_versions(each) for each in study.needed_slices])
        for version in (0, 1):
            means = spent[:, :, version].mean(axis=0)
            for name, mean in zip(STAGES, means, strict=True):
                seconds[name][version].append(float(mean))
            seconds["all three"][version].append(float(means.sum()))
        for profile, times in whole.items():
            taken, same = _timed(lambda profile=profile: read_study(folder, profile))  # type: ignore[misc]
            if profile is Profile.STANDARD:
                headers.append(taken / len(same.slices))
            times.append(_timed(lambda same=same: network_volume(same))[0] / _needed(same))  # type: ignore[misc]
    found = {
        name: {"plain": _ms(plain), "ours": _ms(ours), "times_faster": _ratio(plain, ours)}
        for name, (plain, ours) in seconds.items()
    }
    for profile, times in whole.items():
        found[f"network volume, {profile}"] = {"ours": _ms(times)}
    found["headers"] = {"ours": _ms(headers)}
    return found


def _needed(study: Study) -> int:
    return len(study.needed_slices)


def _both_versions(study_slice: StudySlice) -> list[tuple[float, float]]:
    """Return the seconds of each stage, plain and ours, in turn."""
    read_plain, plain = _timed(lambda: _plain_read(study_slice.header.source.path))
    read_ours, image = _timed(study_slice.hounsfield)
    _same(plain, image.hu)
    mask_plain, plain_body = _timed(lambda: _plain_mask(plain > FOREGROUND_ABOVE))
    mask_ours, body = _timed(lambda: body_mask(image.above(FOREGROUND_ABOVE)))
    if body is None:
        raise SystemExit("a phantom's slice without a body")
    _same(plain_body, body)
    grid_plain, plain_grey = _timed(lambda: _plain_grid(plain, plain_body, study_slice))
    grid_ours, grey = _timed(lambda: _grid(image, body, study_slice))
    _same(plain_grey, grey)
    return [(read_plain, read_ours), (mask_plain, mask_ours), (grid_plain, grid_ours)]


def _plain_read(path: Path) -> NDArray[np.float64]:
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array
    hu = stored * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    if "PixelPaddingValue" in dataset:
        hu[stored == dataset.PixelPaddingValue] = -1000
    return np.asarray(hu)


def _plain_mask(foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    opened = ndimage.binary_dilation(ndimage.binary_erosion(foreground))
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(opened))
    pieces, _ = ndimage.label(filled, structure=np.ones((3, 3)))
    return np.asarray(pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1)


def _plain_grid(
    hu: NDArray[np.float64], body: NDArray[np.bool_], study_slice: StudySlice
) -> NDArray[np.uint8]:
    grey = Image.fromarray(window(np.where(body, hu, hu.min())))
    rows, columns = _resized(study_slice)
    small = np.asarray(grey.resize((columns, rows), Image.Resampling.NEAREST))
    top, left = (max((size - GRID_SIZE) // 2, 0) for size in small.shape)
    return small[top : top + GRID_SIZE, left : left + GRID_SIZE]


def _grid(image: HuImage, body: NDArray[np.bool_], study_slice: StudySlice) -> NDArray[np.uint8]:
    """Gather the grid as `rcc_onnx.pipeline.preprocess` does."""
    resized = _resized(study_slice)
    rows, columns = (
        axis_map(size, length).sources
        for size, length in zip(study_slice.shape, resized, strict=True)
    )
    shown, inside = image.at(rows, columns), gathered(body, rows, columns)
    return window(np.where(inside, shown, image.lowest()))


def _resized(study_slice: StudySlice) -> tuple[int, int]:
    rows, columns = zip(study_slice.shape, study_slice.spacing_yx_mm, strict=True)
    return resized_length(*rows), resized_length(*columns)


def _same(plain: NDArray[Any], ours: NDArray[Any]) -> None:
    if not np.array_equal(plain, ours):
        raise SystemExit("the two versions differ")


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _ms(seconds: list[float]) -> float:
    return round(median(seconds) * 1000, 3)


def _ratio(plain: list[float], ours: list[float]) -> float:
    return round(median(a / b for a, b in zip(plain, ours, strict=True)), 1)


def _show(document: dict[str, Any]) -> None:
    for storage, rows in document["ms_a_slice"].items():
        print(f"{storage}: ms a slice of {document['slices']}, medians of {document['rounds']}")
        for name, row in rows.items():
            plain = f"{row['plain']:8.2f} plain" if "plain" in row else " " * 14
            ratio = f"{row['times_faster']:6.1f} times" if "plain" in row else ""
            print(f"  {name:28}{plain}{row['ours']:8.2f} ours{ratio}")
    worst = max(
        row["ours"]
        for rows in document["ms_a_slice"].values()
        for name, row in rows.items()
        if name.startswith("network volume")
    )
    print(f"slowest network volume {worst:.2f} ms a slice, target {TARGET_MS:.0f} ms")


if __name__ == "__main__":
    main()
