"""The mutation tester: its changes, its sample, and its judgement of tests."""

import json
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="memory and time are limited as POSIX does it")

from tests.mutants import Project, main
from tests.mutations import find_mutants


def changes(source: str) -> set[tuple[str, str]]:
    """Return the operator of each change, and the line that it makes."""
    records = [mutant.record for mutant in find_mutants("snippet", source)]
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
        # What documents, types, logs or refuses is left alone.
        ('"""One, 1 < 2."""', set()),
        ('__all__ = ["left"]', set()),
        ('a: Literal["left"]', set()),
        ("def f(a: Array[b, c]) -> Array[c, b]: f()", set()),
        ("@dataclass(frozen=True)\nclass A: f()", set()),
        ('_log.warning("%d left", a - 1)', set()),
        ('raise RuntimeError(f"{a - 1} left")', set()),
        ('a = IntakeError(f"{b - 1} left")', set()),
        ("if TYPE_CHECKING:\n    a = 1", set()),
        ("zip(a, b, strict=True)", set()),
        ('a = "one" + b', set()),
    ],
)
def test_each_operator_changes_its_own_kind_of_code(
    source: str, expected: set[tuple[str, str]]
) -> None:
    assert changes(source) == expected


def test_a_change_knows_its_function_and_leaves_the_rest_as_it_was() -> None:
    source = "class A:\n\n    def f(self):\n        return a < b\n\ndef g():\n    return c < d"
    first, _ = find_mutants("snippet", source)
    assert (first.record["qualname"], first.record["line"]) == ("A.f", 4)
    assert (first.record["before"], first.record["after"]) == ("return a < b", "return a <= b")
    assert first.source() == source.replace("a < b", "a <= b")


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
    (project / "rcc_onnx/untested.py").write_text("def f():\n    return 1 < 2\n")
    (project / "rcc_onnx/strong.py").write_text(f"from rcc_onnx.untested import f\n{STRONG}")
    found = Project(project)
    # Directly, through a helper, and as a module's users.
    for module in ("strong", "inner.weak", "untested"):
        assert found.tests_of(f"rcc_onnx.{module}") == ["tests/test_both.py"]


def test_strong_tests_catch_and_weak_tests_let_escape(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_text() for path in project.rglob("*.py")}
    (project / "tests/test_weak.py").write_text("def test_weak():\n    assert False\n")
    file, again = tmp_path / "mutants.json", tmp_path / "again.json"
    assert main(["rcc_onnx", "--count", "9", "--json", str(file)], project) == 0
    records = json.loads(file.read_text())
    status = {(record["before"], record["after"]): record["status"] for record in records}
    assert status["return age >= 18", "return age > 18"] == "ESCAPED"
    assert status["if a > b:", "if False:"] == "caught"
    written = capsys.readouterr()
    line = "rcc_onnx.strong:3 larger [guard] if a > b:  ->  if False:"
    assert f"caught    {line}" in written.out
    assert "tests/test_weak.py fails while nothing is changed" in written.err
    assert before.items() <= {path: path.read_text() for path in project.rglob("*.py")}.items()

    # Repeated after a move, with tests that see less.
    (project / "rcc_onnx/strong.py").rename(project / "rcc_onnx/inner/moved.py")
    test = project / "tests/test_both.py"
    test.write_text(
        test.read_text()
        .replace("rcc_onnx.strong", "rcc_onnx.inner.moved")
        .replace("larger(1, 2) == 2", "larger(3, 3) == 3")
        .replace("larger(2, 1) == 2", "larger(3, 3) == 3")
    )
    assert main(["--replay", str(file), "--json", str(again), "--jobs", "2"], project) == 1
    assert len(json.loads(again.read_text())) == len(records)
    written = capsys.readouterr().out
    listed = written[written.index("were caught earlier and escape now") :]
    assert f"  {line.replace('strong', 'inner.moved')}" in listed


def test_a_sample_is_the_same_for_the_same_seed(project: Path, tmp_path: Path) -> None:
    drawn = []
    for seed in ("1", "1", "2"):
        main(
            ["--count", "2", "--seed", seed, "--json", str(tmp_path / "json"), "rcc_onnx"], project
        )
        drawn.append((tmp_path / "json").read_text())
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_module_that_is_not_there_is_misuse(project: Path) -> None:
    with pytest.raises(SystemExit, match=r"no module rcc_onnx\.none"):
        main(["rcc_onnx.none"], project)


def test_a_replay_finds_a_renamed_function_but_no_rewritten_one(project: Path) -> None:
    (old,) = (
        mutant.record
        for mutant in Project(project).mutants("rcc_onnx.strong")
        if mutant.record["operator"] == "comparison"
    )
    (project / "rcc_onnx/strong.py").write_text(STRONG.replace("larger", "largest"))
    now = Project(project).find(old)
    assert now is not None
    assert now.record["qualname"] == "largest"
    (project / "rcc_onnx/strong.py").write_text(STRONG.replace("a > b", "b > a"))
    assert Project(project).find(old) is None
