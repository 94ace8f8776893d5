"""`rcc-onnx verify OUT --reproduce CASE`: the comparison, and a case analysed again."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom.uid import RLELossless
from typer.testing import CliRunner

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import BatchConfig, run_batch
from rcc_onnx.bundles.data_folder import MODELS_VARIABLE
from rcc_onnx.cli.app import app
from rcc_onnx.diagnostics.verify.report import reproduction_lines
from rcc_onnx.diagnostics.verify.reproduce import (
    MEASURE_TOLERANCE,
    SUM_TOLERANCE,
    FileDifference,
    Verdict,
    compare,
    compare_files,
    reproduce,
)
from rcc_onnx.errors import ProviderError
from rcc_onnx.options import InferenceOptions, save_kinds
from rcc_onnx.output.document import read_case
from rcc_onnx.phantom import make_study
from rcc_onnx.results import CaseResult, Fingerprint, WrittenFile
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.system.files import size_and_sha256
from rcc_onnx.types import ProviderName
from tests.support.errors import raises_code
from tests.support.results import measured_case
from tests.support.tiny_networks import tiny_model, write_bundle

Json = dict[str, Any]

# --- Comparison of documents ---------------------------------------------------------------------

BEFORE = replace(measured_case(), fingerprint=Fingerprint("a" * 64, "b" * 64)).without_images()
LESION = 120.25
KIDNEY = 4000.5


def edited(change: Callable[[Json], object], result: CaseResult = BEFORE) -> CaseResult:
    """The result whose document was changed."""
    document = json.loads(document_bytes(result))
    change(document)
    found = read_case(document_bytes(document))
    assert isinstance(found, CaseResult)
    return found


def setting(path: str, value: Any, result: CaseResult = BEFORE) -> CaseResult:
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]

    def change(document: Json) -> None:
        inside: Any = document
        for key in parents:
            inside = inside[key]
        assert inside[last] != value
        inside[last] = value

    return edited(change, result)


def test_times_are_not_a_difference() -> None:
    now = setting("timings_s.total", 99.0)
    now = replace(now, files=(WrittenFile("case_r.png", 1, "c" * 64),))
    found = compare(BEFORE, now)
    assert found.verdict is Verdict.IDENTICAL
    assert found.setup == found.packaging == found.numbers == found.answers == ()


@pytest.mark.parametrize(
    ("group", "path", "value"),
    [
        ("answers", "sides.right.sensitivity.outcomes.2", "lesion"),
        ("answers", "sides.right.lesion.box.slice", 18),
        ("answers", "sides.right.lesion.margin.borderline", True),
        ("answers", "sides.left.kidney.centre_zyx.0", 22),
        ("answers", "sides.right.lesion.measures.longest_axial_diameter.mm", 31.5),
        ("answers", "sides.right.lesion.measures.parts", 2),
        ("answers", "study.images_sha256", "c" * 64),
        ("answers", "study.spacing_zyx_mm.0", 5.001),
        ("answers", "study.kind", "digital-phantom"),
        ("answers", "models.name", "another"),
        ("answers", "thresholds.lesion", 60.0),
        ("answers", "options.mask_cutoff", 0.4),
        ("answers", "intake.flip_rows", True),
        ("answers", "warnings", ["another"]),
        ("answers", "notice", "another"),
        ("setup", "environment.processor", "another"),
        ("setup", "environment.packages.numpy", "1.0"),
        ("setup", "provider.ran", "cuda"),
        ("setup", "provider.threads", 9),
        ("setup", "provider.variants.kidney", "cpu"),
        ("setup", "options.provider", "cuda"),
        ("setup", "models.sha256.kidney", "c" * 64),
        ("setup", "rcc_onnx_version", "99"),
        ("setup", "fingerprint.settings_sha256", "c" * 64),
        ("packaging", "intake.first", "x.dcm"),
        ("packaging", "fingerprint.inputs_sha256", "f" * 64),
        ("packaging", "study.skipped_files", []),
    ],
)
def test_answers_make_a_difference_but_neither_the_machine_nor_the_packaging(
    group: str, path: str, value: Any
) -> None:
    verdict = Verdict.DIFFERENT if group == "answers" else Verdict.IDENTICAL
    now = setting(path, value)
    elsewhere = setting("environment.processor", "elsewhere", now)
    for found in (compare(BEFORE, now), compare(BEFORE, elsewhere)):
        assert found.verdict is verdict
        fields = [difference.field for difference in getattr(found, group)]
        assert any(field.replace("[", ".").replace("]", "").startswith(path) for field in fields)
        assert found.same_files is (path != "fingerprint.inputs_sha256")


def test_another_outcome_is_a_difference() -> None:
    now = replace(BEFORE, sides={"right": BEFORE.sides["left"], "left": BEFORE.sides["left"]})
    found = compare(BEFORE, replace(now, flags=BEFORE.flags))
    assert found.verdict is Verdict.DIFFERENT
    assert "sides.right.outcome" in {difference.field for difference in found.answers}


@pytest.mark.parametrize(
    ("part", "verdict"), [(0.9, Verdict.SAME), (-0.9, Verdict.SAME), (1.1, Verdict.DIFFERENT)]
)
def test_sums_may_move_within_the_tolerance(part: float, verdict: Verdict) -> None:
    def move(document: Json) -> None:
        for network, total in (("kidney", KIDNEY), ("lesion", LESION)):
            moved, difference = document["sides"]["right"][network], part * SUM_TOLERANCE * total
            moved["probability_sum"] += difference
            moved["margin"]["absolute"] += difference
            moved["margin"]["relative"] += difference / document["thresholds"][network]

    found = compare(BEFORE, edited(move))
    assert found.verdict is verdict
    if verdict is Verdict.SAME:
        assert found.largest_sum_difference == pytest.approx(0.9 * SUM_TOLERANCE)
        assert len(found.numbers) == 6
    else:
        assert found.largest_sum_difference == 0


@pytest.mark.parametrize(("part", "verdict"), [(0.9, Verdict.SAME), (1.1, Verdict.DIFFERENT)])
def test_a_relative_margin_may_move_as_its_sum_may(part: float, verdict: Verdict) -> None:
    moved = 1.405 + part * SUM_TOLERANCE * LESION / 50
    now = setting("sides.right.lesion.margin.relative", moved)
    assert compare(BEFORE, now).verdict is verdict
    now = setting("sides.right.lesion.margin.relative", None)
    assert compare(BEFORE, now).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("field", "value"), [("precision", "int8"), ("precision", "float16"), ("ran", "openvino-npu")]
)
def test_fewer_bits_may_move_sums_further(field: str, value: str) -> None:
    path = "sides.right.lesion.probability_sum"
    now = setting(path, LESION * 1.015)
    assert compare(BEFORE, now).verdict is Verdict.DIFFERENT
    now = setting(f"provider.{field}", value, now)
    found = compare(BEFORE, now)
    assert found.verdict is Verdict.SAME
    assert found.sum_tolerance > SUM_TOLERANCE
    assert compare(now, BEFORE).verdict is Verdict.SAME
    assert compare(BEFORE, setting(path, LESION * 1.025, now)).verdict is Verdict.DIFFERENT


def test_a_small_sum_is_compared_with_its_threshold() -> None:
    path = "sides.left.lesion.probability_sum"
    assert compare(BEFORE, setting(path, 1.5 + 0.04)).verdict is Verdict.SAME
    assert compare(BEFORE, setting(path, 1.5 + 0.06)).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("path", "near", "far"),
    [
        ("sides.right.lesion.measures.volume_ml", 21.6, 22.0),
        ("sides.right.kidney.measures.mean_hu", 173.0, 175.0),
        ("sides.right.lesion.measures.centre_lps_mm.2", 5.55, 5.7),
        ("sides.left.sensitivity.kidney_volumes_ml.0", 152.4, 155.0),
    ],
)
def test_measurements_may_move_within_the_tolerance(path: str, near: float, far: float) -> None:
    found = compare(BEFORE, setting(path, near))
    assert (found.verdict, found.measure_tolerance) == (Verdict.SAME, MEASURE_TOLERANCE)
    assert compare(BEFORE, setting(path, far)).verdict is Verdict.DIFFERENT


def test_a_measurement_that_only_one_has_is_a_difference() -> None:
    now = setting("sides.right.kidney.measures.mean_hu", None)
    assert compare(BEFORE, now).verdict is Verdict.DIFFERENT
    assert compare(now, BEFORE).verdict is Verdict.DIFFERENT


def test_other_bytes_are_a_difference_unless_numbers_or_the_setup_explain_them() -> None:
    files = (FileDifference("x.nii.gz", "has other bytes", is_answer=False),)
    assert compare(BEFORE, BEFORE, files).verdict is Verdict.DIFFERENT
    now = setting("provider.ran", "cuda")
    assert compare(BEFORE, now, files).verdict is Verdict.SAME
    picture = (FileDifference("x_r.png", "differs", is_answer=True),)
    assert compare(BEFORE, now, picture).verdict is Verdict.DIFFERENT


def test_the_verdict_names_the_tolerance_and_the_likely_cause() -> None:
    now = setting("sides.left.lesion.probability_sum", 1.51)
    *_, last = reproduction_lines(compare(BEFORE, now))
    assert "differ by at most 2.0e-04 of themselves, where 0.001 is accepted" in last
    assert last.endswith("Nothing that the documents state explains it")
    now = setting("environment.processor", "another", now)
    *_, last = reproduction_lines(compare(BEFORE, now))
    assert last.endswith("Likely cause: different CPU (floating-point summation order)")


def test_only_so_many_fields_are_shown() -> None:
    now = setting("sides.right.lesion.box.slice", 18)
    found = compare(BEFORE, now)
    lines = list(reproduction_lines(replace(found, answers=found.answers * 25)))
    assert "note: no usable SHA256SUMS lists the case's JSON" in lines
    shown = [line for line in lines if line.startswith("DIFFERS: ")]
    assert shown[0] == "DIFFERS: sides.right.lesion.box.slice: 17 then, 18 now"
    assert shown[-1] == "DIFFERS: 5 more fields; --json has all"


# --- Comparison of files -------------------------------------------------------------------------


def folder_of(path: Path, **files: bytes) -> tuple[CaseResult, Path]:
    """A result with these files, and the folder that holds them."""
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
    written = tuple(WrittenFile(name, *size_and_sha256(path / name)) for name in files)
    return replace(BEFORE, files=written), path


def picture(path: Path, *, note: str = "", dot: int = 0, size: int = 8) -> bytes:
    pixels = np.zeros((size, 8, 3), np.uint8)
    pixels[2, 3] = dot
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", note)
    Image.fromarray(pixels).save(path, pnginfo=notes)
    return path.read_bytes()


def test_pictures_are_compared_by_pixels(tmp_path: Path) -> None:
    plain, noted = (picture(tmp_path / "x.png", note=note) for note in ("", "other text"))
    dotted, larger = picture(tmp_path / "x.png", dot=9), picture(tmp_path / "x.png", size=9)
    name, overview = "case_r.png", "case_overview.png"
    before = folder_of(tmp_path / "a", **{name: plain, overview: plain})
    same = folder_of(tmp_path / "b", **{name: noted, overview: plain})
    assert list(compare_files("case", before, same)) == []
    other = folder_of(tmp_path / "c", **{name: dotted, overview: larger})
    found = {difference.file: difference for difference in compare_files("case", before, other)}
    assert found[name].text == "differs in 1 of 64 pixels"
    assert found[overview].text == "has another size"
    assert (found[name].is_answer, found[overview].is_answer) == (True, False)
    broken = folder_of(tmp_path / "d", **{name: b"x", overview: plain})
    (difference,) = compare_files("case", before, broken)
    assert difference.text == "cannot be read as a picture"


def test_files_that_only_one_has_or_that_were_changed(tmp_path: Path) -> None:
    data = {"case_r.png": b"1", "case_l.png": b"2", "case_mask.nii.gz": b"3", "x": b"4"}
    before, out = folder_of(tmp_path / "a", **data)
    (out / "case_l.png").unlink()
    (out / "case_mask.nii.gz").write_bytes(b"!")
    del data["case_r.png"]
    now = folder_of(tmp_path / "b", **data, **{"case_sr.dcm": b"5"})
    found = list(compare_files("case", (before, out), now))
    assert all(difference.is_answer for difference in found)
    texts = {difference.file: difference.text for difference in found}
    assert texts == {
        "case_r.png": "is not written now",
        "case_l.png": "is not there any more",
        "case_mask.nii.gz": "was changed since it was written",
        "case_sr.dcm": "was not written then",
    }


# --- A case analysed again -----------------------------------------------------------------------

CASE = "one"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two studies, a bundle that is found by name, and results of one study."""
    home = tmp_path_factory.mktemp("home")
    make_study(1, home / "study", quick=True)
    make_study(2, home / "other", quick=True)
    write_bundle(home / "models" / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_VARIABLE, str(home / "models"))
        analyse(home, home / "out")
        yield home


