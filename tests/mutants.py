"""Measure how well the tests guard the code: `python -m tests.mutants --count 200 --seed 1`.

A mutant is the code with one small change, such as `<` in place of `<=`. The tests of the changed
module are run on a copy of the project: where one fails, the mutant is caught; where none does, it
has escaped, and nothing guards that line. A module's tests are those that import it, directly or
through helpers in tests/, or are named after it; where there are none, those of the modules that
import it. conftest.py is not looked at.

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
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutations import Record, Site, find_sites

PACKAGE = "rcc_onnx"
CORE = """
batch bundles.manifest bundles.reference_outputs dicom imaging measurement output.checksums
output.folder output.names pipeline results runtime.providers runtime.self_test types
"""
"""What is measured where no module is named: modules and packages of PACKAGE."""
SLOW_TESTS = (
    "tests/convert/*", "tests/failure_modes/*", "*/test_mutants.py", "*kill_runs*", "*browser*",
    "*end_to_end*", "*watch_arrivals*", "*openvino*", "*orthanc*",
)  # fmt: skip
SLOW_IMPORTS = ("tensorflow", "selenium", "convert.keras")
"""Tests that are never run: by path, and by what they or their helpers import."""
NOT_COPIED = (".*", "__pycache__", "build", "dist", "work", "*.egg-info")
MOST_FILES, MOST_S, NEARLY_S = 8, 24.0, 16.0
"""The tests of a module: the nearest files that take so many seconds of processor time together,
of so many that are tried; enough are found from the last figure on. Seconds of the processor,
because they do not depend on what else the machine does."""
ROOT = Path(__file__).parents[1]
PASSED, NOTHING_RAN, TIMED_OUT = 0, 5, -999
"""Exit codes of pytest, and one that no process has."""
OUT_OF_TIME = (-signal.SIGXCPU, -signal.SIGKILL)
ESCAPED, NOT_FOUND, CAUGHT = "ESCAPED", "not found", ("caught", "timed out")


class MisuseError(Exception):
    """What was asked for cannot be done; the message says why."""


class Project:
    """The modules and tests of a project, and which of them import which."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: dict[str, Path] = {}
        for path in sorted([*root.glob(f"{PACKAGE}/**/*.py"), *root.glob("tests/**/*.py")]):
            parts = path.relative_to(root).with_suffix("").parts
            self.paths[".".join(parts).removesuffix(".__init__")] = path
        self.own = [name for name in self.paths if f"{name}.".startswith(f"{PACKAGE}.")]
        self.tests: dict[str, str] = {}
        for name, path in self.paths.items():
            file = path.relative_to(root).as_posix()
            is_slow = any(fnmatch.fnmatch(file, slow) for slow in SLOW_TESTS)
            if path.name.startswith("test_") and name not in self.own and not is_slow:
                used = [f"{one}." for one in self.reached(name)]
                if not any(one.startswith(f"{slow}.") for one in used for slow in SLOW_IMPORTS):
                    self.tests[name] = file

    @functools.cache  # noqa: B019
    def sites(self, module: str) -> list[Site]:
        """Return the places of a module that can be changed."""
        return find_sites(module, self.paths[module].read_text())

    def modules(self, names: Sequence[str]) -> list[str]:
        """Return modules by name; of a package, all that are in it."""
        found = set()
        for name in names or [f"{PACKAGE}.{name}" for name in CORE.split()]:
            new = [one for one in self.own if f"{one}.".startswith(f"{name}.")]
            if not new:
                raise MisuseError(f"there is no module {name}")
            found.update(new)
        return sorted(found)

    @functools.cache  # noqa: B019
    def _origins(self, name: str) -> list[tuple[str, str]]:
        """Return what a file imports: names that it has there, and where they come from."""
        found = []
        for node in ast.walk(ast.parse(self.paths[name].read_text())):
            if isinstance(node, ast.Import):
                found += [(alias.name, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                start = f"{node.module}."
                found += [(one.asname or one.name, start + one.name) for one in node.names]
        return found

    @functools.cache  # noqa: B019
    def imports(self, name: str) -> frozenset[str]:
        """Return what a file imports, at its top or anywhere else: modules, others as written."""
        found = set()
        for _, imported in self._origins(name):
            module = imported
            while module and module not in self.paths:
                module = module.rpartition(".")[0]
            found.add(module or imported)
            # A package may hand on what one of its modules defines.
            if module and self.paths[module].name == "__init__.py":
                for handed_on, origin in self._origins(module):
                    if f"{module}.{handed_on}" == imported:
                        found.update({origin, origin.rpartition(".")[0]} & set(self.own))
        return frozenset(found)

    @functools.cache  # noqa: B019
    def reached(self, test: str) -> frozenset[str]:
        """Return what a test imports itself or through helpers in tests/."""
        found: set[str] = set()
        new = {test}
        while new:
            found |= new
            helpers = [name for name in new if name.startswith("tests.") and name in self.paths]
            new = {name for helper in helpers for name in self.imports(helper)} - found
        return frozenset(found)

    def _distance(self, test: str, module: str) -> int | None:
        """Return how far a test is from a module, from 0 on; None if it does not import it."""
        *packages, last = module.split(".")
        stem = test.rpartition(".")[2].removeprefix("test_")
        if stem in (last, "_".join([*packages[1:], last])) or stem.startswith(f"{last}_"):
            return 0
        doors = {".".join(packages[:depth]) for depth in range(2, len(packages) + 1)}
        for at, names in enumerate((self.imports(test), self.reached(test))):
            if module in names:
                return 1 + 2 * at
            if doors & names:
                return 2 + 2 * at
        return None

    @functools.cache  # noqa: B019
    def tests_of(self, module: str, beside: frozenset[str] = frozenset()) -> list[str]:
        """Return the files of a module's tests, relative to the root, the nearest ones first."""
        found = []
        for test, file in self.tests.items():
            distance = self._distance(test, module)
            if distance is not None:
                # Of equally near ones, those of the package first, then what tests few modules.
                package = module.split(".")[-2:][0]
                is_about = any(
                    f"{part}_".startswith(f"{package}_") for part in re.split(r"\.(?:test_)?", test)
                )
                modules = len(self.imports(test) & set(self.own))
                found.append((distance, not is_about, modules, file))
        if found:
            return [file for *_, file in sorted(found)]
        beside |= {module}
        users = [one for one in self.own if module in self.imports(one) and one not in beside]
        return list(dict.fromkeys(file for user in users for file in self.tests_of(user, beside)))


@dataclass(frozen=True)
class Mutant:
    """One change to try.

    Attributes:
        source: the code of the changed module.
        earlier: what became of it in the run that is repeated, if one is.
    """

    record: Record
    path: Path
    source: str
    earlier: str | None = None


class Copy:
    """A copy of the project in a temporary folder, in which one module at a time is changed."""

    def __init__(self, root: Path, folder: Path, memory_gib: float) -> None:
        self.root, self.copy, self.temporary = root, folder / "copy", folder / "tmp"
        self.memory_gib = memory_gib
        shutil.copytree(root, self.copy, ignore=shutil.ignore_patterns(*NOT_COPIED))

    @contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """Hold the changed module in place of the present one."""
        path = self.copy / mutant.path.relative_to(self.root)
        # Python tells compiled files apart by whole seconds.
        compiled = Path(importlib.util.cache_from_source(str(path)))
        compiled.unlink(missing_ok=True)
        path.write_text(mutant.source)
        try:
            yield
        finally:
            compiled.unlink(missing_ok=True)
            shutil.copyfile(mutant.path, path)

    def run(self, command: Sequence[str], limit: float, processor: float) -> tuple[int, str]:
        """Run Python with arguments on the copy: its exit code, and what it wrote.

        Args:
            command: the arguments.
            limit: seconds until it is ended.
            processor: seconds of processor time until each process of it is ended.
        """
        shutil.rmtree(self.temporary, ignore_errors=True)
        shutil.rmtree(self.copy / ".hypothesis", ignore_errors=True)
        self.temporary.mkdir(exist_ok=True)
        limits = f"ulimit -d {int(self.memory_gib * 2**20)}; ulimit -t {int(processor) + 1}"
        with (self.temporary.parent / "written").open("w+", errors="replace") as written:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f'{limits}; exec "$@"', "sh", sys.executable, *command],
                cwd=self.copy,
                env=os.environ | {"PYTHONPATH": str(self.copy), "TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = TIMED_OUT
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            written.seek(0)
            return TIMED_OUT if code in OUT_OF_TIME else code, written.read()

    def test(self, file: str, limit: float, processor: float) -> tuple[int, str]:
        """Run the tests of a file, up to the first that fails."""
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        return self.run(["-m", "pytest", *options, file], limit, processor)


def sample(project: Project, modules: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Draw mutants: of each module as many as its share of all places that can be changed."""
    rng = random.Random(seed)
    sites = {module: project.sites(module) for module in modules}
    total = sum(map(len, sites.values()))
    count = min(count, total)
    shares = {module: count * len(found) / total for module, found in sites.items() if found}
    counts = {module: int(share) for module, share in shares.items()}
    # What rounding down leaves goes to the modules that it took the most from.
    missed = sorted(shares, key=lambda module: (counts[module] - shares[module], module))
    for module in missed[: count - sum(counts.values())]:
        counts[module] += 1
    drawn = []
    for module, of_module in counts.items():
        for at in sorted(rng.sample(range(len(sites[module])), of_module)):
            site = sites[module][at]
            value = rng.choice(site.values)
            drawn.append(Mutant(site.record(value), project.paths[module], site.source(value)))
    return drawn


class Finder:
    """Finds the mutants of an earlier run in the present code."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.places: dict[tuple[str, ...], list[tuple[Record, Site, Any]]] = defaultdict(list)
        for module in project.own:
            for site in project.sites(module):
                for value in site.values:
                    record = site.record(value)
                    for key in self._keys(record):
                        self.places[key].append((record, site, value))

    @staticmethod
    def _keys(record: Record) -> list[tuple[str, ...]]:
        """Return what a mutant is found by: the surest first."""
        name = record["qualname"].rpartition(".")[2]
        statement = record["before"], record["after"]
        expression = record["operator"], *record["expression"]
        return [
            ("name and statement", name, *statement),
            ("statement", *statement),
            ("name and expression", name, *expression),
            ("expression", *expression),
        ]

    def find(self, old: Record) -> Mutant | None:
        """Return the same mutant of the present code, if it is there and cannot be another one."""

        def distance(place: tuple[Record, Site, Any]) -> tuple[bool, bool, int]:
            new = place[0]
            moved = new["module"] != old["module"], new["qualname"] != old["qualname"]
            return *moved, abs(new["line"] - old["line"])

        for key in self._keys(old):
            found = sorted(self.places.get(key, []), key=distance)
            if found and (key[0].startswith("name") or len(found) == 1):
                record, site, value = found[0]
                path = self.project.paths[site.module]
                return Mutant(record | {"earlier": old}, path, site.source(value), old["status"])
        return None


class Trial:
    """Tries mutants on copies of the project, as many side by side as there are copies."""

    def __init__(self, project: Project, copies: Sequence[Copy], limit: float) -> None:
        self.project, self.limit = project, limit
        self.free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for copy in copies:
            self.free.put(copy)
        self.seconds: dict[str, float] = {}
        self.chosen: dict[str, list[str]] = {}

    def prepare(self, modules: Sequence[str]) -> None:
        """Choose the tests of each module, which must pass while nothing is changed."""
        copy = self.free.get()
        show = ["-c", f"import {PACKAGE}; print({PACKAGE}.__file__)"]
        code, written = copy.run(show, self.limit, self.limit)
        if code != PASSED or copy.copy.resolve() not in Path(written.strip()).resolve().parents:
            raise MisuseError(f"the copy of {PACKAGE} is not what Python imports: {written}")
        for module in modules:
            chosen = self.chosen[module] = []
            took = 0.0
            for file in self.project.tests_of(module)[:MOST_FILES]:
                if took < NEARLY_S and (took + self._time(file, copy) <= MOST_S or not chosen):
                    chosen.append(file)
                    took += self.seconds[file]
            print(f"{module}: {' '.join(chosen) or 'no tests'} ({took:.0f} s)", flush=True)
        self.free.put(copy)

    def _time(self, file: str, copy: Copy) -> float:
        """Return the processor time of a test file, which must pass while nothing is changed."""
        if file not in self.seconds:
            begun = _processor_time()
            code, written = copy.test(file, 5 * self.limit, self.limit)
            if code not in (PASSED, NOTHING_RAN):
                raise MisuseError(f"{file} fails while nothing is changed:\n{written[-2000:]}")
            self.seconds[file] = _processor_time() - begun
        return self.seconds[file]

    def judge(self, mutant: Mutant) -> Record:
        """Run the tests on a mutant; all that there are if it was caught earlier."""
        copy, module = self.free.get(), mutant.record["module"]
        try:
            status, test = self._tests(mutant, self.chosen[module], copy)
            others = self.project.tests_of(module) if mutant.earlier in CAUGHT else []
            for file in others:
                if status == ESCAPED and file not in self.chosen[module]:
                    with suppress(MisuseError):
                        self._time(file, copy)
                        status, test = self._tests(mutant, [file], copy)
        finally:
            self.free.put(copy)
        return mutant.record | {"status": status, "test": test}

    def _tests(self, mutant: Mutant, files: Sequence[str], copy: Copy) -> tuple[str, str | None]:
        """Return what becomes of a mutant with some tests, and the one that ends it."""
        with copy.changed(mutant):
            for file in files:
                usual = self.seconds[file]
                code, written = copy.test(file, self.limit + 10 * usual, 15 + 3 * usual)
                if code == TIMED_OUT:
                    return "timed out", file
                if code not in (PASSED, NOTHING_RAN):
                    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", written, re.MULTILINE)
                    return "caught", failed[1] if failed else file
        return ESCAPED, None


def _processor_time() -> float:
    """Return the seconds that ended processes of this one have taken."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _line(record: Record) -> str:
    """Describe a mutant and what became of it in a line."""
    place = f"{record['module']}:{record['line']} {record['qualname']} [{record['operator']}]"
    return f"{record['status']:<9} {place} {record['before']}  ->  {record['after']}"


def _earlier(file: Path, project: Project) -> tuple[list[Mutant], list[Record]]:
    """Return the mutants of an earlier run that are found in the present code, and the others."""
    try:
        records = json.loads(file.read_text())
        finder = Finder(project)
        pairs = [(record, finder.find(record)) for record in records]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MisuseError(f"{file} holds no mutants of an earlier run: {error!r}") from error
    lost = [record | {"status": NOT_FOUND} for record, found in pairs if found is None]
    return [found for _, found in pairs if found is not None], lost


def _run(options: argparse.Namespace, root: Path) -> int:
    project, lost = Project(root), []
    if options.replay:
        mutants, lost = _earlier(options.replay, project)
    else:
        modules = project.modules(options.modules)
        mutants = sample(project, modules, options.count, options.seed)
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        places = [Path(folder) / str(number) for number in range(options.jobs)]
        trial = Trial(
            project, [Copy(root, place, options.memory_gib) for place in places], options.timeout
        )
        trial.prepare(sorted({mutant.record["module"] for mutant in mutants}))
        done = list(lost)
        for record in lost:
            print(_line(record))
        with ThreadPoolExecutor(options.jobs) as pool:
            for record in pool.map(trial.judge, mutants):
                print(_line(record), flush=True)
                done.append(record)
                if options.json:
                    # Whole at any time: what was tried so far is of use.
                    part = options.json.with_name(f".{options.json.name}.part")
                    part.write_text(json.dumps(done, indent=1) + "\n")
                    part.replace(options.json)
    counted = Counter(record["status"] for record in done)
    print(", ".join(f"{number} {status}" for status, number in sorted(counted.items())))
    worse = [
        record
        for record in done
        if record["status"] == ESCAPED and record.get("earlier", {}).get("status") in CAUGHT
    ]
    if options.replay:
        print(f"{len(worse)} were caught earlier and escape now")
        for record in worse:
            print(f"  {_line(record)}")
    return 1 if worse else 0


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
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
    options = parser.parse_args(arguments)
    try:
        if min(options.count, options.jobs, options.timeout, options.memory_gib) <= 0:
            raise MisuseError("numbers of mutants, jobs, seconds and GiB are above zero")
        if options.replay and options.modules:
            raise MisuseError("--replay takes the modules from its file")
        return _run(options, root)
    except MisuseError as error:
        print(f"tests.mutants: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    # What was started is ended, and the copies are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
