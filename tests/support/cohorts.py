"""Folders of results and files of labels, as `infer` and users make them: for `evaluate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcc_onnx.evaluate.cohort import Cohort, build_cohort
from rcc_onnx.evaluate.labels import read_labels
from rcc_onnx.results import SideFinding
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.types import SIDES, Centre, LesionBox, Note, Outcome, Side
from tests.support.results import case_result, failed_case, kidney_finding, lesion_finding

THRESHOLD = 50.0
CUT = Note("kidney-cut-by-first-slice", "The kidney is cut off.")


@dataclass(frozen=True)
class Answer:
    """The result of one side. A score of None is a kidney that was not found."""

    score: float | None = 1.0
    assessable: bool = True
    located: bool = True

    def finding(self) -> SideFinding:
        flags = () if self.assessable else (CUT,)
        if self.score is None:
            missing = Outcome.KIDNEY_NOT_FOUND if self.located else Outcome.KIDNEY_NOT_LOCATED
            return SideFinding(missing, kidney_finding(3.0), flags=flags)
        box = LesionBox(17, 10, 30, 12, 32)
        if self.score <= THRESHOLD:
            outcome = Outcome.NO_LESION
        else:
            outcome = Outcome.LESION if self.located else Outcome.LESION_NOT_LOCATED
        lesion = lesion_finding(self.score, box if outcome is Outcome.LESION else None)
        return SideFinding(outcome, kidney_finding(4000.0, Centre(20, 90, 41)), lesion, flags)


def cohort_of(
    out: Path, labels: Path, *, unlabelled: bool = False, missing: bool = False
) -> Cohort:
    """Match a folder of results with labels; `unlabelled`, `missing`: what is allowed."""
    return build_cohort(
        read_labels(labels), out, allow_unlabelled=unlabelled, allow_missing=missing
    )


def write_answer(out: Path, case: str, right: Answer, left: Answer, **changes: Any) -> Path:
    """Write the JSON of one analysed case; `changes` replace fields of the result."""
    sides: Mapping[Side, SideFinding] = {"right": right.finding(), "left": left.finding()}
    result = case_result(case, sides=sides, **changes).without_images()
    return _write(out / f"{case}.json", document_bytes(result))


def write_failure(out: Path, case: str) -> Path:
    return _write(out / f"{case}.json", document_bytes(failed_case(case)))


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_labels(path: Path, rows: Mapping[tuple[str, Side], tuple[int, float | None]]) -> Path:
    """Write labels: lesion and size by case and side."""
    lines = ["case,side,lesion,size_mm"]
    lines += [
        f"{case},{side},{lesion},{'' if size is None else size}"
        for (case, side), (lesion, size) in rows.items()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def small_cohort(folder: Path) -> tuple[Path, Path]:
    """Six cases that hold every group once or more; OUT and the labels.

    By hand: assessable kidneys a right 120 (lesion), a left 2 (none), b right 60 (none), b left 10
    (lesion), c right 90 (lesion), c left 2 (none); not assessable d right 70 (lesion); not found
    d left (none); failed e right (lesion), e left (none); not located f right (lesion); unlabelled
    f left 80.
    """
    out = folder / "out"
    write_answer(out, "a", Answer(120.0), Answer(2.0))
    write_answer(out, "b", Answer(60.0), Answer(10.0))
    write_answer(out, "c", Answer(90.0, located=False), Answer(2.0))
    write_answer(out, "d", Answer(70.0, assessable=False), Answer(None))
    write_failure(out, "e")
    write_answer(out, "f", Answer(None, located=False), Answer(80.0))
    truth: dict[tuple[str, Side], tuple[int, float | None]] = {
        ("a", "right"): (1, 15.0),
        ("a", "left"): (0, None),
        ("b", "right"): (0, None),
        ("b", "left"): (1, 15.5),
        ("c", "right"): (1, 52.0),
        ("c", "left"): (0, None),
        ("d", "right"): (1, 30.0),
        ("d", "left"): (0, None),
        ("e", "right"): (1, None),
        ("e", "left"): (0, None),
        ("f", "right"): (1, 40.0),
    }
    return out, write_labels(folder / "labels.csv", truth)


def paper_cohort(folder: Path, patients: int, found: int, cleared: int) -> tuple[Path, Path]:
    """As published: every patient has a lesion in one kidney and none in the other.

    `found` of the kidneys with a lesion and `cleared` of those without were answered correctly.
    """
    out, rows = folder / "out", {}
    for number in range(patients):
        case = f"{number:03d}"
        with_lesion, other = SIDES if number % 2 else SIDES[::-1]
        answers = {
            with_lesion: Answer(100.0 if number < found else 10.0),
            other: Answer(5.0 if number < cleared else 80.0),
        }
        write_answer(out, case, answers["right"], answers["left"])
        rows[case, with_lesion], rows[case, other] = (1, None), (0, None)
    return out, write_labels(folder / "labels.csv", rows)
