"""One network by itself in a process of its own, for the benchmarks.

A variant is `as-converted` (the plain ONNX file in ONNX Runtime), `float32` or `int8` (as this
engine runs them), or `openvino`.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.common import missing_packages_named
from benchmarks.other_engines import Floats, OpenVinoNetworks
from rcc_onnx.batch.worker_pool import Handler
from rcc_onnx.phantom import network_samples
from rcc_onnx.runtime.networks import Networks
from rcc_onnx.types import Precision, ProviderName

SLICES = 16
"""Slices a run of the 2D network is timed on."""
SEED = 9


class PlainNetworks:
    """The bundle's plain ONNX files in ONNX Runtime with its own defaults."""

    def __init__(self, folder: Path, threads: int) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1

        def run_of(name: str) -> Callable[[Floats], Floats]:
            path = str(folder / "bundle" / f"{name}.onnx")
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
            given = session.get_inputs()[0].name
            return lambda inputs: np.asarray(session.run(None, {given: inputs})[0])

        self._kidney, self._lesion = run_of("kidney"), run_of("lesion")

    def kidney_probability(self, slices: Floats) -> Floats:
        return self._kidney(slices[..., None])[..., 0]

    def lesion_probability(self, crop: Floats) -> Floats:
        return self._lesion(crop[None, ..., None])[0, ..., 0]


def networks_of(variant: str, folder: Path, threads: int) -> Networks:
    """The networks of a variant. Raises OptionError for one that the bundle does not have."""
    if variant == "as-converted":
        return PlainNetworks(folder, threads)
    if variant == "openvino":
        return OpenVinoNetworks(folder, threads)
    from rcc_onnx.bundles.bundle import find_bundle  # noqa: PLC0415  loaded only where it is measured
    from rcc_onnx.runtime.session import open_networks  # noqa: PLC0415

    bundle = find_bundle(str(folder / "bundle"))
    return open_networks(bundle, ProviderName.CPU, threads, Precision(variant))


def load_variant(variant: str, folder: Path, threads: int) -> Handler[str, dict[str, float]]:
    """What runs a network, `kidney` or `lesion`, on a phantom's slices or crop: seconds and sum."""
    with missing_packages_named():
        networks = networks_of(variant, folder, threads)
    samples = network_samples(SEED)
    middle = len(samples.slices) // 2 - SLICES // 2
    slices = samples.slices[middle : middle + SLICES].astype(np.float32) / np.float32(255)
    crop = samples.crops[-1].astype(np.float32) / np.float32(255)

    def run(network: str, on_progress: object) -> dict[str, float]:
        started = time.perf_counter()
        if network == "kidney":
            probability = networks.kidney_probability(slices)
        else:
            probability = networks.lesion_probability(crop)
        return {"seconds": time.perf_counter() - started, "sum": float(probability.sum())}

    return run
