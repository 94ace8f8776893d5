"""What the benchmarks measure, each in a process of its own: engines, networks and ONNX files.

Every `load_…` is called in the process that is measured, and returns what does its tasks. Only what
is measured is imported there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import missing_packages_named
from benchmarks.other_engines import (
    BatchedNetworks,
    NotebookNetworks,
    OnnxRuntimeNetworks,
    OpenVinoNetworks,
    onnxruntime_session,
    openvino_model,
)
from rcc_onnx.batch.worker_pool import Handler
from rcc_onnx.diagnostics.bench import BenchSetup, load_engine
from rcc_onnx.phantom import network_samples
from rcc_onnx.runtime.networks import Networks, network_input
from rcc_onnx.system.memory import peak_memory_bytes
from rcc_onnx.types import SIDES, Precision, ProviderName, Thresholds, is_above

OTHER_ENGINES: dict[str, tuple[Callable[[Path, int], Networks], str]] = {
    "notebook": (NotebookNetworks, "tensorflow"),
    "keras-batched": (BatchedNetworks, "tensorflow"),
    "openvino": (OpenVinoNetworks, "openvino"),
}
"""Networks and the package that runs them, by name: Keras one slice per call, and so on."""
THRESHOLDS = Thresholds()

SLICES = 16
"""Slices that a run of the 2D network is timed on."""
SEED = 9
FILE_RUNS = 12
"""Short ones: on a busy machine one of them is likely to be undisturbed."""

Found = tuple[dict[str, str], dict[str, float], int]
"""Outcomes, seconds by stage, slices."""


# --- Engines: a study is a task -------------------------------------------------------------------


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
    """Load this engine."""
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
    """Load one of `OTHER_ENGINES` with the networks that `benchmarks.measuring_networks` wrote."""
    open_networks, package = OTHER_ENGINES[engine]
    with missing_packages_named():
        networks = open_networks(folder, threads)
    analyse = through_pipeline if engine == "openvino" else as_notebook
    version = metadata.version(package)

    def timed(study: Path, on_progress: object) -> EngineTiming:
        started = time.perf_counter()
        outcomes, stages, slices = analyse(study, networks)
        seconds = time.perf_counter() - started
        return EngineTiming(seconds, stages, slices, outcomes, version, peak_memory_bytes())

    return timed


def through_pipeline(study: Path, networks: Networks) -> Found:
    """Run this engine's pipeline with other networks in it."""
    from rcc_onnx.dicom import read_study  # noqa: PLC0415
    from rcc_onnx.pipeline import analyse_study  # noqa: PLC0415
    from rcc_onnx.pipeline.timing import Stopwatch  # noqa: PLC0415
    from rcc_onnx.types import Profile  # noqa: PLC0415

    watch = Stopwatch()
    with watch.stage("reading_headers"):
        read = read_study(study, Profile.STANDARD)
    sides = analyse_study(read, networks, THRESHOLDS, watch).sides
    outcomes = {str(side): str(finding.outcome) for side, finding in sides.items()}
    return outcomes, dict(watch.seconds()), len(read.needed_slices)


def as_notebook(study: Path, networks: Networks) -> Found:
    """Run the notebook's steps with the given networks."""
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
    probability = networks.kidney_probability(network_input(volume))
    clock.append(time.perf_counter())
    halves, kidneys = split_sides(volume), split_sides(probability.astype(np.float64))
    outcomes: dict[str, str] = {}
    lesion_seconds = 0.0
    for side in SIDES:
        is_kidney = is_above(float(kidneys[side].sum()), THRESHOLDS.kidney)
        centre = locate_kidney(kidneys[side]) if is_kidney else None
        if centre is None:
            outcomes[side] = "kidney_not_located" if is_kidney else "kidney_not_found"
            continue
        crop = crop_around(halves[side], centre)
        started = time.perf_counter()
        lesion = networks.lesion_probability(network_input(crop))
        lesion_seconds += time.perf_counter() - started
        if not is_above(float(lesion.sum()), THRESHOLDS.lesion):
            outcomes[side] = "no_lesion"
        else:
            outcomes[side] = "lesion" if bound_lesion(lesion) else "lesion_not_located"
    stages = {
        "preprocessing": clock[1] - clock[0],
        "kidney_network": clock[2] - clock[1],
        "lesion_network": lesion_seconds,
    }
    return outcomes, stages, len(volume)


# --- Networks: the name of one is a task ----------------------------------------------------------


def load_variant(variant: str, folder: Path, threads: int) -> Handler[str, dict[str, float]]:
    """Load both networks, to be timed on a phantom's slices or crop.

    A variant is `as-converted` (the plain ONNX file in ONNX Runtime), `float32` or `int8` (as this
    engine runs them), or `openvino`. Raises OptionError for one that the bundle does not have.
    """
    with missing_packages_named():
        networks = _variant_networks(variant, folder, threads)
    samples = network_samples(SEED)
    middle = len(samples.slices) // 2 - SLICES // 2
    slices = network_input(samples.slices[middle : middle + SLICES])
    crop = network_input(samples.crops[-1])

    def timed(network: str, on_progress: object) -> dict[str, float]:
        started = time.perf_counter()
        if network == "kidney":
            probability = networks.kidney_probability(slices)
        else:
            probability = networks.lesion_probability(crop)
        return {"seconds": time.perf_counter() - started, "sum": float(probability.sum())}

    return timed


def _variant_networks(variant: str, folder: Path, threads: int) -> Networks:
    if variant == "as-converted":
        return OnnxRuntimeNetworks(folder, threads)
    if variant == "openvino":
        return OpenVinoNetworks(folder, threads)
    from rcc_onnx.bundles.bundle import find_bundle  # noqa: PLC0415
    from rcc_onnx.runtime.session import open_networks  # noqa: PLC0415

    bundle = find_bundle(str(folder / "bundle"))
    return open_networks(bundle, ProviderName.CPU, threads, Precision(variant))


# --- ONNX files: the path of one, with an input of fixed shape, is a task -------------------------


def load_runtime(runtime: str, threads: int) -> Handler[Path, dict[str, float]]:
    """Load a runtime, `onnxruntime` or `openvino`; a file takes the seconds of its fastest run.

    A file is loaded, and run once, when it comes for the first time.
    """
    loaded: dict[Path, Callable[[], Any]] = {}

    def timed(path: Path, on_progress: object) -> dict[str, float]:
        if path not in loaded:
            with missing_packages_named():
                loaded[path] = _FILE_RUNS[runtime](path, threads)
            loaded[path]()
        return {"seconds": min(_seconds(loaded[path]) for _ in range(FILE_RUNS))}

    return timed


def _onnxruntime_run(path: Path, threads: int) -> Callable[[], Any]:
    session = onnxruntime_session(path, threads)
    given = session.get_inputs()[0]
    values = np.ones(given.shape, np.float32)
    return lambda: session.run(None, {given.name: values})


def _openvino_run(path: Path, threads: int) -> Callable[[], Any]:
    compiled = openvino_model(path, threads)
    request = compiled.create_infer_request()
    values = np.ones(list(compiled.input(0).shape), np.float32)
    return lambda: request.infer({0: values}, share_inputs=True)


_FILE_RUNS = {"onnxruntime": _onnxruntime_run, "openvino": _openvino_run}


def _seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
