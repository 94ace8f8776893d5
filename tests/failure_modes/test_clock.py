"""Clocks that are wrong, and files with dates of another year."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest

from tests.failure_modes.outputs import check_same, contents
from tests.failure_modes.test_table import infer

FUTURE_S = 4102444800.0
"""The year 2100."""


class BackwardClock(datetime):
    """Each look at the clock is an hour before the last one."""

    looks: "Iterator[int]" = count()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) - timedelta(hours=next(cls.looks))


def seconds(document: Any) -> Iterator[float]:
    """Every duration in a document."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == "timings_s":
                yield from value.values()
            elif name == "seconds" and value is not None:
                yield value
            else:
                yield from seconds(value)
    elif isinstance(document, list):
        for one in document:
            yield from seconds(one)


def test_a_clock_that_is_set_back(
    quick_studies: Path, quick_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert infer((quick_studies, tmp_path / "right"), quick_bundle)[0] == 0
    steps = count()
    now = time.time()
    monkeypatch.setattr("rcc_onnx.output.run.datetime", BackwardClock)
    monkeypatch.setattr("rcc_onnx.output.html.datetime", BackwardClock)
    monkeypatch.setattr(time, "time", lambda: now - 3600 * next(steps))
    out = tmp_path / "out"
    assert infer((quick_studies, out), quick_bundle)[0] == 0
    check_same(out, contents(tmp_path / "right"))
    found = [one for path in out.glob("*.json") for one in seconds(json.loads(path.read_text()))]
    assert len(found) > 10
    assert min(found) >= 0
    run = json.loads((out / "results.json").read_text())
    started, ended = (
        datetime.strptime(run[one], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        for one in ("started", "ended")
    )
    # The times in the document are cut to seconds.
    assert abs((ended - started).total_seconds() - run["seconds"]) <= 1
    code, said = infer((quick_studies, out), quick_bundle)
    assert (code, said.count("skipped: unchanged since last run")) == (0, 2)


def test_dates_in_the_future_and_in_the_past_change_nothing(
    quick_studies: Path, quick_bundle: Path, tmp_path: Path
) -> None:
    studies, out = shutil.copytree(quick_studies, tmp_path / "in"), tmp_path / "out"
    assert infer((studies, out), quick_bundle)[0] == 0
    expected = contents(out)
    for moment in (FUTURE_S, 0):
        for top in (studies, out):
            for path in (top, *top.rglob("*")):
                os.utime(path, (moment, moment))
        code, said = infer((studies, out), quick_bundle)
        assert (code, said.count("skipped: unchanged since last run")) == (0, 2)
        check_same(out, expected)
