"""Reading HDF5: the two tiny files of Keras 2.2.5, edits of them, and damage."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from convert.errors import ConvertError
from convert.keras import hdf5
from convert.keras.hdf5 import read_keras_file
from tests.support.fixtures_convert import TINY_FILES
from tests.support.keras_files import edited_copy

WEIGHT = "model_weights/conv2d_1/conv2d_1/kernel:0"


def test_a_file_of_keras_2_2_5() -> None:
    found = read_keras_file(TINY_FILES.kidney)
    assert found.keras_version == (2, 2)
    assert found.config["class_name"] == "Model"
    assert [array.shape for array in found.weights["conv2d_1"]] == [(3, 3, 1, 2), (2,)]
    assert len(found.weights["batch_normalization_1"]) == 4
    # Layers without weights have no entry.
    assert "activation_1" not in found.weights
    with h5py.File(TINY_FILES.kidney) as file:
        assert np.array_equal(found.weights["conv2d_1"][0], file[WEIGHT][()])


def _as_bytes(file: h5py.File) -> None:
    """Texts as h5py 2 and older Keras wrote them."""
    for holder in (file, file["model_weights"]):
        for key, value in dict(holder.attrs).items():
            if isinstance(value, str):
                holder.attrs[key] = np.bytes_(value.encode())
    for group in [file["model_weights"], *file["model_weights"].values()]:
        for key in ("layer_names", "weight_names"):
            if key in group.attrs:
                names = [str(name).encode() for name in group.attrs[key]]
                group.attrs[key] = np.array(names, dtype="S64") if names else np.zeros(0, "S1")


def _split_names(file: h5py.File) -> None:
    root = file["model_weights"]
    names = [str(name) for name in root.attrs["layer_names"]]
    del root.attrs["layer_names"]
    for number, start in enumerate(range(0, len(names), 5)):
        root.attrs[f"layer_names{number}"] = np.array(names[start : start + 5], dtype="S64")


def _no_training(file: h5py.File) -> None:
    del file.attrs["training_config"]


def _optimizer(file: h5py.File) -> None:
    file.create_dataset("optimizer_weights/Adam/iterations:0", data=np.int64(7))


def _tf_keras_version(file: h5py.File) -> None:
    file.attrs["keras_version"] = "2.2.4-tf"


def _compressed(file: h5py.File) -> None:
    values = file[WEIGHT][()]
    del file[WEIGHT]
    file.create_dataset(WEIGHT, data=values, compression="gzip")


@pytest.mark.parametrize(
    "edit", [_as_bytes, _split_names, _no_training, _optimizer, _tf_keras_version, _compressed]
)
def test_other_ways_to_write_the_same(tmp_path: Path, edit: Callable[[h5py.File], None]) -> None:
    plain = read_keras_file(TINY_FILES.kidney)
    found = read_keras_file(edited_copy(tmp_path, edit, TINY_FILES.kidney))
    assert found.config == plain.config
    assert found.keras_version == plain.keras_version
    assert list(found.weights) == list(plain.weights)
    for layer, arrays in plain.weights.items():
        assert all(map(np.array_equal, arrays, found.weights[layer]))


def _weights_only(file: h5py.File) -> None:
    del file.attrs["model_config"]
    for key, value in file["model_weights"].attrs.items():
        file.attrs[key] = value


def _other_content(file: h5py.File) -> None:
    for key in list(file.attrs):
        del file.attrs[key]
    del file["model_weights"]
    file["image"] = np.zeros(3)
    file.attrs["keras_version"] = "2.2.5"


def _set(key: str, value: object) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        for holder in (file, file["model_weights"]):
            if key in holder.attrs:
                holder.attrs[key] = value

    return edit


def _no_version(file: h5py.File) -> None:
    for holder in (file, file["model_weights"]):
        del holder.attrs["keras_version"]


def _replace_weight(make: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[WEIGHT]
        make(file)

    return edit


def _nan(file: h5py.File) -> None:
    file[WEIGHT][0, 0, 0, 0] = np.nan


def _cycle(file: h5py.File) -> None:
    file["model_weights/again"] = file["model_weights"]


def _no_weights(file: h5py.File) -> None:
    del file["model_weights"]


def _no_weight_names(file: h5py.File) -> None:
    del file["model_weights/conv2d_1"].attrs["weight_names"]


REFUSED: dict[str, tuple[Callable[[h5py.File], None], str, str]] = {
    "weights only": (_weights_only, "convert-weights-only", "weights only"),
    "no model": (_other_content, "convert-weights-only", "no Keras model"),
    "Keras 1": (_set("keras_version", "1.2.2"), "convert-keras-version", "1.2.2"),
    "Keras 3": (_set("keras_version", "3.5.0"), "convert-keras-version", "3.5.0"),
    "odd version": (_set("keras_version", "2"), "convert-keras-version", "'2'"),
    "no version": (_no_version, "convert-keras-version", "states no version"),
    "Theano": (_set("backend", "theano"), "convert-backend", "theano"),
    "CNTK": (_set("backend", "cntk"), "convert-backend", "cntk"),
    "config is no JSON": (_set("model_config", "{'a': 1}"), "convert-architecture", "JSON"),
    "config is a list": (_set("model_config", "[1]"), "convert-architecture", "object"),
    "config is too deep": (_set("model_config", "[" * 100_000), "convert-architecture", "JSON"),
    "config is not UTF-8": (
        _set("model_config", np.bytes_(b"{\xff\xfe}")),
        "convert-damaged",
        "UTF-8",
    ),
    "no weights": (_no_weights, "convert-weights", "no weights"),
    "no names": (_no_weight_names, "convert-weights", "weight_names"),
    "weight missing": (_replace_weight(lambda file: None), "convert-weights", "missing"),
    "float64": (
        _replace_weight(lambda file: file.create_dataset(WEIGHT, data=np.ones((3, 3, 1, 2), "f8"))),
        "convert-dtype",
        "float64",
    ),
    "float16": (
        _replace_weight(lambda file: file.create_dataset(WEIGHT, data=np.ones((3, 3, 1, 2), "f2"))),
        "convert-dtype",
        "float16",
    ),
    "text": (
        _replace_weight(lambda file: file.create_dataset(WEIGHT, data="kernel")),
        "convert-dtype",
        "object",
    ),
    "never stored": (
        _replace_weight(lambda file: file.create_dataset(WEIGHT, (3, 3, 1, 2), "f4")),
        "convert-damaged",
        "never stored",
    ),
    "huge": (
        _replace_weight(lambda file: file.create_dataset(WEIGHT, (1 << 40,), "f4", chunks=True)),
        "convert-too-large",
        "too large",
    ),
    "not finite": (_nan, "convert-damaged", "finite"),
    "group for weight": (
        _replace_weight(lambda file: file.create_group(WEIGHT)),
        "convert-weights",
        "missing",
    ),
    "soft link": (
        _replace_weight(lambda file: file.__setitem__(WEIGHT, h5py.SoftLink("/elsewhere"))),
        "convert-links",
        "link",
    ),
    "external link": (
        _replace_weight(
            lambda file: file.__setitem__(WEIGHT, h5py.ExternalLink("/etc/hosts", "/x"))
        ),
        "convert-links",
        "link",
    ),
    "external data": (
        _replace_weight(
            lambda file: file.create_dataset(
                WEIGHT, (3, 3, 1, 2), "f4", external=[("/etc/hosts", 0, 72)]
            )
        ),
        "convert-links",
        "another file",
    ),
    "groups in a circle": (_cycle, "convert-too-large", "more groups"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    edit, code, said = REFUSED[case]
    path = edited_copy(tmp_path, edit, TINY_FILES.kidney)
    with pytest.raises(ConvertError, match=said) as raised:
        read_keras_file(path)
    assert raised.value.code == code
    assert "kidney_tiny.h5" in str(raised.value)


def test_virtual_data_are_refused(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((3, 3, 1, 2), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "kernel", (3, 3, 1, 2))
        del file[WEIGHT]
        file.create_virtual_dataset(WEIGHT, layout)

    with pytest.raises(ConvertError) as raised:
        read_keras_file(edited_copy(tmp_path, edit, TINY_FILES.kidney))
    assert raised.value.code == "convert-links"


def test_a_long_description_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "MAX_CONFIG_CHARACTERS", 100)
    with pytest.raises(ConvertError) as raised:
        read_keras_file(TINY_FILES.kidney)
    assert raised.value.code == "convert-too-large"


def test_all_weights_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    total = sum(
        array.nbytes
        for arrays in read_keras_file(TINY_FILES.kidney).weights.values()
        for array in arrays
    )
    monkeypatch.setattr(hdf5, "MAX_WEIGHT_BYTES", total)
    read_keras_file(TINY_FILES.kidney)
    monkeypatch.setattr(hdf5, "MAX_WEIGHT_BYTES", total - 1)
    with pytest.raises(ConvertError) as raised:
        read_keras_file(TINY_FILES.kidney)
    assert raised.value.code == "convert-too-large"


def test_every_truncation_is_refused_or_reads_the_same(tmp_path: Path) -> None:
    content = TINY_FILES.kidney.read_bytes()
    path = tmp_path / "kidney.h5"
    refused = 0
    for size in range(8, len(content), 701):
        path.write_bytes(content[:size])
        with pytest.raises(ConvertError) as raised:
            read_keras_file(path)
        assert raised.value.code == "convert-damaged"
        refused += 1
    assert refused > 40


def test_the_description_survives_as_it_is() -> None:
    with h5py.File(TINY_FILES.lesion) as file:
        expected = json.loads(file.attrs["model_config"])
    assert read_keras_file(TINY_FILES.lesion).config == expected
