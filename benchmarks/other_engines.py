"""Both networks in other engines: Keras as the notebook uses it, Keras batched, OpenVINO.

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


class OpenVinoNetworks:
    """OpenVINO's own runtime on the plain ONNX files, in float32, for low latency."""

    BATCH = 4

    def __init__(self, folder: Path, threads: int) -> None:
        import openvino  # type: ignore[import-not-found]  # noqa: PLC0415

        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }

        def compiled(name: str, shape: tuple[int, ...]) -> Any:
            model = core.read_model(folder / "bundle" / f"{name}.onnx")
            model.reshape(list(shape))
            return core.compile_model(model, "CPU", settings).create_infer_request()

        self._kidney = compiled("kidney", (self.BATCH, 160, 160, 1))
        self._lesion = compiled("lesion", (1, 40, 64, 64, 1))

    def kidney_probability(self, slices: Floats) -> Floats:
        return in_batches(
            slices, self.BATCH, lambda batch: self._kidney.infer({0: batch}, share_inputs=True)[0]
        )

    def lesion_probability(self, crop: Floats) -> Floats:
        full = np.ascontiguousarray(crop)[None, ..., None]
        return np.array(self._lesion.infer({0: full}, share_inputs=True)[0][0, ..., 0])
