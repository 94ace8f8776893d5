"""Reading HDF5: the two tiny files of Keras 2.2.5, edits of them, and damage."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convert.errors import ConvertError
from convert.keras import hdf5
from convert.keras.hdf5 import read_keras_file
from tests.support.fixtures_convert import TINY_FILES
from tests.support.keras_files import edited_copy

Edit = Callable[[h5py.File], None]

WEIGHT = "model_weights/conv2d_1/conv2d_1/kernel:0"
SHAPE = (3, 3, 1, 2)


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
        assert found.config == json.loads(file.attrs["model_config"])


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


def _other_training(file: h5py.File) -> None:
    del file.attrs["training_config"]
    file.create_dataset("optimizer_weights/Adam/iterations:0", data=np.int64(7))
    file.attrs["keras_version"] = "2.2.4-tf"


def _compressed(file: h5py.File) -> None:
    values = file[WEIGHT][()]
    del file[WEIGHT]
    file.create_dataset(WEIGHT, data=values, compression="gzip")


@pytest.mark.parametrize("edit", [_as_bytes, _split_names, _other_training, _compressed])
def test_other_ways_to_write_the_same(tmp_path: Path, edit: Edit) -> None:
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


def _set(key: str, value: object) -> Edit:
    def edit(file: h5py.File) -> None:
        for holder in (file, file["model_weights"]):
            if key in holder.attrs:
                holder.attrs[key] = value

    return edit


def _delete(key: str, *holders: str) -> Edit:
    """Delete an attribute of groups, or else what has that name."""

    def edit(file: h5py.File) -> None:
        for holder in holders:
            del file[holder].attrs[key]
        if not holders:
            del file[key]

    return edit


def _replace_weight(make: Edit) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[WEIGHT]
        make(file)

    return edit


def _dataset(*shape_and_type: Any, **options: Any) -> Edit:
    return _replace_weight(lambda file: file.create_dataset(WEIGHT, *shape_and_type, **options))


def _link(link: Any) -> Edit:
    return _replace_weight(lambda file: file.__setitem__(WEIGHT, link))


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource("other.h5", "kernel", SHAPE)
    file.create_virtual_dataset(WEIGHT, layout)


REFUSED: dict[str, list[tuple[Edit, str]]] = {
    "convert-weights-only": [
        (_weights_only, "weights only"),
        (_other_content, "no Keras model"),
    ],
    "convert-keras-version": [
        (_set("keras_version", "1.2.2"), "1.2.2"),
        (_set("keras_version", "3.5.0"), "3.5.0"),
        (_set("keras_version", "2"), "'2'"),
        (_delete("keras_version", "/", "model_weights"), "states no version"),
    ],
    "convert-backend": [
        (_set("backend", "theano"), "theano"),
        (_set("backend", "cntk"), "cntk"),
    ],
    "convert-architecture": [
        (_set("model_config", "{'a': 1}"), "JSON"),
        (_set("model_config", "[1]"), "object"),
        (_set("model_config", "[" * 100_000), "JSON"),
    ],
    "convert-damaged": [
        (_set("model_config", np.bytes_(b"{\xff\xfe}")), "UTF-8"),
        (_dataset(SHAPE, "f4"), "never stored"),
        (lambda file: file[WEIGHT].write_direct(np.full(SHAPE, np.nan, "f4")), "finite"),
    ],
    "convert-weights": [
        (_delete("model_weights"), "no weights"),
        (_delete("weight_names", "model_weights/conv2d_1"), "weight_names"),
        (_delete(WEIGHT), "missing"),
        (_replace_weight(lambda file: file.create_group(WEIGHT)), "missing"),
    ],
    "convert-dtype": [
        (_dataset(data=np.ones(SHAPE, "f8")), "float64"),
        (_dataset(data=np.ones(SHAPE, "f2")), "float16"),
        (_dataset(data="kernel"), "object"),
    ],
    "convert-too-large": [
        (_dataset((1 << 40,), "f4", chunks=True), "too large"),
        (
            lambda file: file.__setitem__("model_weights/again", file["model_weights"]),
            "more groups",
        ),
    ],
    "convert-links": [
        (_link(h5py.SoftLink("/elsewhere")), "link"),
        (_link(h5py.ExternalLink("/etc/hosts", "/x")), "link"),
        (_dataset(SHAPE, "f4", external=[("/etc/hosts", 0, 72)]), "another file"),
        (_replace_weight(_virtual), "another file"),
    ],
}
CASES = [(code, *case) for code, cases in REFUSED.items() for case in cases]


@pytest.mark.parametrize(("code", "edit", "text"), CASES)
def test_refused(tmp_path: Path, code: str, edit: Edit, text: str) -> None:
    path = edited_copy(tmp_path, edit, TINY_FILES.kidney)
    with pytest.raises(ConvertError, match=text) as raised:
        read_keras_file(path)
    assert raised.value.code == code
    assert "kidney_tiny.h5" in str(raised.value)


def test_descriptions_and_weights_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    file = read_keras_file(TINY_FILES.kidney)
    total = sum(array.nbytes for arrays in file.weights.values() for array in arrays)
    monkeypatch.setattr(hdf5, "MAX_WEIGHT_BYTES", total)
    read_keras_file(TINY_FILES.kidney)
    for limit, value in (("MAX_WEIGHT_BYTES", total - 1), ("MAX_CONFIG_CHARACTERS", 100)):
        with monkeypatch.context() as patch:
            patch.setattr(hdf5, limit, value)
            with pytest.raises(ConvertError) as raised:
                read_keras_file(TINY_FILES.kidney)
            assert raised.value.code == "convert-too-large"


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    content = TINY_FILES.kidney.read_bytes()
    path = tmp_path / "kidney.h5"
    for size in range(8, len(content), 701):
        path.write_bytes(content[:size])
        with pytest.raises(ConvertError) as raised:
            read_keras_file(path)
        assert raised.value.code == "convert-damaged"
