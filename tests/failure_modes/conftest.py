"""Studies and networks that several tests share."""

from pathlib import Path

import pytest

from tests.failure_modes.small_studies import small_bundle, small_studies


@pytest.fixture(scope="session")
def quick_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks of one convolution. Not to be changed."""
    return small_bundle(tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="session")
def quick_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two small phantoms. Not to be changed."""
    return small_studies(tmp_path_factory.mktemp("quick") / "studies", 2)
