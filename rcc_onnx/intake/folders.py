"""Which folders could be a study, without reading headers."""

from pathlib import Path

from rcc_onnx.intake.headers import list_files

_PREAMBLE = 128
_MAGIC = b"DICM"


def holds_dicom(folder: Path) -> bool:
    """Whether a file of the folder itself is named `*.dcm` or starts as DICOM files do.

    PS3.10 section 7.1: 128 bytes, then the letters DICM.
    """
    return any(
        path.suffix.lower() == ".dcm" or _starts_as_dicom(path) for path in list_files(folder)
    )


def _starts_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(_PREAMBLE)
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False
