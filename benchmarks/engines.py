"""Engines side by side on the same studies, in turn: `python -m benchmarks.engines --help`.

Each engine is a process of its own with its networks loaded; a round gives the study to each in
turn. Ratios are medians over rounds of one engine's time over another's in the same round. Needs
the extra `convert` for Keras, `openvino` for OpenVINO's own runtime, and the package
onnxruntime-openvino for the provider. An engine that cannot run is named, never left out silently.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from benchmarks.engine_worker import load_other_engine, load_ours
from benchmarks.studies import SEEDS, long_study
from rcc_onnx.batch.worker_pool import Handler
from rcc_onnx.diagnostics.bench import BenchSetup
from rcc_onnx.types import Precision, ProviderName

NETWORK_STAGES = ("kidney_network", "lesion_network")

Rounds = list[dict[str, Any]]


@dataclass(frozen=True)
class Engine:
    """One of those compared; `load`: called in its process, returns what analyses studies."""

    key: str
    label: str
    load: Callable[[], Handler[Path, Any]]


@dataclass(frozen=True)
class Target:
    """How many times faster `ours` must be than `theirs`, warm."""

    ours: str
    theirs: str
    at_least: float


TARGETS = (
    Target("float32", "notebook", 4.0),
    Target("float32", "keras-batched", 1.8),
    Target("float32", "openvino", 1.0),
    Target("int8", "notebook", 7.5),
)
OUTSIDE_NETWORKS = 0.08
"""Largest share of a warm case in float32 that may be spent outside the two networks."""


def engines(networks: Path, threads: int) -> list[Engine]:
    """All engines. That one is listed does not mean that it runs here."""

    def other(key: str) -> Callable[[], Handler[Path, Any]]:
        return partial(load_other_engine, key, networks, threads)

    def ours(
        precision: Precision = Precision.FLOAT32, provider: ProviderName = ProviderName.CPU
    ) -> Callable[[], Handler[Path, Any]]:
        bundle = str(networks / "bundle")
        return partial(load_ours, BenchSetup(provider, precision, threads, bundle))

    return [
        Engine("notebook", "Keras as the notebook: a slice a call", other("notebook")),
        Engine("keras-batched", "Keras batched, tf.function", other("keras-batched")),
        Engine("openvino", "this pipeline on OpenVINO's runtime", other("openvino")),
        Engine("float32", "rcc-onnx float32", ours()),
        Engine("int8", "rcc-onnx int8", ours(Precision.INT8)),
        Engine(
            "openvino-provider",
            "rcc-onnx float32, provider openvino",
            ours(provider=ProviderName.OPENVINO),
        ),
    ]


def whole_process(engine: Engine, study: Path) -> dict[str, Any]:
    """Start the engine, analyse one study, end: seconds from start to the process's end."""
    started = time.perf_counter()
    with common.worker(engine.load) as ask:
        reply = ask(study)
    return reply | {"whole_s": time.perf_counter() - started}


def measure(
    all_engines: Sequence[Engine], studies: Sequence[Path], repeats: int, whole: int
) -> tuple[Rounds, dict[str, str]]:
    """Rounds of warm and whole-process runs, and why engines did not run."""
    rounds: Rounds = []
    refused: dict[str, str] = {}
    running: list[tuple[Engine, Callable[[Path], dict[str, Any]]]] = []
    with ExitStack() as stack:
        for engine in all_engines:
            ask = stack.enter_context(common.worker(engine.load))
            reply = ask(studies[0])
            if "error" in reply:
                refused[engine.key] = reply["error"]
                print(f"NOT MEASURED: {engine.label}: {reply['error']}", file=sys.stderr)
            else:
                running.append((engine, ask))
        for number in range(repeats):
            for study in studies:
                print(f"warm, round {number + 1} of {repeats}, {study.name}", file=sys.stderr)
                answers = {engine.key: ask(study) for engine, ask in running}
                rounds.append({"kind": "warm", "study": study.name, "answers": answers})
    for number in range(whole):
        print(f"whole process, round {number + 1} of {whole}", file=sys.stderr)
        answers = {engine.key: whole_process(engine, studies[0]) for engine, _ in running}
        rounds.append({"kind": "whole", "study": studies[0].name, "answers": answers})
    return rounds, refused


def seconds(rounds: Rounds, key: str, kind: str) -> list[float]:
    """An engine's times, one a round, of rounds that it took part in."""
    name = "seconds" if kind == "warm" else "whole_s"
    return [
        one["answers"][key][name] for one in rounds if one["kind"] == kind and key in one["answers"]
    ]


def ratio(rounds: Rounds, ours: str, theirs: str, kind: str = "warm") -> float | None:
    """How many times faster `ours` is; None unless both ran in the same rounds."""
    both = [one for one in rounds if {ours, theirs} <= set(one["answers"])]
    pair = seconds(both, ours, kind), seconds(both, theirs, kind)
    return common.median_ratio(*pair) if pair[0] else None


