"""Other names for cases: what is refused, and that the cases' own names appear nowhere."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rcc_onnx.batch.cases import find_cases
from rcc_onnx.batch.pseudonyms import read_pseudonyms
from rcc_onnx.errors import AmbiguousInputError
from rcc_onnx.output.document import MAX_NAME_BYTES
from tests.support.canaries import leaks, leaks_in
from tests.support.dicom_factory import body_volume, ct_series, write_series
from tests.support.errors import raises_code
from tests.support.tiny_networks import write_bundle

OWN = ("DOEKLEIN_JOHNATHAN", "DOEKLEIN_JANETTEX", "Ä_ROEMMICH")


def pseudonym_file(folder: Path, *lines: str, header: str = "case,pseudonym") -> Path:
    path = folder / "names.csv"
    path.write_text("\n".join((header, *lines)), encoding="utf-8")
    return path


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Three studies: one is fine, one lacks a slice, one is an archive in a folder."""
    folder = tmp_path / "studies"
    for number, name in enumerate(OWN):
        series = ct_series(body_volume(), (5.0, 2.0, 2.0), series=str(number))
        for dataset in series:
            dataset.StudyInstanceUID = f"1.2.{number}"
        names = [f"{name}_{place}.dcm" for place in range(len(series))]
        if name == "DOEKLEIN_JANETTEX":
            series, names = series[:2] + series[3:], names[:2] + names[3:]
        write_series(folder / name, series, names)
        (folder / name / f"{name}.txt").write_text("")
    inside = folder / "Ä_ROEMMICH"
    with zipfile.ZipFile(inside / "Ä_ROEMMICH.zip", "w") as archive:
        for path in sorted(inside.glob("*.dcm")):
            archive.write(path, path.name)
            path.unlink()
    return folder