def analyse(home: Path, out: Path, *saves: str, hide_names: bool = False) -> None:
    options = InferenceOptions(
        provider=ProviderName.CPU,
        threads=1,
        lesion_threshold=1,
        borderline=0.2,
        save=save_kinds(saves),
    )
    cases = [Case(CASE, home / "study", hide_names), Case("bad", home / "models")]
    run_batch(cases, BatchConfig(out, options, "tiny"))


@pytest.fixture
def out(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "out", tmp_path / "out")


def edit(out: Path, **changes: Any) -> None:
    path = out / f"{CASE}.json"
    document = json.loads(path.read_bytes())
    for name, value in changes.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(document))


def test_the_same_again(home: Path, tmp_path: Path) -> None:
    analyse(home, tmp_path, "all")
    assert (tmp_path / f"{CASE}_sr.dcm").is_file()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path, *tmp_path.rglob("*"))}
    stages: list[str] = []
    made = reproduce(
        tmp_path, CASE, home / "study", on_progress=lambda stage, _: stages.append(stage)
    )
    assert made.verdict is Verdict.IDENTICAL
    assert (made.case, made.same_files, made.as_listed) == (CASE, True, True)
    assert made.setup == made.numbers == made.files == ()
    assert "kidney_network" in stages
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(ProviderError):
        reproduce(tmp_path, CASE, home / "study", provider=ProviderName.TENSORRT)


