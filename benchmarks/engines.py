"""Engines side by side on the same studies, in turn: `python -m benchmarks.engines --help`.

Each engine is a process of its own with its networks loaded; a round gives the study to each in
turn. Ratios are medians over rounds of one engine's time over another's in the same round. Needs
the extra `convert` for Keras, `openvino` for OpenVINO's own runtime, and the package
onnxruntime-openvino for the provider. An engine that cannot run is listed with the reason.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from benchmarks.common import Load, Rounds
from benchmarks.studies import SEEDS, long_study
from benchmarks.workers import load_other_engine, load_ours
from rcc_onnx.diagnostics.bench import BenchSetup
from rcc_onnx.types import Precision, ProviderName

NETWORK_STAGES = ("kidney_network", "lesion_network")


@dataclass(frozen=True)
class Engine:
    """An engine; its tasks are studies."""

    key: str
    label: str
    load: Load


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
    """Return all engines, also those that cannot run here."""

    def other(key: str) -> Load:
        return partial(load_other_engine, key, networks, threads)

    def ours(
        precision: Precision = Precision.FLOAT32, provider: ProviderName = ProviderName.CPU
    ) -> Load:
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
    """Return rounds of warm and whole-process runs, and why engines did not run."""
    rounds: Rounds = []
    loads = {engine.key: (engine.load, studies[:1]) for engine in all_engines}
    with common.workers(loads) as (running, refused):
        for number in range(repeats):
            for study in studies:
                print(f"warm, round {number + 1} of {repeats}, {study.name}", file=sys.stderr)
                replies = {key: ask(study) for key, ask in running.items()}
                rounds.append({"kind": "warm", "study": study.name, "replies": replies})
    for number in range(whole):
        print(f"whole process, round {number + 1} of {whole}", file=sys.stderr)
        replies = {
            engine.key: whole_process(engine, studies[0])
            for engine in all_engines
            if engine.key not in refused
        }
        rounds.append({"kind": "whole", "study": studies[0].name, "replies": replies})
    return rounds, refused


def of_kind(rounds: Rounds, kind: str) -> Rounds:
    return [entry for entry in rounds if entry["kind"] == kind]


def outside_networks(rounds: Rounds, key: str) -> float | None:
    """Return the median share of a warm case that an engine spends outside the two networks."""
    shares = []
    for entry in of_kind(rounds, "warm"):
        reply = entry["replies"].get(key)
        if reply:
            inside = sum(reply["stages_s"].get(stage, 0.0) for stage in NETWORK_STAGES)
            shares.append(1 - inside / reply["seconds"])
    return median(shares) if shares else None


def same_outcomes(rounds: Rounds) -> bool:
    """Return whether in every round all engines came to the same outcomes."""
    outcomes = (
        {json.dumps(reply["outcomes"], sort_keys=True) for reply in entry["replies"].values()}
        for entry in rounds
    )
    return all(len(different) == 1 for different in outcomes)


def figures(rounds: Rounds) -> dict[str, Any]:
    """Return ratios against the targets; None where an engine did not run."""
    warm = of_kind(rounds, "warm")
    return {
        "targets": [
            {
                "ours": target.ours,
                "theirs": target.theirs,
                "times_faster": common.ratio(warm, target.ours, target.theirs),
                "at_least": target.at_least,
            }
            for target in TARGETS
        ],
        "outside_networks": {
            "float32": outside_networks(rounds, "float32"),
            "int8": outside_networks(rounds, "int8"),
            "at_most": OUTSIDE_NETWORKS,
        },
        "same_outcomes": same_outcomes(rounds),
    }


def _row(engine: Engine, rounds: Rounds) -> tuple[str, ...]:
    warm = of_kind(rounds, "warm")
    times = common.times(warm, engine.key)
    if not times:
        return (engine.label, "not measured", "", "", "", "")
    whole = common.times(of_kind(rounds, "whole"), engine.key, "whole_s")
    against = common.ratio(warm, engine.key, "notebook")
    replies = [entry["replies"][engine.key] for entry in rounds if engine.key in entry["replies"]]
    peak = max(reply["peak_memory_bytes"] or 0 for reply in replies)
    return (
        f"{engine.label} ({replies[0]['runtime']})",
        f"{median(times):.2f}",
        f"{median(whole):.2f}" if whole else "",
        "" if against is None else f"{against:.1f}",
        f"{outside_networks(rounds, engine.key):.1%}",
        f"{peak / 1e6:.0f}",
    )


def _target_row(target: dict[str, Any]) -> tuple[str, ...]:
    faster = target["times_faster"]
    return (
        f"{target['ours']} against {target['theirs']}",
        "not measured" if faster is None else f"{faster:.2f} times",
        f"at least {target['at_least']:g}",
    )


def markdown(document: dict[str, Any]) -> str:
    """Return the section for RESULTS.md."""
    rounds, settings = document["rounds"], document["settings"]
    rows = [_row(engine, rounds) for engine in engines(Path(), settings["threads"])]
    head = ("engine", "warm, s", "whole process, s", "times the notebook's speed")
    same = "The same" if document["figures"]["same_outcomes"] else "DIFFERENT"
    return common.section(
        document,
        "Engines side by side",
        f"{settings['slices']} analysed slices, {settings['threads']} threads, "
        f"{len(of_kind(rounds, 'warm'))} rounds in turn. {same} outcomes everywhere. Ratios are "
        f"medians over rounds; seconds depend on what else the machine did. "
        f"`{document['command']}`",
        common.table((*head, "outside the networks", "peak memory, MB"), rows),
        common.table(
            ("target, warm", "reached", "wanted"),
            map(_target_row, document["figures"]["targets"]),
        ),
    )


def main() -> None:
    parser = common.parser(__doc__, "engines")
    parser.add_argument("--slices", type=int, default=80, help="analysed slices")
    parser.add_argument("--studies", type=int, default=1, choices=range(1, len(SEEDS) + 1))
    parser.add_argument("--repeats", type=int, default=5, help="warm rounds to add")
    parser.add_argument("--whole", type=int, default=2, help="whole-process rounds to add")
    parser.add_argument("--only", nargs="+", metavar="ENGINE", help="leave the others out")
    options = parser.parse_args()
    networks = common.build_networks(options.work)
    studies = [long_study(options.work, options.slices, seed) for seed in SEEDS[: options.studies]]
    chosen = [
        engine
        for engine in engines(networks, options.threads)
        if not options.only or engine.key in options.only
    ]
    benchmark = common.Benchmark.of(
        "engines",
        options,
        slices=options.slices,
        studies=options.studies,
        threads=options.threads,
    )
    rounds = benchmark.earlier_rounds()
    added, refused = measure(chosen, studies, options.repeats, options.whole)
    rounds += added
    benchmark.publish(markdown, refused=refused, figures=figures(rounds), rounds=rounds)


if __name__ == "__main__":
    main()