@pytest.mark.parametrize("profile", ["standard", "notebook"])
def test_own_names_appear_nowhere(studies: Path, tmp_path: Path, profile: str) -> None:
    bundle = write_bundle(tmp_path / "tiny", use_on=["patient"])
    names = pseudonym_file(
        tmp_path, "DOEKLEIN_JOHNATHAN,P 1", "DOEKLEIN_JANETTEX,P 2", "Ä_ROEMMICH,P3"
    )
    command = ("infer", studies, "--out", tmp_path / "out", "--models", bundle, "-vv")
    options = ("--pseudonyms", names, "--provider", "cpu", "--profile", profile)
    options += ("--log-file", tmp_path / "log.jsonl")
    done = subprocess.run(
        [sys.executable, "-m", "rcc_onnx", *map(str, (*command, *options))],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    out = tmp_path / "out"
    assert {"P 1.json", "P 2.json", "P3.json", "results.json"} <= {p.name for p in out.iterdir()}
    run = json.loads((out / "results.json").read_text(encoding="utf-8"))
    codes = {case["case"]: case["error_code"] for case in run["cases"]}
    assert codes["P 1"] is None
    if profile == "standard":
        assert codes == {"P 1": None, "P 2": "missing-slices", "P3": None}
        failed = json.loads((out / "P 2.json").read_text(encoding="utf-8"))
        assert "file-000003 and file-000004: 1 slice is missing" in failed["error"]["message"]
        study = json.loads((out / "P 1.json").read_text(encoding="utf-8"))
        assert study["intake"]["first"] == "file-000002"
        assert study["study"]["pseudonym"] is True
        skipped = [{"file": "file-000001", "reason": "not a DICOM file"}]
        assert study["study"]["skipped_files"] == skipped
    own = ("DOEKLEIN", "ROEMMICH", "johnathan", "janettex")
    assert leaks("out", done.stdout, own) + leaks("err", done.stderr, own) == []
    assert leaks_in(out, own) == []
    log = (tmp_path / "log.jsonl").read_bytes()
    assert leaks("log", log, own) == []
    assert b'"case": "P 2"' in log
    assert b"P 1" in done.stdout
    assert b"P 2" in done.stderr or profile == "notebook"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("DOEKLEIN_JOHNATHAN,P1", "DOEKLEIN_JANETTEX,P2"), "pseudonym-missing"),
        (
            ("DOEKLEIN_JOHNATHAN,P1", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P1"),
            "pseudonym-duplicate",
        ),
        (
            ("DOEKLEIN_JOHNATHAN,p1", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P1"),
            "pseudonym-duplicate",
        ),
        (
            (
                "DOEKLEIN_JOHNATHAN,P1",
                "DOEKLEIN_JOHNATHAN,P4",
                "DOEKLEIN_JANETTEX,P2",
                "Ä_ROEMMICH,P3",
            ),
            "pseudonym-duplicate",
        ),
        (("DOEKLEIN_JOHNATHAN,a/b", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonym-unsafe"),
        (
            ("DOEKLEIN_JOHNATHAN,a\\b", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"),
            "pseudonym-unsafe",
        ),
        (("DOEKLEIN_JOHNATHAN,..", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonym-unsafe"),
        (("DOEKLEIN_JOHNATHAN,.P1", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonym-unsafe"),
        (("DOEKLEIN_JOHNATHAN,P1.", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonym-unsafe"),
        (("DOEKLEIN_JOHNATHAN,P1 ", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonym-unsafe"),
        (("DOEKLEIN_JOHNATHAN,=P1", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonym-unsafe"),
        (("DOEKLEIN_JOHNATHAN,a:b", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonym-unsafe"),
        (("DOEKLEIN_JOHNATHAN,nul", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonym-unsafe"),
        (
            ("DOEKLEIN_JOHNATHAN,COM1.a", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"),
            "pseudonym-unsafe",
        ),
        (
            ("DOEKLEIN_JOHNATHAN,Results", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"),
            "pseudonym-unsafe",
        ),
        (
            ("DOEKLEIN_JOHNATHAN," + "x" * 201, "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"),
            "pseudonym-unsafe",
        ),
        (
            ("DOEKLEIN_JOHNATHAN,doeklein_johnathan", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"),
            "pseudonym-unsafe",
        ),
        (
            (
                "DOEKLEIN_JOHNATHAN,DOEKLEIN_JANETTEX",
                "DOEKLEIN_JANETTEX,DOEKLEIN_JOHNATHAN",
                "Ä_ROEMMICH,P3",
            ),
            "pseudonym-unsafe",
        ),
        (
            ("DOEKLEIN_JOHNATHAN,P1-doeklein_johnathan", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"),
            "pseudonym-unsafe",
        ),
        (("DOEKLEIN_JOHNATHAN,", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonyms-file"),
        (("DOEKLEIN_JOHNATHAN,P1,x", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"), "pseudonyms-file"),
        (("DOEKLEIN_JOHNATHAN;P1",), "pseudonyms-file"),
        (('DOEKLEIN_JOHNATHAN,"P1',), "pseudonyms-file"),
    ],
)
def test_what_cannot_be_used_is_refused_without_telling_a_name(
    studies: Path, tmp_path: Path, lines: tuple[str, ...], code: str
) -> None:
    with raises_code(code) as caught:
        find_cases(studies, tmp_path / "out", pseudonyms=pseudonym_file(tmp_path, *lines))
    message = str(caught.value).replace(str(tmp_path), "")
    assert (
        leaks("message", message.encode(), ("DOEKLEIN_", "JOHNATHAN", "JANETTEX", "ROEMMICH")) == []
    )


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with raises_code("pseudonyms-file", match="cannot be read"):
        read_pseudonyms(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("case,pseudonym\nÄ,P1\n".encode("latin-1"))
    with raises_code("pseudonyms-file", match="UTF-8"):
        read_pseudonyms(tmp_path / "latin.csv")
    for header in ("pseudonym,case", "case;pseudonym", ""):
        with raises_code("pseudonyms-file", match="first line"):
            read_pseudonyms(pseudonym_file(tmp_path, "a,b", header=header))


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_bytes(b'\xef\xbb\xbfcase,pseudonym\r\n"Doe, Jane",P1\r\nA\xcc\x88,P-2\r\n,\r\n')
    # The second is an A and dots, as macOS writes it; it is found under its one letter.
    assert dict(read_pseudonyms(path)) == {"Doe, Jane": "P1", "\u00c4": "P-2"}


def test_lines_about_other_cases_are_passed_over(studies: Path, tmp_path: Path) -> None:
    lines = ("DOEKLEIN_JOHNATHAN,P1", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3", "SOMEBODY,P4")
    cases = find_cases(studies, pseudonyms=pseudonym_file(tmp_path, *lines))
    assert [(case.name, case.hide_names) for case in cases] == [
        ("P2", True),
        ("P1", True),
        ("P3", True),
    ]


def test_no_results_of_a_run_without_pseudonyms_stay_beside(studies: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "DOEKLEIN_JANETTEX.json").write_text("{}")
    names = pseudonym_file(
        tmp_path, "DOEKLEIN_JOHNATHAN,P1", "DOEKLEIN_JANETTEX,P2", "Ä_ROEMMICH,P3"
    )
    with raises_code("pseudonyms-out") as caught:
        find_cases(studies, out, pseudonyms=names)
    assert "DOEKLEIN" not in str(caught.value)


def test_an_ambiguous_input_tells_no_names_either(studies: Path, tmp_path: Path) -> None:
    same = ct_series(body_volume(), (5.0, 2.0, 2.0), series="9")
    for dataset in same:
        dataset.StudyInstanceUID = "1.2.0"
    write_series(studies / "DOEKLEIN_JACKOBUS", same)
    names = pseudonym_file(tmp_path, "DOEKLEIN_JOHNATHAN,P1")
    with pytest.raises(AmbiguousInputError) as caught:
        find_cases(studies, pseudonyms=names)
    assert "DOEKLEIN" not in str(caught.value).replace(str(studies), "")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["results", "RESULTS"])
def test_a_case_cannot_have_the_runs_own_name(tmp_path: Path, name: str) -> None:
    write_series(tmp_path / name, ct_series(body_volume()))
    with raises_code("reserved-name", match="--pseudonyms"):
        find_cases(tmp_path / name)
    (case,) = find_cases(tmp_path / name, pseudonyms=pseudonym_file(tmp_path, f"{name},P1"))
    assert case.name == "P1"


def test_the_longest_pseudonym_is_taken(tmp_path: Path) -> None:
    path = pseudonym_file(tmp_path, f"a,{'ä' * (MAX_NAME_BYTES // 2)}")
    assert len(read_pseudonyms(path)["a"]) == MAX_NAME_BYTES // 2
