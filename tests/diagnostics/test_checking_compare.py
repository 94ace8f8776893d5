"""What differences between two documents of a case come to."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from rcc_onnx.diagnostics.verify.compare import SUM_TOLERANCE, Verdict, compare
from rcc_onnx.diagnostics.verify.compare_files import CaseFolder, FileDifference, file_differences
from rcc_onnx.diagnostics.verify.reproduce import Reproduction
from rcc_onnx.diagnostics.verify.telling import reproduction_lines
from rcc_onnx.results import Fingerprint
from rcc_onnx.system.documents import to_json
from rcc_onnx.system.files import size_and_sha256
from rcc_onnx.system.host import environment
from tests.support.results import MEASURES, case_result

Json = dict[str, Any]

BEFORE: Json = json.loads(
    json.dumps(
        to_json(
            replace(
                case_result(measures=MEASURES),
                environment=environment(),
                fingerprint=Fingerprint("a" * 64, "b" * 64),
            )
        )
    )
)
KIDNEY = BEFORE["sides"]["right"]["kidney"]["probability_sum"]
LESION = BEFORE["sides"]["right"]["lesion"]["probability_sum"]


def changed(change: Callable[[Json], object]) -> Json:
    now = deepcopy(BEFORE)
    change(now)
    return now


def setting(path: str, value: Any) -> Json:
    *parents, last = [int(one) if one.isdigit() else one for one in path.split(".")]
    now = inside = deepcopy(BEFORE)
    for key in parents:
        inside = inside[key]
    assert inside[last] != value
    inside[last] = value
    return now


def test_times_are_no_difference() -> None:
    now = changed(lambda one: one["timings_s"].update(total=99.0))
    now["files"] = [{"name": "case_r.png", "bytes": 1, "sha256": "c" * 64}]
    assert compare(BEFORE, now).verdict is Verdict.IDENTICAL


@pytest.mark.parametrize(
    "path",
    [
        "sides.right.outcome",
        "sides.right.lesion.slice",
        "sides.right.lesion.box_rows.1",
        "sides.left.kidney.centre_zyx.0",
        "sides.right.kidney.borderline",
        "sides.right.lesion.measures.longest_axial_diameter.slice",
        "sides.right.lesion.measures.longest_axial_diameter.mm",
        "study.images_sha256",
        "study.spacing_zyx_mm.0",
        "study.kind",
        "models.name",
        "thresholds.lesion",
        "measuring.mask_cutoff",
        "intake.flip_rows",
        "notice",
        "flags",
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_another_answer_is_one_on_any_machine(path: str, elsewhere: bool) -> None:
    now = setting(path, ["another"])
    if elsewhere:
        now["provider"]["ran"] = "cuda"
    comparison = compare(BEFORE, now)
    assert comparison.verdict is Verdict.DIFFERENT
    assert [one.field for one in comparison.answers] != []


@pytest.mark.parametrize(
    "path",
    [
        "environment.processor",
        "environment.packages.numpy",
        "provider.ran",
        "provider.threads",
        "provider.variants.kidney",
        "models.sha256.kidney",
        "rcc_onnx_version",
        "fingerprint.settings_sha256",
    ],
)
def test_what_ran_where_is_said_and_is_no_difference(path: str) -> None:
    comparison = compare(BEFORE, setting(path, "another"))
    assert comparison.verdict is Verdict.IDENTICAL
    assert [one.field for one in comparison.setup] == [path]


def test_other_packaging_of_the_same_images() -> None:
    now = setting("intake.first", "x.dcm")
    now["fingerprint"]["inputs_sha256"] = "f" * 64
    comparison = compare(BEFORE, now)
    assert comparison.verdict is Verdict.IDENTICAL
    assert len(comparison.packaging) == 2


@pytest.mark.parametrize(
    ("part", "verdict"), [(0.9, Verdict.SAME), (-0.9, Verdict.SAME), (1.1, Verdict.DIFFERENT)]
)
def test_sums_within_the_tolerance(part: float, verdict: Verdict) -> None:
    def move(now: Json) -> None:
        for network, total in (("kidney", KIDNEY), ("lesion", LESION)):
            moved = now["sides"]["right"][network]
            difference = part * SUM_TOLERANCE * total
            moved["probability_sum"] += difference
            moved["margin"] += difference
            moved["margin_relative"] += difference / now["thresholds"][network]

    comparison = compare(BEFORE, changed(move))
    assert comparison.verdict is verdict
    if verdict is Verdict.SAME:
        assert comparison.largest_sum == pytest.approx(0.9 * SUM_TOLERANCE)
        assert len(comparison.numbers) == 6


@pytest.mark.parametrize(("part", "verdict"), [(0.9, Verdict.SAME), (1.1, Verdict.DIFFERENT)])
def test_a_relative_margin_may_move_as_its_sum_may(part: float, verdict: Verdict) -> None:
    lesion = BEFORE["sides"]["right"]["lesion"]
    moved = part * SUM_TOLERANCE * LESION / BEFORE["thresholds"]["lesion"]
    now = setting("sides.right.lesion.margin_relative", lesion["margin_relative"] + moved)
    assert compare(BEFORE, now).verdict is verdict


@pytest.mark.parametrize(
    ("field", "value"), [("precision", "int8"), ("precision", "float16"), ("ran", "openvino-npu")]
)
def test_fewer_bits_move_sums_further(field: str, value: str) -> None:
    now = setting("sides.right.lesion.probability_sum", LESION * 1.015)
    assert compare(BEFORE, now).verdict is Verdict.DIFFERENT
    now["provider"][field] = value
    comparison = compare(BEFORE, now)
    assert comparison.verdict is Verdict.SAME
    assert comparison.sum_tolerance > SUM_TOLERANCE
    now["sides"]["right"]["lesion"]["probability_sum"] *= 1.01
    assert compare(BEFORE, now).verdict is Verdict.DIFFERENT


def test_a_small_sum_is_held_against_its_threshold() -> None:
    path = "sides.left.lesion.probability_sum"
    assert compare(BEFORE, setting(path, 1.5 + 0.04)).verdict is Verdict.SAME
    assert compare(BEFORE, setting(path, 1.5 + 0.06)).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("path", "near", "far"),
    [
        ("sides.right.lesion.measures.volume_ml", 21.6, 22.0),
        ("sides.right.kidney.measures.mean_hu", 172.0, 175.0),
        ("sides.right.lesion.measures.centre_lps_mm.2", 5.55, 5.7),
        ("sides.left.sensitivity.kidney_volumes_ml.0", 151.5, 155.0),
    ],
)
def test_measures_within_the_tolerance(path: str, near: float, far: float) -> None:
    assert compare(BEFORE, setting(path, near)).verdict is Verdict.SAME
    assert compare(BEFORE, setting(path, far)).verdict is Verdict.DIFFERENT
    assert compare(BEFORE, setting(path, None)).verdict is Verdict.DIFFERENT


def test_fields_that_only_another_version_knows() -> None:
    now = changed(lambda one: one["provider"].update(new="x"))
    now["study"]["new"] = 1
    assert compare(BEFORE, now).verdict is Verdict.DIFFERENT
    now["rcc_onnx_version"] = "99"
    assert compare(BEFORE, now).verdict is Verdict.IDENTICAL


def test_files_follow_numbers_and_say_nothing_without() -> None:
    files = (FileDifference("x.nii.gz", "has other bytes", is_answer=False),)
    assert compare(BEFORE, BEFORE, files).verdict is Verdict.DIFFERENT
    now = setting("provider.ran", "cuda")
    assert compare(BEFORE, now, files).verdict is Verdict.SAME
    picture = (FileDifference("x_r.png", "differs", is_answer=True),)
    assert compare(BEFORE, now, picture).verdict is Verdict.DIFFERENT


def test_the_verdict_names_tolerance_and_reason() -> None:
    now = setting("sides.left.lesion.probability_sum", 1.51)
    made = Reproduction("case", True, True, compare(BEFORE, now))
    *_, last = reproduction_lines(made)
    assert "differ by at most 2.0e-04 of themselves, where 0.001 is accepted" in last
    assert last.endswith("Nothing that the documents state explains it")
    now["environment"]["processor"] = "another"
    *_, last = reproduction_lines(replace(made, comparison=compare(BEFORE, now)))
    assert "another processor" in last


# --- Files ----------------------------------------------------------------------------------------


def folder(path: Path, **files: bytes) -> CaseFolder:
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
    return CaseFolder(path, {name: size_and_sha256(path / name)[1] for name in files})


def picture(path: Path, *, note: str = "", dot: int = 0) -> bytes:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2, 3] = dot
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", note)
    Image.fromarray(pixels).save(path, pnginfo=notes)
    return path.read_bytes()


def test_pictures_are_compared_by_pixels(tmp_path: Path) -> None:
    plain, noted, dotted = (
        picture(tmp_path / "x.png", note=note, dot=dot)
        for note, dot in (("", 0), ("other text", 0), ("", 9))
    )
    name, overview = "case_r.png", "case_overview.png"
    before = folder(tmp_path / "a", **{name: plain, overview: plain})
    same = folder(tmp_path / "b", **{name: noted, overview: plain})
    assert list(file_differences("case", before, same)) == []
    other = folder(tmp_path / "c", **{name: dotted, overview: dotted})
    found = {one.name: one for one in file_differences("case", before, other)}
    assert found[name].text == "differs in 1 of 64 pixels"
    assert (found[name].is_answer, found[overview].is_answer) == (True, False)


def test_files_that_only_one_has_or_that_were_changed(tmp_path: Path) -> None:
    data = {"case_r.png": b"1", "case_l.png": b"2", "case_mask.nii.gz": b"3", "x": b"4"}
    before = folder(tmp_path / "a", **data)
    (before.out / "case_l.png").unlink()
    (before.out / "case_mask.nii.gz").write_bytes(b"!")
    del data["case_r.png"]
    now = folder(tmp_path / "b", **data, **{"case_sr.dcm": b"5"})
    texts = {one.name: one.text for one in file_differences("case", before, now)}
    assert texts == {
        "case_r.png": "is not written now",
        "case_l.png": "is not there any more",
        "case_mask.nii.gz": "was changed since it was written",
        "case_sr.dcm": "was not written then",
    }
