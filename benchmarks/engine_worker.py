"""Engines for `benchmarks.engines`, each loaded in a process of its own."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks.common import missing_packages_named
from benchmarks.other_engines import BatchedNetworks, NotebookNetworks, OpenVinoNetworks
from rcc_onnx.batch.worker_pool import Handler
from rcc_onnx.diagnostics.bench import BenchSetup, load_engine
from rcc_onnx.runtime.networks import Networks
from rcc_onnx.system.memory import peak_memory_bytes
from rcc_onnx.types import SIDES, Thresholds

ENGINES: dict[str, tuple[Callable[[Path, int], Networks], str]] = {
    "notebook": (NotebookNetworks, "tensorflow"),
    "keras-batched": (BatchedNetworks, "tensorflow"),
    "openvino": (OpenVinoNetworks, "openvino"),
}
THRESHOLDS = Thresholds()

Found = tuple[dict[str, str], dict[str, float], int]
"""Outcomes, seconds by stage, slices."""


@dataclass(frozen=True)
class EngineTiming:
    """One analysis of a study; `runtime`: version of what ran the networks."""

    seconds: float
    stages_s: Mapping[str, float]
    slices: int
    outcomes: Mapping[str, str]
    runtime: str
    peak_memory_bytes: int | None


def load_ours(setup: BenchSetup) -> Handler[Path, EngineTiming]:
    """This engine, loaded: what analyses studies."""
    analyse = load_engine(setup)

    def timed(study: Path, on_progress: Callable[[str, float], None]) -> EngineTiming:
        found = analyse(study, on_progress)
        return EngineTiming(
            found.seconds,
            found.stages_s,
            found.slices,
            {side: str(outcome) for side, outcome in found.outcomes.items()},
            found.provider.onnxruntime,
            found.peak_memory_bytes,
        )

    return timed


def load_other_engine(engine: str, folder: Path, threads: int) -> Handler[Path, EngineTiming]:
    """Another engine, loaded: what analyses studies.

    Args:
        engine: `notebook` (Keras, one slice a call), `keras-batched` or `openvino`.
        folder: what `benchmarks.measuring_networks` wrote.
        threads: of the CPU.
    """
    networks_of, package = ENGINES[engine]
    with missing_packages_named():
        networks = networks_of(folder, threads)
    way = through_pipeline if engine == "openvino" else as_notebook
    version = metadata.version(package)

    def analyse(study: Path, on_progress: object) -> EngineTiming:
        started = time.perf_counter()
        outcomes, stages, slices = way(study, networks)
        seconds = time.perf_counter() - started
        return EngineTiming(seconds, stages, slices, outcomes, version, peak_memory_bytes())

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
    return outcomes, dict(watch.seconds()), len(read.needed_slices)


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
    lesion_seconds = 0.0
    for side in SIDES:
        kidney_sum = float(kidneys[side].sum())
        centre = locate_kidney(kidneys[side]) if kidney_sum > THRESHOLDS.kidney else None
        if centre is None:
            found = kidney_sum > THRESHOLDS.kidney
            outcomes[side] = "kidney_not_located" if found else "kidney_not_found"
            continue
        crop = crop_around(halves[side], centre)
        started = time.perf_counter()
        lesion = networks.lesion_probability(crop.astype(np.float32) / np.float32(255))
        lesion_seconds += time.perf_counter() - started
        if not lesion.sum() > THRESHOLDS.lesion:
            outcomes[side] = "no_lesion"
        else:
            outcomes[side] = "lesion" if bound_lesion(lesion) else "lesion_not_located"
    stages = {
        "preprocessing": clock[1] - clock[0],
        "kidney_network": clock[2] - clock[1],
        "lesion_network": lesion_seconds,
    }
    return outcomes, stages, len(volume)
