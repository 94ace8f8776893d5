"""Imports TensorFlow and its companions so that files of Keras 2 can be read.

TensorFlow reads its switches from the environment while it is imported, so they are set here. The
import is in a function, since inspecting a file does not need it.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

from convert.errors import ConvertPackagesError
from rcc_onnx.runtime.session import runtime_version
from rcc_onnx.system.stderr_capture import captured_stderr, one_line

# Keras 3 does not read these files as tf_keras does; of TensorFlow's messages only errors are kept.
_SWITCHES = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
_log = logging.getLogger(__name__)
_LOGGERS = ("tensorflow", "absl", "tf2onnx", "tf2onnx.tfonnx", "tf2onnx.optimizer", "h5py")

_PACKAGES = ("tensorflow", "tf_keras", "tf2onnx", "onnx")


@dataclass(frozen=True)
class Frameworks:
    """The modules, which have no type information."""

    tf: Any
    tf_keras: Any
    tf2onnx: Any


def import_frameworks() -> Frameworks:
    """Import TensorFlow, tf_keras and tf2onnx (seconds, the first time).

    Raises ConvertPackagesError if one is missing or cannot be imported beside the others.
    """
    os.environ.update(_SWITCHES)
    # TensorFlow's C++ parts greet on standard error before they read any switch.
    with third_party(), captured_stderr():
        try:
            modules = [import_module(name) for name in ("tensorflow", "tf_keras", "tf2onnx")]
        except Exception as problem:
            raise ConvertPackagesError(
                "conversion needs TensorFlow, tf_keras and tf2onnx; install them with: "
                f"pip install '.[convert]' ({one_line(str(problem))})"
            ) from problem
        frameworks = Frameworks(*modules)
        _keep_off_gpus(frameworks.tf)
    # A file of Keras 2.2 may leave these to the settings in the user's home folder; ours decide.
    frameworks.tf_keras.backend.set_image_data_format("channels_last")
    frameworks.tf_keras.backend.set_floatx("float32")
    return frameworks


def _keep_off_gpus(tf: Any) -> None:
    """Compute the reference on the CPU, where it can be reproduced everywhere."""
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        # The devices cannot be changed after the first use of TensorFlow in a process.
        _log.warning("TensorFlow was in use before; Keras may run on a GPU")


def package_versions() -> tuple[tuple[str, str], ...]:
    """Return (package, version) of all packages that take part in a conversion."""
    versions = ((package, metadata.version(package)) for package in _PACKAGES)
    return (*versions, ("onnxruntime", runtime_version()))


@contextmanager
def third_party() -> Iterator[None]:
    """Silence warnings and logs of TensorFlow, tf_keras and tf2onnx.

    They warn of their own use of deprecated functions, which neither we nor the user can change;
    what matters here is raised, or found by the comparison afterwards.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
