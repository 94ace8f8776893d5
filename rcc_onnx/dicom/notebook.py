"""The intake of the notebook profile (docs/pipeline.md section 1): by file name, nothing turned.

Geometry is not checked, as the notebook does not check it. Where it would end with an error, so
does this, with one that says why.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from rcc_onnx.dicom.header_privacy import PATIENT_POSITIONS, term, uid
from rcc_onnx.dicom.headers import SliceHeader, read_headers
from rcc_onnx.dicom.sources import LeftOut, Source, list_files, without_names
from rcc_onnx.dicom.study import NETWORK_SLICE_MM, Study, StudySlice
from rcc_onnx.errors import IntakeError
from rcc_onnx.imaging.placement import Reorientation
from rcc_onnx.types import IntakeRecord, Profile

SMALLEST_MM = 1e-3
LARGEST_MM = 100.0
"""The notebook looks at no spacing. These only keep a broken file from asking for a stride or an
image that no memory holds."""


def read_notebook_study(folder: Path, shown_as: str | None = None) -> Study:
    """Every `*.dcm` of the folder, sorted by name as text; stride from the first one's thickness.

    Raises:
        IntakeError: no such folder, no such file, or a file the notebook could not use.
    """
    files = list_files(folder, shown_as)
    chosen = [path for path in files if path.name.endswith(".dcm")]
    if not chosen:
        raise IntakeError(
            f"{shown_as or folder}: no file named *.dcm, and the notebook profile reads no other; "
            "use the standard profile, which takes DICOM files of any name",
            code="no-dicom",
        )
    sources = [Source(path.name, path, path.stat().st_size) for path in chosen]
    others = [LeftOut(path.name, "not named *.dcm") for path in files if path not in set(chosen)]
    if shown_as is not None:
        sources, others = without_names(sources, others)
    headers, unread = read_headers(sources)
    unusable = [*unread, *(LeftOut(h.file_name, "multi-frame image") for h in headers if _many(h))]
    if unusable:
        raise IntakeError(
            f"{unusable[0].file_name}: {unusable[0].reason}; the notebook profile takes every "
            "*.dcm file for a slice, so remove this one or use the standard profile",
            code="notebook-stops",
        )
    thickness = _in_mm(headers[0], "SliceThickness")[0]
    slices = tuple(_slice(header) for header in headers)
    return Study(
        folder=folder,
        profile=Profile.NOTEBOOK,
        slices=slices,
        spacing_zyx_mm=(thickness, *slices[0].spacing_yx_mm),
        stride=math.ceil(NETWORK_SLICE_MM / thickness),
        files_found=len(files),
        left_out=tuple(others),
        record=_record(headers),
    )


def _many(header: SliceHeader) -> bool:
    return header.frame is not None or header.frames > 1


def _record(headers: Sequence[SliceHeader]) -> IntakeRecord:
    first = headers[0]
    return IntakeRecord(
        chosen=None,
        chosen_because="the notebook profile takes every *.dcm file of the folder",
        other_series=(),
        files_used=len(headers),
        order="by file name as text",
        first=first.file_name,
        last=headers[-1].file_name,
        orientation=first.orientation or (),
        transpose=False,
        flip_rows=False,
        flip_columns=False,
        patient_position=term(first.patient_position, PATIENT_POSITIONS),
        transfer_syntax=uid(first.transfer_syntax_uid),
        lossy=any(header.lossy for header in headers),
        warnings=(),
    )


def _in_mm(header: SliceHeader, keyword: str) -> tuple[float, ...]:
    """The attribute's numbers, which must be lengths that something in a CT may have."""
    found = header.required(keyword)
    for value in found:
        if value <= 0:
            raise IntakeError(
                f"{header.file_name}: {keyword} is {value}, not above zero",
                code="invalid-attribute",
            )
        if not SMALLEST_MM <= value <= LARGEST_MM:
            raise IntakeError(
                f"{header.file_name}: {keyword} is {value:.4g} mm, which is nothing in a CT; "
                "export the series again from its source",
                code="spacing-out-of-range",
            )
    return found


def _slice(header: SliceHeader) -> StudySlice:
    between_rows, between_columns = _in_mm(header, "PixelSpacing")
    return StudySlice(
        header=header,
        turn=Reorientation(),
        shape=(header.rows, header.columns),
        spacing_yx_mm=(between_rows, between_columns),
        slope=header.required("RescaleSlope")[0],
        intercept=header.required("RescaleIntercept")[0],
    )
