"""Fixtures of everything that needs a converted bundle. TensorFlow starts once, when asked for."""

from pathlib import Path

import pytest

from convert.cli import main
from convert.conversion import Request, convert_files
from rcc_onnx.bundles.manifest import ByNetwork
from rcc_onnx.types import Thresholds

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
TINY_FILES = ByNetwork(REFERENCE / "kidney_tiny.h5", REFERENCE / "tumour_tiny.h5")
"""Two small networks saved by a real Keras 2.2.5; the expected results come from them."""


def make_request(out: Path, sources: ByNetwork[Path] = TINY_FILES, **changes: object) -> Request:
    """A conversion as the command line would ask for it."""
    options: dict[str, object] = {
        "name": "tiny",
        "version": "1.0.0",
        "purpose": "Tests.",
        "licence": None,
        "use_on": ("patient", "digital-phantom"),
        "thresholds": Thresholds(),
        "overwrite": False,
    }
    return Request(sources=sources, out=out, **(options | changes))  # type: ignore[arg-type]


def run_convert(*arguments: object) -> int:
    """Return the exit code of the command `python -m convert`."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a bundle by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle made from both tiny Keras 2.2.5 files. Not to be changed."""
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    convert_files(make_request(out), progress=lambda text: None)
    return out
