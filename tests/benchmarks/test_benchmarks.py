"""The benchmarks' own arithmetic and texts, and that their baseline computes the right thing."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import common, engines, limit, memory, networks, scaling, startup
from benchmarks.plain_notebook import notebook_volume
from benchmarks.studies import long_study
from benchmarks.workers import EngineTiming
from rcc_onnx.dicom import read_study
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.onnx_unets import OnnxUNet
from tests.support.probes import load_from_a_missing_package
from tests.support.tiny_networks import tiny_model

TIMING = EngineTiming(
    seconds=2.0,
    stages_s={"reading_headers": 0.1, "kidney_network": 1.2, "lesion_network": 0.6},
    slices=80,
    outcomes={"right": "lesion", "left": "no_lesion"},
    runtime="1.32.0",
    peak_memory_bytes=400_000_000,
)
ENVIRONMENT = {
    "rcc_onnx": "0.1.0",
    "commit": "abc",
    "python": "3.11",
    "system": "Linux",
    "processor": "made up",
    "usable_cpus": 2,
    "packages": {"numpy": "2.0"},
}


def engine_round(kind: str = "warm", **seconds: float) -> dict[str, Any]:
    replies = {
        key: asdict(TIMING) | {"seconds": taken, "whole_s": taken} for key, taken in seconds.items()
    }
    return {"kind": kind, "study": "s", "replies": replies}


def document(rounds: list[Any], **fields: Any) -> dict[str, Any]:
    settings = {"slices": 80, "threads": 2, "counts": [1, 2], "environment": ENVIRONMENT}
    return {"command": "c", "settings": settings, "rounds": rounds, **fields}


def test_a_ratio_is_the_median_of_ratios() -> None:
    # The machine was ten times slower in the last round; the ratio of medians would be 2.
    assert common.median_ratio([1, 2, 30], [3, 4, 90]) == 3


def test_engines_are_compared_in_the_same_rounds_only() -> None:
    rounds = [
        engine_round(notebook=8.0, float32=2.0),
        engine_round(notebook=10.0, float32=2.0),
        engine_round(notebook=1.0),
        engine_round("whole", notebook=20.0, float32=5.0),
    ]
    warm, whole = (engines.of_kind(rounds, kind) for kind in ("warm", "whole"))
    assert common.ratio(warm, "float32", "notebook") == 4.5
    assert common.ratio(whole, "float32", "notebook", "whole_s") == 4.0
    assert common.ratio(warm, "float32", "int8") is None


def test_time_outside_the_networks() -> None:
    # 1.2 and 0.6 of 2 seconds are the networks'.
    assert engines.outside_networks([engine_round(float32=2.0)], "float32") == pytest.approx(0.1)
    assert engines.outside_networks([], "float32") is None


def test_different_outcomes_are_seen() -> None:
    rounds = [engine_round(notebook=8.0, float32=2.0)]
    assert engines.same_outcomes(rounds)
    rounds[0]["replies"]["float32"]["outcomes"] = {"right": "no_lesion", "left": "no_lesion"}
    assert not engines.same_outcomes(rounds)


def test_the_engines_section_names_what_is_missing() -> None:
    rounds = [engine_round(notebook=8.0, float32=2.0), engine_round("whole", notebook=9, float32=3)]
    refused = {"int8": "no such variant"}
    text = engines.markdown(document(rounds, refused=refused, figures=engines.figures(rounds)))
    assert "| rcc-onnx float32 (1.32.0) | 2.00 | 3.00 | 4.0 | 10.0% | 400 |" in text
    assert "| rcc-onnx int8 | not measured |" in text
    assert "Not measured: int8: no such variant" in text
    assert "| float32 against notebook | 4.00 times | at least 4 |" in text
    assert "| int8 against notebook | not measured |" in text


def test_the_networks_section() -> None:
    replies = {"as-converted": {"seconds": 0.3}, "float32": {"seconds": 0.2}}
    rounds = [{"network": name, "replies": replies} for name in ("kidney", "lesion")]
    text = networks.markdown(document(rounds))
    assert "| float32 | 12.5 | 1.50 | 200.0 | 1.50 |" in text
    assert "float32 against openvino: not measured" in text


def test_the_start_section() -> None:
    text = startup.markdown(document([{"version": 0.1, "whole": 4.0, "warm": 2.0}] * 3))
    assert "| demo study, whole process | 4.00 | at most 2 times warm + 1 s: 5.00 |" in text


def test_the_scaling_section() -> None:
    replies = {count: asdict(TIMING) | {"seconds": s} for count, s in (("1", 4.0), ("2", 2.0))}
    text = scaling.markdown(document([{"study": "80 slices", "replies": replies}]))
    assert "| 80 slices | 80 | 4.00 | 2.00 | 25.0 | 2.00 |" in text


def test_the_commit_does_not_change_with_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []

    def git(*arguments: str) -> str:
        calls.append(arguments)
        return "abc" if arguments[0] == "rev-parse" else " M x.py"

    monkeypatch.setattr(common, "_git", git)
    assert common.environment()["commit"] == "abc-changed"
    assert calls[1][-1] == "*.py"


@pytest.mark.parametrize(
    ("held", "verdict"),
    [([500, 600, 610, 612, 611], "flat"), ([500, 600, 610, 620, 640], "NOT FLAT")],
)
def test_memory_that_grows_is_seen(held: list[float], verdict: str) -> None:
    peak = {"what": "one case", "precision": "float32", "peak_mb": None, "at_most_mb": 450}
    text = memory.markdown(document([], peaks=[peak], after_each_mb=held))
    assert f": {verdict}." in text
    assert "| one case | float32 | not measured | at most 450 |" in text


def test_rounds_grow_only_under_the_same_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"

    def benchmark(*arguments: str, **settings: Any) -> common.Benchmark:
        options = common.parser("About.", "r").parse_args(["--work", str(tmp_path), *arguments])
        return common.Benchmark.of("r", options, **settings)

    settings = {"slices": 80, "analysed": (40, 80)}
    first = benchmark("--results", str(page), **settings)
    assert first.earlier_rounds() == []
    first.publish(lambda document: f"{document['command']} has {document['rounds']}", rounds=[1])
    assert capsys.readouterr().out == "python -m benchmarks.r has [1]\n"
    assert "<!-- r: start -->\n\npython -m benchmarks.r has [1]\n" in page.read_text()
    assert benchmark(**settings).earlier_rounds() == [1]
    assert benchmark("--fresh", **settings).earlier_rounds() == []
    assert benchmark(**settings | {"slices": 40}).earlier_rounds() == []


def test_a_section_is_replaced_in_its_place(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    common.write_section(page, "one", "first")
    common.write_section(page, "two", "second", "## Heading")
    common.write_section(page, "one", "third")
    text = page.read_text()
    assert text.count("## Heading\n\n<!-- two: start -->\n\nsecond\n") == 1
    assert "first" not in text
    assert text.index("third") < text.index("second")
    assert text.count("<!-- one: start -->") == 1


def test_the_baseline_computes_what_the_engine_computes(tmp_path: Path) -> None:
    study = long_study(tmp_path, 12, seed=3)
    assert long_study(tmp_path, 12, seed=3) == study
    assert len(list(study.iterdir())) == 12
    ours = network_volume(read_study(study, Profile.NOTEBOOK)).values
    theirs = notebook_volume(study)
    assert theirs.dtype == ours.dtype
    np.testing.assert_array_equal(theirs, ours)
    assert ours.max() == 255


def test_an_engine_that_is_missing_is_named() -> None:
    with common.worker(load_from_a_missing_package) as ask:
        assert ask(Path("study")) == {"error": "no_such_package is not installed"}


# --- The limit -----------------------------------------------------------------------------------


def test_multiply_adds_are_counted_from_the_graph() -> None:
    # One 3x3 convolution of one channel, "same" padding.
    assert limit.multiply_adds(tiny_model("kidney")) == 9 * 160 * 160
    assert limit.multiply_adds(tiny_model("lesion")) == 27 * 40 * 64 * 64
    needs = {name: limit.multiply_adds(model) for name, model in limit.probes().items()}
    assert needs == {"matrix product": 1536**3, "3x3 convolution": 9 * 64 * 64 * 160 * 160}
    network = OnnxUNet(shape=(4, 4), kernel=(3, 3), width=2)
    doubled = 4 * 4 * 2 * (2 * 2)
    by_level = 16 * 9 * (1 * 2 + 4 * 2) + 4 * 9 * 2 * 4 + 16 * 2
    assert limit.multiply_adds(network.build()) == by_level + doubled


def test_the_least_time_of_a_case() -> None:
    # A million million multiply-adds a second at best; the engine takes twice what they need.
    rounds = [
        {
            "onnxruntime": {"matrix product": seconds, "3x3 convolution": 2.0},
            "rcc-onnx float32": {"kidney": 0.32, "lesion": 0.2},
        }
        for seconds in (1.0, 3.0)
    ]
    needs = {"kidney": 10**10, "lesion": 10**11, "matrix product": 10**12, "3x3 convolution": 1}
    refused = {"openvino": "not there"}
    text = limit.markdown(document(rounds, multiply_adds=needs, refused=refused))
    assert "| matrix product | onnxruntime | 1000 |" in text
    # 80 slices and 2 crops are one million million; 80 / 16 runs of 0.32 s and two of 0.2 s.
    assert "| at the best rate above | 1.00 | 1.00 |  |" in text
    assert "| rcc-onnx float32 | 2.00 | 2.00 | 50% |" in text
    assert "Not measured: openvino: not there" in text
