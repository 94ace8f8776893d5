"""A hash over the images that were analysed, whatever files they came in (docs/outputs.md)."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom.headers import SliceHeader

SHORT_BITS = 16
"""Values of files that allocate so many bits or fewer are hashed as 2 bytes each, others as 4."""


class ImagesHash:
    """SHA-256 over images, added in the order in which they are analysed.

    Of each: the line `UID frame rows columns type` and the stored values as the file has them, row
    after row, neither turned nor rescaled. So files of other names, in another order, or with other
    lossless encoding have the same hash, and whatever changes a pixel another one.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, header: SliceHeader, stored: NDArray[Any]) -> None:
        """One image, with its stored values: integers (rows, columns)."""
        kind = "int" if header.bits.signed else "uint"
        bits = SHORT_BITS if header.bits.allocated <= SHORT_BITS else 2 * SHORT_BITS
        # Decoders answer in types of their own; where a value does not fit, as padding beyond the
        # stored bits may not, its low bits count.
        words = stored.astype(np.dtype(f"{kind}{bits}").newbyteorder("<"), copy=False)
        frame = 0 if header.frame is None else header.frame + 1
        rows, columns = stored.shape
        line = f"{header.sop_instance_uid} {frame} {rows} {columns} {kind}{bits}\n"
        self._digest.update(line.encode("utf-8", "surrogateescape"))
        # Large updates are done without Python's lock: the networks go on meanwhile.
        self._digest.update(np.ascontiguousarray(words).data)

    def hexdigest(self) -> str:
        """Of all that was added so far."""
        return self._digest.hexdigest()
