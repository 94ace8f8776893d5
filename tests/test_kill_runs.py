"""A few of the kills of `python -m tests.kill_runs`, and that it would see what is not whole."""

import json
from pathlib import Path

import pytest

from tests.kill_runs import check_whole, contents, kill_runs

KILLS = 3


def test_killed_runs_go_on_and_leave_what_an_undisturbed_one_does(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    assert kill_runs(tmp_path, str(tiny_bundle), KILLS, seed=1) >= 1


def test_what_is_not_whole_is_seen(tmp_path: Path) -> None:
    sides = {"right": {"lesion": {"picture": "a_r.png"}}, "left": {"lesion": None}}
    (tmp_path / "a.json").write_text(json.dumps({"sides": sides, "seconds": 1}))
    with pytest.raises(AssertionError, match="a_r"):
        check_whole(tmp_path)
    (tmp_path / ".rcc-onnx-1.part.png").write_bytes(b"\x89PNG and no end")
    (tmp_path / "a_r.png").write_bytes(b"\x89PNG and no end")
    with pytest.raises(AssertionError, match="a_r"):
        check_whole(tmp_path)


def test_contents_differ_in_all_but_times(tmp_path: Path) -> None:
    for name, value, seconds in (("a", 1, 2.0), ("b", 1, 3.0), ("c", 2, 2.0)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "x.json").write_text(json.dumps({"cases": [{"n": value, "seconds": seconds}]}))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")
