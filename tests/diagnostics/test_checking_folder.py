"""`rcc-onnx verify OUT`: what is found in a folder that somebody touched."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rcc_onnx.output.lock import output_lock
from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from rcc_onnx.diagnostics.verify import Kind, check_folder
from rcc_onnx.diagnostics.verify.under_way import UnderWay, run_under_way
from rcc_onnx.errors import SumsFormatError
from rcc_onnx.output.checksums import read_sums
from rcc_onnx.results import CaseResult
from rcc_onnx.system.files import size_and_sha256, sums_bytes
from tests.support.errors import raises_code
from tests.support.placed import placed_case
from tests.support.runs import write_run

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="names and locks of Linux")
ODD_NAMES = ["line\nfeed", "back\\slash", "M\udcfcller", "two words", "Übung"]


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    return placed_case(tmp_path_factory.mktemp("placed") / "case")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, placed: CaseResult) -> Path:
    out = tmp_path_factory.mktemp("written") / "out"
    write_run(out, placed, "a", "b", "bad")
    return out


@pytest.fixture
def out(tmp_path: Path, written: Path) -> Path:
    return shutil.copytree(written, tmp_path / "out")


def found(out: Path) -> set[tuple[Kind, str]]:
    return {(one.kind, one.name) for one in check_folder(out).findings}


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def list_again(out: Path) -> None:
    """What somebody does who wants a change to be overlooked."""
    path = out / "SHA256SUMS"
    names = [name for name in read_sums(path.read_bytes()) if (out / name).exists()]
    path.write_bytes(sums_bytes({name: size_and_sha256(out / name)[1] for name in names}))


def test_all_as_written(out: Path) -> None:
    check = check_folder(out)
    assert check.holds
    assert check.listed == check.same == len([one for one in out.rglob("*") if one.is_file()]) - 1
    assert check.cases == 3
    assert check.under_way is UnderWay.NO
    assert check.sums_sha256 == size_and_sha256(out / "SHA256SUMS")[1]
    assert check.notes == ("the last run reached all of its cases",)


@pytest.mark.parametrize("bit", [0, 4000, -1])
def test_a_bit_of_a_picture(out: Path, bit: int) -> None:
    path = out / "a_overview.png"
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(data)
    assert found(out) == {(Kind.CHANGED, "a_overview.png")}


def test_every_listed_file_is_looked_at(out: Path) -> None:
    for name in read_sums((out / "SHA256SUMS").read_bytes()):
        whole = (out / name).read_bytes()
        (out / name).write_bytes(whole + b"\n")
        assert (Kind.CHANGED, name) in found(out)
        (out / name).write_bytes(whole)
    assert check_folder(out).holds


def test_a_sum_in_a_document(out: Path) -> None:
    def more(document: dict[str, Any]) -> None:
        document["sides"]["right"]["kidney"]["probability_sum"] += 1

    edit(out / "a.json", more)
    assert found(out) == {(Kind.CHANGED, "a.json")}


def test_an_outcome_in_a_document_whose_hash_was_listed_again(out: Path) -> None:
    def turn(document: dict[str, Any]) -> None:
        document["sides"]["right"]["outcome"] = "no_lesion"

    edit(out / "a.json", turn)
    list_again(out)
    assert found(out) == {(Kind.DISAGREES, "results.json")}


def test_a_picture_whose_hash_was_listed_again(out: Path) -> None:
    (out / "a_r.png").write_bytes((out / "a_overview.png").read_bytes())
    list_again(out)
    assert found(out) == {(Kind.DISAGREES, "a.json")}


def test_a_file_that_a_document_leaves_out(out: Path) -> None:
    edit(out / "a.json", lambda document: document["files"].pop(0))
    list_again(out)
    assert found(out) == {(Kind.DISAGREES, "a.json")}


@pytest.mark.parametrize("name", ["a_r.png", "a.json", "results.csv"])
def test_a_file_that_is_gone(out: Path, name: str) -> None:
    (out / name).unlink()
    assert (Kind.MISSING, name) in found(out)


def test_the_reports_images_may_be_removed(out: Path) -> None:
    shutil.rmtree(out / ".report")
    check = check_folder(out)
    assert check.holds
    assert any("may be" in note for note in check.notes)


@pytest.mark.parametrize(
    ("name", "like", "kind"),
    [
        ("new.json", "a.json", Kind.NOT_LISTED),
        ("new_r.png", "a_r.png", Kind.HALF_DONE),
        ("new_mask.nii.gz", "a_r.png", Kind.HALF_DONE),
        ("a_l.png", "a_r.png", Kind.NOT_LISTED),
        (".report/new.json", ".report/a.json", Kind.HALF_DONE),
        (".rcc-onnx-123.part.png", "a_r.png", Kind.NOT_LISTED),
    ],
)
def test_a_file_that_came_from_elsewhere(out: Path, name: str, like: str, kind: Kind) -> None:
    (out / name).unlink(missing_ok=True)
    if name == "a_l.png" and name in read_sums((out / "SHA256SUMS").read_bytes()):
        pytest.skip("the case has one")
    shutil.copy(out / like, out / name)
    assert (kind, name) in found(out)


def test_what_is_nobodys_result_is_left_alone(out: Path) -> None:
    (out / "notes.txt").write_text("x")
    (out / "other.json").write_text("{}")
    (out / ".rcc-onnx-watch.json").write_text("{}")
    (out / "sub").mkdir()
    (out / "sub" / "a_r.png").write_bytes(b"x")
    assert check_folder(out).holds


def test_a_case_that_was_renamed(out: Path) -> None:
    for path in list(out.glob("a*")):
        path.rename(out / path.name.replace("a", "z", 1))
    kinds = found(out)
    assert {(Kind.MISSING, "a.json"), (Kind.RENAMED, "z.json")} <= kinds
    assert {(Kind.NOT_LISTED, "z.json"), (Kind.NOT_LISTED, "z_r.png")} <= kinds


def test_a_document_that_is_none_any_more(out: Path) -> None:
    (out / "a.json").write_text('{"case": "a", ')
    list_again(out)
    assert (Kind.INVALID, "a.json") in found(out)


def test_a_document_that_breaks_the_schema(out: Path) -> None:
    edit(out / "a.json", lambda document: document["provider"].pop("ran"))
    list_again(out)
    (one,) = check_folder(out).findings
    assert (one.kind, one.name, one.text) == (
        Kind.INVALID,
        "a.json",
        "provider.ran: is missing",
    )


def test_documents_of_other_versions_are_not_held_to_this_schema(out: Path) -> None:
    edit(out / "a.json", lambda one: (one["provider"].pop("ran"), one.update(rcc_onnx_version="0")))
    list_again(out)
    assert check_folder(out).holds


@pytest.mark.parametrize("cut", [1, 30, 100, 500])
def test_a_list_that_was_cut_short(out: Path, cut: int) -> None:
    path = out / "SHA256SUMS"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(SumsFormatError):
        check_folder(out)


def test_a_list_that_lost_whole_lines(out: Path) -> None:
    path = out / "SHA256SUMS"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert any(kind is Kind.NOT_LISTED for kind, _ in found(out))


def test_no_list_or_no_folder(out: Path) -> None:
    (out / "SHA256SUMS").unlink()
    with raises_code("sums-missing", match="no run has ended"):
        check_folder(out)
    with raises_code("check-folder"):
        check_folder(out / "nowhere")
    with raises_code("check-folder"):
        check_folder(out / "a.json")


@linux_only
def test_a_run_that_is_under_way_is_told_and_not_disturbed(out: Path) -> None:
    with output_lock(out):
        assert run_under_way(out) is UnderWay.YES
        assert any("a run writes" in note for note in check_folder(out).notes)
        (out / "SHA256SUMS").unlink()
        with raises_code("sums-missing", match="writes to it now"):
            check_folder(out)
    (out / ".rcc-onnx.lock").touch()
    assert run_under_way(out) is UnderWay.MAYBE


def test_a_run_that_was_broken_off_is_told(out: Path) -> None:
    edit(out / "results.json", lambda one: one.update(stopped_by="interrupted", not_reached=["x"]))
    list_again(out)
    check = check_folder(out)
    assert check.holds
    assert "stopped by 'interrupted'; 1 of its cases" in check.notes[0]


@linux_only
def test_a_folder_that_cannot_be_written_to(out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))}
    out.chmod(0o555)
    try:
        assert check_folder(out).holds
    finally:
        out.chmod(0o755)
    assert {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))} == before


@linux_only
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(tmp_path: Path, placed: CaseResult, name: str) -> None:
    write_run(tmp_path / "out", placed, name)
    assert check_folder(tmp_path / "out").holds
    (tmp_path / "out" / f"{name}_overview.png").write_bytes(b"")
    assert found(tmp_path / "out") == {(Kind.CHANGED, f"{name}_overview.png")}
    run = CliRunner().invoke(app, ["verify", str(tmp_path / "out")])
    assert run.exit_code == 1
    assert len([line for line in run.output.splitlines() if line.startswith("changed: ")]) == 1


@linux_only
def test_what_is_no_plain_file(out: Path) -> None:
    (out / "a_r.png").unlink()
    os.mkfifo(out / "a_r.png")
    (out / "a_overview.png").unlink()
    (out / "a_overview.png").symlink_to("a_overview.png")
    kinds = found(out)
    assert {(Kind.MISSING, "a_r.png"), (Kind.MISSING, "a_overview.png")} <= kinds


def test_earlier_runs_are_checked_too(out: Path, placed: CaseResult) -> None:
    write_run(out, placed, "c")
    assert check_folder(out).holds
    (out / "a.json").write_bytes(b"{}")
    assert (Kind.CHANGED, "a.json") in found(out)


def command(*arguments: object) -> tuple[int, str]:
    run = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    return run.exit_code, run.output


def test_the_command(out: Path) -> None:
    code, text = command(out)
    assert code == 0
    assert "ALL AS WRITTEN" in text
    assert json.loads(command(out, "--json")[1])["verdict"] == "as-written"
    (out / "a_r.png").write_bytes(b"")
    code, text = command(out)
    assert code == 1
    assert "changed: a_r.png" in text
    assert "NOT AS WRITTEN: 1 difference" in text
    code, text = command(out, "--json")
    document = json.loads(text)
    assert code == 1
    assert document["findings"] == [
        {
            "kind": "changed",
            "file": "a_r.png",
            "text": "its bytes are others than those that were written",
        }
    ]
    (out / "SHA256SUMS").unlink()
    assert command(out)[0] == 2
    assert command(out, "--input", out)[0] == 2
