"""Keras files made from the two tiny ones of Keras 2.2.5 by editing them: no TensorFlow needed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from tests.support.fixtures_convert import TINY_FILES

Config = dict[str, Any]


def edited_copy(folder: Path, edit: Callable[[h5py.File], None], source: Path) -> Path:
    """A copy of `source` in `folder` with the same name, changed by `edit`."""
    path = folder / source.name
    shutil.copyfile(source, path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def change_config(change: Callable[[Config], None]) -> Callable[[h5py.File], None]:
    """An edit that lets `change` alter the parsed model_config in place."""

    def edit(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)

    return edit


def kidney_copy(folder: Path, change: Callable[[Config], None]) -> Path:
    """A copy of the tiny kidney file whose model_config is changed."""
    return edited_copy(folder, change_config(change), TINY_FILES.kidney)


def layer_of(config: Config, name: str) -> Config:
    """The description of one layer."""
    (layer,) = (one for one in config["config"]["layers"] if one["name"] == name)
    return layer  # type: ignore[no-any-return]
