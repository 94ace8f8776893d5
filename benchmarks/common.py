"""The frame of all benchmarks: options, processes, documents that grow, sections of RESULTS.md."""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.batch.worker_pool import Handler, Limits, TaskProcess
from rcc_onnx.errors import BenchError, RccOnnxError
from rcc_onnx.system.documents import to_json
from rcc_onnx.system.host import processor, usable_cpus

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
WORK = ROOT / "work" / "bench"
"""Networks, studies and documents; ignored by git."""
PACKAGES = (
    "numpy",
    "scipy",
    "Pillow",
    "pydicom",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "openvino",
    "tensorflow",
    "tf_keras",
)


Rounds = list[dict[str, Any]]
"""What a document collects. Those of several engines hold `replies`, by engine."""
Load = Callable[[], Handler[Any, Any]]
"""Called in a process of its own; returns what does tasks there. Both must be picklable."""
Ask = Callable[[Any], dict[str, Any]]
"""Gives a process a task; returns the result's fields, or `error` if there is none."""


def parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument("--work", type=Path, default=WORK, help="networks and studies: made once")
    made.add_argument("--threads", type=int, default=usable_cpus(), help="CPU threads")
    made.add_argument(
        "--json", type=Path, help=f"the document, grows with every run. Default: WORK/{name}.json"
    )
    made.add_argument("--fresh", action="store_true", help="forget earlier runs")
    made.add_argument("--results", type=Path, help=f"put the table into this file ({RESULTS.name})")
    return made


def environment() -> dict[str, Any]:
    """Return what figures depend on, without the machine's name."""
    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "rcc_onnx": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "usable_cpus": usable_cpus(),
        "packages": packages,
    }


def _commit() -> str:
    """Return the commit, marked if its Python files were changed since; tables may change."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "*.py")
    return f"{head or 'unknown'}{'-changed' if changed else ''}"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def environment_line(about: dict[str, Any]) -> str:
    """Return the environment in one line of Markdown."""
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    return (
        f"rcc-onnx {about['rcc_onnx']} ({about['commit']}), Python {about['python']}, "
        f"{about['system']}, {about['processor']}, {about['usable_cpus']} CPUs; {packages}."
    )


def earlier(path: Path, settings: dict[str, Any], fresh: bool) -> list[dict[str, Any]]:
    """Return the rounds of a document that earlier runs with the same settings wrote.

    The settings include the environment: rounds of two versions are never mixed.
    """
    if fresh or not path.is_file():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    # JSON has no tuples, so both sides are compared as JSON.
    same = document.get("settings") == json.loads(json.dumps(settings))
    return list(document["rounds"]) if same else []


@contextmanager
def worker(load: Load) -> Iterator[Ask]:
    """Start a process with the first task, and end it with the block."""
    process: TaskProcess[Any, Any] = TaskProcess(load, Limits())

    def ask(task: Any) -> dict[str, Any]:
        try:
            return dict(to_json(process.do(task, lambda stage, done: None)))
        except RccOnnxError as error:
            return {"error": str(error)}

    try:
        yield ask
    finally:
        process.close()


@contextmanager
def workers(
    loads: Mapping[str, tuple[Load, Iterable[Any]]],
) -> Iterator[tuple[dict[str, Ask], dict[str, str]]]:
    """Start several processes and give each its first tasks; end them with the block.

    Yields those that did the tasks, and for the others why they did not.
    """
    with ExitStack() as stack:
        running, refused = {}, {}
        for name, (load, tasks) in loads.items():
            ask = stack.enter_context(worker(load))
            errors = [reply["error"] for reply in map(ask, tasks) if "error" in reply]
            if errors:
                refused[name] = errors[0]
                print(f"NOT MEASURED: {name}: {errors[0]}", file=sys.stderr)
            else:
                running[name] = ask
        yield running, refused


@contextmanager
def missing_packages_named() -> Iterator[None]:
    """Turn an ImportError into an error that names the package."""
    try:
        yield
    except ImportError as error:
        raise BenchError(f"{error.name} is not installed") from error


def write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def write_section(path: Path, name: str, text: str, heading: str = "") -> None:
    """Put a benchmark's text between its two marks in a Markdown file.

    If they are not there, it comes at the end, below `heading`.
    """
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    block = f"{start}\n\n{text.strip()}\n\n{end}"
    old = path.read_text(encoding="utf-8") if path.is_file() else "# Results\n"
    if start in old:
        before, rest = old.split(start, 1)
        new = before + block + rest.split(end, 1)[1]
    else:
        new = "\n\n".join(part for part in (old.rstrip(), heading, block) if part) + "\n"
    path.write_text(new, encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; columns after the first are right-aligned."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how many times faster ours is: the median over rounds of theirs / ours.

    Both were measured in turn, so that a slow moment of the machine slows the two of a round alike;
    the ratio of medians would be biased by it.
    """
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def times(rounds: Rounds, key: str, field: str = "seconds") -> list[float]:
    """Return the times of one engine, one per round that it took part in."""
    return [entry["replies"][key][field] for entry in rounds if key in entry["replies"]]


def ratio(rounds: Rounds, ours: str, theirs: str, field: str = "seconds") -> float | None:
    """Return how many times faster `ours` is; None unless both ran in the same rounds."""
    both = [entry for entry in rounds if {ours, theirs} <= set(entry["replies"])]
    return median_ratio(times(both, ours, field), times(both, theirs, field)) if both else None


def build_networks(work: Path) -> Path:
    """Return the folder of the measuring networks and their bundle; they are built once."""
    # Not at the top: the processes that are measured import this module, and need no converter.
    from benchmarks import measuring_networks  # noqa: PLC0415

    measuring_networks.build_networks(work / "networks")
    return work / "networks"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: its document, which may grow, and its section of RESULTS.md.

    Attributes:
        name: of its module, its document and its section.
        settings: rounds are added to those of earlier runs with the same ones.
    """

    name: str
    options: argparse.Namespace
    settings: dict[str, Any]

    @classmethod
    def of(cls, name: str, options: argparse.Namespace, **settings: Any) -> "Benchmark":
        return cls(name, options, settings | {"environment": environment()})

    @property
    def path(self) -> Path:
        return Path(self.options.json or self.options.work / f"{self.name}.json")

    def earlier_rounds(self) -> Rounds:
        return earlier(self.path, self.settings, self.options.fresh)

    def publish(self, markdown: Callable[[dict[str, Any]], str], **fields: Any) -> None:
        """Write the document with these fields, and print its section or put it into a page."""
        command = f"python -m benchmarks.{self.name}"
        document = {"command": command, "settings": self.settings, **fields}
        write_json(self.path, document)
        text = markdown(document)
        print(text)
        if self.options.results:
            write_section(self.options.results, self.name, text)


def section(document: Mapping[str, Any], title: str, *parts: str) -> str:
    """Return a section of RESULTS.md, with what was not measured and the environment at its end."""
    refused = document.get("refused", {})
    missing = [f"Not measured: {key}: {reason}" for key, reason in refused.items()]
    about = environment_line(document["settings"]["environment"])
    return "\n\n".join([f"## {title}", *parts, *missing, about])
