"""Edited copies of the two tiny Keras files of Keras 2.2.5, made without TensorFlow."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

Config = dict[str, Any]


def edited_copy(folder: Path, edit: Callable[[h5py.File], None], source: Path) -> Path:
    """A copy of `source` in `folder` with the same name, changed by `edit`."""
    path = folder / source.name
    shutil.copyfile(source, path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def change_config(change: Callable[[Config], None]) -> Callable[[h5py.File], None]:
    """Return an edit of a file that applies `change` to its parsed model_config."""

    def edit(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)

    return edit


def layer_of(config: Config, name: str) -> Config:
    """Return the description of a layer."""
    (layer,) = (entry for entry in config["config"]["layers"] if entry["name"] == name)
    return layer  # type: ignore[no-any-return]
