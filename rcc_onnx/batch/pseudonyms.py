"""Other names for cases: `--pseudonyms FILE`, a CSV with the columns `case` and `pseudonym`.

Messages count lines and cases and name neither: a case's own name is what must not show.
"""

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rcc_onnx.errors import PseudonymsError
from rcc_onnx.output.names import MAX_NAME_BYTES, RUN_NAMES, WINDOWS_DEVICES, same_everywhere

COLUMNS = ["case", "pseudonym"]
GIVES_AWAY_FROM = 4
"""Letters from which on a case's own name must not be part of a pseudonym. A shorter one, such as
`1`, is in many pseudonyms by chance."""

_SAFE = re.compile(r"\w([\w .-]*[\w-])?")


def read_pseudonyms(path: Path) -> Mapping[str, str]:
    """Pseudonyms by case, as the file has them; each is safe as a file's name everywhere.

    Raises:
        PseudonymsError (pseudonyms-file): no such file, or another format.
        PseudonymsError (pseudonym-duplicate): a case, or a pseudonym, is there twice.
        PseudonymsError (pseudonym-unsafe): a pseudonym that not every file system takes.
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
    """The pseudonym of each case, in order. Lines about other cases are passed over.

    Args:
        names: the cases' own names.
        pseudonyms: as `read_pseudonyms` gives them.
        path: of the file, for messages.

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
    """The pseudonym of one case; None if it has none."""
    return pseudonyms.get(_own(name))


def gives_away(pseudonym: str, names: Iterable[str]) -> bool:
    """Whether a pseudonym is, or holds, the own name of one of the cases."""
    key = same_everywhere(pseudonym)
    own = map(same_everywhere, names)
    return any(one == key or (len(one) >= GIVES_AWAY_FROM and one in key) for one in own)


def check_out(names: Sequence[str], out: Path) -> None:
    """Raise PseudonymsError if results under the cases' own names lie in `out`."""
    if any((out / f"{name}.json").exists() for name in names):
        raise PseudonymsError(
            f"{out} holds results under the cases' own names, from a run without pseudonyms; "
            "choose another --out, or remove them",
            code="pseudonyms-out",
        )


def _rows(path: Path) -> list[tuple[int, tuple[str, str]]]:
    """Line numbers and the two cells of each line that is not empty, the header aside."""
    try:
        # Spreadsheets start a UTF-8 file with a mark, others do not.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if any(cells)]
    except OSError as error:
        raise PseudonymsError(
            f"{path} cannot be read ({error.strerror})", code="pseudonyms-file"
        ) from error
    except UnicodeDecodeError:
        raise PseudonymsError(
            f"{path} is not UTF-8; save it as CSV in UTF-8", code="pseudonyms-file"
        ) from None
    except csv.Error:
        raise PseudonymsError(
            f"{path} is no CSV; save it as CSV in UTF-8", code="pseudonyms-file"
        ) from None
    if not lines or lines[0][1] != COLUMNS:
        raise PseudonymsError(
            f"{path}: its first line must be `{','.join(COLUMNS)}`, with a comma between",
            code="pseudonyms-file",
        )
    for line, cells in lines[1:]:
        if len(cells) != len(COLUMNS) or not all(cells):
            raise PseudonymsError(
                f"{path}, line {line}: there must be a case and a pseudonym, with a comma between",
                code="pseudonyms-file",
            )
    return [(line, (cells[0], cells[1])) for line, cells in lines[1:]]


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
    """A case's name as it is looked up: file systems differ in how they write letters."""
    return unicodedata.normalize("NFC", name)
