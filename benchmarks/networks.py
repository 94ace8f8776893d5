"""The two networks by themselves, in turn: `python -m benchmarks.networks --help`.

As converted, as this engine runs them in float32 and int8, and in OpenVINO's own runtime.
"""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from benchmarks.network_worker import SLICES, load_variant

VARIANTS = ("as-converted", "float32", "int8", "openvino")
UNITS = {"kidney": ("2D", SLICES, "slice"), "lesion": ("3D", 1, "crop")}
TARGETS = (
    ("lesion", "float32", "openvino", 1 / 1.15),
    ("lesion", "int8", "as-converted", 3.0),
)
"""Network, whose speed, over whose, at least so many times."""

Rounds = list[dict[str, Any]]


def measure(networks: Path, threads: int, repeats: int) -> tuple[Rounds, dict[str, str]]:
    """Rounds of seconds by network and variant, and why variants did not run."""
    rounds: Rounds = []
    refused: dict[str, str] = {}
    with ExitStack() as stack:
        running = {}
        for variant in VARIANTS:
            load = partial(load_variant, variant, networks, threads)
            ask = stack.enter_context(common.worker(load))
            replies = [ask(network) for network in UNITS]
            errors = [one["error"] for one in replies if "error" in one]
            if errors:
                refused[variant] = errors[0]
                print(f"NOT MEASURED: {variant}: {errors[0]}", file=sys.stderr)
            else:
                running[variant] = ask
        for _ in range(repeats):
            for network in UNITS:
                answers = {variant: ask(network) for variant, ask in running.items()}
                rounds.append({"network": network, "answers": answers})
    return rounds, refused


def seconds(rounds: Rounds, network: str, variant: str) -> list[float]:
    """A variant's times for a network, one a round of those that it took part in."""
    return [
        one["answers"][variant]["seconds"]
        for one in rounds
        if one["network"] == network and variant in one["answers"]
    ]


def ratio(rounds: Rounds, network: str, ours: str, theirs: str) -> float | None:
    """How many times faster `ours` is; None unless both ran in the same rounds."""
    both = [one for one in rounds if {ours, theirs} <= set(one["answers"])]
    pair = seconds(both, network, ours), seconds(both, network, theirs)
    return common.median_ratio(*pair) if pair[0] else None


def markdown(document: dict[str, Any]) -> str:
    """The section for RESULTS.md."""
    rounds = document["rounds"]
    rows = []
    for variant in VARIANTS:
        row = [variant]
        for network, (_, units, _) in UNITS.items():
            times = seconds(rounds, network, variant)
            against = ratio(rounds, network, variant, "as-converted")
            row += [
                f"{median(times) / units * 1000:.1f}" if times else "not measured",
                f"{against:.2f}" if against is not None else "",
            ]
        rows.append(row)
    head = ["variant"]
    for kind, _, unit in UNITS.values():
        head += [f"{kind}, ms a {unit}", "times as converted"]
    lines = []
    for network, ours, theirs, least in TARGETS:
        reached = ratio(rounds, network, ours, theirs)
        said = "not measured" if reached is None else f"{reached:.2f} times as fast"
        lines.append(
            f"{UNITS[network][0]} network, {ours} against {theirs}: {said}, wanted at least "
            f"{least:.2f}."
        )
    lines += [f"Not measured: {key}: {reason}" for key, reason in document["refused"].items()]
    settings = document["settings"]
    return "\n\n".join(
        [
            "## The networks alone",
            f"{len(rounds) // len(UNITS)} rounds in turn, {settings['threads']} threads. "
            f"`{document['command']}`",
            common.table(head, rows),
            *lines,
            common.environment_line(settings["environment"]),
        ]
    )


def main() -> None:
    # Not at the top, which processes that are measured import too: it needs the converter.
    from benchmarks.measuring_networks import build_networks  # noqa: PLC0415

    parser = common.parser(__doc__, "networks")
    parser.add_argument("--repeats", type=int, default=12, help="rounds to add")
    options = parser.parse_args()
    networks = options.work / "networks"
    build_networks(networks)
    path = options.json or options.work / "networks.json"
    settings = {"threads": options.threads, "environment": common.environment()}
    rounds = common.earlier(path, settings, options.fresh)
    added, refused = measure(networks, options.threads, options.repeats)
    document = {
        "command": "python -m benchmarks.networks",
        "settings": settings,
        "refused": refused,
        "rounds": rounds + added,
    }
    common.write_json(path, document)
    text = markdown(document)
    print(text)
    if options.results:
        common.write_section(options.results, "networks", text)


if __name__ == "__main__":
    main()
