"""The networks in other engines: Keras as in the notebook and batched, ONNX Runtime, OpenVINO.

Each class takes the folder that `benchmarks.measuring_networks` wrote and the number of threads,
and implements `rcc_onnx.runtime.networks.Networks`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

KERAS_BATCH = 16


def import_tensorflow(threads: int) -> Any:
    """TensorFlow with Keras 2, on as many threads as the others get."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # type: ignore[import-untyped]  # noqa: PLC0415

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def in_batches(slices: Floats, size: int, run: Callable[[Floats], Floats]) -> Floats:
    """Run slices (n, 160, 160) in batches of one size; the last one is filled with zeros."""
    outputs = np.empty_like(slices)
    for start in range(0, len(slices), size):
        part = slices[start : start + size]
        batch = np.zeros((size, 160, 160, 1), np.float32)
        batch[: len(part), ..., 0] = part
        outputs[start : start + len(part)] = run(batch)[: len(part), ..., 0]
    return outputs


class NotebookNetworks:
    """Keras's predict, one slice per call, as in the notebook."""

    def __init__(self, folder: Path, threads: int) -> None:
        import_tensorflow(threads)
        from tf_keras.models import load_model  # type: ignore[import-untyped]  # noqa: PLC0415

        self._kidney = load_model(folder / "kidney.h5", compile=False)
        self._lesion = load_model(folder / "lesion.h5", compile=False)

    def kidney_probability(self, slices: Floats) -> Floats:
        parts = [self._kidney.predict(image[None, ..., None], verbose=0) for image in slices]
        return np.concatenate(parts)[..., 0]

    def lesion_probability(self, crop: Floats) -> Floats:
        return np.asarray(self._lesion.predict(crop[None, ..., None], verbose=0))[0, ..., 0]


class BatchedNetworks:
    """The same networks, each traced into one tf.function, sixteen slices per call."""

    def __init__(self, folder: Path, threads: int) -> None:
        tf = import_tensorflow(threads)
        from tf_keras.models import load_model  # noqa: PLC0415

        def traced(name: str, shape: tuple[int, ...]) -> Callable[[Any], Any]:
            model = load_model(folder / f"{name}.h5", compile=False)
            signature = [tf.TensorSpec(shape, tf.float32)]
            run: Callable[[Any], Any] = tf.function(
                lambda inputs: model(inputs, training=False), input_signature=signature
            )
            return run

        self._kidney = traced("kidney", (KERAS_BATCH, 160, 160, 1))
        self._lesion = traced("lesion", (1, 40, 64, 64, 1))

    def kidney_probability(self, slices: Floats) -> Floats:
        return in_batches(slices, KERAS_BATCH, lambda batch: self._kidney(batch).numpy())

    def lesion_probability(self, crop: Floats) -> Floats:
        return np.asarray(self._lesion(crop[None, ..., None]).numpy())[0, ..., 0]


def onnxruntime_session(path: Path, threads: int) -> Any:
    """Open an ONNX file in ONNX Runtime with its own defaults."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


class OnnxRuntimeNetworks:
    """The bundle's plain ONNX files in ONNX Runtime with its own defaults."""

    def __init__(self, folder: Path, threads: int) -> None:
        def opened(name: str) -> Callable[[Floats], Floats]:
            session = onnxruntime_session(folder / "bundle" / f"{name}.onnx", threads)
            image = session.get_inputs()[0].name
            return lambda inputs: np.asarray(session.run(None, {image: inputs})[0])

        self._kidney, self._lesion = opened("kidney"), opened("lesion")

    def kidney_probability(self, slices: Floats) -> Floats:
        return self._kidney(slices[..., None])[..., 0]

    def lesion_probability(self, crop: Floats) -> Floats:
        return self._lesion(crop[None, ..., None])[0, ..., 0]


def openvino_model(path: Path, threads: int, shape: list[int] | None = None) -> Any:
    """Compile an ONNX file with OpenVINO's own runtime, in float32, for low latency."""
    import openvino  # type: ignore[import-not-found]  # noqa: PLC0415

    core = openvino.Core()
    model = core.read_model(path)
    if shape is not None:
        model.reshape(shape)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    return core.compile_model(model, "CPU", settings)


class OpenVinoNetworks:
    """The bundle's plain ONNX files in OpenVINO's own runtime."""

    BATCH = 4

    def __init__(self, folder: Path, threads: int) -> None:
        def compiled(name: str, *shape: int) -> Any:
            path = folder / "bundle" / f"{name}.onnx"
            return openvino_model(path, threads, list(shape)).create_infer_request()

        self._kidney = compiled("kidney", self.BATCH, 160, 160, 1)
        self._lesion = compiled("lesion", 1, 40, 64, 64, 1)

    def kidney_probability(self, slices: Floats) -> Floats:
        return in_batches(
            slices, self.BATCH, lambda batch: self._kidney.infer({0: batch}, share_inputs=True)[0]
        )

    def lesion_probability(self, crop: Floats) -> Floats:
        full = np.ascontiguousarray(crop)[None, ..., None]
        return np.array(self._lesion.infer({0: full}, share_inputs=True)[0][0, ..., 0])
