"""What processes of their own are given to do: each must be importable there."""

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
