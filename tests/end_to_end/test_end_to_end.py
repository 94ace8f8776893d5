"""The nine reference studies, DICOM in, JSON and picture out, against the published notebook.

Both networks are the tiny ones that a real Keras 2.2.5 saved, converted by `python -m convert`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rcc_onnx import Engine
from rcc_onnx.dicom import read_study
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.results import CaseResult
from rcc_onnx.types import SIDES, Profile
from tests.support.runs import write_case

EXPECTED = Path(__file__).parents[1] / "data" / "reference" / "expected"
CASES = sorted(path.stem for path in EXPECTED.glob("*.json"))
SAME_IN_STANDARD = [
    # Axial, 512x512, head first, HU stored directly, thickness = spacing.
    "d01_signed_5mm_right_lesion",
    "d03_res160_both_lesions",
    "d04_small_fov_pad_xy_no_lesion",
    "d05_right_kidney_absent_left_lesion",
    "d06_left_kidney_absent",
    "d07_3mm_odd_count_noisy_liver",
    "d09_diffuse_tumour_probability",
]


@pytest.fixture(scope="module")
def notebook(tiny_bundle: Path) -> Engine:
    return Engine.load(tiny_bundle, provider="cpu", profile=Profile.NOTEBOOK)


@pytest.fixture(scope="module")
def standard(tiny_bundle: Path) -> Engine:
    return Engine.load(tiny_bundle, provider="cpu")


def expected_of(case: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXPECTED / f"{case}.json").read_text())
    return document


def test_there_are_nine_cases() -> None:
    assert len(CASES) == 9


@pytest.mark.parametrize("case", CASES)
def test_notebook_profile_gives_the_notebooks_answers(
    case: str, notebook: Engine, reference_cases: Path, tmp_path: Path
) -> None:
    result = notebook.analyse(reference_cases / case)
    write_case(result, tmp_path)
    check_against_notebook(case, tmp_path)


@pytest.mark.parametrize("case", SAME_IN_STANDARD)
def test_standard_profile_agrees_where_it_must(
    case: str, standard: Engine, reference_cases: Path, tmp_path: Path
) -> None:
    result = standard.analyse(reference_cases / case)
    write_case(result, tmp_path)
    check_against_notebook(case, tmp_path)


def check_against_notebook(case: str, out: Path) -> None:
    """The files of a case in `out` against what the notebook computed and drew."""
    answer, expected = json.loads((out / f"{case}.json").read_text()), expected_of(case)
    pictures = set()
    for side, (found, wanted) in pairs(answer, expected):
        if wanted["outcome"] is None:
            # The notebook ended before it got here; only the kidney sum is known.
            assert found["kidney"]["probability_sum"] == close(wanted["kidney_probability_sum"])
            continue
        assert found["outcome"] == wanted["outcome"]
        assert found["kidney"]["probability_sum"] == close(wanted["kidney_probability_sum"])
        assert found["kidney"]["centre_zyx"] == wanted["kidney_centre_zyx"]
        if wanted["lesion_probability_sum"] is None:
            assert found["lesion"] is None
            continue
        lesion = found["lesion"]
        assert lesion["probability_sum"] == close(wanted["lesion_probability_sum"])
        if wanted["lesion_slice"] is None:
            assert lesion["box"] is None
            continue
        (top, bottom), (left, right) = wanted["lesion_box_rows"], wanted["lesion_box_columns"]
        assert lesion["box"] == {
            "slice": wanted["lesion_slice"],
            "top": top,
            "bottom": bottom,
            "left": left,
            "right": right,
        }
        picture = f"{case}_{side[0]}.png"
        pictures.add(picture)
        same_pixels(out / picture, EXPECTED / picture)
    assert {path.name for path in out.glob("*_[rl].png")} == pictures
    assert pictures == {path.name for path in EXPECTED.glob(f"{case}_*.png")}


def pairs(answer: dict[str, Any], expected: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for side in SIDES:
        yield side, (answer["sides"][side], expected[side])


def close(value: float) -> Any:
    """Sums agree within 1e-4, relative; absolute below 1."""
    return pytest.approx(value, rel=1e-4, abs=1e-4)


def same_pixels(found: Path, wanted: Path) -> None:
    with Image.open(found) as one, Image.open(wanted) as other:
        assert one.mode == other.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_an_unsigned_study_is_the_same_as_its_signed_twin(
    standard: Engine, reference_cases: Path, tmp_path: Path
) -> None:
    """d02 is stored unsigned with an intercept, where the notebook masks nothing but a frame."""
    import pydicom  # noqa: PLC0415

    case = "d02_unsigned_2p5mm_left_lesion_zpad"
    for path in (reference_cases / case).iterdir():
        slice_ = pydicom.dcmread(path)
        hu = slice_.pixel_array.astype(np.int32) + int(slice_.RescaleIntercept)
        slice_.PixelData = hu.astype("<i2").tobytes()
        slice_.PixelRepresentation, slice_.RescaleIntercept = 1, 0
        slice_.save_as(tmp_path / path.name)
    volumes = [
        network_volume(read_study(folder, Profile.STANDARD)).values
        for folder in (reference_cases / case, tmp_path)
    ]
    np.testing.assert_array_equal(volumes[0], volumes[1])
    one, other = (standard.analyse(folder, case) for folder in (reference_cases / case, tmp_path))
    assert sides_of(one) == sides_of(other)


def sides_of(result: CaseResult) -> list[Any]:
    return [
        (result.sides[side].outcome, result.sides[side].kidney, result.sides[side].lesion is None)
        for side in SIDES
    ]
