"""One ONNX file after another in a process of its own, for `benchmarks.limit`.

A runtime is `onnxruntime` or `openvino`; a file has one input of fixed shape.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import missing_packages_named
from rcc_onnx.batch.worker_pool import Handler

RUNS = 12
"""Short ones: a machine that does other things lets one of them through undisturbed."""

Run = Callable[[], Any]


def onnxruntime_run(path: Path, threads: int) -> Run:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    values = np.ones(given.shape, np.float32)
    return lambda: session.run(None, {given.name: values})


def openvino_run(path: Path, threads: int) -> Run:
    import openvino  # type: ignore[import-not-found]  # noqa: PLC0415

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()
    values = np.ones(list(compiled.input(0).shape), np.float32)
    return lambda: request.infer({0: values}, share_inputs=True)


RUNTIMES = {"onnxruntime": onnxruntime_run, "openvino": openvino_run}


def load_runtime(runtime: str, threads: int) -> Handler[Path, dict[str, float]]:
    """What runs a file: the seconds that the fastest of some runs took.

    A file is loaded, and run once, when it comes for the first time.
    """
    loaded: dict[Path, Run] = {}

    def answer(path: Path, on_progress: object) -> dict[str, float]:
        if path not in loaded:
            with missing_packages_named():
                loaded[path] = RUNTIMES[runtime](path, threads)
            loaded[path]()
        return {"seconds": min(_seconds(loaded[path]) for _ in range(RUNS))}

    return answer


def _seconds(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
