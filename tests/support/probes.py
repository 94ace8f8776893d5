"""Functions for probes in other processes, which must be able to import them."""

import os
from pathlib import Path

from benchmarks.common import missing_packages_named
from rcc_onnx.batch.worker_pool import Handler
from rcc_onnx.errors import ProviderError


def doubled(value: int) -> int:
    return 2 * value


def dies(_: int) -> int:
    os._exit(3)


def never_ends(_: int) -> int:
    while True:
        pass


def refuses(_: int) -> int:
    raise ProviderError("no", "yes", code="provider-not-loaded")


def load_from_a_missing_package() -> Handler[Path, int]:
    with missing_packages_named():
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401, PLC0415
    return lambda study, on_progress: 0