def outside_networks(rounds: Rounds, key: str) -> float | None:
    """Median share of a warm case that an engine spends outside the two networks."""
    shares = []
    for one in rounds:
        answer = one["answers"].get(key)
        if one["kind"] == "warm" and answer:
            inside = sum(answer["stages_s"].get(stage, 0.0) for stage in NETWORK_STAGES)
            shares.append(1 - inside / answer["seconds"])
    return median(shares) if shares else None


def same_outcomes(rounds: Rounds) -> bool:
    """Whether in every round all engines came to the same outcomes."""
    return all(
        len({json.dumps(answer["outcomes"], sort_keys=True) for answer in one["answers"].values()})
        == 1
        for one in rounds
    )


def figures(rounds: Rounds) -> dict[str, Any]:
    """Ratios against the targets; None where an engine did not run."""
    return {
        "targets": [
            {
                "ours": one.ours,
                "theirs": one.theirs,
                "times_faster": ratio(rounds, one.ours, one.theirs),
                "at_least": one.at_least,
            }
            for one in TARGETS
        ],
        "outside_networks": {
            "float32": outside_networks(rounds, "float32"),
            "int8": outside_networks(rounds, "int8"),
            "at_most": OUTSIDE_NETWORKS,
        },
        "same_outcomes": same_outcomes(rounds),
    }


def markdown(document: dict[str, Any], all_engines: Sequence[Engine]) -> str:
    """The section for RESULTS.md."""
    rounds, refused = document["rounds"], document["refused"]
    rows = []
    for engine in all_engines:
        warm, whole = (seconds(rounds, engine.key, kind) for kind in ("warm", "whole"))
        if not warm:
            rows.append((engine.label, "not measured", "", "", "", ""))
            continue
        against = ratio(rounds, engine.key, "notebook")
        peak = max(
            one["answers"][engine.key]["peak_memory_bytes"] or 0
            for one in rounds
            if engine.key in one["answers"]
        )
        outside = outside_networks(rounds, engine.key)
        runtime = next(
            one["answers"][engine.key]["runtime"] for one in rounds if engine.key in one["answers"]
        )
        rows.append(
            (
                f"{engine.label} ({runtime})",
                f"{median(warm):.2f}",
                f"{median(whole):.2f}" if whole else "",
                "" if against is None else f"{against:.1f}",
                f"{outside:.1%}",
                f"{peak / 1e6:.0f}",
            )
        )
    head = ("engine", "warm, s", "whole process, s", "times the notebook's speed")
    compared = common.table((*head, "outside the networks", "peak memory, MB"), rows)
    targets = common.table(
        ("target, warm", "reached", "wanted"),
        [
            (
                f"{one['ours']} against {one['theirs']}",
                "not measured"
                if one["times_faster"] is None
                else f"{one['times_faster']:.2f} times",
                f"at least {one['at_least']:g}",
            )
            for one in document["figures"]["targets"]
        ],
    )
    same = "The same" if document["figures"]["same_outcomes"] else "DIFFERENT"
    warm_rounds = sum(one["kind"] == "warm" for one in rounds)
    missing = [f"Not measured: {key}: {reason}" for key, reason in refused.items()]
    settings = document["settings"]
    return "\n\n".join(
        [
            "## Engines side by side",
            f"{settings['slices']} analysed slices, {settings['threads']} threads, {warm_rounds} "
            f"rounds in turn. {same} outcomes everywhere. Ratios are medians over rounds; seconds "
            f"depend on what else the machine did. `{document['command']}`",
            compared,
            targets,
            *missing,
            common.environment_line(settings["environment"]),
        ]
    )


def main() -> None:
    # Not at the top, which processes that are measured import too: it needs the converter.
    from benchmarks.measuring_networks import build_networks  # noqa: PLC0415

    parser = common.parser(__doc__, "engines")
    parser.add_argument("--slices", type=int, default=80, help="analysed slices")
    parser.add_argument("--studies", type=int, default=1, choices=range(1, len(SEEDS) + 1))
    parser.add_argument("--repeats", type=int, default=5, help="warm rounds to add")
    parser.add_argument("--whole", type=int, default=2, help="whole-process rounds to add")
    parser.add_argument("--only", nargs="+", metavar="ENGINE", help="leave the others out")
    options = parser.parse_args()
    networks = options.work / "networks"
    build_networks(networks)
    studies = [long_study(options.work, options.slices, seed) for seed in SEEDS[: options.studies]]
    every = engines(networks, options.threads)
    chosen = [one for one in every if not options.only or one.key in options.only]
    path = options.json or options.work / "engines.json"
    settings = {
        "slices": options.slices,
        "studies": options.studies,
        "threads": options.threads,
        "environment": common.environment(),
    }
    rounds = common.earlier(path, settings, options.fresh)
    added, refused = measure(chosen, studies, options.repeats, options.whole)
    rounds += added
    document = {
        "command": "python -m benchmarks.engines",
        "settings": settings,
        "refused": refused,
        "figures": figures(rounds),
        "rounds": rounds,
    }
    common.write_json(path, document)
    text = markdown(document, every)
    print(text)
    if options.results:
        common.write_section(options.results, "engines", text)


if __name__ == "__main__":
    main()
