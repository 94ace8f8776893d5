"""`--save`: what is requested is written, and a missing package is named before the first case."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from rcc_onnx.batch.cases import Case
from rcc_onnx.cli.app import app
from rcc_onnx.engine import Engine
from rcc_onnx.errors import MissingExtraError, PixelsError
from rcc_onnx.options import InferenceOptions, Save
from rcc_onnx.output import case as case_files
from rcc_onnx.output.exports import EXPORTS, check_exports, codes
from rcc_onnx.phantom import make_study
from rcc_onnx.results import AnalysedCase, CaseResult, FailedCase
from tests.support.dicom_factory import write_series
from tests.support.drawn_studies import analysed, drawn, series_of
from tests.support.placements import on_grid
from tests.support.results import failed_case
from tests.support.runs import analyse_cases, write_case
from tests.support.tiny_networks import write_bundle

SPACING = (5.0, 2.0, 2.0)
NAMES = {
    "case_mask.nii.gz",
    "case_kidney_probability.nii.gz",
    "case_lesion_probability.nii.gz",
    "case_seg.dcm",
    "case_sr.dcm",
}
CANARY = "CANARY"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> AnalysedCase:
    series = series_of(drawn(SPACING), SPACING)
    for dataset in series:
        dataset.PatientName, dataset.PatientID = f"{CANARY}^Name", f"{CANARY}-ID"
        dataset.AccessionNumber = dataset.StudyDescription = CANARY
    return analysed(write_series(tmp_path_factory.mktemp("saved"), series))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> AnalysedCase:
    hu = drawn(SPACING, lesion=False, kidneys=False)
    return analysed(write_series(tmp_path_factory.mktemp("empty"), series_of(hu, SPACING)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


def saved(out: Path) -> set[str]:
    """The files that are not written without being asked for."""
    usual = (".json", ".png", ".csv", ".html", "")
    return {path.name for path in out.iterdir() if path.is_file() and path.suffix not in usual}


def test_everything_is_written_and_removed_again(tmp_path: Path, result: AnalysedCase) -> None:
    write_case(result, tmp_path, "all")
    assert saved(tmp_path) == NAMES
    assert json.loads((tmp_path / "case.json").read_text())["timings_s"]["saving"] > 0
    write_case(result, tmp_path, "seg")
    assert saved(tmp_path) == {"case_seg.dcm"}
    write_case(failed_case("case"), tmp_path)
    assert saved(tmp_path) == set()


def test_nothing_found_makes_no_segmentation(tmp_path: Path, empty: AnalysedCase) -> None:
    write_case(empty, tmp_path, "all")
    assert saved(tmp_path) == NAMES - {"case_seg.dcm", "case_lesion_probability.nii.gz"}
    assert not np.asarray(nibabel.load(tmp_path / "case_mask.nii.gz").dataobj).any()


def test_nifti_holds_nothing_of_the_patient(tmp_path: Path, result: AnalysedCase) -> None:
    write_case(result, tmp_path, "nifti", "probabilities")
    for path in tmp_path.glob("*.nii.gz"):
        image = nibabel.load(path)
        header = image.header.binaryblock
        assert CANARY.encode() not in header
        assert b"not for diagnosis" in header
        assert image.get_data_dtype() == (np.uint8 if "mask" in path.name else np.float32)
        # Ten bytes: no time and no name in what gzip says of the file.
        assert path.read_bytes()[3:8] == b"\0\0\0\0\0"
    assert CANARY not in (tmp_path / "case.json").read_text()


def test_probabilities_are_the_networks_at_the_pixels_that_they_saw(
    tmp_path: Path, result: AnalysedCase
) -> None:
    write_case(result, tmp_path, "probabilities")
    placement, images = result.patient_images.placement, result.network_images
    shown = on_grid(placement, np.ones(placement.shape_zyx, bool))
    for name, volume in (
        ("kidney", images.kidney_probability),
        ("lesion", images.lesion_probability()),
    ):
        stored = nibabel.load(tmp_path / f"case_{name}_probability.nii.gz").dataobj
        stack = np.stack([placement.reorientation.apply(one) for one in np.asarray(stored).T])
        assert volume.any()
        np.testing.assert_allclose(
            on_grid(placement, stack), np.where(shown, volume, 0), atol=1 / 8192
        )


def test_the_same_twice_is_the_same_bytes(tmp_path: Path, result: AnalysedCase) -> None:
    for folder in ("one", "other"):
        write_case(result, tmp_path / folder, "nifti")
    one, other = (tmp_path / folder / "case_mask.nii.gz" for folder in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_a_plain_reader_finds_the_voxels(tmp_path: Path, result: AnalysedCase) -> None:
    """By the format's own fields, without nibabel's leniency."""
    write_case(result, tmp_path, "nifti")
    data = nibabel.openers.ImageOpener(tmp_path / "case_mask.nii.gz").read()
    offset = int(np.frombuffer(data, "<f4", 1, 108)[0])
    shape = np.frombuffer(data, "<i2", 3, 42)
    voxels = np.frombuffer(data, np.uint8, offset=offset).reshape(shape, order="F")
    expected = np.asarray(nibabel.load(tmp_path / "case_mask.nii.gz").dataobj)
    np.testing.assert_array_equal(voxels, expected)
    assert tuple(np.frombuffer(data, "<f4", 2, 112)) == (1, 0)


@pytest.mark.parametrize(
    ("save", "package", "extra"),
    [
        ("nifti", "nibabel", "nifti"),
        ("probabilities", "nibabel", "nifti"),
        ("seg", "highdicom", "dicom"),
        ("sr", "highdicom", "dicom"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, save: str, package: str, extra: str
) -> None:
    without(monkeypatch, package)
    with pytest.raises(MissingExtraError, match=rf'pip install "rcc-onnx\[{extra}\]"'):
        check_exports(InferenceOptions.parse(save=save))
    check_exports(InferenceOptions())


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(
        "rcc_onnx.output.exports.find_spec",
        lambda name: None if name == package else object(),
    )


def test_the_command_refuses_before_the_first_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(1, tmp_path / "study", quick=True).folder
    out = str(tmp_path / "out")
    run = CliRunner().invoke
    notebook = run(app, ["infer", str(study), "-o", out, "--save", "seg", "--profile", "notebook"])
    assert (notebook.exit_code, "[option]" in notebook.output) == (2, True)
    without(monkeypatch, "highdicom")
    missing = run(app, ["infer", str(study), "-o", out, "--save", "all"])
    assert (missing.exit_code, "[missing-extra]" in missing.output) == (2, True)
    assert not (tmp_path / "out").exists()
    nonsense = run(app, ["infer", str(study), "-o", out, "--save", "jpeg"])
    assert nonsense.exit_code == 2


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path) -> None:
    study = make_study(9, tmp_path / "study", quick=True).folder
    asked = ["--save", "nifti", "--save", "seg", "--save", "sr"]
    done = CliRunner().invoke(app, ["infer", str(study), "-o", str(tmp_path / "out"), *asked])
    assert done.exit_code == 0, done.output
    assert saved(tmp_path / "out") == {"study_mask.nii.gz", "study_seg.dcm", "study_sr.dcm"}


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("an odd header"), "unexpected"), (PixelsError("moved"), PixelsError.code)],
)
def test_a_case_that_cannot_be_saved_does_not_stop_the_others(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    study = make_study(1, tmp_path / "study", quick=True).folder

    def fails(result: AnalysedCase, to: Path) -> None:
        if result.case == "first":
            raise error
        to.write_bytes(b"")

    files = [replace(file, write=fails) if file.suffix == "_sr.dcm" else file
             for file in case_files.CASE_FILES]  # fmt: skip
    monkeypatch.setattr(case_files, "CASE_FILES", tuple(files))
    cases = [Case("first", study), Case("second", study)]
    engine = Engine.load(bundle, provider="cpu", save=["sr"])
    first, second = analyse_cases(engine, cases, tmp_path / "out")
    assert isinstance(first, FailedCase)
    assert first.error.code == code
    assert json.loads((tmp_path / "out" / "first.json").read_text())["status"] == "failed"
    assert isinstance(second, CaseResult)
    assert saved(tmp_path / "out") == {"second_sr.dcm"}


def test_without_save_nothing_of_it_is_imported(tmp_path: Path) -> None:
    study = make_study(1, tmp_path / "study", quick=True).folder
    code = (
        "import sys\nfrom rcc_onnx.cli.app import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print({'highdicom', 'nibabel'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "infer", str(study), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert (tmp_path / "out" / "study.json").is_file()


def test_every_export_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text(encoding="utf-8")
    for export in EXPORTS:
        assert f"`OUT/{export.name('<case>')}`" in page
    assert all(f"| `{wish}` |" in page for wish in Save)
    listed = [code for code in vars(codes).values() if isinstance(code, codes.Code)]
    findings = [code for code in (*listed, *codes.LATERALITY.values()) if code not in FRAME]
    assert len(findings) > 15
    for code in findings:
        assert f"{code.meaning} ({code.value}, {code.scheme_designator})" in page


FRAME = (codes.DEVICE, codes.COMMENT, codes.CT, codes.REPORT)
"""Codes that every report of the template has, and that say nothing of a finding."""
