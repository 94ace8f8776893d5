"""Another engine in a process of its own, for the benchmarks.

Started as `python -m benchmarks.engine_worker ENGINE FOLDER THREADS`. ENGINE is `notebook` (Keras,
one slice a call), `keras-batched` or `openvino`; FOLDER is what `benchmarks.measuring_networks`
wrote. Speaks as `rcc_onnx.diagnostics.bench_worker` does.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks.other_engines import BatchedNetworks, NotebookNetworks, OpenVinoNetworks
from rcc_onnx.diagnostics.bench_worker import Answer, Json, serve
from rcc_onnx.runtime.networks import Networks
from rcc_onnx.system.memory import memory_bytes, peak_memory_bytes
from rcc_onnx.types import SIDES, Thresholds

ENGINES: dict[str, tuple[Callable[[Path, int], Networks], str]] = {
    "notebook": (NotebookNetworks, "tensorflow"),
    "keras-batched": (BatchedNetworks, "tensorflow"),
    "openvino": (OpenVinoNetworks, "openvino"),
}
THRESHOLDS = Thresholds()

Found = tuple[dict[str, str], dict[str, list[float | None]], dict[str, float], int]
"""Outcomes, sums, seconds by stage, slices."""


def start(engine: str, folder: Path, threads: int) -> Callable[[str], Json]:
    """The engine, loaded: from the path of a study to an `Answer` as JSON."""
    networks_of, package = ENGINES[engine]
    networks = networks_of(folder, threads)
    way = through_pipeline if engine == "openvino" else as_notebook
    version = metadata.version(package)

    def analyse(study: str) -> Json:
        started = time.perf_counter()
        outcomes, sums, stages, slices = way(Path(study), networks)
        seconds = time.perf_counter() - started
        answer = Answer(
            seconds=seconds,
            stages_s=stages | {"total": seconds},
            loading_s=0.0,
            slices=slices,
            outcomes=outcomes,
            sums=sums,
            ran=engine,
            reason="",
            runtime=version,
            threads=threads,
            bundle=str(folder.name),
            variants={},
            memory_bytes=memory_bytes(),
            peak_memory_bytes=peak_memory_bytes(),
        )
        return asdict(answer)

    return analyse


def through_pipeline(study: Path, networks: Networks) -> Found:
    """This engine's pipeline with other networks in it."""
    from rcc_onnx.dicom import read_study  # noqa: PLC0415  loaded only where it is measured
    from rcc_onnx.pipeline import analyse_study  # noqa: PLC0415
    from rcc_onnx.pipeline.timing import Stopwatch  # noqa: PLC0415
    from rcc_onnx.types import Profile  # noqa: PLC0415

    watch = Stopwatch()
    with watch.stage("reading_headers"):
        read = read_study(study, Profile.STANDARD)
    sides = analyse_study(read, networks, THRESHOLDS, watch).sides
    outcomes = {str(side): str(one.outcome) for side, one in sides.items()}
    sums = {
        str(side): [
            one.kidney.probability_sum,
            one.lesion.probability_sum if one.lesion else None,
        ]
        for side, one in sides.items()
    }
    return outcomes, sums, dict(watch.seconds()), len(read.needed_slices)


def as_notebook(study: Path, networks: Networks) -> Found:
    """The notebook's steps in plain code, with the given networks."""
    from benchmarks.plain_notebook import notebook_volume  # noqa: PLC0415
    from rcc_onnx.pipeline.localization import (  # noqa: PLC0415
        bound_lesion,
        crop_around,
        locate_kidney,
    )
    from rcc_onnx.runtime.networks import split_sides  # noqa: PLC0415

    clock = [time.perf_counter()]
    volume = notebook_volume(study)
    clock.append(time.perf_counter())
    probability = networks.kidney_probability(volume.astype(np.float32) / np.float32(255))
    clock.append(time.perf_counter())
    halves, kidneys = split_sides(volume), split_sides(probability.astype(np.float64))
    outcomes: dict[str, str] = {}
    sums: dict[str, list[float | None]] = {}
    lesion_seconds = 0.0
    for side in SIDES:
        kidney_sum = float(kidneys[side].sum())
        centre = locate_kidney(kidneys[side]) if kidney_sum > THRESHOLDS.kidney else None
        sums[side] = [kidney_sum, None]
        if centre is None:
            found = kidney_sum > THRESHOLDS.kidney
            outcomes[side] = "kidney_not_located" if found else "kidney_not_found"
            continue
        crop = crop_around(halves[side], centre)
        started = time.perf_counter()
        lesion = networks.lesion_probability(crop.astype(np.float32) / np.float32(255))
        lesion_seconds += time.perf_counter() - started
        sums[side][1] = float(lesion.sum())
        if not lesion.sum() > THRESHOLDS.lesion:
            outcomes[side] = "no_lesion"
        else:
            outcomes[side] = "lesion" if bound_lesion(lesion) else "lesion_not_located"
    stages = {
        "preprocessing": clock[1] - clock[0],
        "kidney_network": clock[2] - clock[1],
        "lesion_network": lesion_seconds,
    }
    return outcomes, sums, stages, len(volume)


def main() -> None:
    engine, folder, threads = sys.argv[1:]
    serve(partial(start, engine, Path(folder), int(threads)))


if __name__ == "__main__":
    main()
