"""What arithmetic allows: `python -m benchmarks.limit --help`.

How many multiply-adds in float32 this machine's threads reach at best, how many the measuring
networks need, and so the least time for a case by direct convolution, whatever the engine.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks import common
from benchmarks.limit_worker import load_runtime
from benchmarks.network_worker import SLICES, load_variant
from rcc_onnx.batch.worker_pool import Handler
from rcc_onnx.bundles.manifest import BATCH

CASE = {"kidney": 80, "lesion": 2}
"""Runs of each network in the case that is compared: 80 slices, a crop for each kidney."""
RUNTIMES = ("onnxruntime", "openvino")
ENGINES = {"float32": "rcc-onnx float32", "openvino": "OpenVINO"}
"""Variants of `network_worker` that are set beside the limit."""
MATRIX = 1536
"""Edge of the matrices multiplied: large enough that moving them takes next to no time."""
IMAGE = (64, 160, 160)
"""Channels, in and out, rows and columns of the 3x3 convolution that is timed."""

Rounds = list[dict[str, Any]]


def multiply_adds(model: onnx.ModelProto) -> int:
    """Of one run with a batch of 1: convolutions, transposed ones, matrix products."""
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
    """What is timed: a matrix product, and a convolution as U-Nets have them."""
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


def measure(files: dict[str, Path], networks: Path, options: Any) -> tuple[Rounds, dict[str, str]]:
    """Rounds of seconds: of the probes by runtime, of the networks by engine; and what was left."""
    loads: dict[str, tuple[Callable[[], Handler[Any, Any]], dict[str, Any]]] = {
        runtime: (partial(load_runtime, runtime, options.threads), dict(files))
        for runtime in RUNTIMES
    }
    for variant, who in ENGINES.items():
        load_networks = partial(load_variant, variant, networks, options.threads)
        loads[who] = (load_networks, {name: name for name in CASE})
    rounds: Rounds = []
    refused: dict[str, str] = {}
    with ExitStack() as stack:
        running = {}
        for who, (load, tasks) in loads.items():
            ask = stack.enter_context(common.worker(load))
            replies = [ask(task) for task in tasks.values()]
            errors = [one["error"] for one in replies if "error" in one]
            if errors:
                refused[who] = errors[0]
            else:
                running[who] = ask
        for _ in range(options.repeats):
            rounds.append(
                {
                    who: {what: ask(task)["seconds"] for what, task in loads[who][1].items()}
                    for who, ask in running.items()
                }
            )
    return rounds, refused


def best_rates(rounds: Rounds, work: dict[str, int]) -> dict[tuple[str, str], float]:
    """Multiply-adds a second by runtime and probe: the best round, since this is to be a limit."""
    rates: dict[tuple[str, str], float] = {}
    for one in rounds:
        for who, seconds in one.items():
            for what in work.keys() & seconds.keys():
                rate = work[what] / seconds[what]
                rates[who, what] = max(rates.get((who, what), 0.0), rate)
    return rates


def case_seconds(rounds: Rounds, who: str) -> list[float]:
    """Seconds in both networks for the whole case, by round."""
    units = {"kidney": SLICES, "lesion": 1}
    return [
        sum(one[who][network] / units[network] * CASE[network] for network in CASE)
        for one in rounds
        if who in one
    ]


def markdown(document: dict[str, Any]) -> str:
    """The section for RESULTS.md."""
    rounds, needs = document["rounds"], document["multiply_adds"]
    rates = best_rates(rounds, {what: many for what, many in needs.items() if what not in CASE})
    best = max(rates.values())
    least = sum(needs[network] * count for network, count in CASE.items()) / best
    rate_rows = [(what, who, f"{rate / 1e9:.0f}") for (who, what), rate in sorted(rates.items())]
    rows = [("at the best rate above", f"{least:.2f}", f"{least:.2f}", "")]
    for who in ENGINES.values():
        taken = case_seconds(rounds, who)
        if taken:
            share = least / median(taken)
            row = (who, f"{median(taken):.2f}", f"{min(taken):.2f}", f"{share:.0%}")
            rows.append(row)
    settings = document["settings"]
    gigas = {network: needs[network] / 1e9 for network in CASE}
    return "\n\n".join(
        [
            "## What arithmetic allows",
            f"{settings['threads']} threads, float32, {len(rounds)} rounds in turn. "
            f"`{document['command']}`",
            common.table(
                ("probe", "in", "best, thousand million multiply-adds a second"), rate_rows
            ),
            f"The 2D network needs {gigas['kidney']:.2f} thousand million multiply-adds a slice, "
            f"the 3D one {gigas['lesion']:.1f} a crop. For {CASE['kidney']} slices and "
            f"{CASE['lesion']} crops:",
            common.table(("both networks", "median, s", "best, s", "share of the best rate"), rows),
            "More than 100 % is possible: rcc-onnx does some 2D convolutions with fewer products "
            "than counted here ([docs/benchmarks.md](../docs/benchmarks.md)).",
            *(f"Not measured: {who}: {why}" for who, why in document["refused"].items()),
            common.environment_line(settings["environment"]),
        ]
    )


def main() -> None:
    # Not at the top, which processes that are measured import too: it needs the converter.
    from benchmarks.measuring_networks import build_networks  # noqa: PLC0415

    parser = common.parser(__doc__, "limit")
    parser.add_argument("--repeats", type=int, default=10, help="rounds to add")
    options = parser.parse_args()
    networks = options.work / "networks"
    build_networks(networks)
    models = {name: onnx.load(networks / "bundle" / f"{name}.onnx") for name in CASE} | probes()
    files = {name: options.work / "limit" / f"{name.replace(' ', '-')}.onnx" for name in probes()}
    for name, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(models[name].SerializeToString())
    path = options.json or options.work / "limit.json"
    settings = {"threads": options.threads, "environment": common.environment()}
    rounds = common.earlier(path, settings, options.fresh)
    added, refused = measure(files, networks, options)
    document = {
        "command": "python -m benchmarks.limit",
        "settings": settings,
        "multiply_adds": {name: multiply_adds(model) for name, model in models.items()},
        "refused": refused,
        "rounds": rounds + added,
    }
    common.write_json(path, document)
    text = markdown(document)
    print(text)
    if options.results:
        common.write_section(options.results, "limit", text)


if __name__ == "__main__":
    main()
