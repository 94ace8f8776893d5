"""Other names for cases: `--pseudonyms FILE`, a CSV with the columns `case` and `pseudonym`.

Messages count lines and cases and name neither: a case's own name is what must not show.
"""

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rcc_onnx.errors import PseudonymsError
from rcc_onnx.output.document import MAX_NAME_BYTES, RUN_NAMES, WINDOWS_DEVICES, same_everywhere

COLUMNS = ["case", "pseudonym"]
GIVES_AWAY_FROM = 4
"""Length from which a case's own name must not be part of a pseudonym. A shorter one, such as `1`,
is in many pseudonyms by chance."""

_SAFE = re.compile(r"\w([\w .-]*[\w-])?")


def read_pseudonyms(path: Path) -> Mapping[str, str]:
    """Return the pseudonyms of a file by case; each is a valid file name everywhere.

    Raises:
        PseudonymsError (pseudonyms-file): the file cannot be read, or has another format.
        PseudonymsError (pseudonym-duplicate): a case, or a pseudonym, is there twice.
        PseudonymsError (pseudonym-unsafe): not every file system accepts a pseudonym.
    """
    found: dict[str, str] = {}
    first_line: dict[str, int] = {}
    for line, (case, pseudonym) in _rows(path):
        _check_safe(path, line, pseudonym)
        if _own(case) in found:
            raise PseudonymsError(
                f"{path}, line {line}: this case has a line before; keep one of them",
                code="pseudonym-duplicate",
            )
        earlier = first_line.setdefault(same_everywhere(pseudonym), line)
        if earlier != line:
            raise PseudonymsError(
                f"{path}, lines {earlier} and {line}: the pseudonyms are one name, or differ in "
                "upper and lower case only, which is one file on Windows and macOS; change one",
                code="pseudonym-duplicate",
            )
        found[_own(case)] = pseudonym
    return found


def pseudonyms_of(
    names: Sequence[str], pseudonyms: Mapping[str, str], path: Path
) -> tuple[str, ...]:
    """Return the pseudonym of each case, by own names. `path`: of the file, for messages.

    Raises:
        PseudonymsError (pseudonym-missing): a case has none.
        PseudonymsError (pseudonym-unsafe): a pseudonym is, or holds, the own name of a case.
    """
    without = [str(place) for place, name in enumerate(names, 1) if _own(name) not in pseudonyms]
    if without:
        raise PseudonymsError(
            f"{path}: {len(without)} of {len(names)} cases have no line; in the order of their "
            f"folders' names they are number {', '.join(without[:10])}"
            f"{', ...' if len(without) > 10 else ''}. Names must be written as the folders' are, "
            "archives without .zip",
            code="pseudonym-missing",
        )
    chosen = tuple(pseudonyms[_own(name)] for name in names)
    for place, pseudonym in enumerate(chosen, start=1):
        if gives_away(pseudonym, names):
            raise PseudonymsError(
                f"{path}: the pseudonym of case number {place}, in the order of their folders' "
                "names, is or holds a case's own name; choose one that says nothing",
                code="pseudonym-unsafe",
            )
    return chosen


def pseudonym_of(name: str, pseudonyms: Mapping[str, str]) -> str | None:
    """Return the pseudonym of a case; None: it has none."""
    return pseudonyms.get(_own(name))


def gives_away(pseudonym: str, names: Iterable[str]) -> bool:
    """Return whether a pseudonym is, or holds, the own name of one of the cases."""
    key = same_everywhere(pseudonym)
    own = map(same_everywhere, names)
    return any(name == key or (len(name) >= GIVES_AWAY_FROM and name in key) for name in own)


def check_out(names: Sequence[str], out: Path) -> None:
    """Raise PseudonymsError if `out` holds results under the cases' own names."""
    if any((out / f"{name}.json").exists() for name in names):
        raise PseudonymsError(
            f"{out} holds results under the cases' own names, from a run without pseudonyms; "
            "choose another --out, or remove them",
            code="pseudonyms-out",
        )


def _rows(path: Path) -> list[tuple[int, tuple[str, str]]]:
    """Return the line number and the two cells of each line that is not empty, but the header."""
    try:
        # Spreadsheets start a UTF-8 file with a mark, others do not.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if any(cells)]
    except OSError as error:
        raise _bad_file(f"{path} cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error):
        # Without its cause, which quotes the line.
        raise _bad_file(f"{path} is not CSV in UTF-8; save it as such") from None
    if not lines or lines[0][1] != COLUMNS:
        raise _bad_file(f"{path}: the first line must be `{','.join(COLUMNS)}`")
    for line, cells in lines[1:]:
        if len(cells) != len(COLUMNS) or not all(cells):
            raise _bad_file(f"{path}, line {line}: there must be a case, a comma and a pseudonym")
    return [(line, (cells[0], cells[1])) for line, cells in lines[1:]]


def _bad_file(message: str) -> PseudonymsError:
    return PseudonymsError(message, code="pseudonyms-file")


def _check_safe(path: Path, line: int, pseudonym: str) -> None:
    problem = (
        f"is longer than {MAX_NAME_BYTES} bytes"
        if len(pseudonym.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES
        else "is a name that Windows keeps for a device"
        if WINDOWS_DEVICES.fullmatch(pseudonym)
        else "is the name of the whole run's own files"
        if same_everywhere(pseudonym) in RUN_NAMES
        else "may hold letters, digits, spaces, points, - and _ only, starts with a letter or "
        "digit, and does not end with a point or space"
        if not _SAFE.fullmatch(pseudonym)
        else None
    )
    if problem:
        raise PseudonymsError(
            f"{path}, line {line}: the pseudonym {problem}; choose another", code="pseudonym-unsafe"
        )


def _own(name: str) -> str:
    """Return a case's name as it is compared: file systems differ in how they write letters."""
    return unicodedata.normalize("NFC", name)
