"""The two networks by themselves, in turn: `python -m benchmarks.networks --help`.

As converted, as this engine runs them in float32 and int8, and in OpenVINO's own runtime.
"""

from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from benchmarks.common import Rounds
from benchmarks.workers import SLICES, load_variant

VARIANTS = ("as-converted", "float32", "int8", "openvino")
UNITS = {"kidney": ("2D", SLICES, "slice"), "lesion": ("3D", 1, "crop")}
TARGETS = (
    ("lesion", "float32", "openvino", 1 / 1.15),
    ("lesion", "int8", "as-converted", 3.0),
)
"""Network, ours, theirs, and how many times as fast ours must be at least."""


def measure(networks: Path, threads: int, repeats: int) -> tuple[Rounds, dict[str, str]]:
    """Return rounds of seconds by network and variant, and why variants did not run."""
    rounds: Rounds = []
    loads = {
        variant: (partial(load_variant, variant, networks, threads), UNITS) for variant in VARIANTS
    }
    with common.workers(loads) as (running, refused):
        for _ in range(repeats):
            for network in UNITS:
                replies = {variant: ask(network) for variant, ask in running.items()}
                rounds.append({"network": network, "replies": replies})
    return rounds, refused


def of_network(rounds: Rounds, network: str) -> Rounds:
    return [entry for entry in rounds if entry["network"] == network]


def markdown(document: dict[str, Any]) -> str:
    """Return the section for RESULTS.md."""
    rounds = document["rounds"]
    rows = []
    for variant in VARIANTS:
        row = [variant]
        for network, (_, units, _) in UNITS.items():
            times = common.times(of_network(rounds, network), variant)
            against = common.ratio(of_network(rounds, network), variant, "as-converted")
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
        reached = common.ratio(of_network(rounds, network), ours, theirs)
        result = "not measured" if reached is None else f"{reached:.2f} times as fast"
        lines.append(
            f"{UNITS[network][0]} network, {ours} against {theirs}: {result}, wanted at least "
            f"{least:.2f}."
        )
    return common.section(
        document,
        "The networks alone",
        f"{len(rounds) // len(UNITS)} rounds in turn, {document['settings']['threads']} threads. "
        f"`{document['command']}`",
        common.table(head, rows),
        *lines,
    )


def main() -> None:
    parser = common.parser(__doc__, "networks")
    parser.add_argument("--repeats", type=int, default=12, help="rounds to add")
    options = parser.parse_args()
    networks = common.build_networks(options.work)
    benchmark = common.Benchmark.of("networks", options, threads=options.threads)
    rounds = benchmark.earlier_rounds()
    added, refused = measure(networks, options.threads, options.repeats)
    benchmark.publish(markdown, refused=refused, rounds=rounds + added)


if __name__ == "__main__":
    main()
