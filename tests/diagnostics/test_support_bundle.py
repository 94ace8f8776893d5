"""Support bundles: what helps is in them, and no name."""

import ast
import getpass
import json
import platform
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from rcc_onnx.diagnostics import support_bundle
from rcc_onnx.diagnostics.doctor import Category, DoctorReport
from rcc_onnx.diagnostics.support_bundle import (
    allow,
    redact_line,
    redact_message,
    write_support_bundle,
)
from tests.support import tiny_networks
from tests.support.canaries import SEEN_AS, WORD, canary_series, leaks, write_anything
from tests.support.errors import raises_code

ROOT = Path(__file__).parents[2]
UID = "1.2.826.0.1.77777"
FOLDER, FILE, USER, MACHINE = "DOEKLEIN_Johnathan", "ROEMMICH_0", "mmustermann", "pacsstation7"
NAMES = ("doeklein", "johnathan", "roemmich", USER, MACHINE, "77777", "nighthouse", *SEEN_AS)
"""Of folders, files, the user, the machine, the home folder, and in headers."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `out` and `log.jsonl` of a run over studies that are full of names."""
    home = tmp_path_factory.mktemp("nighthouse") / USER
    studies = home / "studies"
    for number in (1, 2):
        slices = canary_series(str(number), f"{UID}.{number}", all_tags=number == 1)
        folder = write_anything(
            studies / f"{FOLDER}_{number}", slices if number == 1 else slices[:2]
        )
        for path in sorted(folder.iterdir()):
            path.rename(path.with_name(f"{FILE}_{path.name}"))
        (folder / f"{FILE}.txt").write_text(f"Dear {WORD}")
    (studies / f"{FOLDER}_3").mkdir()
    (studies / f"{FOLDER}_3" / f"{FILE}.txt").write_text("")
    bundle = tiny_networks.write_bundle(home / "tiny", use_on=["patient"])
    command = ("infer", studies, "--out", home / "out", "--models", bundle, "-vv")
    done = subprocess.run(
        [sys.executable, "-m", "rcc_onnx", *map(str, command), "--log-file", home / "log.jsonl"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    return home


@pytest.fixture
def here(night: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As the user who ran it, on a machine with a name."""
    for variable in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(variable, USER)
    monkeypatch.setenv("HOME", str(night))
    monkeypatch.setattr(platform, "node", lambda: f"{MACHINE}.example.org")
    report = DoctorReport.of(
        (
            Category.FOLDERS.ok(f"for {USER}", f"can be written: {night}/my data/models"),
            Category.FOLDERS.warning("results", f"3 GB free on {MACHINE.upper()}", f"See {night}."),
        )
    )
    monkeypatch.setattr(support_bundle, "run_doctor", lambda: report)
    return night


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_no_name_is_in_any_byte(here: Path, tmp_path: Path) -> None:
    write_support_bundle(here / "out", tmp_path / "s.zip", [here / "log.jsonl"])
    members = unpacked(tmp_path / "s.zip")
    found = [leak for name, data in members.items() for leak in leaks(name, data, NAMES)]
    assert found + leaks("names", " ".join(members).encode(), NAMES) == []
    # The zip file itself holds names and dates too.
    assert leaks("zip", (tmp_path / "s.zip").read_bytes(), NAMES) == []


def test_the_search_would_have_found_them(here: Path) -> None:
    results = b"".join(path.read_bytes() for path in (here / "out").glob("*.json"))
    log = (here / "log.jsonl").read_bytes()
    for data in (results, log):
        found = {leak.partition(": ")[2] for leak in leaks("x", data, NAMES)}
        assert {"doeklein", "johnathan", "roemmich"} <= found


def test_versions_counts_codes_and_logs_are_there(here: Path, tmp_path: Path) -> None:
    packed = write_support_bundle(here / "out", tmp_path / "s.zip", [here / "log.jsonl"])
    members = unpacked(tmp_path / "s.zip")
    assert members == {member.name: member.data for member in packed}
    assert list(members) == ["README.txt", "summary.json", "doctor.json", "log-1.jsonl"]
    summary = json.loads(members["summary.json"])
    assert (summary["analysed"], summary["failed"]) == (1, 2)
    assert summary["errors"] == {"too-few-slices": 1, "no-dicom": 1}
    assert summary["flags"]["few-slices"] == 1
    assert summary["environment"]["packages"]["pydicom"]
    doctor = json.loads(members["doctor.json"])
    texts = [(c["subject"], c["message"], c["remedy"]) for c in doctor["checks"]]
    assert texts == [
        ("for <name>", "can be written: <path>", None),
        ("results", "3 GB free on <name>", "See <path>"),
    ]
    lines = [json.loads(line) for line in members["log-1.jsonl"].splitlines()]
    assert len(lines) == len((here / "log.jsonl").read_bytes().splitlines())
    ends = {
        line["case"]: line["data"]["status"]
        for line in lines
        if line.get("data", {}).get("event") == "case-end"
    }
    assert ends == {"case-0001": "analysed", "case-0002": "failed", "case-0003": "failed"}
    assert "<...>: 7 files, 6 CT slices" in [line["sentence"] for line in lines]
    (start,) = [line for line in lines if line.get("data", {}).get("event") == "run-start"]
    assert start["data"]["options"]["provider"] == "auto"
    assert start["data"]["environment"]["packages"]["pydicom"]


def test_the_command_lists_what_it_packed(here: Path, tmp_path: Path) -> None:
    to = tmp_path / "s.zip"
    command = ["support-bundle", str(here / "out"), "--to", str(to)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert "summary.json    versions, counts and codes of 3 cases" in result.output
    assert "Look at it before you send it" in result.output
    before = to.read_bytes()
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "[support-bundle-exists]" in refused.output
    assert to.read_bytes() == before
    again = [*command, "--overwrite", "--log-file", str(here / "log.jsonl")]
    assert "log-1.jsonl" in CliRunner().invoke(app, again).output
    assert "log-1.jsonl" in unpacked(to)


def test_what_cannot_be_packed_leaves_nothing(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raises_code("support-input", match="is not a folder"):
        write_support_bundle(tmp_path / "none", tmp_path / "s.zip")
    with raises_code("support-input", match="log file"):
        write_support_bundle(here / "out", tmp_path / "s.zip", [tmp_path / "none.jsonl"])
    with raises_code("support-bundle", match="cannot write"):
        write_support_bundle(here / "out", tmp_path / "none" / "s.zip")
    with raises_code("support-bundle-exists"):
        write_support_bundle(here / "out", tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with raises_code("support-bundle", match="No space left"):
        write_support_bundle(here / "out", tmp_path / "s.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_doctor_that_fails_stops_nothing(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError(WORD)

    monkeypatch.setattr(support_bundle, "run_doctor", fail)
    write_support_bundle(here / "out", tmp_path / "s.zip")
    doctor = json.loads(unpacked(tmp_path / "s.zip")["doctor.json"])
    assert doctor["failed"] == "ZeroDivisionError"
    assert "support_bundle.py" in doctor["lines"][0]


def test_rotated_logs_are_taken_oldest_first(here: Path, tmp_path: Path) -> None:
    text = (here / "log.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    log = tmp_path / "log.jsonl"
    log.write_text("".join(text[8:]), encoding="utf-8")
    (tmp_path / "log.jsonl.1").write_text("".join(text[4:8]), encoding="utf-8")
    (tmp_path / "log.jsonl.10").write_text("".join(text[:4]), encoding="utf-8")
    rotated = write_support_bundle(here / "out", tmp_path / "a.zip", [log])
    whole = write_support_bundle(here / "out", tmp_path / "b.zip", [here / "log.jsonl"])
    assert rotated[-1] == whole[-1]


# --- What is let through -------------------------------------------------------------------------


LINE = {"time": "2026-01-01T00:00:00.000+00:00", "level": "INFO", "logger": "rcc_onnx.x"}


@pytest.mark.parametrize("text", [f"{WORD}^Jane", f"{WORD}/x.dcm", f"/home/{WORD}", f"{UID}/3"])
def test_texts_that_are_not_words_of_ours_do_not_pass(text: str) -> None:
    facts = {name: [text, {"x": text, text: 1}] for name in support_bundle.FACTS}
    facts |= {"models": {"models": text, "processor": text}}
    made = redact_line(LINE | {"data": facts, "case": text, "message": text}, {})
    assert leaks("line", json.dumps(made).encode(), (WORD, "77777")) == []


def test_series_are_left_out_and_processors_may_be_several_words() -> None:
    options = {"threads": 2, "save": ["seg"], "provider": "cpu", "processor": "AMD EPYC 7"}
    given = options | {"series": f"{UID}.1", "code": "AMD EPYC"}
    assert allow(given) == options | {"code": None}


@given(st.text())
def test_what_is_let_through_has_no_mark_of_paths_or_of_names_in_dicom(text: str) -> None:
    for passed in (allow(text), allow({"models": text})["models"]):
        assert passed is None or not set(passed) & set("/\\^=:'\"<>\n\0")


@pytest.mark.parametrize(
    "line",
    [{}, *({**LINE, name: WORD} for name in LINE), LINE | {"logger": "PIL"}, LINE | {"time": None}],
)
def test_lines_of_others_are_left_out(line: dict[str, Any]) -> None:
    assert redact_line(line, {}) is None


def test_messages_unknown_fields_and_values_of_other_types_are_left_out() -> None:
    line = LINE | {"data": 1, "raised": {"lines": 1}, "case": [], "pid": {}}
    made = LINE | {"pid": {}, "case": None, "sentence": None}
    assert redact_line(line, {}) == made | {"raised": {"type": None, "lines": []}}
    line = LINE | {
        "message": WORD,
        "case": WORD,
        "other": WORD,
        "sentence": "x",
        "pid": WORD + "/",
        "data": {"event": "case-end", "other": WORD, "code": f"{WORD} x", "stages": {"a/": 1}},
        "raised": {"type": f"{WORD} x", "lines": [f"/{WORD}.py", "engine.py:9 in analyse"]},
    }
    assert redact_line(line, {"other": "case-0001"}) == LINE | {
        "pid": None,
        "case": None,
        "sentence": "x",
        "data": {"event": "case-end", "code": None, "stages": {}},
        "raised": {"type": None, "lines": ["engine.py:9 in analyse"]},
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("can be written: /data/St. Mary, Ward 7/out", "can be written: <path>"),
        (f"broken: \\\\{MACHINE}\\share\\doe and C:/Users/doe", "broken: <path>"),
        ("broken [bundle-hash]: ~/doe", "broken [bundle-hash]: <path>"),
        (f"written by {USER.title()}@{MACHINE.upper()}", "written by <name>@<name>"),
        (f"{USER}s are many", f"{USER}s are many"),
        ("1 of 2 CPUs and/or 3 GB of ab", "1 of 2 CPUs and/or 3 GB of ab"),
        ("run by Svc-Account", "run by <name>"),
    ],
)
def test_messages_lose_paths_and_the_names_of_user_and_machine(
    text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", USER)
    monkeypatch.setenv("LOGNAME", "ab")
    monkeypatch.setattr(getpass, "getuser", lambda: "svc-account")
    monkeypatch.setattr(platform, "node", lambda: MACHINE)
    assert redact_message(text) == expected


def test_log_messages_are_constant_texts() -> None:
    """Values are arguments, so that a line can be packed without them."""
    calls = 0
    for path in (ROOT / "rcc_onnx").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "_log":
                calls += 1
                first = node.args[0]
                assert isinstance(first, ast.Constant), f"{path.name}:{node.lineno}"
    assert calls > 15
