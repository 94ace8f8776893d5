"""Studies that arrive while the watcher is stopped and killed; see `tests/watch_arrivals.py`."""

from pathlib import Path

from tests.support.tiny_networks import write_bundle
from tests.watch_arrivals import Options, watch_arrivals


def test_500_studies_are_analysed_once_each(tmp_path: Path) -> None:
    options = Options(studies=500, seed=5, spread_s=20, restarts=4, workers=2)
    assert watch_arrivals(tmp_path, options)["contents"] >= 500


def test_studies_that_are_moved_away_are_analysed_once_each(tmp_path: Path) -> None:
    options = Options(studies=30, seed=6, spread_s=4, restarts=2, move=True, workers=2)
    assert watch_arrivals(tmp_path, options)["contents"] == 30


def test_phantoms_are_analysed_once_each(tmp_path: Path) -> None:
    models = str(write_bundle(tmp_path / "bundle"))
    options = Options(studies=4, seed=7, spread_s=4, restarts=1, models=models)
    assert watch_arrivals(tmp_path, options)["contents"] >= 4
