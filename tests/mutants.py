"""Measure how well the tests guard the code: `python -m tests.mutants --count 200 --seed 1`.

A mutant is the code with one small change, such as `<` in place of `<=`. The tests of the changed
module are run on a copy of the project: where one fails, the mutant is caught; where all pass, it
has escaped, and no test guards that line. A module's tests are those that import it, directly or
through helpers in tests/, or are named after it; where there are none, those of the modules that
import it.

`--replay` repeats the mutants of an earlier `--json` file, also after functions have moved to
other modules, and lists those that were caught then and escape now.
"""

import argparse
import ast
import fnmatch
import functools
import importlib.util
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.mutations import Mutant, Record, find_mutants

PACKAGE = "rcc_onnx"
CORE = """
batch bundles.manifest bundles.reference_outputs dicom imaging measurement output.checksums
output.folder output.document pipeline results runtime.providers runtime.self_test types
"""
"""The modules and packages of PACKAGE that are measured where none is named."""
SLOW_TESTS = (
    "tests/convert/*", "tests/failure_modes/*", "*/test_mutants.py", "*kill_runs*", "*browser*",
    "*end_to_end*", "*watch_arrivals*", "*orthanc*",
)  # fmt: skip
SLOW_IMPORTS = ("tensorflow.", "selenium.", "convert.keras.")
"""Tests that are never run: by path, and by what they or their helpers import."""
NOT_COPIED = (".*", "__pycache__", "build", "dist", "work", "*.egg-info")
MOST_FILES = 8
"""The nearest files that test a mutant. All of them do if it was caught in the run repeated."""
PASSED = (0, 5)
"""Exit codes of pytest: all passed, or no test was there."""
TIMED_OUT = -signal.SIGKILL
CAUGHT = ("caught", "timed out")


class Project:
    """The modules and tests of a project, and which of them import which."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: dict[str, Path] = {}
        for path in sorted([*root.glob(f"{PACKAGE}/**/*.py"), *root.glob("tests/**/*.py")]):
            parts = path.relative_to(root).with_suffix("").parts
            self.paths[".".join(parts).removesuffix(".__init__")] = path
        self.own = [name for name in self.paths if name.partition(".")[0] == PACKAGE]
        self.tests: dict[str, str] = {}
        for name in [name for name in self.paths if ".test_" in name]:
            file = self.paths[name].relative_to(root).as_posix()
            is_slow = any(fnmatch.fnmatch(file, slow) for slow in SLOW_TESTS)
            reached = [f"{module}." for module in self.reached(name)]
            if not is_slow and not any(module.startswith(SLOW_IMPORTS) for module in reached):
                self.tests[name] = file

    @functools.cache  # noqa: B019
    def mutants(self, name: str) -> list[Mutant]:
        """Return all mutants of a module, or of all modules of a package."""
        modules = [module for module in self.own if f"{module}.".startswith(f"{name}.")]
        if not modules:
            sys.exit(f"there is no module {name}")
        return [
            mutant
            for module in modules
            for mutant in find_mutants(module, self.paths[module].read_text())
        ]

    @functools.cache  # noqa: B019
    def imports(self, name: str) -> set[str]:
        """Return what a file imports, at its top or anywhere else: modules, others as written."""
        found = set()
        for node in ast.walk(ast.parse(self.paths[name].read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                start = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                for imported in (start + alias.name for alias in node.names):
                    parent = imported.rpartition(".")[0]
                    is_within = imported not in self.paths and parent in self.paths
                    found.add(parent if is_within else imported)
        return found

    @functools.cache  # noqa: B019
    def reached(self, test: str) -> set[str]:
        """Return what a test imports itself or through helpers in tests/."""
        found: set[str] = set()
        new = {test}
        while new:
            found |= new
            helpers = [name for name in new if name.startswith("tests.") and name in self.paths]
            new = {name for helper in helpers for name in self.imports(helper)} - found
        return found

    @functools.cache  # noqa: B019
    def tests_of(self, module: str, beside: frozenset[str] = frozenset()) -> list[str]:
        """Return the files of a module's tests, relative to the root, the nearest ones first."""
        *packages, last = module.split(".")
        # A package may hand on what its modules define.
        doors = {module} | {".".join(packages[:depth]) for depth in range(2, len(packages) + 1)}
        found = []
        for test, file in self.tests.items():
            stem = f"{test.rpartition('.test_')[2]}_"
            is_named = stem.startswith((f"{last}_", "_".join([*packages[1:], last, ""])))
            if is_named or doors & self.reached(test):
                near = is_named, module in self.imports(test), {*packages[1:]} & {*test.split(".")}
                found.append(([not part for part in near], len(self.imports(test)), file))
        if found:
            return [file for *_, file in sorted(found)]
        beside |= {module}
        users = [user for user in self.own if module in self.imports(user) and user not in beside]
        return list(dict.fromkeys(file for user in users for file in self.tests_of(user, beside)))

    def find(self, old: Record) -> Mutant | None:
        """Return a mutant of an earlier run in the present code, unless it could be another one."""

        def name(record: Record) -> str:
            return str(record["qualname"].rpartition(".")[2])

        def distance(mutant: Mutant) -> tuple[bool, bool, int]:
            new = mutant.record
            moved = new["module"] != old["module"], new["qualname"] != old["qualname"]
            return *moved, abs(new["line"] - old["line"])

        for keys in (("before", "after"), ("operator", "expression")):
            same = [
                mutant
                for mutant in self.mutants(PACKAGE)
                if all(mutant.record[key] == old[key] for key in keys)
            ]
            named = [mutant for mutant in same if name(mutant.record) == name(old)]
            if named or len(same) == 1:
                return min(named or same, key=distance)
        return None


