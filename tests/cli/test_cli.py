"""The commands as a user runs them: what they print, write, and exit with."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rcc_onnx import __version__
from rcc_onnx.cli.app import app, models_app
from rcc_onnx.output import case as case_files
from rcc_onnx.phantom import make_study
from rcc_onnx.results import CaseResult
from rcc_onnx.types import RESEARCH_ONLY
from tests.support.dicom_factory import body_volume, ct_series, write_series
from tests.support.tiny_networks import write_bundle

README = Path(__file__).parents[2] / "README.md"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    # Whatever happens, no traceback: only the exits that the command means.
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "case[1]", quick=True).folder


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundles with one for phantoms, the only folder that is searched."""
    folder = tmp_path / "shelf"
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(folder))
    monkeypatch.setattr("rcc_onnx.bundles.bundle.shipped_models_folder", lambda: None)
    write_bundle(folder / "phantom", name="phantom")
    return folder


def test_version() -> None:
    assert run("--version").output == f"rcc-onnx {__version__}\n"


def test_version_waits_for_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rcc_onnx.cli.app import app\n"
        "try:\n    app(['--version'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, modules = done.stdout.splitlines()
    assert said == f"rcc-onnx {__version__}"
    for heavy in ("numpy", "scipy", "onnxruntime", "pydicom", "PIL", "rich", "tensorflow"):
        assert f"'{heavy}'" not in modules
    assert "'typer'" in modules


