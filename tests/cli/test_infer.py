"""The commands `infer` and `series`: what they show and write, and their processes."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rcc_onnx.batch.runner import CASE_BYTES, BatchConfig
from rcc_onnx.cli.infer import MB, build_config, limited_by_memory
from rcc_onnx.cli.options import InferOptions
from rcc_onnx.errors import MissingExtraError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output import case as case_files
from rcc_onnx.phantom import make_study
from rcc_onnx.results import CaseResult
from rcc_onnx.system import host
from rcc_onnx.system.host import Memory
from rcc_onnx.types import RESEARCH_ONLY
from tests.support.commands import run
from tests.support.dicom_factory import body_volume, ct_series, write_series
from tests.support.tiny_networks import write_bundle

GIB = 1 << 30


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "case[1]", quick=True).folder


def copies(phantom: Path, folder: Path, *names: str) -> Path:
    """Return a folder of studies, each a copy of the phantom."""
    for name in names:
        shutil.copytree(phantom, folder / name)
    return folder


def test_a_case_is_shown_and_written(phantom: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    result = run("infer", phantom, "--out", out, "--models", tiny_bundle, "--provider", "cpu")
    assert result.exit_code == 0
    assert "models tiny 1.0.0, provider cpu" in result.output
    # Square brackets in a name are no markup.
    assert "[1/1] case[1]: right:" in result.output
    assert RESEARCH_ONLY in result.output
    assert json.loads((out / "case[1].json").read_text())["status"] == "analysed"


def test_a_name_that_the_terminal_cannot_show_stops_nothing(
    phantom: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    study = copies(phantom, tmp_path, "\u540d") / "\u540d"
    command = ("infer", study, "--out", tmp_path / "out", "--models", tiny_bundle)
    ran = subprocess.run(
        [sys.executable, "-m", "rcc_onnx", *map(str, command)],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "[1/1] \\u540d: right:" in ran.stdout
    assert (tmp_path / "out" / "\u540d.json").is_file()


def test_a_failed_case_is_shown_and_ends_with_exit_code_1(
    phantom: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    studies = copies(phantom, tmp_path / "studies", "good")
    (studies / "bad").mkdir()
    (studies / "bad" / "x.txt").write_text("")
    result = run("infer", studies, "--out", tmp_path / "out", "--models", tiny_bundle)
    assert result.exit_code == 1
    assert "bad: FAILED [no-dicom]" in result.output
    assert re.search(r"│ bad +│ failed +│", result.output)
    names = {path.name for path in (tmp_path / "out").glob("*.json")}
    assert names == {"bad.json", "good.json", "results.json"}
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8", newline="") as table:
        rows = [(row["case"], row["side"], row["error_code"]) for row in csv.DictReader(table)]
    assert rows == [
        ("bad", "right", "no-dicom"),
        ("bad", "left", "no-dicom"),
        ("good", "right", ""),
        ("good", "left", ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "[input-folder]"),
        ([".", "--models", "nothing"], "[unknown-bundle]"),
        ([".", "--models", "./nothing"], "[bundle-folder]"),
        ([".", "--models", "TINY", "--provider", "coreml"], "[provider-not-installed]"),
        ([".", "--models", "TINY", "--out", "001.dcm"], "[output]"),
        ([".", "--models", "TINY", "--out", "../blocked"], "[output]"),
        ([".", "--provider", "gpu"], "Invalid value"),
        ([".", "--threads", "0"], "[threads]"),
        ([".", "--kidney-threshold", "-1"], "[option]"),
        ([".", "--case-timeout", "inf"], "must be a finite number"),
    ],
)
def test_what_cannot_start_ends_with_exit_code_2(
    phantom: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(phantom)
    (phantom.parent / "blocked" / "report.html" / "file").mkdir(parents=True, exist_ok=True)
    result = run("infer", *[str(tiny_bundle) if word == "TINY" else word for word in arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_phantom_models_refuse_a_patient_unless_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(tmp_path / "shelf"))
    monkeypatch.setattr("rcc_onnx.bundles.bundle.shipped_models_folder", lambda: None)
    write_bundle(tmp_path / "shelf" / "phantom", name="phantom")
    patient = write_series(tmp_path / "patient", ct_series(body_volume()))
    refused = run("infer", patient, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "no-patient-bundle" in refused.output
    assert "python -m convert" in " ".join(refused.output.split())
    forced = run("infer", patient, "--out", tmp_path / "out", "--models", "phantom")
    assert forced.exit_code == 0
    assert "results are not meaningful for this kind of study" in forced.output
    document = json.loads((tmp_path / "out" / "patient.json").read_text())
    assert document["models"]["suitable"] is False
    assert "not meaningful" in document["warnings"][0]


@pytest.mark.parametrize(
    ("error", "code", "messages"),
    [
        (
            OSError(28, "No space left on device"),
            # Not 2: results were written, and a script must not take them for missing.
            1,
            [
                "error [output]: cannot write results to",
                "No space left on device; free some space",
                "stopped after 1 of 3 cases",
            ],
        ),
        (KeyboardInterrupt(), 130, ["interrupted; cases that were finished are complete"]),
    ],
    ids=["a disk that fills up", "Ctrl-C"],
)
def test_what_ends_a_run_leaves_the_results_so_far(  # noqa: PLR0917
    phantom: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    messages: list[str],
) -> None:
    write = case_files.write_case_files

    def stop_at_b(result: CaseResult, out: Path) -> CaseResult:
        if result.case == "b":
            raise error
        return write(result, out)

    monkeypatch.setattr("rcc_onnx.output.folder.write_case_files", stop_at_b)
    studies, out = copies(phantom, tmp_path / "studies", "a", "b", "c"), tmp_path / "out"
    result = run("infer", studies, "--out", out, "--models", tiny_bundle, "--workers", "0")
    assert result.exit_code == code
    for message in messages:
        assert message in result.output
    assert {path.name for path in out.glob("*.json")} == {"a.json", "results.json"}
    assert json.loads((out / "results.json").read_text())["not_reached"] == ["b", "c"]
    assert "The run ended after 1 of 3 cases" in (out / "report.html").read_text()


# --- Processes -----------------------------------------------------------------------------------


def config_of(**options: object) -> BatchConfig:
    return build_config(InferOptions(analysis=InferenceOptions(), **options))  # type: ignore[arg-type]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 2 GiB to spare."""
    monkeypatch.setattr(host, "memory", lambda: Memory(8 * GIB, 2 * GIB))