def test_other_files_with_the_same_images(home: Path, out: Path, tmp_path: Path) -> None:
    for path in sorted((home / "study").iterdir()):
        image = pydicom.dcmread(path)
        image.compress(RLELossless, generate_instance_uid=False)
        (tmp_path / "packed").mkdir(exist_ok=True)
        image.save_as(tmp_path / "packed" / f"x{path.name}")
    made = reproduce(out, CASE, tmp_path / "packed")
    assert not made.same_files
    assert made.verdict is Verdict.IDENTICAL
    fields = {difference.field for difference in made.packaging}
    assert {"intake.first", "intake.transfer_syntax", "fingerprint.inputs_sha256"} <= fields


def test_another_answer_in_the_document(home: Path, out: Path) -> None:
    document = json.loads((out / f"{CASE}.json").read_bytes())
    document["sides"]["right"]["kidney"]["probability_sum"] *= 1.01
    edit(
        out,
        sides=document["sides"],
        options={"lesion_threshold": 2.0},
        environment={"processor": "of a museum"},
        rcc_onnx_version="0.0.9",
    )
    (out / "SHA256SUMS").write_bytes(b"damaged")
    made = reproduce(out, CASE, home / "study")
    assert (made.verdict, made.as_listed) == (Verdict.DIFFERENT, None)
    answers = {difference.field for difference in made.answers}
    # The options are those of the document.
    assert {"sides.right.kidney.probability_sum", "thresholds.lesion"} <= answers
    setup = {difference.field for difference in made.setup}
    assert {"rcc_onnx_version", "environment.processor"} <= setup


