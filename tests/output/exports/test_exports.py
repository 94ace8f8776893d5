"""`--save`: what is requested is written, and a missing package is named before the first case."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from rcc_onnx.errors import MissingExtraError
from rcc_onnx.options import InferenceOptions, Save
from rcc_onnx.output.exports import EXPORTS, check_exports, codes
from rcc_onnx.phantom import make_study
from rcc_onnx.results import AnalysedCase
from tests.support.dicom_factory import write_series
from tests.support.drawn_studies import analysed, drawn, series_of
from tests.support.placements import on_grid
from tests.support.results import failed_case
from tests.support.runs import write_case

SPACING = (5.0, 2.0, 2.0)
NAMES = {export.name("case") for export in EXPORTS}
CANARY = "CANARY"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> AnalysedCase:
    series = series_of(drawn(SPACING), SPACING)
    for dataset in series:
        dataset.PatientName, dataset.PatientID = f"{CANARY}^Name", f"{CANARY}-ID"
        dataset.AccessionNumber = dataset.StudyDescription = CANARY
    return analysed(write_series(tmp_path_factory.mktemp("saved"), series))


def saved(out: Path) -> set[str]:
    """The files that are written only when they are requested."""
    usual = (".json", ".png")
    return {path.name for path in out.iterdir() if path.is_file() and path.suffix not in usual}


def test_everything_is_written_and_removed_again(tmp_path: Path, result: AnalysedCase) -> None:
    write_case(result, tmp_path, "all")
    assert saved(tmp_path) == NAMES
    assert json.loads((tmp_path / "case.json").read_text())["timings_s"]["saving"] > 0
    write_case(result, tmp_path, "seg")
    assert saved(tmp_path) == {"case_seg.dcm"}
    write_case(failed_case("case"), tmp_path)
    assert saved(tmp_path) == set()


def test_nothing_found_makes_no_segmentation(tmp_path: Path) -> None:
    hu = drawn(SPACING, lesion=False, kidneys=False)
    empty = analysed(write_series(tmp_path / "study", series_of(hu, SPACING)))
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
        # No time and no name in what gzip says of the file: the same twice is the same bytes.
        assert path.read_bytes()[3:8] == b"\0\0\0\0\0"
    assert CANARY not in (tmp_path / "case.json").read_text()


def test_probabilities_are_the_networks_at_the_pixels_that_they_saw(
    tmp_path: Path, result: AnalysedCase
) -> None:
    write_case(result, tmp_path, "probabilities")
    placement, images = result.placed.placement, result.network_images
    shown = on_grid(placement, np.ones(placement.shape_zyx, bool))
    for name, volume in (
        ("kidney", images.kidney_probability),
        ("lesion", images.lesion_probability()),
    ):
        stored = nibabel.load(tmp_path / f"case_{name}_probability.nii.gz").dataobj
        stack = np.stack([placement.reorientation.apply(part) for part in np.asarray(stored).T])
        assert volume.any()
        np.testing.assert_allclose(
            on_grid(placement, stack), np.where(shown, volume, 0), atol=1 / 8192
        )


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
    monkeypatch.setattr(
        "rcc_onnx.output.exports.find_spec",
        lambda name: None if name == package else object(),
    )
    with pytest.raises(MissingExtraError, match=rf'pip install "rcc-onnx\[{extra}\]"'):
        check_exports(InferenceOptions.parse(save=save))
    check_exports(InferenceOptions())


def test_without_save_no_extra_is_imported(tmp_path: Path) -> None:
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


def test_every_export_and_code_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "outputs.md").read_text(encoding="utf-8")
    for export in EXPORTS:
        assert f"`OUT/{export.name('<case>')}`" in page
    assert all(f"| `{kind}` |" in page for kind in Save)
    # These every report of the template has, and they mean no finding.
    frame = (codes.DEVICE, codes.COMMENT, codes.CT, codes.REPORT)
    listed = [code for code in vars(codes).values() if isinstance(code, codes.Code)]
    findings = [code for code in (*listed, *codes.LATERALITY.values()) if code not in frame]
    assert len(findings) > 15
    for code in findings:
        assert f"{code.meaning} ({code.value}, {code.scheme_designator})" in page
