"""Read a study: the one CT series of a folder or archive, by the rules of a profile.

The standard profile takes the suitable series in anatomical order, or refuses (docs/intake.md). The
notebook profile takes every `*.dcm` by file name, as the notebook does; geometry is not checked,
and a typed error is raised where the notebook would end with one (docs/pipeline.md section 1).
"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

from rcc_onnx.dicom.header_privacy import PATIENT_POSITIONS, term, uid
from rcc_onnx.dicom.headers import DAMAGED, SliceHeader, read_headers
from rcc_onnx.dicom.series import (
    TEST_SLICES,
    TOO_SHORT_MM,
    Candidate,
    Contents,
    SeriesSelection,
    choose,
    read_contents,
)
from rcc_onnx.dicom.sources import Source, list_files, without_names
from rcc_onnx.dicom.stack import STRIDE_TOLERANCE, Stack
from rcc_onnx.dicom.study import NETWORK_SLICE_MM, Study, StudySlice
from rcc_onnx.errors import IntakeError, OptionError
from rcc_onnx.imaging.placement import Reorientation
from rcc_onnx.types import IntakeRecord, Note, Profile, SeriesRow, SkippedFile

_log = logging.getLogger(__name__)

SHORT_EXTENT_MM = 100.0
"""Kidneys are about 110 mm long: a shorter series cannot show them whole."""
NOTEBOOK_MM = (1e-3, 100.0)
"""The notebook checks no spacing. These limits only keep a broken file from asking for a stride or
an image that no memory holds."""


def read_study(
    root: Path,
    profile: Profile,
    selection: SeriesSelection | None = None,
    *,
    shown_as: str | None = None,
) -> Study:
    """Return the one CT series of a folder or zip archive that is suitable or was asked for.

    Headers are read; pixels are not, unless slices at the same position must be compared.

    Args:
        root: the folder or archive.
        profile: which rules.
        selection: which series; None: the only suitable one.
        shown_as: the study's name in messages and the record, where no name of a folder or file may
            be shown; files are then called by number, in the order of their names.

    Raises:
        IntakeError: anything that would have to be guessed.
        OptionError: a series was asked for in the notebook profile, which knows file names only.
    """
    selection = selection or SeriesSelection()
    check_series_selection(profile, selection)
    if profile is Profile.NOTEBOOK:
        return _read_notebook_study(root, shown_as)
    return _read_standard_study(root, selection, shown_as)


def check_series_selection(profile: Profile, selection: SeriesSelection) -> None:
    """Raise OptionError if a series was asked for in the notebook profile, which cannot choose."""
    if profile is Profile.NOTEBOOK and selection != SeriesSelection():
        raise OptionError(
            "the notebook profile takes every *.dcm file and cannot choose a series; use the "
            "standard profile, or put the series into a folder of its own"
        )


def _read_standard_study(root: Path, selection: SeriesSelection, shown_as: str | None) -> Study:
    contents = read_contents(root, shown_as)
    chosen, because = choose(contents, selection)
    stack = chosen.stack
    if stack is None:
        raise AssertionError("a candidate without a stack cannot be chosen")
    others = [candidate for candidate in contents.candidates if candidate is not chosen]
    record = _record(
        [item.header for item in stack.slices],
        because,
        "by position along the slice normal, head first",
        reorientation=stack.reorientation,
        chosen=chosen.row,
        other_series=tuple(candidate.row for candidate in others),
        warnings=(*_stack_warnings(stack), *_series_warnings(contents, chosen, others)),
    )
    _log_record(record)
    not_chosen = [
        SkippedFile(header.file_name, f"series {other.label}, {other.row.verdict}, not chosen")
        for other in others
        for header in other.headers
    ]
    return Study(
        folder=root,
        profile=Profile.STANDARD,
        slices=stack.slices,
        spacing_zyx_mm=stack.spacing_zyx_mm,
        stride=stack.stride,
        files_found=contents.files_found,
        skipped_files=(*contents.skipped_files, *chosen.copies, *not_chosen),
        record=record,
    )


def _read_notebook_study(folder: Path, shown_as: str | None) -> Study:
    files = list_files(folder, shown_as)
    taken = [path for path in files if path.name.endswith(".dcm")]
    if not taken:
        raise IntakeError(
            f"{shown_as or folder}: no file named *.dcm, and the notebook profile reads no other; "
            "use the standard profile, which takes DICOM files of any name",
            code="no-dicom",
        )
    sources = [Source(path.name, path, path.stat().st_size) for path in taken]
    others = [SkippedFile(path.name, "not named *.dcm") for path in files if path not in set(taken)]
    if shown_as is not None:
        sources, others = without_names(sources, others)
    headers, unusable = read_headers(sources)
    unusable += [
        SkippedFile(header.file_name, "multi-frame image")
        for header in headers
        if header.frame is not None or header.frames > 1
    ]
    if unusable:
        raise IntakeError(
            f"{unusable[0].file}: {unusable[0].reason}; the notebook profile takes every "
            "*.dcm file for a slice, so remove this one or use the standard profile",
            code="notebook-stops",
        )
    thickness = _lengths_mm(headers[0], "SliceThickness")[0]
    slices = tuple(_notebook_slice(header) for header in headers)
    return Study(
        folder=folder,
        profile=Profile.NOTEBOOK,
        slices=slices,
        spacing_zyx_mm=(thickness, *slices[0].spacing_yx_mm),
        stride=math.ceil(NETWORK_SLICE_MM / thickness),
        files_found=len(files),
        skipped_files=tuple(others),
        record=_record(
            headers,
            "the notebook profile takes every *.dcm file of the folder",
            "by file name as text",
        ),
    )


def _notebook_slice(header: SliceHeader) -> StudySlice:
    _lengths_mm(header, "PixelSpacing")
    slope, intercept = header.required("RescaleSlope"), header.required("RescaleIntercept")
    return StudySlice(header, Reorientation(), slope[0], intercept[0])


def _lengths_mm(header: SliceHeader, keyword: str) -> tuple[float, ...]:
    """Return the attribute's numbers, which must be lengths that occur in a CT."""
    lengths = header.required(keyword)
    for value in lengths:
        if value <= 0:
            raise IntakeError(
                f"{header.file_name}: {keyword} is {value}, not above zero",
                code="invalid-attribute",
            )
        if not NOTEBOOK_MM[0] <= value <= NOTEBOOK_MM[1]:
            raise IntakeError(
                f"{header.file_name}: {keyword} is {value:.4g} mm, which is not possible in a CT; "
                "export the series again from its source",
                code="spacing-out-of-range",
            )
    return lengths


