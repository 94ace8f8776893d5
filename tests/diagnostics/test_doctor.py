"""`rcc-onnx doctor`: the whole report, and the command that shows it."""

import getpass
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from rcc_onnx.diagnostics.doctor import Category, Check, DoctorReport, Verdict, checks, run_doctor
from rcc_onnx.diagnostics.doctor import networks as doctor_networks
from rcc_onnx.dicom.codec_check import SAMPLES
from rcc_onnx.output.document import SchemaName, schema_text
from rcc_onnx.system.documents import document_bytes, read_document
from tests.support.reference_outputs import bundle_with_reference_outputs
from tests.support.tiny_networks import write_bundle

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
SCHEMA = json.loads(schema_text(SchemaName.DOCTOR))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home" / "somebody"
    home.mkdir(parents=True)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RCC_ONNX_HOME", str(home / "data"))
    return home


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (checks, doctor_networks):
        monkeypatch.setattr(module, "probe", lambda function, value, seconds: function(value))


def test_the_whole_report_on_this_machine(tmp_path: Path, home: Path) -> None:
    """Nothing is replaced here: processes, decoders and sessions are real."""
    bundle = bundle_with_reference_outputs(tmp_path / "tiny")
    categories: list[Category] = []
    report = run_doctor(str(bundle), home / "results", categories.append)
    assert report.verdict is not Verdict.PROBLEM, report.checks
    found = {(check.category, check.subject): check for check in report.checks}
    cpu = found[Category.PROVIDERS, "cpu"]
    assert cpu.verdict is Verdict.OK
    assert "agrees with the reference outputs" in cpu.message
    assert found[Category.PROVIDERS, "auto"].message == "would take cpu"
    decoded = [check for check in report.checks if check.category is Category.DECODING]
    assert [check.verdict for check in decoded] == [Verdict.OK] * len(SAMPLES)
    assert found[Category.TELEMETRY, "onnxruntime"].message == "off; it has left nothing here"
    assert list(dict.fromkeys(categories)) == list(Category)
    assert list(dict.fromkeys(check.category for check in report.checks)) == list(Category)
    assert list(home.iterdir()) == [], "nothing may be changed"
    written = document_bytes(report)
    assert read_document(DoctorReport, written) == report
    assert list(Draft202012Validator(SCHEMA).iter_errors(json.loads(written))) == []


def test_a_report_names_neither_the_user_nor_the_machine(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "hsmith")
    bundle_with_reference_outputs(home / "models" / "tiny")
    write_bundle(home / "models" / "broken")
    (home / "models" / "broken" / "kidney.onnx").write_bytes(b"x")
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(home / "models"))
    report = run_doctor(out=tmp_path / "media" / "hsmith" / "out")
    text = document_bytes(report).decode().replace("\\\\", "/")
    assert "~/models/tiny" in text
    assert "media/USER/out" in text
    for secret in (str(home), "somebody", "hsmith", platform.node()):
        assert secret not in text


def test_only_whole_folder_names_are_hidden(
    home: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "root")

    def check_machine() -> Iterator[Check]:
        yield Category.MACHINE.problem(f"{home}", f"{home}x and {home}/y", "the root of it")

    monkeypatch.setattr(checks, "check_machine", check_machine)
    found = next(c for c in run_doctor("nowhere").checks if c.category is Category.MACHINE)
    assert (found.subject, found.message) == ("~", f"{home}x and ~/y")
    assert found.remedy == "the root of it"


def test_a_check_that_fails_is_a_problem_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, in_this_process: None
) -> None:
    def broken(*_: object) -> Iterator[Check]:
        yield Category.MACHINE.ok("CPUs", "2")
        raise ZeroDivisionError("oh no\nmore")

    monkeypatch.setattr(checks, "check_machine", broken)
    monkeypatch.setattr(doctor_networks, "check_bundles", broken)
    report = run_doctor()
    failed = [check for check in report.checks if check.subject == "check"]
    assert [check.category for check in failed] == [Category.MACHINE, Category.BUNDLES]
    assert {check.verdict for check in failed} == {Verdict.PROBLEM}
    assert failed[0].message == "this check failed: ZeroDivisionError: oh no"
    assert Category.MACHINE.ok("CPUs", "2") in report.checks, "found before the failure"
    assert report.checks[-1].category is Category.TELEMETRY


def test_the_verdict_of_a_report_is_the_worst_of_its_checks() -> None:
    def verdict(*verdicts: Verdict) -> Verdict:
        return DoctorReport.of(Check(Category.MACHINE, "x", v, "", None) for v in verdicts).verdict

    ok, warning, problem, missing = Verdict
    assert verdict() is ok
    assert verdict(ok, missing) is ok
    assert verdict(warning, ok) is warning
    assert verdict(warning, problem) is problem


def test_the_page_explains_every_field() -> None:
    fields = set(SCHEMA["properties"]) - {"checks"}
    of_checks = {f"checks[].{name}" for name in SCHEMA["$defs"]["Check"]["properties"]}
    for field in fields | of_checks:
        assert f"`{field}`" in PAGE, field
    for category in Category:
        assert f"| `{category}` |" in PAGE


# --- The command ---------------------------------------------------------------------------------


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the command find these checks."""

    def install(*made: Check) -> None:
        report = DoctorReport.of(made)
        monkeypatch.setattr("rcc_onnx.diagnostics.doctor.run_doctor", lambda *_: report)

    return install


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_the_command_shows_each_check_with_its_remedy(found: Callable[..., None]) -> None:
    found(
        Category.SOFTWARE.ok("Python", "3.11"),
        Category.BUNDLES.warning("[b]", "no outputs [/b]", "Convert it again."),
        Category.BUNDLES.missing("other", "none", "Get one."),
    )
    result = invoke()
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "software",
        "  ok       Python: 3.11",
        "bundles",
        "  warning  [b]: no outputs [/b]",
        "           -> Convert it again.",
        "  missing  other: none",
        "           -> Get one.",
        "Verdict: warning (0 problems, 1 warning)",
        "Research software, not for diagnosis. A suspected lesion is not a diagnosis.",
    ]


def test_a_problem_ends_with_exit_code_1(found: Callable[..., None]) -> None:
    found(Category.SOFTWARE.problem("numpy", "not installed", "Install it."))
    result = invoke("--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["verdict"] == "problem"
    assert document["checks"][0]["remedy"] == "Install it."
