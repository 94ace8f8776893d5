"""The size that compressed pixels claim, before a decoder sets aside memory for it."""

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

_J2K_START = b"\xff\x4f\xff\x51"
"""Start of codestream, then the size segment (ISO/IEC 15444-1 A.5.1)."""
_JPEG_START = b"\xff\xd8"
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start of frame of JPEG (ITU-T T.81 B.2.2) and JPEG-LS (T.87 C.2.2)."""


def check_size(dataset: Dataset, rows: int, columns: int) -> None:
    """Raise ValueError if the first encapsulated frame claims another size than the header."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    frame = next(
        generate_frames(dataset.PixelData, number_of_frames=dataset.get("NumberOfFrames", 1))
    )
    claimed = claimed_size(frame)
    if claimed is not None and claimed != (rows, columns):
        raise ValueError(f"the compressed image is {claimed[0]} x {claimed[1]}")


def claimed_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a compressed frame claims; None if it is of no kind known here."""
    if frame[:4] == _J2K_START and len(frame) >= 24:
        width, height, left, top = (
            int.from_bytes(frame[at : at + 4], "big") for at in (8, 12, 16, 20)
        )
        return height - top, width - left
    if frame[:2] != _JPEG_START:
        return None
    at = 2
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker in _FRAME_MARKERS:
            return (
                int.from_bytes(frame[at + 5 : at + 7], "big"),
                int.from_bytes(frame[at + 7 : at + 9], "big"),
            )
        if marker == 0xFF:
            at += 1
        else:
            at += 2 + max(length, 2)
    return None
