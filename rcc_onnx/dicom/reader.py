"""The intake of the standard profile: one series, in order (docs/pipeline.md section 1)."""

import logging
from pathlib import Path

from rcc_onnx.dicom.header_privacy import PATIENT_POSITIONS, term, uid
from rcc_onnx.dicom.headers import DAMAGED
from rcc_onnx.dicom.series import (
    TEST_SLICES,
    TOO_SHORT_MM,
    Candidate,
    Contents,
    SeriesSelection,
    Stack,
    choose,
    read_contents,
    warnings_of,
)
from rcc_onnx.dicom.sources import LeftOut
from rcc_onnx.dicom.study import Study
from rcc_onnx.types import IntakeRecord, Note, Profile

_log = logging.getLogger(__name__)


def read_standard_study(root: Path, wish: SeriesSelection, shown_as: str | None = None) -> Study:
    """The one axial CT series of a folder or archive that is suitable or was asked for, head first.

    Raises:
        IntakeError: one of its leaves, for anything that would have to be guessed.
    """
    contents = read_contents(root, shown_as)
    chosen, because = choose(contents, wish)
    if chosen.stack is None:
        raise AssertionError("a candidate without a stack cannot be chosen")
    record = _record(contents, chosen, chosen.stack, because)
    _say(record)
    return Study(
        folder=root,
        profile=Profile.STANDARD,
        slices=chosen.stack.slices,
        spacing_zyx_mm=chosen.stack.spacing_zyx_mm,
        stride=chosen.stack.stride,
        files_found=contents.files_found,
        left_out=(*contents.left_out, *chosen.copies, *_of_others(contents, chosen)),
        record=record,
    )


def _of_others(contents: Contents, chosen: Candidate) -> list[LeftOut]:
    """The slices of the series that were not chosen."""
    return [
        LeftOut(header.file_name, f"series {other.row.label}, {other.row.verdict}, not chosen")
        for other in contents.candidates
        if other is not chosen
        for header in other.headers
    ]


def _record(contents: Contents, chosen: Candidate, stack: Stack, because: str) -> IntakeRecord:
    first, last = stack.slices[0].header, stack.slices[-1].header
    other_series = tuple(one.row for one in contents.candidates if one is not chosen)
    return IntakeRecord(
        chosen=chosen.row,
        chosen_because=because,
        other_series=other_series,
        files_used=len({one.header.source.name for one in stack.slices}),
        order="by position along the slice normal, head first",
        first=first.file_name,
        last=last.file_name,
        orientation=first.orientation or (),
        transpose=stack.turn.transpose,
        flip_rows=stack.turn.flip_rows,
        flip_columns=stack.turn.flip_columns,
        patient_position=term(first.patient_position, PATIENT_POSITIONS),
        transfer_syntax=uid(first.transfer_syntax_uid),
        lossy=any(one.header.lossy for one in stack.slices),
        warnings=(*warnings_of(stack), *_warnings(contents, chosen)),
    )


def _warnings(contents: Contents, chosen: Candidate) -> list[Note]:
    said = []
    unread = sum(file.reason == DAMAGED for file in contents.left_out)
    if unread:
        said.append(
            Note("damaged-files", f"{unread} DICOM files could not be read and were left out.")
        )
    if chosen.copies:
        text = f"{len(chosen.copies)} slices were identical copies of others and were dropped."
        said.append(Note("copies-dropped", text))
    short = [one.row.label for one in contents.candidates if one is not chosen and _is_short(one)]
    if short:
        text = f"Too short to hold a kidney, and not looked at: series {', '.join(short)}."
        said.append(Note("short-series-left-out", text))
    for one in contents.candidates:
        if one is not chosen and one.error is not None and one.row.slices >= TEST_SLICES:
            text = f"Series {one.row.label} was refused: {one.error.code}."
            said.append(Note("other-series-refused", text))
    return said


def _is_short(one: Candidate) -> bool:
    return one.stack is not None and one.row.extent_mm < TOO_SHORT_MM


def _say(record: IntakeRecord) -> None:
    """The verdict, for the log."""
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
