"""The mutation tester: the changes that it makes, what it draws, and what it says of tests."""

import json
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="memory and time are limited as POSIX does it")

from tests.mutants import Finder, Project, main, sample
from tests.mutations import find_sites


def changes(source: str) -> set[tuple[str, str]]:
    """Return the operator of each change, and the line that it makes."""
    sites = find_sites("snippet", textwrap.dedent(source))
    records = [site.record(value) for site in sites for value in site.values]
    return {(record["operator"], record["after"]) for record in records}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {("comparison", "a <= b")}),
        ("a >= b", {("comparison", "a > b")}),
        ("a == b", {("comparison", "a != b")}),
        ("a is not None", {("comparison", "a is None")}),
        ("a in b", {("comparison", "a not in b")}),
        ("a < b < c", {("comparison", "a <= b < c"), ("comparison", "a < b <= c")}),
        ("a and b", {("and/or", "a or b")}),
        ("a + b", {("arithmetic", "a - b")}),
        ("a *= b", {("arithmetic", "a //= b")}),
        ("a // b", {("arithmetic", "a * b")}),
        ("f(-a)", {("arithmetic", "f(a)")}),
        ("a = 2", {("constant", "a = 3"), ("constant", "a = 1")}),
        ("a = 0.5", {("constant", "a = 1.5"), ("constant", "a = -0.5")}),
        ("def f(a: int=True):\n    f()", {("constant", "def f(a: int=False):")}),
        ("a = not b", {("guard", "a = b")}),
        ("if a:\n    f()\n    raise b", {("guard", "if False:")}),
        ("def f():\n    if a:\n        return 'b'", {("guard", "if False:")}),
        ("for a in b:\n    if a:\n        continue", {("guard", "if False:")}),
        ("if a:\n    f()", set()),
        ("a, b = c", {("axes", "b, a = c")}),
        ("for a, b in zip(c, d):\n    f()", {("axes", "for b, a in zip(c, d):")}),
        ("for a, b in c.items():\n    f()", set()),
        ("a.shape[0]", {("axes", "a.shape[1]")}),
        ("a[b, c]", {("axes", "a[c, b]")}),
        ("a.T", {("axes", "a")}),
        ("a[::-1]", {("axes", "a[:]")}),
        ("a[:, ::-1]", {("axes", "a[::-1, :]"), ("axes", "a[:, :]")}),
        ("a.sum(axis=0)", {("axes", "a.sum(axis=1)")}),
        ("f('right')", {("sides", "f('left')")}),
        ("a.rows", {("sides", "a.columns")}),
        ("a = 'top'", {("sides", "a = 'bottom'")}),
    ],
)
def test_each_operator_changes_what_it_says(source: str, expected: set[tuple[str, str]]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""One, 1 < 2."""',
        '__all__ = ["left"]',
        'a: Literal["left"]',
        "def f(a: Array[b, c]) -> Array[c, b]: f()",
        "@dataclass(frozen=True)\nclass A: f()",
        '_log.warning("%d left", a - 1)',
        'raise RuntimeError(f"{a - 1} left")',
        'a = IntakeError(f"{b - 1} left")',
        "if TYPE_CHECKING:\n    a = 1",
        "zip(a, b, strict=True)",
        'a = "one" + b',
    ],
)
def test_what_documents_types_logs_or_refuses_is_left_alone(source: str) -> None:
    assert changes(source) == set()


def test_a_change_knows_its_function_and_leaves_the_rest_as_it_was() -> None:
    source = "class A:\n\n    def f(self):\n        return a < b\n\ndef g():\n    return c < d"
    first, _ = find_sites("snippet", source)
    record = first.record(first.values[0])
    assert (record["qualname"], record["line"]) == ("A.f", 4)
    assert (record["before"], record["after"]) == ("return a < b", "return a <= b")
    assert first.source(first.values[0]) == source.replace("a < b", "a <= b")


WEAK = """
def is_adult(age):
    return age >= 18
"""
STRONG = """
def larger(a, b):
    if a > b:
        return a
    return b
"""
TESTS = """
from helpers import weak
from rcc_onnx.strong import larger


def test_larger():
    assert larger(1, 2) == 2
    assert larger(2, 1) == 2


def test_is_adult():
    assert weak.is_adult(40)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with a function that is tested well, and one that is not."""
    root = tmp_path / "project"
    for name, text in {
        "rcc_onnx/__init__.py": "",
        "rcc_onnx/strong.py": STRONG,
        "rcc_onnx/inner/__init__.py": "",
        "rcc_onnx/inner/weak.py": WEAK,
        "tests/helpers.py": "def nothing():\n    import os\n\nfrom rcc_onnx.inner import weak\n",
        "tests/test_both.py": TESTS.replace("from helpers", "from tests.helpers"),
        "tests/test_other.py": "def test_other():\n    assert False\n",
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-rfE"\n',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_tests_are_found_by_their_imports(project: Path) -> None:
    found = Project(project)
    assert found.tests_of("rcc_onnx.strong") == ["tests/test_both.py"]
    assert found.tests_of("rcc_onnx.inner.weak") == ["tests/test_both.py"]


def test_a_module_without_tests_has_those_of_its_users(project: Path) -> None:
    (project / "rcc_onnx/part.py").write_text("def f():\n    return 1 < 2\n")
    (project / "rcc_onnx/strong.py").write_text(f"from rcc_onnx.part import f\n{STRONG}")
    assert Project(project).tests_of("rcc_onnx.part") == ["tests/test_both.py"]


def test_the_sample_is_the_same_for_the_same_seed(project: Path) -> None:
    found = Project(project)
    first, again, other = (
        [mutant.record for mutant in sample(found, found.own, 3, seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {record["module"] for record in first} == {"rcc_onnx.inner.weak", "rcc_onnx.strong"}


def test_strong_tests_catch_and_weak_tests_let_escape(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_text() for path in project.rglob("*.py")}
    file = tmp_path / "mutants.json"
    assert main(["rcc_onnx", "--count", "9", "--json", str(file)], project) == 0
    records = json.loads(file.read_text())
    status = {(record["before"], record["after"]): record["status"] for record in records}
    assert status["return age >= 18", "return age > 18"] == "ESCAPED"
    assert status["if a > b:", "if False:"] == "caught"
    assert "caught    rcc_onnx.strong:3 larger [guard] if a > b:  ->  if False:" in (
        capsys.readouterr().out
    )
    assert {path: path.read_text() for path in project.rglob("*.py")} == before


def test_tests_that_fail_anyway_are_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests/test_strong.py").write_text("def test_strong():\n    assert False\n")
    assert main(["rcc_onnx.strong", "--count", "1"], project) == 2
    assert "tests/test_strong.py fails while nothing is changed" in capsys.readouterr().err


def test_a_module_that_is_not_there_is_misuse(project: Path) -> None:
    assert main(["rcc_onnx.none"], project) == 2


def test_a_replay_finds_what_has_moved_and_lists_what_escapes_now(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mutants.json"
    drawn = sample(Project(project), ["rcc_onnx.strong"], 9, seed=0)
    file.write_text(json.dumps([mutant.record | {"status": "caught"} for mutant in drawn]))
    (project / "rcc_onnx/strong.py").rename(project / "rcc_onnx/inner/moved.py")
    test = project / "tests/test_both.py"
    test.write_text(
        test.read_text()
        .replace("rcc_onnx.strong", "rcc_onnx.inner.moved")
        .replace("    assert larger(1, 2) == 2\n", "")
        .replace("    assert larger(2, 1) == 2\n", "    assert larger(3, 3) == 3\n")
    )
    assert main(["--replay", str(file)], project) == 1
    written = capsys.readouterr().out
    assert "rcc_onnx.inner.moved: tests/test_both.py" in written
    listed = written[written.index("were caught earlier and escape now") :]
    assert "rcc_onnx.inner.moved:3 larger [guard] if a > b:  ->  if False:" in listed


def test_a_replay_finds_a_renamed_function_and_tells_what_is_lost(project: Path) -> None:
    found = Project(project)
    (old,) = [
        mutant.record | {"status": "caught"}
        for mutant in sample(found, ["rcc_onnx.strong"], 99, 0)
        if mutant.record["operator"] == "comparison"
    ]
    (project / "rcc_onnx/strong.py").write_text(STRONG.replace("larger", "largest"))
    now = Finder(Project(project)).find(old)
    assert now is not None
    assert now.record["qualname"] == "largest"
    (project / "rcc_onnx/strong.py").write_text(STRONG.replace("a > b", "b > a"))
    assert Finder(Project(project)).find(old) is None
