"""Labels of a cohort: a CSV with one row for each kidney that was assessed.

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
"""Items that a message lists; the rest is counted."""


@dataclass(frozen=True)
class KidneyLabel:
    """The truth about one kidney; `size_mm` of its lesion, if that was measured."""

    case: str
    side: Side
    lesion: bool
    size_mm: float | None = None


@dataclass(frozen=True)
class LabelsSummary:
    """A file of labels in short.

    Attributes:
        separator: comma or semicolon.
        ignored_columns: columns that are not used.
    """

    file: str
    separator: str
    cases: int
    kidneys: int
    with_lesion: int
    ignored_columns: tuple[str, ...]


@dataclass(frozen=True)
class Labels:
    """A file of labels; `kidneys`: at least one, each case and side once."""

    summary: LabelsSummary
    kidneys: tuple[KidneyLabel, ...]

    @property
    def cases(self) -> dict[str, None]:
        """The labelled cases, in the order of the file."""
        return dict.fromkeys(kidney.case for kidney in self.kidneys)


def few(items: Iterable[str]) -> str:
    """Return the first few items as text, and how many more there are."""
    listed = list(items)
    more = f" and {len(listed) - FEW} more" if len(listed) > FEW else ""
    return ", ".join(listed[:FEW]) + more


def same_name(name: str) -> str:
    """Return a name for comparison: letters with accents can be stored in two ways."""
    return unicodedata.normalize("NFC", name)


def read_labels(path: Path) -> Labels:
    """Read and check a file of labels.

    Raises:
        EvaluateError (labels-file): it cannot be read, is not UTF-8 or CSV, or has no row.
        EvaluateError (labels-columns): a column is missing or repeated.
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
    rows = _rows(path, text, separator)
    header = [name.strip().lower() for name in rows[0][1]]
    _check_header(path, header)
    problems: list[str] = []
    lines: dict[KidneyLabel, list[int]] = {}
    for line, cells in rows[1:]:
        found = _kidney(header, cells, separator)
        if isinstance(found, KidneyLabel):
            lines.setdefault(found, []).append(line)
        else:
            problems += [f"line {line}: {problem}" for problem in found]
    if problems:
        raise EvaluateError(
            f"values of {path.name} that cannot be used ({len(problems)}): "
            f"{'; '.join(problems[:FEW])}{'; ...' if len(problems) > FEW else ''}. "
            "Nothing was evaluated; correct them",
            code="labels-value",
        )
    if not lines:
        raise EvaluateError(
            f"{path.name} has a header and no row; write one row for each kidney",
            code="labels-file",
        )
    _check_duplicates(path, lines)
    known = (*REQUIRED, SIZE)
    summary = LabelsSummary(
        file=path.name,
        separator=SEPARATORS[separator],
        cases=len({kidney.case for kidney in lines}),
        kidneys=len(lines),
        with_lesion=sum(kidney.lesion for kidney in lines),
        ignored_columns=tuple(name for name in header if name and name not in known),
    )
    return Labels(summary, tuple(lines))


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


def _rows(path: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Return line number and cells of every line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise EvaluateError(
            f"{path.name}, line {reader.line_num}: not valid CSV: {error}", code="labels-file"
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
    repeated = [name for name, times in Counter(header).items() if name and times > 1]
    if repeated:
        raise EvaluateError(
            f"{path.name} names the column {few(repeated)} more than once", code="labels-columns"
        )


def _kidney(header: Sequence[str], cells: Sequence[str], separator: str) -> KidneyLabel | list[str]:
    """Return the label in a row, or what is wrong with it."""
    if len(cells) != len(header):
        return [f"{len(cells)} cells under {len(header)} columns"]
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    problems = []
    if not row["case"]:
        problems.append("no case")
    side = next((side for side in SIDES if side == row["side"].lower()), None)
    if side is None:
        problems.append(f"side {row['side']!r} is neither right nor left")
    lesion = LESION_WORDS.get(row["lesion"].lower())
    if lesion is None:
        problems.append(f"lesion {row['lesion']!r} is not 1, 0, yes, no, true or false")
    size = _size(row, lesion, separator)
    if isinstance(size, str):
        problems.append(size)
    if side is None or lesion is None or isinstance(size, str) or problems:
        return problems
    return KidneyLabel(same_name(row["case"]), side, lesion, size)


def _size(row: Mapping[str, str], lesion: bool | None, separator: str) -> float | str | None:
    """Return the lesion's size in mm, None without one, or what is wrong with it."""
    text = row.get(SIZE, "")
    if not text:
        return None
    try:
        # Where semicolons separate, spreadsheets write 12,5.
        size = float(text.replace(",", ".") if separator == ";" else text)
    except ValueError:
        return f"size_mm {text!r} is not a number"
    if lesion is False:
        return f"size_mm {text} where lesion is 0; leave it empty" if size else None
    if not (math.isfinite(size) and size > 0):
        return f"size_mm {text} is not a size; leave it empty if it is not known"
    return size


def _check_duplicates(path: Path, lines: Mapping[KidneyLabel, Sequence[int]]) -> None:
    found: dict[tuple[str, Side], list[int]] = {}
    for kidney, numbers in lines.items():
        found.setdefault((kidney.case, kidney.side), []).extend(numbers)
    repeated = [
        f"{case} {side} (lines {', '.join(map(str, sorted(numbers)))})"
        for (case, side), numbers in found.items()
        if len(numbers) > 1
    ]
    if repeated:
        raise EvaluateError(
            f"kidneys with more than one row in {path.name} ({len(repeated)}): {few(repeated)}. "
            "Keep one row for each kidney",
            code="labels-duplicate",
        )