@pytest.mark.usefixtures("free")
def test_fewer_workers_for_lack_of_memory_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert limited_by_memory(config_of(workers=8), 100).workers == 3
    assert capsys.readouterr().err == (
        "3 workers in place of 8: each may want 600 MB, and 2048 MB are free\n"
    )
    assert limited_by_memory(config_of(workers=8, case_memory=2048), 100).workers == 1
    assert "1 worker in place of 8: each may want 2048 MB" in capsys.readouterr().err
    assert limited_by_memory(config_of(workers=8, case_memory=256), 100).workers == 8
    assert capsys.readouterr().err == ""
    assert CASE_BYTES % MB == 0


@pytest.mark.usefixtures("free")
def test_fewer_workers_for_fewer_cases_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert limited_by_memory(config_of(workers=3), 2).workers == 2
    assert limited_by_memory(config_of(workers=8), 1).workers == 0
    assert capsys.readouterr().err == ""


def test_limits_of_a_case() -> None:
    limits = config_of(case_timeout=0, case_memory=300).limits
    assert (limits.seconds, limits.memory_bytes) == (None, 300 * MB)
    assert config_of(case_timeout=5).limits.seconds == 5


def test_a_missing_extra_is_reported_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rcc_onnx.output.exports.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="dicom"):
        build_config(InferOptions(analysis=InferenceOptions.parse(save="sr")))


# --- Series --------------------------------------------------------------------------------------


@pytest.fixture
def two_series(tmp_path: Path) -> Path:
    """One study: a thick series with contrast, a thin one without."""
    hu = body_volume((40, 30, 30))
    for number, (spacing, agent) in enumerate(((5.0, "Iohexol"), (2.5, "")), start=1):
        series = ct_series(hu, (spacing, 4.0, 4.0), series=str(number))
        for dataset in series:
            dataset.StudyInstanceUID, dataset.ContrastBolusAgent = "1.2.3", agent
            dataset.SeriesDescription = "[venous]"
        write_series(tmp_path / "study" / f"SE{number}", series)
    return tmp_path / "study"


def test_series_lists_what_can_be_done_with_each(two_series: Path) -> None:
    (two_series / "SE1" / "004.dcm").unlink()
    result = run("series", two_series)
    assert result.exit_code == 0
    assert "venous" in result.output
    # Square brackets in a description are no markup.
    assert "[venous]" in run("series", two_series, "--free-text").output
    assert "series 1 [missing-slices]: SE1/003.dcm and SE1/005.dcm" in result.output
    rows = json.loads(run("series", two_series, "--json").output)
    assert [row["verdict"] for row in rows] == ["missing-slices", "suitable"]


def test_several_series_are_refused_until_one_is_chosen(
    two_series: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    command = ("infer", two_series, "--out", out, "--models", tiny_bundle, "--provider", "cpu")
    assert run(*command).exit_code == 1
    document = json.loads((out / "study.json").read_text())
    assert document["error"]["code"] == "several-series"
    assert [row["label"] for row in document["error"]["series"]] == ["1", "2"]
    for options, number, flags in (
        (("--series", "1"), "1", []),
        (("--series-policy", "thinnest"), "2", ["few-slices", "no-contrast-recorded"]),
    ):
        result = run(*command, *options, "-v")
        assert result.exit_code == 0
        assert f"series {3 - int(number)} (" in result.output
        assert "not used" in result.output
        assert "flip rows False" in result.output
        document = json.loads((out / "study.json").read_text())
        assert document["intake"]["chosen"]["number"] == number
        assert len(document["study"]["skipped_files"]) == 40
        assert [flag["code"] for flag in document["flags"]] == flags
        assert all(f"! {flag}" in result.output for flag in flags)