def test_bench_measures_and_writes_what_it_found(
    phantom: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    arguments = ("--provider", "cpu", "--precision", "float32", "--threads", 1, "--repeats", 1)
    files = ("--json", out, "--plot", picture)
    result = run("bench", phantom, "--models", tiny_bundle, *arguments, *files)
    assert result.exit_code == 0
    assert "Recommended here: --provider cpu (the only one that ran)" in result.output
    assert RESEARCH_ONLY in result.output
    document = json.loads(out.read_text())
    (setup,) = document["setups"]
    assert [case["study"] for case in setup["figures"]["cases"]] == ["case[1]"]
    assert setup["setup"]["threads"] == 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_bench_that_can_measure_nothing(phantom: Path, tiny_bundle: Path) -> None:
    result = run("bench", phantom, "--models", tiny_bundle, "--provider", "coreml")
    assert result.exit_code == 2
    assert "error [bench]" in result.output


def test_infer_writes_results_and_says_what_it_did(
    phantom: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
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
    shutil.copytree(phantom, tmp_path / "\u540d")
    command = ("infer", tmp_path / "\u540d", "--out", tmp_path / "out", "--models", tiny_bundle)
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


def test_infer_says_when_a_case_failed(phantom: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    shutil.copytree(phantom, studies / "good")
    (studies / "bad").mkdir()
    (studies / "bad" / "x.txt").write_text("")
    result = run("infer", studies, "--out", tmp_path / "out", "--models", tiny_bundle)
    assert result.exit_code == 1
    assert "bad: FAILED [no-dicom]" in result.output
    assert re.search(r"│ bad +│ failed +│", result.output)
    assert {path.name for path in (tmp_path / "out").glob("*.json")} == {
        "bad.json",
        "good.json",
        "results.json",
    }
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [(row["case"], row["side"], row["error_code"]) for row in rows] == [
        ("bad", "right", "no-dicom"),
        ("bad", "left", "no-dicom"),
        ("good", "right", ""),
        ("good", "left", ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["infer", "nowhere"], "[input-folder]"),
        (["infer", ".", "--models", "nothing"], "[unknown-bundle]"),
        (["infer", ".", "--models", "./nothing"], "[bundle-folder]"),
        (["infer", ".", "--models", "TINY", "--provider", "coreml"], "[provider-not-installed]"),
        (["infer", ".", "--provider", "gpu"], "Invalid value"),
        (["infer", ".", "--threads", "0"], "[threads]"),
        (["infer", ".", "--kidney-threshold", "-1"], "[option]"),
        (["infer", ".", "--lesion-threshold", "inf"], "[option]"),
        (["infer", ".", "--profile", "other"], "Invalid value"),
        (["infer", ".", "--nonsense"], "No such option"),
        (["infer"], "Missing argument"),
        (["nonsense"], "No such command"),
        (["models", "show", "nothing"], "[unknown-bundle]"),
        (["models", "verify", "./nothing"], "[bundle-folder]"),
    ],
)
def test_what_cannot_start_ends_with_2(
    phantom: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(phantom)
    result = run(*[str(tiny_bundle) if one == "TINY" else one for one in arguments])
    assert result.exit_code == 2
    assert says in result.output
    assert "Traceback" not in result.output


def test_phantom_models_stop_at_a_patient_unless_chosen_by_hand(
    shelf: Path, tmp_path: Path
) -> None:
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


def test_results_that_cannot_be_written_are_said_so(
    phantom: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = run("infer", phantom, "--out", tmp_path / "file", "--models", tiny_bundle)
    assert result.exit_code == 2
    assert "[output]" in result.output


def test_demo_makes_a_phantom_and_analyses_it(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second run finds its own files there
        result = run("demo", "--seed", "2")
        assert result.exit_code == 0
        assert "Ground truth of phantom 2" in result.output
    assert (tmp_path / "rcc-onnx-demo" / "phantom-0002" / "001.dcm").is_file()
    results = Path("rcc-onnx-demo") / "results"
    assert (results / "phantom-0002.json").is_file()
    assert (results / "phantom-0002_overview.png").is_file()
    assert f"Look at {results / 'phantom-0002_overview.png'}" in result.output
    assert f"Open {results / 'report.html'}" in result.output
    assert "phantom-0002" in (results / "report.html").read_text()


def test_phantom_writes_studies_side_by_side(tmp_path: Path) -> None:
    result = run("phantom", tmp_path, "--seed", "4", "--count", "2")
    assert result.exit_code == 0
    folders = [tmp_path / "phantom-0004", tmp_path / "phantom-0005"]
    assert result.output.split() == [str(folder) for folder in folders]
    assert all((folder / "001.dcm").is_file() for folder in folders)
    (folders[0] / "mine.txt").write_text("")
    again = run("phantom", tmp_path, "--seed", "4")
    assert again.exit_code == 2
    assert "[output]" in again.output


def test_models_list_shows_good_and_broken_ones(shelf: Path) -> None:
    write_bundle(shelf / "broken", name="broken")
    (shelf / "broken" / "kidney.onnx").write_bytes(b"")
    table = run("models", "list")
    assert table.exit_code == 0
    assert "phantom" in table.output
    assert "bundle-hash" in table.output
    listed = json.loads(run("models", "list", "--json").output)
    assert [(one["name"], (one["error"] or {}).get("code")) for one in listed] == [
        ("broken", "bundle-hash"),
        ("phantom", None),
    ]


def test_models_show_and_verify(tiny_bundle: Path) -> None:
    shown = run("models", "show", tiny_bundle)
    assert shown.exit_code == 0
    assert "certificate holds" in " ".join(shown.output.split())
    manifest = run("models", "show", tiny_bundle, "--json")
    assert json.loads(manifest.output)["name"] == "tiny"
    verified = run("models", "verify", tiny_bundle)
    assert verified.exit_code == 0
    assert "both networks ran on cpu" in verified.output
    assert "certificate holds" in verified.output


def test_models_verify_finds_a_changed_network(shelf: Path) -> None:
    path = shelf / "phantom" / "lesion.onnx"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))
    result = run("models", "verify", "phantom")
    assert result.exit_code == 2
    assert "[bundle-hash]" in result.output


def commands() -> Iterator[tuple[str, str]]:
    """Every command line, and what its help is."""
    for prefix, group in (("", app), ("models ", models_app)):
        for command in group.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__
            yield prefix + name, command.callback.__doc__ or ""


@pytest.mark.parametrize(("name", "text"), list(commands()))
def test_every_command_has_an_example_and_stands_in_the_readme(name: str, text: str) -> None:
    assert f"Example: rcc-onnx {name}" in text
    page = README.read_text(encoding="utf-8")
    group, _, last = name.partition(" ")
    assert f"rcc-onnx {group}" in page
    assert not last or f"`{last}`" in page or f"rcc-onnx {name}`" in page


def test_a_disk_that_fills_up_leaves_what_was_done(
    phantom: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        shutil.copytree(phantom, tmp_path / "studies" / name)
    write = case_files.write_case_files

    def full(result: CaseResult, out: Path) -> CaseResult:
        if result.case == "b":
            raise OSError(28, "No space left on device")
        return write(result, out)

    monkeypatch.setattr("rcc_onnx.output.folder.write_case_files", full)
    out = tmp_path / "out"
    in_this_process = ("--workers", "0")
    result = run(
        "infer", tmp_path / "studies", "--out", out, "--models", tiny_bundle, *in_this_process
    )
    # Not 2: something was started, and a script must not take the results for missing.
    assert result.exit_code == 1
    assert "error [output]: cannot write results to" in result.output
    assert "No space left on device; free some space" in result.output
    assert "stopped after 1 of 3 cases" in result.output
    assert {one.name for one in out.glob("*.json")} == {"a.json", "results.json"}
    document = json.loads((out / "results.json").read_text())
    assert document["stopped_by"] == "output"
    assert document["not_reached"] == ["b", "c"]
    assert "broken off after 1 of 3 cases" in (out / "report.html").read_text()


def test_a_report_that_cannot_be_written_is_told_before_any_work(
    phantom: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "report.html" / "in the way").mkdir(parents=True)
    result = run("infer", phantom, "--out", out, "--models", tiny_bundle)
    assert result.exit_code == 2
    assert "error [output]" in result.output


def test_ctrl_c_leaves_a_report_of_what_was_done(
    phantom: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        shutil.copytree(phantom, tmp_path / "studies" / name)
    write = case_files.write_case_files

    def stop_at_b(result: CaseResult, out: Path) -> CaseResult:
        if result.case == "b":
            raise KeyboardInterrupt
        return write(result, out)

    monkeypatch.setattr("rcc_onnx.output.folder.write_case_files", stop_at_b)
    out = tmp_path / "out"
    in_this_process = ("--workers", "0")
    result = run(
        "infer", tmp_path / "studies", "--out", out, "--models", tiny_bundle, *in_this_process
    )
    assert result.exit_code == 130
    assert "broken off after 1 of 2 cases" in (out / "report.html").read_text()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED HERE: memory is limited on Linux only"
)
def test_a_case_has_no_more_memory_than_it_may(
    phantom: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        shutil.copytree(phantom, tmp_path / "studies" / name)
    command = ("infer", tmp_path / "studies", "--out", tmp_path / "out", "--models", tiny_bundle)
    result = run(*command, "--threads", "1", "--case-memory", "256")
    assert result.exit_code == 1
    # Who notices first, this program or onnxruntime, hangs on the machine.
    assert result.output.count("FAILED [") == 2
    result = run(*command, "--case-memory", "8000")
    assert result.exit_code == 0, result.output


def test_ctrl_c_ends_with_130(
    phantom: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rcc_onnx.engine.read_study", interrupt)
    result = run("infer", phantom, "--out", tmp_path / "out", "--models", tiny_bundle)
    assert result.exit_code == 130
    assert "interrupted" in result.output
    out = tmp_path / "out"
    names = {"report.html", "results.csv", "results.json", "SHA256SUMS"}
    assert {one.name for one in out.iterdir()} == names
    document = json.loads((out / "results.json").read_text())
    assert document["stopped_by"] == "interrupted"
    assert document["not_reached"] == ["case[1]"]


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
    result = run(*command)
    assert result.exit_code == 1
    document = json.loads((out / "study.json").read_text())
    assert document["error"]["code"] == "several-series"
    assert [row["label"] for row in document["error"]["series"]] == ["1", "2"]
    for wish, number in (
        (("--series", "1"), "1"),
        (("--series-policy", "thinnest"), "2"),
        (("--series-policy", "contrast"), "1"),
    ):
        result = run(*command, *wish)
        assert result.exit_code == 0
        document = json.loads((out / "study.json").read_text())
        assert document["intake"]["chosen"]["number"] == number
        assert len(document["study"]["skipped_files"]) == 40
        flags = [flag["code"] for flag in document["flags"]]
        assert flags == ([] if number == "1" else ["few-slices", "no-contrast-recorded"])
        assert all(f"! {flag}" in result.output for flag in flags)


def test_input_is(two_series: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    options = ("--out", out, "--models", tiny_bundle, "--provider", "cpu")
    assert run("infer", two_series, *options, "--input-is", "studies").exit_code == 0
    assert {one.name for one in out.glob("*.json")} == {
        "SE1.json",
        "SE2.json",
        "results.json",
    }


def test_the_verdict_is_in_the_log(two_series: Path, caplog: pytest.LogCaptureFixture) -> None:
    from rcc_onnx.dicom import SeriesSelection, read_study  # noqa: PLC0415
    from rcc_onnx.types import Profile  # noqa: PLC0415

    with caplog.at_level("INFO"):
        read_study(two_series, Profile.STANDARD, SeriesSelection(series="2"))
    for said in ("asked for as '2'", "series 1 (40 slices): not used", "flip rows False"):
        assert said in caplog.text
