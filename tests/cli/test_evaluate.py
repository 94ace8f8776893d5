"""The command `evaluate`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import Result

from rcc_onnx.evaluate.cohort import PHANTOMS_ONLY
from rcc_onnx.types import RESEARCH_ONLY
from tests.support.cohorts import Answer, small_cohort, write_answer
from tests.support.commands import run
from tests.support.mask_files import kidneys, write_nifti


def evaluate(*arguments: object) -> Result:
    return run("evaluate", *arguments)


def text_of(result: Result) -> str:
    """Return the output without breaks of lines and tables."""
    return " ".join(result.output.split())


def test_evaluate_shows_and_writes(tmp_path: Path) -> None:
    out, labels = small_cohort(tmp_path)
    result = evaluate(out, labels, "--json", tmp_path / "copy.json")
    assert result.exit_code == 0, result.output
    text = text_of(result)
    assert "labels.csv (comma separated): 11 kidneys of 6 cases; 6 with a lesion, 5 without" in text
    assert (
        "models tiny 1.0.0, float32, profile standard, thresholds: kidney 1000, lesion 50" in text
    )
    assert "│ not assessable (flagged) │ 1 │ 1 │ 0 │" in text
    assert "│ all labelled │ 11 │ 6 │ 5 │" in text
    assert "│ AUC │ 0.889 (" in text
    assert "│ sensitivity │ 2/3 66.7% │ 3/6 50.0% │" in text
    assert "│ TP, FP, TN, FN │ 2, 1, 2, 1 │ 3, 1, 4, 3 │" in text
    assert "not assessable (flagged): d right (kidney-cut-by-first-slice)" in text
    assert "failed: e (missing-slices)" in text
    assert (
        "sides without a label, in no figure (1, of them 1 with a suspected lesion): f left" in text
    )
    assert "suspected lesions that were not located: 1" in text
    assert "DeLong for the AUC, Wilson for shares" in text
    assert RESEARCH_ONLY in text
    assert PHANTOMS_ONLY not in text
    folder = out / "evaluation"
    assert {path.name for path in folder.iterdir()} == {
        "evaluation.json", "evaluation.csv", "sweep.csv", "kidneys.csv",
        "roc.png", "roc.svg", "scores.png", "scores.svg",
    }  # fmt: skip
    assert (tmp_path / "copy.json").read_text() == (folder / "evaluation.json").read_text()


def test_an_evaluation_is_repeated_and_written_elsewhere(tmp_path: Path) -> None:
    out, labels = small_cohort(tmp_path)
    assert evaluate(out, labels).exit_code == 0
    assert evaluate(out, labels, "--no-plots", "--size-edges", "20").exit_code == 0
    assert not (out / "evaluation" / "roc.png").exists()
    assert evaluate(out, labels, "--no-plots", "--to", tmp_path / "to").exit_code == 0
    document = json.loads((out / "evaluation" / "evaluation.json").read_text())
    sizes = [part["size"]["name"] for part in document["figures"]["assessable"]["by_size"]]
    assert sizes == ["up to 20 mm", "over 20 mm", "size not given"]
    assert (tmp_path / "to" / "evaluation.json").is_file()


def test_options_allow_missing_and_unlabelled_cases(tmp_path: Path) -> None:
    out, labels = small_cohort(tmp_path)
    write_answer(out, "g", Answer(), Answer())
    with labels.open("a") as file:
        file.write("h,left,1,20\n")
    assert "error [labels-unknown-case]" in evaluate(out, labels).output
    assert "error [labels-missing-case]" in evaluate(out, labels, "--allow-missing").output
    result = evaluate(out, labels, "--allow-missing", "--allow-unlabelled")
    assert result.exit_code == 0
    text = text_of(result)
    assert "│ case has no result │ 1 │ 1 │ 0 │" in text
    assert "warning: Labelled cases without a result (1): h." in text
    assert "warning: Results without a label, left out (1): g." in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda out, labels: [out / "none", labels], "[no-results]"),
        (lambda out, labels: [out, out / "none.csv"], "[labels-file]"),
        (lambda out, labels: [out, labels, "--size-edges", "a"], "[option]"),
        (lambda out, labels: [out, labels, "--size-edges", "40,15"], "[option]"),
        (lambda out, labels: [out, labels, "--size-edges", ""], "[option]"),
        (lambda out, labels: [out, labels, "--mask-labels", "1=right"], "[option]"),
        (lambda out, labels: [out, labels, "--masks", out, "--mask-labels", "x"], "[option]"),
        (lambda out, labels: [out, labels, "--masks", out / "none"], "[masks-missing]"),
        (lambda out, labels: [out, labels, "--masks", out], "[masks-missing]"),
        (lambda out, labels: [out, labels, "--json", out], "[output]"),
        (lambda out, labels: [out], "Missing argument"),
    ],
)
def test_an_evaluation_that_cannot_start_exits_with_2(
    tmp_path: Path, change: object, message: str
) -> None:
    out, labels = small_cohort(tmp_path)
    result = evaluate(*change(out, labels))  # type: ignore[operator]
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_masks(tmp_path: Path) -> None:
    out, labels = small_cohort(tmp_path)
    references = tmp_path / "reference"
    for case in ("a", "b", "c"):
        write_nifti(out / f"{case}_mask.nii.gz", kidneys())
        write_nifti(references / f"{case}.nii.gz", kidneys(shift=3 if case == "b" else 0))
    result = evaluate(out, labels, "--no-plots", "--masks", references)
    assert result.exit_code == 0, result.output
    text = text_of(result)
    # One of three shifted by a quarter.
    assert "│ right kidney │ 3 │ 0.917 (1.000) │" in text
    assert "cases whose masks were compared: 3" in text
    assert "cases without a predicted mask (3): d, e, f" in text
    assert (out / "evaluation" / "masks.csv").is_file()
    write_nifti(references / "a.nii.gz", kidneys() * 9)
    refused = evaluate(out, labels, "--no-plots", "--masks", references)
    assert refused.exit_code == 1
    assert "mask refused: a [mask-labels]: a.nii.gz: it holds the value 9, 18, 27" in text_of(
        refused
    )


BLOCKED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED}:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
from rcc_onnx.cli.app import main
main()
"""


@pytest.mark.parametrize(
    ("blocked", "options", "code", "message"),
    [
        # The figures need numpy and what infer needs, nothing else.
        ("matplotlib scipy nibabel highdicom sklearn", ["--no-plots"], 0, "Files are in"),
        ("matplotlib", [], 2, "error [missing-extra]: Drawing needs matplotlib"),
        ("nibabel", ["--masks", "."], 2, "Comparing masks needs nibabel"),
        ("highdicom", ["--no-plots", "--masks", "."], 2, "Reading a SEG needs highdicom"),
        ("scipy", ["--masks", "."], 2, 'pip install "rcc-onnx[evaluate]", or leave out --masks'),
    ],
)
def test_missing_extras(
    tmp_path: Path, blocked: str, options: list[str], code: int, message: str
) -> None:
    out, labels = small_cohort(tmp_path)
    script = BLOCKED.replace("{BLOCKED}", repr(set(blocked.split())))
    write_nifti(out / "a_mask.nii.gz", kidneys())
    (tmp_path / "a.dcm").write_bytes(b"whatever")
    done = subprocess.run(
        [sys.executable, "-c", script, "evaluate", str(out), str(labels), *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == code, done.stderr
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert (out / "evaluation").exists() == (code == 0)
