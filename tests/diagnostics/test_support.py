"""Support bundles: what helps is in them, and nobody's name."""

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
from rcc_onnx.diagnostics.support import bundle as support_bundle
from rcc_onnx.diagnostics.support import write_bundle
from rcc_onnx.diagnostics.support.log_lines import redacted_line
from rcc_onnx.diagnostics.support.redact import CaseNumbers, Sentences, phrase, word
from rcc_onnx.diagnostics.support.verdicts import run_facts, verdict
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
    said = {
        "lines": [
            {"said": f"{night}/.local/share/rcc-onnx/models is writable for {USER}"},
            {"said": f"C:\\Users\\{USER}\\AppData is full on {MACHINE.upper()}; free 3 GB", "n": 3},
        ]
    }
    monkeypatch.setattr(support_bundle, "_doctor_json", lambda: said)
    return night


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def documents(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def test_no_name_is_in_any_byte(here: Path, tmp_path: Path) -> None:
    write_bundle(here / "out", tmp_path / "s.zip", [here / "log.jsonl"])
    members = unpacked(tmp_path / "s.zip")
    found = [one for name, data in members.items() for one in leaks(name, data, NAMES)]
    assert found + leaks("names", " ".join(members).encode(), NAMES) == []
    # The zip file itself holds names and dates too.
    assert leaks("zip", (tmp_path / "s.zip").read_bytes(), NAMES) == []
    doctor = json.loads(members["doctor.json"])
    assert doctor["lines"][1] == {"said": "<path> is full on <machine>; free 3 GB", "n": 3}
    assert doctor["lines"][0]["said"].endswith(" is writable for <user>")


def test_the_search_would_have_found_them(here: Path) -> None:
    results = b"".join(path.read_bytes() for path in (here / "out").glob("*.json"))
    log = (here / "log.jsonl").read_bytes()
    for data in (results, log):
        told = {one.partition(": ")[2] for one in leaks("x", data, NAMES)}
        assert {"doeklein", "johnathan", "roemmich"} <= told


def test_what_helps_is_there(here: Path, tmp_path: Path) -> None:
    packed = write_bundle(here / "out", tmp_path / "s.zip", [here / "log.jsonl"])
    members = unpacked(tmp_path / "s.zip")
    assert members == {one.name: one.data for one in packed}
    first, second, third = json.loads(members["verdicts.json"])
    assert [one["case"] for one in (first, second, third)] == [
        "case-0001",
        "case-0002",
        "case-0003",
    ]
    assert (first["status"], first["error"]) == ("analysed", {})
    assert first["study"]["slices_analysed"] == 6
    assert first["study"]["spacing_zyx_mm"] == [5.0, 2.0, 2.0]
    assert first["intake"]["transfer_syntax"] == "1.2.840.10008.1.2.1"
    assert first["intake"]["chosen"]["verdict"] == "suitable"
    assert first["provider"]["ran"] == "cpu"
    assert first["timings_s"]["total"] > 0
    assert "few-slices" in first["flags"]
    assert second["error"]["code"] == "too-few-slices"
    assert third["error"] == {"code": "no-dicom"}
    (run,) = json.loads(members["run.json"])
    assert run["counts"]["analysed"] + run["counts"]["failed"] == 3
    assert run["environment"]["packages"]["pydicom"]
    lines = documents(members["log-1.jsonl"])
    assert len(lines) == len((here / "log.jsonl").read_bytes().splitlines())
    ends = {
        line["case"]: line["data"]["status"]
        for line in lines
        if line.get("data", {}).get("event") == "case-end"
    }
    assert ends["case-0001"] == "analysed"
    assert ends["case-0003"] == "failed"
    assert "<...>: 7 files, 6 CT slices" in [line["sentence"] for line in lines]
    for name in members:
        assert name in members["README.txt"].decode() or name == "README.txt"


def test_the_command_says_what_it_packed(here: Path, tmp_path: Path) -> None:
    to = tmp_path / "s.zip"
    command = ["support-bundle", str(here / "out"), "--to", str(to)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert "verdicts.json   what became of 3 cases" in result.output
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
    with raises_code("support-input", match="is no folder"):
        write_bundle(tmp_path / "none", tmp_path / "s.zip")
    with raises_code("support-input", match="log file"):
        write_bundle(here / "out", tmp_path / "s.zip", [tmp_path / "none.jsonl"])
    with raises_code("support-bundle", match="cannot write"):
        write_bundle(here / "out", tmp_path / "none" / "s.zip")
    with raises_code("support-bundle-exists"):
        write_bundle(here / "out", tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with raises_code("support-bundle", match="No space left"):
        write_bundle(here / "out", tmp_path / "s.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_doctor_who_fails_stops_nothing(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError(WORD)

    monkeypatch.setattr(support_bundle, "_doctor_json", fail)
    write_bundle(here / "out", tmp_path / "s.zip")
    assert json.loads(unpacked(tmp_path / "s.zip")["doctor.json"])["failed"] == "ZeroDivisionError"


def test_renamed_logs_are_taken_oldest_first(here: Path, tmp_path: Path) -> None:
    text = (here / "log.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    log = tmp_path / "log.jsonl"
    log.write_text("".join(text[8:]), encoding="utf-8")
    (tmp_path / "log.jsonl.1").write_text("".join(text[4:8]), encoding="utf-8")
    (tmp_path / "log.jsonl.10").write_text("".join(text[:4]), encoding="utf-8")
    write_bundle(here / "out", tmp_path / "a.zip", [log])
    write_bundle(here / "out", tmp_path / "b.zip", [here / "log.jsonl"])
    assert (
        unpacked(tmp_path / "a.zip")["log-1.jsonl"] == unpacked(tmp_path / "b.zip")["log-1.jsonl"]
    )


def everything_replaced(document: Any, by: str) -> Any:
    """Every text in a document, replaced."""
    if isinstance(document, dict):
        return {name: everything_replaced(one, by) for name, one in document.items()}
    if isinstance(document, list):
        return [everything_replaced(one, by) for one in document]
    return by if isinstance(document, str) else document


@pytest.mark.parametrize("text", [f"{WORD}^Jane", f"{WORD}/x.dcm", f"/home/{WORD}", f"{UID}/3"])
def test_texts_that_are_no_words_of_ours_do_not_pass(here: Path, text: str) -> None:
    cases = CaseNumbers([text])
    for path in (here / "out").glob("*.json"):
        document = everything_replaced(json.loads(path.read_bytes()), text)
        for made in (run_facts(document), verdict(document, cases) if "case" in document else {}):
            assert leaks(path.name, json.dumps(made).encode(), (WORD, "77777")) == []


def test_a_series_is_no_option_to_tell() -> None:
    asked = {"options": {"series": f"{UID}.1", "threads": 2, "save": ["seg"], "provider": "cpu"}}
    assert run_facts(asked)["options"] == {
        "threads": 2,
        "save": ["seg"],
        "provider": "cpu",
        "series_given": True,
    }


@given(st.text())
def test_words_hold_no_path_and_no_name_of_dicom(text: str) -> None:
    for let in (word, phrase):
        if let(text) is not None:
            assert not set(text) & set("/\\^=:'\"<>\n\0")


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"time": WORD, "level": "INFO", "logger": "rcc_onnx", "sentence": "x"},
        {"time": "2026-01-01T00:00:00.000+00:00", "level": WORD, "logger": "rcc_onnx"},
        {"time": "2026-01-01T00:00:00.000+00:00", "level": "INFO", "logger": WORD},
        {"time": "2026-01-01T00:00:00.000+00:00", "level": "INFO", "logger": "PIL", "message": "x"},
    ],
)
def test_lines_of_others_are_left_out(line: dict[str, Any]) -> None:
    assert redacted_line(line, CaseNumbers([])) is None


def test_messages_are_left_out() -> None:
    line = {
        "time": "2026-01-01T00:00:00.000+00:00",
        "level": "INFO",
        "logger": "rcc_onnx.x",
        "message": WORD,
        "case": WORD,
        "other": WORD,
        "sentence": "x",
        "pid": WORD,
        "data": {
            "event": "case-end",
            "other": WORD,
            "code": f"{WORD} x",
            "stages": {WORD + "/": 1},
        },
        "raised": {"type": f"{WORD} x", "lines": [f"/{WORD}.py", "engine.py:9 in analyse"]},
    }
    made = redacted_line(line, CaseNumbers([]))
    assert leaks("line", json.dumps(made).encode(), (WORD,)) == []
    assert made is not None
    assert made["raised"]["lines"] == ["engine.py:9 in analyse"]


def test_cases_have_one_number_each() -> None:
    cases = CaseNumbers(["b", "a", "b"])
    assert [cases.of(name) for name in ("a", "b", "c", None)] == [
        "case-0001",
        "case-0002",
        None,
        None,
    ]
    assert len(cases) == 2


def test_sentences_lose_the_names_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("USER", USER)
    monkeypatch.setattr(platform, "node", lambda: MACHINE)
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path / "Data Folder"))
    clean = Sentences.of_this_machine().sentence
    for said, told in (
        (f"{tmp_path}/Data Folder/models is empty", "<data folder> is empty"),
        (f"{Path.cwd()} is here", "<current folder> is here"),
        (f"\\\\{MACHINE}\\share\\doe and C:/Users/doe, ~/doe", "<path> and <path>, <path>"),
        (f"written by {USER.title()}@{MACHINE.upper()}", "written by <user>@<machine>"),
        ("1 of 2 CPUs and/or 3 GB", "1 of 2 CPUs and/or 3 GB"),
        (f"{getpass.getuser()}", "<user>" if len(getpass.getuser()) > 2 else getpass.getuser()),
    ):
        assert clean(said) == told


def test_log_messages_are_constant_texts() -> None:
    """Values are arguments, so that a line can be told without them."""
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
