"""A few of the kills of `python -m tests.kill_runs`, and that it would see what is not whole."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.failure_modes.outputs import LOCK, check_left, check_same, contents
from tests.failure_modes.small_studies import small_bundle
from tests.kill_runs import kill_runs

KILLS = 6
CASES = 2
PNG = b"\x89PNG and so on IEND\xaeB`\x82"


def test_killed_runs_go_on_and_leave_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    models = small_bundle(tmp_path / "bundle")
    counted = kill_runs(tmp_path, str(models), KILLS, seed=2, cases=CASES)
    assert counted.total() >= KILLS
    assert {"program", "worker", "all"} <= set(counted)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder of results of one case, with its lock and a half written file."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.json").write_text(json.dumps({"status": "analysed", "case": "a", "seconds": 1}))
    (out / "a_r.png").write_bytes(PNG)
    (out / "results.csv").write_text("case,seconds\na,1\n")
    return out


RUN_FILES = {"results.csv", "results.json", "report.html"}


def test_what_is_whole_is_taken(left: Path) -> None:
    expected = contents(left)
    (left / LOCK).write_text("")
    (left / ".rcc-onnx-1.part.png").write_bytes(b"\x89PNG and no end")
    (left / "a.json").write_text((left / "a.json").read_text().replace("1", "2"))
    (left / "results.csv").write_text("case,seconds\n")
    assert check_left(left, expected, RUN_FILES) == set()
    (left / "a.json").write_text(json.dumps({"status": "failed", "case": "a"}))
    assert check_left(left, expected, RUN_FILES) == {"a"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a_r.png", None),
        ("a_r.png", PNG[:-4]),
        ("a_r.png", b"\x89PNG, another" + PNG),
        ("a.json", b'{"status": "analysed", '),
        ("a.json", b'{"status": "analysed", "case": "a", "seconds": 1, "more": 2}'),
        ("results.csv", b"case,seconds\na"),
        ("results.json", b""),
        ("report.html", b"<html>"),
        ("another.txt", b"\n"),
    ],
)
def test_what_is_not_whole_is_seen(left: Path, name: str, data: bytes | None) -> None:
    expected = contents(left) | {"results.json": b"{}", "report.html": b"</html>"}
    (left / name).unlink(missing_ok=True)
    if data is not None:
        (left / name).write_bytes(data)
    with pytest.raises((AssertionError, ValueError)):
        check_left(left, expected, RUN_FILES)


def test_contents_differ_in_all_but_times(tmp_path: Path) -> None:
    for name, value, seconds in (("a", 1, 2.0), ("b", 1, 3.0), ("c", 2, 2.0)):
        folder = tmp_path / name
        folder.mkdir()
        document = {"cases": [{"n": value, "seconds": seconds}], "timings_s": {"total": seconds}}
        data = json.dumps(document).encode()
        (folder / "x.json").write_bytes(data)
        (folder / "x.csv").write_text(f'n,seconds,text\n{value},{seconds},"1,2"\n')
        (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(data).hexdigest()}  x.json\n")
        (folder / "y.html").write_text(f'<td data-key="seconds" data-value="{seconds}">{seconds}<')
    expected = contents(tmp_path / "a")
    check_same(tmp_path / "b", expected)
    with pytest.raises(AssertionError) as caught:
        check_same(tmp_path / "c", expected)
    for name in ("x.json", "x.csv", "SHA256SUMS"):
        assert name in str(caught.value)
    (tmp_path / "b" / "x.json").write_text("{}")
    with pytest.raises(AssertionError, match="another hash"):
        contents(tmp_path / "b")
