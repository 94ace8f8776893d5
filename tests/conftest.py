"""Fixtures that several test modules share."""

import contextlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A fixture imported here is there for all tests.
from tests.support.fixtures_convert import tiny_bundle  # noqa: F401

# OpenVINO's build of onnxruntime is tested where nothing else is installed.
with contextlib.suppress(ImportError):
    from hypothesis import settings

    # A busy machine is no failure.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")

REFERENCE = Path(__file__).parent / "data" / "reference"


@pytest.fixture(scope="session", autouse=True)
def nothing_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Bundles and settings of the developer change no test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RCC_ONNX_")]:
            patch.delenv(name)
        patch.setenv("RCC_ONNX_HOME", str(tmp_path_factory.mktemp("data_folder") / "none"))
        yield


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference data: expected answers, stage maps, tiny Keras files."""
    return REFERENCE


@pytest.fixture(scope="session")
def reference_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the nine reference studies, unpacked once a session (186 MB)."""
    folder = tmp_path_factory.mktemp("reference_cases")
    with tarfile.open(REFERENCE / "cases.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    (top,) = (path.parent.parent for path in sorted(folder.rglob("001.dcm"))[:1])
    return top