def _record(  # noqa: PLR0913
    headers: Sequence[SliceHeader],
    because: str,
    order: str,
    *,
    reorientation: Reorientation | None = None,
    chosen: SeriesRow | None = None,
    other_series: tuple[SeriesRow, ...] = (),
    warnings: tuple[Note, ...] = (),
) -> IntakeRecord:
    """Return the record of slices in the order in which they are analysed."""
    first, reorientation = headers[0], reorientation or Reorientation()
    return IntakeRecord(
        chosen=chosen,
        chosen_because=because,
        other_series=other_series,
        files_used=len({header.source.name for header in headers}),
        order=order,
        first=first.file_name,
        last=headers[-1].file_name,
        orientation=first.orientation or (),
        transpose=reorientation.transpose,
        flip_rows=reorientation.flip_rows,
        flip_columns=reorientation.flip_columns,
        patient_position=term(first.patient_position, PATIENT_POSITIONS),
        transfer_syntax=uid(first.transfer_syntax_uid),
        lossy=any(header.lossy for header in headers),
        warnings=warnings,
    )


def _stack_warnings(stack: Stack) -> list[Note]:
    """Return what does not stop the analysis, but should be read next to its result."""
    headers = [item.header for item in stack.slices]
    texts = {
        "short-extent": stack.extent_mm < SHORT_EXTENT_MM
        and f"The series covers {stack.extent_mm:.0f} mm from head to feet; a kidney may be "
        "missing or cut off.",
        "thick-slices": stack.spacing_mm > NETWORK_SLICE_MM * (1 + STRIDE_TOLERANCE)
        and f"Slices are {stack.spacing_mm:.2f} mm apart; the networks expect "
        f"{NETWORK_SLICE_MM:.0f} mm.",
        "rescale-type": any(header.rescale_type not in ("", "HU") for header in headers)
        and "RescaleType is not HU; the values are used as Hounsfield units all the same.",
        "modality-lut": any(header.modality_lut for header in headers)
        and "A Modality LUT takes the place of rescale slope and intercept.",
        "no-slice-thickness": any(header.slice_thickness is None for header in headers)
        and "SliceThickness is missing; the result does not depend on it, only on positions.",
        "no-patient-position": not all(header.patient_position for header in headers)
        and "PatientPosition is missing; the result does not depend on it, only on direction "
        "cosines.",
        "no-modality": not all(header.modality for header in headers)
        and "Modality is missing; the SOP class says that it is CT.",
        "lossy": any(header.lossy for header in headers)
        and "The pixels went through lossy compression.",
    }
    return [Note(code, text) for code, text in texts.items() if text]


def _series_warnings(
    contents: Contents, chosen: Candidate, others: Sequence[Candidate]
) -> list[Note]:
    """Return notes on files and series that were left out."""
    unread = sum(file.reason == DAMAGED for file in contents.skipped_files)
    copies = len(chosen.copies)
    short = [other.label for other in others if other.stack and other.row.extent_mm < TOO_SHORT_MM]
    texts = {
        "damaged-files": unread and f"{unread} DICOM files could not be read and were left out.",
        "copies-dropped": copies
        and f"{copies} slices were identical copies of others and were dropped.",
        "short-series-left-out": short
        and f"Too short to hold a kidney, and not analysed: series {', '.join(short)}.",
    }
    refused = [
        Note("other-series-refused", f"Series {other.label} was refused: {other.error.code}.")
        for other in others
        if other.error is not None and other.row.slices >= TEST_SLICES
    ]
    return [*(Note(code, text) for code, text in texts.items() if isinstance(text, str)), *refused]


def _log_record(record: IntakeRecord) -> None:
    row = record.chosen
    if row is not None:
        _log.info("series %s (%d slices): %s", row.label, row.slices, record.chosen_because)
    for other in record.other_series:
        _log.info("series %s (%d slices): not used, %s", other.label, other.slices, other.verdict)
    _log.info("%s, from %s to %s", record.order, record.first, record.last)
    _log.info(
        "orientation %s; transpose %s, flip rows %s, flip columns %s; %s",
        "\\".join(f"{cosine:g}" for cosine in record.orientation),
        record.transpose,
        record.flip_rows,
        record.flip_columns,
        "lossy" if record.lossy else "not lossy",
    )
    for note in record.warnings:
        _log.info("warning [%s]: %s", note.code, note.text)
