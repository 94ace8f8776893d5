"""A short slice of the fuzz run; `python -m tests.fuzz_intake` is all of it."""

import pytest

pytest.importorskip("resource", reason="memory and time are limited as POSIX does it")

from tests import fuzz_intake

COUNT = 150
"""Some seconds."""


def test_damaged_studies_are_analysed_or_refused():
    said = fuzz_intake.run_cases(1_000_000, COUNT)
    assert said["failures"] == {}
    ends = said["ends"]
    assert sum(ends.values()) == COUNT
    # The mutations do what they are for: some studies survive, and many codes are seen.
    assert ends["analysed"] > COUNT / 20
    assert len(ends) > 8


def test_a_defect_would_be_reported(monkeypatch):
    def broken(*_):
        raise IndexError("a defect")

    monkeypatch.setattr(fuzz_intake, "read_study", broken)
    said = fuzz_intake.run_cases(0, 3)
    assert len(said["failures"]) >= 1
    assert "IndexError" in str(said["failures"])


def test_a_hang_would_be_reported(monkeypatch):
    def hangs(*_):
        while True:
            pass

    monkeypatch.setattr(fuzz_intake, "CASE_SECONDS", 1)
    monkeypatch.setattr(fuzz_intake, "find_studies", hangs)
    assert "TimeoutError" in str(fuzz_intake.run_cases(0, 1)["failures"])


@pytest.mark.parametrize("seed", [5, 77])
def test_a_seed_is_repeated(tmp_path, seed):
    ends = []
    for name in ("a", "b"):
        root = tmp_path / name
        root.mkdir()
        ends.append(fuzz_intake.run_case(seed, root))
    assert ends[0] == ends[1]
