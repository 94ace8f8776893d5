"""What lies in a folder of results, byte for byte apart from times.

Every file of the folder counts, of whatever kind; a kind that shows times needs a line in `MASKS`.
"""

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Container, Mapping
from pathlib import Path

from rcc_onnx.output.checksums import SUMS_NAME, read_sums

HALF_WRITTEN = ".rcc-onnx-*.part*"
LOCK = ".rcc-onnx.lock"

MASKS: dict[str, tuple[str, ...]] = {
    ".json": (
        r'"(?:started|ended|written)": "[^"]*"',
        r'"seconds": (?:null|[-+.\de]+)',
        r'"timings_s": \{[^{}]*\}',
    ),
    ".html": (
        r'data-key="seconds"[^>]*>[^<]*',
        r"<dt>time, [^<]*</dt><dd>[^<]*",
        # When the report was written, and in which zone.
        r"\d{4}-\d\d-\d\d \d\d:\d\d \w+",
    ),
}
"""By suffix, what shows a time."""


def without_times(path: Path) -> bytes:
    """The bytes of a file, with `TIME` for every time, and for the hash of what shows times."""
    data = path.read_bytes()
    if path.name == SUMS_NAME:
        return _hashes_checked(path.parent, data)
    if path.suffix == ".csv":
        return _without_column(data, "seconds")
    for mask in MASKS.get(path.suffix, ()):
        data = re.sub(mask.encode(), b"TIME", data)
    return data


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a folder of results by its path in it, without times."""
    return {
        path.relative_to(out).as_posix(): without_times(path)
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def check_same(out: Path, expected: Mapping[str, bytes]) -> None:
    """Raise AssertionError, naming the files, unless `out` holds what is expected and no more."""
    found = contents(out)
    names = sorted(found), sorted(expected)
    assert names[0] == names[1], names
    differing = [name for name, data in found.items() if data != expected[name]]
    assert differing == [], differing


def check_left(out: Path, expected: Mapping[str, bytes], run_files: Container[str]) -> set[str]:
    """Look at what a run left that did not come to its end; the cases that failed.

    Whatever has a name is whole and what an undisturbed run would have written, a case's JSON has
    all files of its case beside it, and nothing else is there than half written files, which have
    temporary names.

    Args:
        out: the folder of results.
        expected: `contents` after an undisturbed run, in which all cases were analysed.
        run_files: those of the whole run, which may tell of fewer cases.

    Raises:
        AssertionError: something is not so.
    """
    half = {path.relative_to(out).as_posix() for path in out.rglob(HALF_WRITTEN)}
    found = {name: data for name, data in contents(out).items() if name not in half | {LOCK}}
    failed = set()
    for name, data in found.items():
        assert name in expected, f"{name}: an undisturbed run leaves no such file"
        check_readable(out / name)
        if name in run_files or data == expected[name]:
            continue
        assert name.endswith(".json"), f"{name} is not what an undisturbed run writes"
        document = json.loads((out / name).read_bytes())
        assert document.get("status") == "failed", f"{name} is not what an undisturbed run writes"
        failed.add(document["case"])
    cases = {name[:-5] for name in expected if name.endswith(".json") and "/" not in name}
    for case in sorted(cases - failed):
        if f"{case}.json" in found and f"{case}.json" not in run_files:
            missing = files_of(case, expected) - set(found)
            assert not missing, f"{case}.json is there without {missing}"
    return failed


def files_of(case: str, expected: Mapping[str, bytes]) -> set[str]:
    """The names of a case's files, if no other case's name starts with its own."""
    return {name for name in expected if Path(name).name.startswith((f"{case}.", f"{case}_"))}


def check_readable(path: Path) -> None:
    """Raise AssertionError, or what a parser raises, if a file is cut off."""
    data = path.read_bytes()
    if path.suffix == ".json":
        json.loads(data)
    elif path.suffix == ".png":
        assert data.endswith(b"IEND\xaeB`\x82"), f"{path.name} is cut off"
    elif path.suffix == ".html":
        assert data.rstrip().endswith(b"</html>"), f"{path.name} is cut off"
    elif path.suffix == ".gz":
        gzip.decompress(data)
    else:
        assert not data or path.suffix == ".dcm" or data.endswith(b"\n"), f"{path.name} is cut off"


def _hashes_checked(folder: Path, data: bytes) -> bytes:
    """The list, with the hashes of what files would be without times."""
    lines = []
    for name, sha256 in read_sums(data).items():
        path = folder / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256, f"{name}: another hash"
        lines.append(f"{name} {hashlib.sha256(without_times(path)).hexdigest()}")
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _without_column(data: bytes, name: str) -> bytes:
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    place = rows[0].index(name)
    return repr([[*row[:place], *row[place + 1 :]] for row in rows]).encode()
