"""The intake of the notebook profile (docs/pipeline.md section 1): by file name, nothing turned.

Geometry is not checked, as the notebook does not check it. Where it would end with an error, so
does this, with one that says why.
"""

import math
from pathlib import Path

from rcc_onnx.errors import InvalidAttributeError, NoDicomError, NotebookStopsError
from rcc_onnx.intake.headers import LeftOut, SliceHeader, list_files, read_header
from rcc_onnx.intake.study import NETWORK_SLICE_MM, AxisTurn, Study, StudySlice
from rcc_onnx.values import Profile


def read_notebook_study(folder: Path) -> Study:
    """Every `*.dcm` of the folder, sorted by name as text; stride from the first one's thickness.

    Raises:
        IntakeError: no such folder, no such file, or a file the notebook could not use.
    """
    files = list_files(folder)
    chosen = [path for path in files if path.name.endswith(".dcm")]
    if not chosen:
        raise NoDicomError(
            f"{folder}: no file named *.dcm, and the notebook profile reads no other; use the "
            "standard profile, which takes DICOM files of any name"
        )
    headers = [_header(path) for path in chosen]
    thickness = _positive(headers[0], "SliceThickness")
    slices = tuple(_slice(header) for header in headers)
    return Study(
        folder=folder,
        profile=Profile.NOTEBOOK,
        slices=slices,
        spacing_zyx_mm=(thickness, *slices[0].spacing_yx_mm),
        stride=math.ceil(NETWORK_SLICE_MM / thickness),
        files_found=len(files),
        left_out=tuple(
            LeftOut(path.name, "not named *.dcm") for path in files if path not in set(chosen)
        ),
    )


def _header(path: Path) -> SliceHeader:
    header = read_header(path)
    if isinstance(header, LeftOut):
        raise NotebookStopsError(
            f"{header.file_name}: {header.reason}; the notebook profile takes every *.dcm file "
            "for a slice, so remove this one or use the standard profile"
        )
    return header


def _positive(header: SliceHeader, keyword: str) -> float:
    """The attribute's first number, which must be above zero."""
    value = header.required(keyword)[0]
    if value <= 0:
        raise InvalidAttributeError(f"{header.file_name}: {keyword} is {value}, not above zero")
    return value


def _slice(header: SliceHeader) -> StudySlice:
    spacing = header.required("PixelSpacing")
    return StudySlice(
        header=header,
        turn=AxisTurn(),
        shape=(header.rows, header.columns),
        spacing_yx_mm=(_positive(header, "PixelSpacing"), spacing[1]),
        slope=header.required("RescaleSlope")[0],
        intercept=header.required("RescaleIntercept")[0],
    )
