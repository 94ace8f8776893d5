"""The limit set by arithmetic: `python -m benchmarks.limit --help`.

How many multiply-adds in float32 this machine's threads reach at best, how many the measuring
networks need, and so the least time for a case by direct convolution, whatever the engine.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks import common
from benchmarks.common import Load, Rounds
from benchmarks.workers import SLICES, load_runtime, load_variant
from rcc_onnx.bundles.manifest import BATCH

CASE = {"kidney": 80, "lesion": 2}
"""Runs of each network in the case that is compared: 80 slices, a crop for each kidney."""
RUNTIMES = ("onnxruntime", "openvino")
ENGINES = {"float32": "rcc-onnx float32", "openvino": "OpenVINO"}
"""Variants of `load_variant` that are compared with the limit, and their names."""
MATRIX = 1536
"""Edge of the matrices multiplied: so large that moving them takes hardly any time."""
IMAGE = (64, 160, 160)
"""Channels, in and out, rows and columns of the 3x3 convolution that is timed."""


def multiply_adds(model: onnx.ModelProto) -> int:
    """Count those of one run with a batch of 1, in convolutions and matrix products."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == BATCH:
                size.dim_value = 1
    del model.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    shapes |= {weight.name: list(weight.dims) for weight in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += _product(shapes[node.output[0]]) * _product(shapes[node.input[1]][1:])
        elif node.op_type == "ConvTranspose":
            total += _product(shapes[node.input[0]]) * _product(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            total += _product(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return total


def _product(sizes: Sequence[int]) -> int:
    return int(np.prod(sizes, dtype=np.int64))


def probes() -> dict[str, onnx.ModelProto]:
    """Return the models that are timed: a matrix product, and a convolution as in U-Nets."""
    channels, rows, columns = IMAGE
    kernel = np.full((channels, channels, 3, 3), 1e-3, np.float32)
    pads = [1, 1, 1, 1]
    return {
        "matrix product": _probe([MATRIX, MATRIX], "MatMul", np.ones((MATRIX, MATRIX), np.float32)),
        "3x3 convolution": _probe([1, channels, rows, columns], "Conv", kernel, pads=pads),
    }


def _probe(shape: list[int], kind: str, weight: np.ndarray, **attributes: Any) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    node = helper.make_node(kind, ["x", "w"], ["y"], **attributes)
    graph = helper.make_graph(
        [node], kind, ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def measure(
    files: dict[str, Path], networks: Path, options: argparse.Namespace
) -> tuple[Rounds, dict[str, str]]:
    """Return rounds of seconds, of the probes by runtime and of the networks by engine.

    Also returns why runtimes or engines did not run.
    """
    loads: dict[str, tuple[Load, dict[str, Any]]] = {
        runtime: (partial(load_runtime, runtime, options.threads), dict(files))
        for runtime in RUNTIMES
    }
    for variant, engine in ENGINES.items():
        load = partial(load_variant, variant, networks, options.threads)
        loads[engine] = (load, {name: name for name in CASE})
    first = {name: (load, tasks.values()) for name, (load, tasks) in loads.items()}
    with common.workers(first) as (running, refused):
        rounds = [
            {
                name: {what: ask(task)["seconds"] for what, task in loads[name][1].items()}
                for name, ask in running.items()
            }
            for _ in range(options.repeats)
        ]
    return rounds, refused


def best_rates(rounds: Rounds, work: dict[str, int]) -> dict[tuple[str, str], float]:
    """Return multiply-adds per second by runtime and probe, of the best round."""
    rates: dict[tuple[str, str], float] = {}
    for entry in rounds:
        for runtime, seconds in entry.items():
            for what in work.keys() & seconds.keys():
                rate = work[what] / seconds[what]
                rates[runtime, what] = max(rates.get((runtime, what), 0.0), rate)
    return rates


def case_seconds(rounds: Rounds, engine: str) -> list[float]:
    """Return the seconds in both networks for the whole case, by round."""
    units = {"kidney": SLICES, "lesion": 1}
    return [
        sum(entry[engine][network] / units[network] * CASE[network] for network in CASE)
        for entry in rounds
        if engine in entry
    ]


def markdown(document: dict[str, Any]) -> str:
    """Return the section for RESULTS.md."""
    rounds, needs = document["rounds"], document["multiply_adds"]
    rates = best_rates(rounds, {what: count for what, count in needs.items() if what not in CASE})
    least = sum(needs[network] * count for network, count in CASE.items()) / max(rates.values())
    rate_rows = [
        (what, runtime, f"{rate / 1e9:.0f}") for (runtime, what), rate in sorted(rates.items())
    ]
    rows = [("at the best rate above", f"{least:.2f}", f"{least:.2f}", "")]
    for engine in ENGINES.values():
        taken = case_seconds(rounds, engine)
        if taken:
            share = least / median(taken)
            rows.append((engine, f"{median(taken):.2f}", f"{min(taken):.2f}", f"{share:.0%}"))
    gigas = {network: needs[network] / 1e9 for network in CASE}
    return common.section(
        document,
        "The limit set by arithmetic",
        f"{document['settings']['threads']} threads, float32, {len(rounds)} rounds in turn. "
        f"`{document['command']}`",
        common.table(("probe", "in", "best, thousand million multiply-adds a second"), rate_rows),
        f"The 2D network needs {gigas['kidney']:.2f} thousand million multiply-adds a slice, "
        f"the 3D one {gigas['lesion']:.1f} a crop. For {CASE['kidney']} slices and "
        f"{CASE['lesion']} crops:",
        common.table(("both networks", "median, s", "best, s", "share of the best rate"), rows),
        "More than 100 % is possible: rcc-onnx computes some 2D convolutions with fewer products "
        "than counted here ([docs/benchmarks.md](../docs/benchmarks.md)).",
    )


def main() -> None:
    parser = common.parser(__doc__, "limit")
    parser.add_argument("--repeats", type=int, default=10, help="rounds to add")
    options = parser.parse_args()
    networks = common.build_networks(options.work)
    models = {name: onnx.load(networks / "bundle" / f"{name}.onnx") for name in CASE} | probes()
    files = {name: options.work / "limit" / f"{name.replace(' ', '-')}.onnx" for name in probes()}
    for name, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(models[name].SerializeToString())
    benchmark = common.Benchmark.of("limit", options, threads=options.threads)
    rounds = benchmark.earlier_rounds()
    added, refused = measure(files, networks, options)
    counts = {name: multiply_adds(model) for name, model in models.items()}
    benchmark.publish(markdown, multiply_adds=counts, refused=refused, rounds=rounds + added)


if __name__ == "__main__":
    main()
