"""What every benchmark needs: the environment, documents that grow, tables in RESULTS.md."""

import argparse
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
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


def parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks share."""
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
    """What figures depend on, without the machine's name."""
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
    """The commit, and whether its Python files were changed since; tables may change."""
    head, changed = (
        _git("rev-parse", "--short", "HEAD"),
        _git("status", "--porcelain", "--untracked-files=no", "--", "*.py"),
    )
    return f"{head or 'unknown'}{'-changed' if changed else ''}"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def environment_line(about: dict[str, Any]) -> str:
    """The environment in one line of Markdown."""
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    return (
        f"rcc-onnx {about['rcc_onnx']} ({about['commit']}), Python {about['python']}, "
        f"{about['system']}, {about['processor']}, {about['usable_cpus']} CPUs; {packages}."
    )


def earlier(path: Path, settings: dict[str, Any], fresh: bool) -> list[dict[str, Any]]:
    """Rounds that earlier runs with the same settings left in a document; none if there are none.

    The settings hold the environment: rounds of two versions are never mixed.
    """
    if fresh or not path.is_file():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    # JSON has no tuples, so both sides are compared as JSON.
    same = document.get("settings") == json.loads(json.dumps(settings))
    return list(document["rounds"]) if same else []


@contextmanager
def worker(make: Callable[[], Handler[Any, Any]]) -> Iterator[Callable[[Any], dict[str, Any]]]:
    """Start a process with the first task, and end it with the block.

    Args:
        make: called in the process; returns what does tasks. Both must be picklable.

    Yields:
        A function of a task: the result's fields, or `error` if there is none.
    """
    process: TaskProcess[Any, Any] = TaskProcess(make, Limits())

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
    """A Markdown table; columns after the first are right-aligned."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times faster ours is: the median over rounds of theirs / ours.

    Both were measured in turn, so that a slow moment of the machine meets the two of a round alike;
    the ratio of medians would not have that.
    """
    return median(their / our for our, their in zip(ours, theirs, strict=True))
