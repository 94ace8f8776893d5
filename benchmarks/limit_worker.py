"""One ONNX file after another in a process of its own, for `benchmarks.limit`.

Started as `python -m benchmarks.limit_worker RUNTIME THREADS`, RUNTIME being `onnxruntime` or
`openvino`. Each line of input, the path of a file with one input of fixed shape, is answered with
the seconds that the fastest of some runs took.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rcc_onnx.diagnostics.bench_worker import Json, serve

RUNS = 12
"""Short ones: a machine that does other things lets one of them through undisturbed."""

Run = Callable[[], Any]


def onnxruntime_run(path: str, threads: int) -> Run:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    values = np.ones(given.shape, np.float32)
    return lambda: session.run(None, {given.name: values})


def openvino_run(path: str, threads: int) -> Run:
    import openvino  # type: ignore[import-not-found]  # noqa: PLC0415

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()
    values = np.ones(list(compiled.input(0).shape), np.float32)
    return lambda: request.infer({0: values}, share_inputs=True)


RUNTIMES = {"onnxruntime": onnxruntime_run, "openvino": openvino_run}


def start(runtime: str, threads: int) -> Callable[[str], Json]:
    """A file is loaded, and run once, when it comes for the first time."""
    loaded: dict[str, Run] = {}

    def answer(path: str) -> Json:
        if path not in loaded:
            loaded[path] = RUNTIMES[runtime](path, threads)
            loaded[path]()
        return {"seconds": min(_seconds(loaded[path]) for _ in range(RUNS))}

    return answer


def _seconds(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    runtime, threads = sys.argv[1:]
    serve(partial(start, runtime, int(threads)))


if __name__ == "__main__":
    main()
