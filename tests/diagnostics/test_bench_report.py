"""Which setup is recommended, and the document of `rcc-onnx bench --json`."""

import json
from pathlib import Path

import pytest

from rcc_onnx.diagnostics.bench import bench_json, recommend, write_bench_json
from rcc_onnx.errors import OutputError
from rcc_onnx.types import RESEARCH_ONLY
from tests.support.measurements import measurement, refused


def test_the_fastest_is_recommended() -> None:
    choice = recommend([measurement(), measurement(precision="int8", seconds=1.0)])
    assert choice.setup.label == "cpu int8"
    assert "the same outcomes as cpu float32" in choice.reason
    assert "exact" in recommend([measurement(), measurement("openvino", seconds=3.0)]).reason


def test_one_with_other_outcomes_is_not() -> None:
    other = {"right": "no_lesion", "left": "no_lesion"}
    fast = measurement(precision="int8", seconds=0.5, outcomes=other)
    choice = recommend([measurement(), fast])
    assert choice.setup.label == "cpu float32"
    assert "passed over for different outcomes: cpu int8" in choice.reason


def test_of_nearly_equal_ones_the_leanest_is() -> None:
    fast = measurement("openvino", seconds=1.95, peak_memory_bytes=600_000_000)
    assert recommend([measurement(), fast]).setup.label == "cpu float32"
    faster = measurement("openvino", seconds=1.5, peak_memory_bytes=600_000_000)
    assert recommend([measurement(), faster]).setup.label == "openvino float32"


def test_one_that_was_refused_is_not_recommended() -> None:
    assert recommend([refused("cpu"), measurement("openvino")]).reason == "the only one that ran"


def test_the_document(tmp_path: Path) -> None:
    measured = [measurement(), refused()]
    document = bench_json(measured, ["case"])
    assert document["notice"] == RESEARCH_ONLY
    ran, not_run = document["setups"]
    assert ran["warm_p50_s"] == 2.0
    assert ran["loading_networks_s"] == 0.5
    assert ran["cases"][0]["warm_s"] == [1.8, 2.0, 3.0]
    assert not_run["refused"] == "not installed"
    assert "warm_p50_s" not in not_run
    assert document["recommended"]["provider"] == "cpu"
    write_bench_json(measured, ["case"], tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == document
    with pytest.raises(OutputError, match=r"b\.json"):
        write_bench_json(measured, ["case"], tmp_path / "none" / "b.json")
