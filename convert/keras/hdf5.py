"""Reads a Keras 2 HDF5 file with h5py alone.

Nothing in the file is run, and nothing outside it is opened.

Layout, as Keras 2 writes it (also its newer relatives): root attributes `keras_version`,
`backend`, `model_config` (JSON) and, if compiled, `training_config`; group `model_weights` with one
group a layer, whose attribute `weight_names` gives the order of its data sets. Keras splits an
attribute that is too long for one HDF5 attribute into `name0`, `name1`, ...
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from convert.errors import (
    ArchitectureError,
    DamagedFileError,
    KerasBackendError,
    KerasVersionError,
    MissingWeightsError,
    NetworkDtypeError,
    NotSelfContainedError,
    TooLargeError,
    WeightsOnlyError,
)
from rcc_onnx.system.stderr_capture import one_line

MAX_WEIGHT_BYTES = 1 << 30
"""An ONNX file without external data is one protobuf message, which cannot exceed 2 GiB."""
MAX_CONFIG_CHARACTERS = 16 << 20
"""The description of a network of a thousand layers has about one million."""
MAX_OBJECTS = 50_000
MAX_DEPTH = 32
"""Groups within groups: Keras uses four. A file whose groups contain themselves exceeds this."""


@dataclass(frozen=True)
class KerasFile:
    """The content of one file.

    Attributes:
        keras_version: (major, minor) of the Keras that wrote the file.
        config: the architecture as Keras describes it, unchecked.
        weights: float32 arrays of each layer that has any, in Keras's order.
    """

    name: str
    keras_version: tuple[int, int]
    config: dict[str, Any]
    weights: Mapping[str, tuple[NDArray[np.float32], ...]]


def read_keras_file(path: Path) -> KerasFile:
    """Read architecture and weights of a whole-model file of Keras 2 on TensorFlow.

    Raises a leaf of ConvertError that says what is wrong with the file.
    """
    name = path.name
    try:
        with h5py.File(path, "r") as file:
            _check_self_contained(file, name)
            version = _keras_version(file, name)
            config = _model_config(file, name)
            _check_backend(file, name)
            return KerasFile(name, version, config, _weights(file, name))
    # h5py raises these for damaged files; of our own errors none inherits from them.
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError, MemoryError) as problem:
        if isinstance(problem, UnicodeDecodeError):
            raise DamagedFileError(f"{name} is damaged: a text in it is not UTF-8") from problem
        raise DamagedFileError(
            f"{name} is cut short or damaged; copy or download it again "
            f"(HDF5: {one_line(str(problem))})"
        ) from problem


def _check_self_contained(file: h5py.File, name: str) -> None:
    """Refuse links and data sets that HDF5 would follow out of the file."""
    for where, holder, key in _entries(file, name):
        link = holder.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            problem = f"{where} is a link to another place, which Keras never writes"
            raise NotSelfContainedError(f"{name}: {problem}; only plain files are read")
        item = holder.get(key)
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            problem = f"the data of {where} lie in another file, which Keras never writes"
            raise NotSelfContainedError(f"{name}: {problem}; only plain files are read")


def _entries(file: h5py.File, name: str) -> Iterator[tuple[str, h5py.Group, str]]:
    """Yield path, group and key of everything in the file; hard links up to a limited depth."""
    waiting = [("", file, 0)]
    seen = 0
    while waiting:
        prefix, group, depth = waiting.pop()
        for key in group:
            seen += 1
            if seen > MAX_OBJECTS or depth >= MAX_DEPTH:
                raise TooLargeError(f"{name} holds more groups than any Keras file")
            yield f"{prefix}/{key}", group, key
            if group.get(key, getclass=True) is h5py.Group:
                waiting.append((f"{prefix}/{key}", group[key], depth + 1))


def _keras_version(file: h5py.File, name: str) -> tuple[int, int]:
    weights = file.get("model_weights", file)
    stated = _text(file.attrs.get("keras_version", weights.attrs.get("keras_version", "")))
    major, _, rest = stated.partition(".")
    minor = rest.partition(".")[0]
    if major != "2" or not minor.isdecimal():
        version = f"was written by Keras {stated!r}" if stated else "states no version of Keras"
        raise KerasVersionError(f"{name} {version}; whole-model HDF5 files of Keras 2 are read")
    return 2, int(minor)


def _check_backend(file: h5py.File, name: str) -> None:
    backend = _text(file.attrs.get("backend", "tensorflow"))
    if backend != "tensorflow":
        raise KerasBackendError(
            f"{name} was saved on the backend {backend!r}, whose convolutions differ from "
            "TensorFlow's; load it with Keras 2.2 on that backend and save it on TensorFlow"
        )


def _model_config(file: h5py.File, name: str) -> dict[str, Any]:
    if "model_config" not in file.attrs:
        if "layer_names" in file.attrs or "layer_names0" in file.attrs:
            raise WeightsOnlyError(
                f"{name} holds weights only (save_weights); the architecture is needed too: "
                "give the file that model.save() wrote"
            )
        raise WeightsOnlyError(f"{name} is HDF5 but holds no Keras model (no model_config)")
    text = _text(file.attrs["model_config"])
    if len(text) > MAX_CONFIG_CHARACTERS:
        raise TooLargeError(f"{name}: the description of the network has {len(text)} characters")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ArchitectureError(f"{name}: model_config is not valid JSON ({problem})") from problem
    if not isinstance(config, dict):
        raise ArchitectureError(f"{name}: model_config is not a JSON object")
    return config


def _weights(file: h5py.File, name: str) -> dict[str, tuple[NDArray[np.float32], ...]]:
    root = file.get("model_weights")
    if not isinstance(root, h5py.Group):
        raise MissingWeightsError(f"{name} describes a network but holds no weights")
    weights = {}
    left = MAX_WEIGHT_BYTES
    for layer in _names(root, "layer_names", name):
        group = root.get(layer)
        if not isinstance(group, h5py.Group):
            raise MissingWeightsError(f"{name}: the weights of layer {layer!r} are missing")
        arrays = []
        for weight in _names(group, "weight_names", name):
            dataset = group.get(weight)
            if not isinstance(dataset, h5py.Dataset):
                raise MissingWeightsError(f"{name}: weight {weight!r} of {layer!r} is missing")
            array = _array(dataset, f"{name}: weight {weight!r}", left)
            left -= array.nbytes
            arrays.append(array)
        if arrays:
            weights[layer] = tuple(arrays)
    return weights


def _array(dataset: h5py.Dataset, what: str, most_bytes: int) -> NDArray[np.float32]:
    if dataset.dtype.kind != "f" or dataset.dtype.itemsize != 4:
        raise NetworkDtypeError(f"{what} is {dataset.dtype}; float32 is converted")
    if dataset.shape is None or dataset.nbytes > most_bytes:
        raise TooLargeError(f"{what} is too large: a network may have {MAX_WEIGHT_BYTES} bytes")
    # HDF5 gives zeros for data that a file declares and never stored.
    if dataset.size and not dataset.id.get_storage_size():
        raise DamagedFileError(f"{what} is declared but was never stored; copy the file again")
    array = np.asarray(dataset[()], dtype=np.float32)
    if not np.isfinite(array).all():
        raise DamagedFileError(f"{what} holds values that are not finite numbers")
    return array


def _names(group: h5py.Group, attribute: str, name: str) -> list[str]:
    """Return a list of names, which Keras may have split into `attribute0`, `attribute1`, ..."""
    attributes = group.attrs
    if attribute in attributes:
        values = list(np.atleast_1d(attributes[attribute]))
    elif f"{attribute}0" in attributes:
        values = []
        for part in itertools.takewhile(attributes.__contains__, _numbered(attribute)):
            values.extend(np.atleast_1d(attributes[part]))
    else:
        raise MissingWeightsError(f"{name}: {group.name} has no {attribute}")
    return [_text(value) for value in values]


def _numbered(attribute: str) -> Iterator[str]:
    return (f"{attribute}{number}" for number in itertools.count())


def _text(value: Any) -> str:
    """Return text: Keras 2.2 on h5py 2 wrote bytes, later ones text."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
