"""The intake's verdict as plain values: what was chosen, left out and noted, and why.

Below everything else, so that errors, findings and writers can carry it without knowing DICOM.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Note(NamedTuple):
    """Something a person should know, with a code that scripts may rely on."""

    code: str
    text: str


@dataclass(frozen=True)
class SeriesRow:
    """One candidate: a series, or a part of one that hides several things under one UID.

    Attributes:
        label: what `--series` takes: SeriesNumber, with `.1`, `.2` ... where that is not unique.
        extent_mm: from the first to the last slice; 0 if it cannot be told.
        spacing_mm: between slices; None if it cannot be told.
        verdict: `suitable`, or the code of the refusal.
        reason: the refusal's sentence; "" if suitable.
    """

    label: str
    uid: str
    study_uid: str
    number: str
    description: str
    image_type: str
    contrast: str
    kernel: str
    slices: int
    rows: int
    columns: int
    thickness_mm: float | None
    spacing_mm: float | None
    extent_mm: float
    verdict: str
    reason: str

    @property
    def is_suitable(self) -> bool:
        return self.verdict == "suitable"


@dataclass(frozen=True)
class IntakeRecord:
    """How the slices that were analysed came about.

    Attributes:
        chosen: the series; None in the notebook profile, which looks at names only.
        chosen_because: in a sentence.
        others: the candidates that were not chosen.
        files_used: files of the chosen series; less than its slices if they are multi-frame.
        order: how slices were ordered.
        first, last: names of the first and the last slice in that order.
        orientation: ImageOrientationPatient of the files.
        transpose, flip_rows, flip_columns: what was done to the arrays, in that order.
        transfer_syntax: UID of the pixels' encoding.
        lossy: whether the pixels went through lossy compression.
        warnings: what does not stop the analysis.
    """

    chosen: SeriesRow | None
    chosen_because: str
    others: tuple[SeriesRow, ...]
    files_used: int
    order: str
    first: str
    last: str
    orientation: tuple[float, ...]
    transpose: bool
    flip_rows: bool
    flip_columns: bool
    patient_position: str
    transfer_syntax: str
    lossy: bool
    warnings: tuple[Note, ...]
