"""Labels of a cohort: a CSV with one row for each kidney that somebody looked at.

Columns `case`, `side`, `lesion` and, if known, `size_mm`; UTF-8, separated by commas or semicolons,
whichever the header uses (docs/evaluate.md).
"""

import csv
import io
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.errors import EvaluateError
from rcc_onnx.types import SIDES, Side

REQUIRED = ("case", "side", "lesion")
SIZE = "size_mm"
LESION_WORDS = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}
SEPARATORS = {",": "comma", ";": "semicolon"}
FEW = 5
"""Offenders that a message lists; the rest is counted."""


@dataclass(frozen=True)
class KidneyLabel:
    """What is true of one kidney. `size_mm` of the lesion, if there is one and it was measured."""

    case: str
    side: Side
    lesion: bool
    size_mm: float | None = None


@dataclass(frozen=True)
class Labels:
    """A file of labels.

    Attributes:
        kidneys: at least one, each case and side once.
        separator: comma or semicolon.
        ignored_columns: columns that nothing is made of.
    """

    file_name: str
    kidneys: tuple[KidneyLabel, ...]
    separator: str
    ignored_columns: tuple[str, ...]


def few(items: Iterable[str]) -> str:
    """The first few, and how many more."""
    listed = list(items)
    more = f" and {len(listed) - FEW} more" if len(listed) > FEW else ""
    return ", ".join(listed[:FEW]) + more


def same_name(name: str) -> str:
    """A name as it is compared: letters with accents can be stored in two ways that look alike."""
    return unicodedata.normalize("NFC", name)


def read_labels(path: Path) -> Labels:
    """Read and check a file of labels.

    Raises:
        EvaluateError (labels-file): it cannot be read, is no UTF-8 or no CSV, or holds no row.
        EvaluateError (labels-columns): a column is missing or named twice.
        EvaluateError (labels-value): a cell cannot be used.
        EvaluateError (labels-duplicate): a kidney has more than one row.
    """
    text = _text(path)
    header_line = next((line for line in text.splitlines() if line.strip()), "")
    if not header_line:
        raise EvaluateError(
            f"{path.name} is empty; its first line must be case,side,lesion", code="labels-file"
        )
    separator = ";" if ";" in header_line else ","
    lines = _lines(path, text, separator)
    header = [name.strip().lower() for name in lines[0][1]]
    _check_header(path, header)
    problems: list[str] = []
    kidneys: list[KidneyLabel] = []
    places: list[int] = []
    for number, cells in lines[1:]:
        found = _kidney(header, cells, separator)
        if isinstance(found, KidneyLabel):
            kidneys.append(found)
            places.append(number)
        else:
            problems += [f"line {number}: {problem}" for problem in found]
    if problems:
        raise EvaluateError(
            f"values of {path.name} that cannot be used ({len(problems)}): "
            f"{'; '.join(problems[:FEW])}{'; ...' if len(problems) > FEW else ''}. "
            "Nothing was evaluated; correct them",
            code="labels-value",
        )
    if not kidneys:
        raise EvaluateError(
            f"{path.name} has a header and no row; write one row for each kidney",
            code="labels-file",
        )
    _check_duplicates(path, kidneys, places)
    known = (*REQUIRED, SIZE)
    ignored = tuple(name for name in header if name and name not in known)
    return Labels(path.name, tuple(kidneys), SEPARATORS[separator], ignored)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise EvaluateError(
            f'{path.name} is not UTF-8 text; save it as "CSV UTF-8" and try again',
            code="labels-file",
        ) from None
    except OSError as error:
        raise EvaluateError(
            f"cannot read the labels {path}: {error.strerror or error}", code="labels-file"
        ) from error


def _lines(path: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise EvaluateError(
            f"{path.name}, line {reader.line_num}: no CSV: {error}", code="labels-file"
        ) from None


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise EvaluateError(
            f"{path.name} lacks the column {few(missing)}; its first line has: "
            f"{few(header)}. It must name case, side and lesion (and may name size_mm), separated "
            "by commas or semicolons",
            code="labels-columns",
        )
    twice = [name for name, times in Counter(header).items() if name and times > 1]
    if twice:
        raise EvaluateError(
            f"{path.name} names the column {few(twice)} more than once", code="labels-columns"
        )


def _kidney(header: Sequence[str], cells: Sequence[str], separator: str) -> KidneyLabel | list[str]:
    """One row as a label, or what is wrong with it."""
    if len(cells) != len(header):
        return [f"{len(cells)} cells under {len(header)} columns"]
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    problems = []
    if not row["case"]:
        problems.append("no case")
    side = next((one for one in SIDES if one == row["side"].lower()), None)
    if side is None:
        problems.append(f"side {row['side']!r} is neither right nor left")
    lesion = LESION_WORDS.get(row["lesion"].lower())
    if lesion is None:
        problems.append(f"lesion {row['lesion']!r} is none of 1, 0, yes, no, true, false")
    size = _size(row, lesion, separator)
    if isinstance(size, str):
        problems.append(size)
    if side is None or lesion is None or isinstance(size, str) or problems:
        return problems
    return KidneyLabel(same_name(row["case"]), side, lesion, size)


def _size(row: Mapping[str, str], lesion: bool | None, separator: str) -> float | str | None:
    """The lesion's size in mm, None if there is none, or what is wrong with it."""
    text = row.get(SIZE, "")
    if not text:
        return None
    try:
        # Where semicolons separate, spreadsheets write 12,5.
        size = float(text.replace(",", ".") if separator == ";" else text)
    except ValueError:
        return f"size_mm {text!r} is no number"
    if lesion is False:
        return f"size_mm {text} where lesion is 0; leave it empty" if size else None
    if not (math.isfinite(size) and size > 0):
        return f"size_mm {text} is no size; leave it empty if it is not known"
    return size


def _check_duplicates(path: Path, kidneys: Sequence[KidneyLabel], places: Sequence[int]) -> None:
    lines: dict[tuple[str, Side], list[int]] = {}
    for kidney, place in zip(kidneys, places, strict=True):
        lines.setdefault((kidney.case, kidney.side), []).append(place)
    twice = {kidney: found for kidney, found in lines.items() if len(found) > 1}
    if twice:
        listed = (
            f"{case} {side} (lines {', '.join(map(str, found))})"
            for (case, side), found in twice.items()
        )
        raise EvaluateError(
            f"kidneys with more than one row in {path.name} ({len(twice)}): {few(listed)}. Keep "
            "one row for each kidney",
            code="labels-duplicate",
        )
