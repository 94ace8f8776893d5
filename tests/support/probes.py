"""Functions for probes in other processes, which must be able to import them."""

import os

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
