"""Print how large the code is, and fail when a bound is outgrown.

    python -m tests.project.shape [--by-package] [--report]

`--by-package` adds a row for each package of rcc_onnx; `--report` prints without failing.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIME = REPOSITORY / "rcc_onnx"
TESTS = REPOSITORY / "tests"
OTHER_CODE = ("convert", "benchmarks", "packaging", "examples", "docs")
# Packages of later work, which have budgets of their own.
APART = ("node", "cluster")

BOUNDS = {
    "modules in the root of rcc_onnx": 8,
    "runtime modules": 130,
    # These two only go down: 22,000 and 24,000 are wanted.
    "runtime lines": 24_100,
    "test lines": 28_800,
    "longest module": 450,
    "longest function": 60,
    "words of the old dialect": 0,
}
# Words that have a plainer one, in the runtime and in the pages; `is None` is code.
OLD_DIALECT = re.compile(
    r"\b(?:(?i:told|mends?|hangs? on|leavings|nobody|no proof of)|(?:is|are) none)\b"
)


def python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def line_count(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def old_words(paths: list[Path]) -> int:
    return sum(len(OLD_DIALECT.findall(path.read_text(encoding="utf-8"))) for path in paths)


def functions(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the length of each function in lines, with its place and name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            yield length, f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}"


def measure() -> dict[str, tuple[int, list[str]]]:
    """Return each figure of `BOUNDS`, with the places that are over a bound."""
    runtime = [path for path in python_files(RUNTIME) if package_of(path, RUNTIME) not in APART]
    product = python_files(RUNTIME)
    product += [path for folder in OTHER_CODE for path in python_files(REPOSITORY / folder)]
    pages = [path for path in REPOSITORY.glob("*.md") if path.name != "CHANGELOG.md"]
    for folder in (*OTHER_CODE, "tests", "rcc_onnx", "models"):
        pages += (REPOSITORY / folder).rglob("*.md")
    modules = sorted((line_count(path), str(path.relative_to(REPOSITORY))) for path in product)
    lengths = sorted(found for path in product for found in functions(path))
    return {
        "modules in the root of rcc_onnx": (len(list(RUNTIME.glob("*.py"))), []),
        "runtime modules": (len(runtime), []),
        "runtime lines": (sum(map(line_count, runtime)), []),
        "test lines": (sum(map(line_count, python_files(TESTS))), []),
        "longest module": (modules[-1][0], too_long(modules, BOUNDS["longest module"])),
        "longest function": (lengths[-1][0], too_long(lengths, BOUNDS["longest function"])),
        "words of the old dialect": (old_words(python_files(RUNTIME) + pages), []),
    }


def too_long(found: list[tuple[int, str]], bound: int) -> list[str]:
    return [f"{length} lines: {place}" for length, place in found if length > bound]


def package_of(path: Path, top: Path) -> str:
    parts = path.relative_to(top).parts
    return parts[0] if len(parts) > 1 else ""


def print_packages() -> None:
    print(f"\n{'package':<16}{'modules':>8}{'lines':>8}{'longest':>8}{'old words':>10}{'tests':>8}")
    runtime, tests = python_files(RUNTIME), python_files(TESTS)
    for package in sorted({package_of(p, RUNTIME) for p in runtime}):
        own = [path for path in runtime if package_of(path, RUNTIME) == package]
        lines = [line_count(path) for path in own]
        tested = sum(line_count(path) for path in tests if package_of(path, TESTS) == package)
        print(
            f"{package or '(root)':<16}{len(own):>8}{sum(lines):>8}{max(lines):>8}"
            f"{old_words(own):>10}{tested:>8}"
        )
    others = {package_of(p, TESTS) for p in tests} - {package_of(p, RUNTIME) for p in runtime}
    for folder in sorted(others):
        lines = [line_count(path) for path in tests if package_of(path, TESTS) == folder]
        print(f"{'tests/' + folder:<50}{sum(lines):>8}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Print how large the code is.")
    parser.add_argument("--by-package", action="store_true", help="a row for each package")
    parser.add_argument("--report", action="store_true", help="print only, never fail")
    args = parser.parse_args()
    outgrown = False
    for name, (figure, places) in measure().items():
        over = figure > BOUNDS[name]
        outgrown |= over
        print(f"{name:<34}{figure:>8}{BOUNDS[name]:>10}{'  OVER' if over else ''}")
        for place in places:
            print(f"    {place}")
    if args.by_package:
        print_packages()
    return 1 if outgrown and not args.report else 0


if __name__ == "__main__":
    sys.exit(main())