def test_a_picture_that_was_changed(home: Path, out: Path) -> None:
    (out / f"{CASE}_overview.png").write_bytes(b"x")
    assert reproduce(out, CASE, home / "study").verdict is Verdict.DIFFERENT


def test_the_bundle_is_found_by_its_hashes(home: Path, out: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(home / "models" / "tiny", tmp_path / "elsewhere")
    study = home / "study"
    assert reproduce(out, CASE, study, models=str(moved)).verdict is Verdict.IDENTICAL
    data = tiny_model("kidney", seed=7).SerializeToString()
    other = write_bundle(tmp_path / "other", {"kidney": data})
    with raises_code("other-models", match="is another one"):
        reproduce(out, CASE, study, models=str(other))
    edit(out, models={"version": "2.0.0"})
    with raises_code("other-models", match=r"tiny 2\.0\.0 .* not installed \(installed: .*tiny"):
        reproduce(out, CASE, study)


def test_what_cannot_be_reproduced(home: Path, out: Path) -> None:
    study = home / "study"
    with raises_code("check-folder"):
        reproduce(out / "nowhere", CASE, study)
    with raises_code("reproduce-input", match="no paths on purpose"):
        reproduce(out, CASE, None)
    for name in ("two", "../out/one", "", "results"):
        with raises_code("reproduce-case"):
            reproduce(out, name, study)
    with raises_code("reproduce-case", match="failed then"):
        reproduce(out, "bad", study)
    with raises_code("no-dicom"):
        reproduce(out, CASE, out / ".report")
    with raises_code("other-images"):
        reproduce(out, CASE, home / "other")
    shutil.copy(out / f"{CASE}.json", out / "copy.json")
    with raises_code("reproduce-case", match="renamed"):
        reproduce(out, "copy", study)


@pytest.mark.parametrize("damage", [{"provider": "abacus"}, {"threads": 0}, None])
def test_a_document_with_impossible_options_is_refused(
    damage: object, home: Path, out: Path
) -> None:
    edit(out, options=damage)
    with raises_code("reproduce-case", match="was changed"):
        reproduce(out, CASE, home / "study")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_a_case_whose_name_is_not_utf8(home: Path, tmp_path: Path) -> None:
    name = "M\udcfcller"
    options = InferenceOptions(provider=ProviderName.CPU)
    run_batch([Case(name, home / "study")], BatchConfig(tmp_path, options, "tiny"))
    assert reproduce(tmp_path, name, home / "study").verdict is Verdict.IDENTICAL
    (tmp_path / f"{name}_overview.png").write_bytes(b"x")
    assert reproduce(tmp_path, name, home / "study").verdict is Verdict.DIFFERENT


def test_names_stay_hidden(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    analyse(home, out, hide_names=True)
    secret = shutil.copytree(home / "study", tmp_path / "DOE_JOHN")
    assert reproduce(out, CASE, secret).verdict is Verdict.IDENTICAL
    assert json.loads((out / f"{CASE}.json").read_bytes())["intake"]["first"] == "file-000001"
    (secret / "001.dcm").write_bytes((secret / "001.dcm").read_bytes()[:-100])
    run = CliRunner().invoke(app, ["verify", str(out), "--reproduce", CASE, "--input", str(secret)])
    assert run.exit_code == 2
    assert "file-000001" in run.output
    assert "DOE" not in run.output


def test_the_command(home: Path, out: Path) -> None:
    def command(*options: str) -> Any:
        more = ["--reproduce", CASE, "--input", str(home / "study"), *options]
        return CliRunner().invoke(app, ["verify", str(out), *more])

    run = command()
    assert (run.exit_code, f"{CASE}: IDENTICAL apart from times" in run.output) == (0, True)
    edit(out, notice="none")
    run = command()
    assert run.exit_code == 1
    assert "note: the case's JSON was changed" in run.output
    assert f"{CASE}: DIFFERENT" in run.output
    run = command("--json")
    assert run.exit_code == 1
    document = json.loads(run.output)
    assert document["verdict"] == "different"
    (answer,) = document["answers"]
    assert (answer["field"], answer["before"]) == ("notice", "none")
    assert document["as_listed"] is False
