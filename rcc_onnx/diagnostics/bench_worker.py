"""A process of its own for one setup, so that its memory and its cold start can be measured.

Started as `python -m rcc_onnx.diagnostics.bench_worker SETUP`, SETUP being a `Setup` as JSON. It
reads the path of a study per line from standard input, as a JSON string, and answers each with one
line of JSON: `Answer`, or `{"error": ..., "code": ...}`. It ends where its input ends. Libraries
may write what they like to standard error.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rcc_onnx.errors import RccOnnxError
from rcc_onnx.system.memory import memory_bytes, peak_memory_bytes

if TYPE_CHECKING:
    from rcc_onnx.engine import Engine
    from rcc_onnx.results import SideFinding

Json = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """What runs the networks.

    Attributes:
        models: name or folder of a bundle; None: chosen by the kind of study.
        precision: float32, int8 or float16.
        threads: None: the CPUs that the process may use.
    """

    provider: str = "cpu"
    precision: str = "float32"
    threads: int | None = None
    models: str | None = None

    @property
    def label(self) -> str:
        return f"{self.provider} {self.precision}"


@dataclass(frozen=True)
class Answer:
    """One analysed study.

    Attributes:
        seconds: wall clock of the analysis.
        stages_s: seconds by stage, `total` among them.
        loading_s: seconds that loading the networks took, if it was for this study.
        outcomes: by side; sums: kidney and lesion sum by side, None where there is none.
        variants: by network, which of the bundle's files ran.
        memory_bytes, peak_memory_bytes: of the worker's process after the study; None: unknown.
    """

    seconds: float
    stages_s: dict[str, float]
    loading_s: float
    slices: int
    outcomes: dict[str, str]
    sums: dict[str, list[float | None]]
    ran: str
    reason: str
    runtime: str
    threads: int
    bundle: str
    variants: dict[str, str]
    memory_bytes: int | None
    peak_memory_bytes: int | None


def serve(start: Callable[[], Callable[[str], Json]]) -> None:
    """Answer one line of input, a JSON string, after another until there are no more.

    Args:
        start: makes what answers a line; called when the first line comes.
    """
    # The protocol's own channel: whatever else prints in this process goes to standard error.
    out, sys.stdout = sys.stdout, sys.stderr
    answer = None
    for line in sys.stdin:
        try:
            answer = answer or start()
            reply = answer(json.loads(line))
        except RccOnnxError as error:
            reply = {"error": str(error), "code": error.code}
        out.write(json.dumps(reply) + "\n")
        out.flush()


def engine_for(setup: Setup) -> Callable[[str], Json]:
    """This engine, ready to analyse the study of a path."""
    from rcc_onnx.engine import Engine  # noqa: PLC0415  its time belongs to the first answer

    started = time.perf_counter()
    engine = Engine.load(
        setup.models, provider=setup.provider, threads=setup.threads, precision=setup.precision
    )
    loading = [time.perf_counter() - started]

    def analyse(study: str) -> Json:
        # A named bundle is loaded before the first study, another one in it.
        before = loading.pop() if loading else 0.0
        return asdict(_analyse(engine, study, before))

    return analyse


def _analyse(engine: "Engine", study: str, loading_s: float) -> Answer:
    started = time.perf_counter()
    result = engine.analyse(study)
    seconds = time.perf_counter() - started
    sides = result.sides
    return Answer(
        seconds=seconds,
        stages_s=dict(result.timings_s),
        loading_s=loading_s + result.timings_s.get("loading_networks", 0.0),
        slices=result.study.slices_analysed,
        outcomes={str(side): str(one.outcome) for side, one in sides.items()},
        sums={str(side): _sums(one) for side, one in sides.items()},
        ran=str(result.provider.ran),
        reason=result.provider.reason,
        runtime=result.provider.onnxruntime,
        threads=result.provider.threads,
        bundle=f"{result.models.name} {result.models.version}",
        variants=dict(result.provider.variants),
        memory_bytes=memory_bytes(),
        peak_memory_bytes=peak_memory_bytes(),
    )


def _sums(finding: "SideFinding") -> list[float | None]:
    lesion = finding.lesion
    return [finding.kidney.probability_sum, lesion.probability_sum if lesion else None]


def main() -> None:
    """Serve the setup that the command line holds as JSON."""
    setup = Setup(**json.loads(sys.argv[1]))
    serve(partial(engine_for, setup))


if __name__ == "__main__":
    main()