class Copy:
    """A copy of the project in a temporary folder, in which one module at a time is changed."""

    def __init__(self, project: Project, folder: Path, options: argparse.Namespace) -> None:
        self.project, self.copy, self.temporary = project, folder / "copy", folder / "tmp"
        self.memory_kib, self.limit = int(options.memory_gib * 2**20), options.timeout
        shutil.copytree(project.root, self.copy, ignore=shutil.ignore_patterns(*NOT_COPIED))

    def judge(self, mutant: Mutant, files: Sequence[str]) -> tuple[str, str | None]:
        """Return the status of a mutant, and the test that ended it, if one did."""
        original = self.project.paths[mutant.module]
        path = self.copy / original.relative_to(self.project.root)
        # Python tells compiled files apart by whole seconds.
        compiled = Path(importlib.util.cache_from_source(str(path)))
        try:
            for file in files:
                compiled.unlink(missing_ok=True)
                shutil.copyfile(original, path)
                usual = self.time(file)
                if usual is None:
                    continue
                compiled.unlink(missing_ok=True)
                path.write_text(mutant.source())
                code, output = self._run(file, self.limit + 10 * usual, 15 + 3 * usual)
                if code == TIMED_OUT:
                    return "timed out", file
                if code not in PASSED:
                    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
                    return "caught", failed[1] if failed else file
        finally:
            compiled.unlink(missing_ok=True)
            shutil.copyfile(original, path)
        return "ESCAPED", None

    @functools.cache  # noqa: B019
    def time(self, file: str) -> float | None:
        """Return the seconds of a test file; None if it fails while nothing is changed."""
        begun = time.monotonic()
        code, output = self._run(file, 5 * self.limit, self.limit)
        if code not in PASSED:
            print(f"{file} fails while nothing is changed:\n{output[-2000:]}", file=sys.stderr)
            return None
        return time.monotonic() - begun

    def _run(self, file: str, limit: float, processor: float) -> tuple[int, str]:
        """Run the tests of a file up to the first that fails: the exit code, and the output."""
        for folder in (self.temporary, self.copy / ".hypothesis"):
            shutil.rmtree(folder, ignore_errors=True)
        self.temporary.mkdir()
        limits = f"ulimit -d {self.memory_kib}; ulimit -t {int(processor) + 1}"
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        command = [sys.executable, "-m", "pytest", *options, file]
        with (self.temporary / "output").open("w") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f'{limits}; exec "$@"', "sh", *command],
                cwd=self.copy,
                env=os.environ | {"PYTHONPATH": str(self.copy), "TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(limit)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        code = TIMED_OUT if process.wait() == -signal.SIGXCPU else process.returncode
        return code, (self.temporary / "output").read_text(errors="replace")


def _line(record: Record) -> str:
    """Describe a mutant and its status in a line."""
    place = f"{record['module']}:{record['line']} {record['qualname']} [{record['operator']}]"
    return f"{record['status']:<9} {place} {record['before']}  ->  {record['after']}"


def _run(options: argparse.Namespace, root: Path) -> int:
    project, done, copies = Project(root), [], queue.SimpleQueue[Copy]()
    mutants: list[tuple[Mutant, Record]] = []
    for old in json.loads(options.replay.read_text()) if options.replay else ():
        if mutant := project.find(old):
            mutants.append((mutant, {"earlier": old}))
        else:
            done.append(old | {"status": "not found"})
            print(_line(done[-1]))
    if not options.replay:
        modules = options.modules or [f"{PACKAGE}.{name}" for name in CORE.split()]
        possible = [mutant for module in modules for mutant in project.mutants(module)]
        count = min(options.count, len(possible))
        drawn = random.Random(options.seed).sample(range(len(possible)), count)
        mutants = [(possible[number], {}) for number in sorted(drawn)]

    def judge(mutant: Mutant, earlier: Record) -> Record:
        was_caught = earlier.get("earlier", {}).get("status") in CAUGHT
        files = project.tests_of(mutant.module)[: None if was_caught else MOST_FILES]
        copy = copies.get()
        try:
            status, test = copy.judge(mutant, files)
        finally:
            copies.put(copy)
        return mutant.record | earlier | {"status": status, "test": test}

    with (
        tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        for number in range(options.jobs):
            copies.put(Copy(project, Path(folder, str(number)), options))
        for record in pool.map(judge, *zip(*mutants, strict=True)):
            print(_line(record), flush=True)
            done.append(record)
            if options.json:
                options.json.write_text(json.dumps(done, indent=1) + "\n")
    counted = Counter(record["status"] for record in done)
    print(", ".join(f"{number} {status}" for status, number in sorted(counted.items())))
    escaped = [record for record in done if record["status"] == "ESCAPED"]
    worse = [record for record in escaped if record.get("earlier", {}).get("status") in CAUGHT]
    if options.replay:
        print(f"{len(worse)} were caught earlier and escape now")
        print("".join(f"  {_line(record)}\n" for record in worse), end="")
    return 1 if worse else 0


def main(arguments: Sequence[str] | None = None, root: Path = Path(__file__).parents[1]) -> int:
    """Run as a program; the answer is the exit code: 1 if mutants escape that were caught once."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = functools.partial(parser.add_argument, metavar="N")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="default: the core modules")
    add("--count", type=int, default=100, help="mutants to draw (default %(default)s)")
    add("--seed", type=int, default=0, help="draws the same again (default %(default)s)")
    add("--jobs", type=int, default=1, help="tried side by side (default %(default)s)")
    add("--timeout", type=float, default=120, help="seconds of a test file (default %(default)s)")
    add("--memory-gib", type=float, default=8, help="of a process (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try those of FILE again")
    return _run(parser.parse_args(arguments), root)


if __name__ == "__main__":
    # Ends the processes that were started and removes the copies.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
