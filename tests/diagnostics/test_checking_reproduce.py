"""`rcc-onnx verify OUT --reproduce CASE`."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import RLELossless
from typer.testing import CliRunner

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import case_work, cases_in_this_process
from rcc_onnx.bundles.data_folder import MODELS_VARIABLE
from rcc_onnx.cli.app import app
from rcc_onnx.diagnostics.verify import Verdict, reproduce
from rcc_onnx.engine import Options
from rcc_onnx.errors import ProviderError
from rcc_onnx.options import Save, Saving
from rcc_onnx.output.run import RunFiles
from rcc_onnx.phantom import make_study
from rcc_onnx.results import MeasuringOptions
from rcc_onnx.types import ProviderName
from tests.support.errors import raises_code
from tests.support.tiny_networks import tiny_model, write_bundle

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


def analyse(home: Path, out: Path, saves: Sequence[Save] = (), *, hide_names: bool = False) -> None:
    saving = Saving.of(saves)
    options = Options(
        provider=ProviderName.CPU,
        threads=1,
        lesion_threshold=1,
        measuring=MeasuringOptions(borderline=0.2),
    )
    work = case_work("tiny", options, out, saving)
    cases = [Case(CASE, home / "study", hide_names), Case("bad", home / "out")]
    with RunFiles(options, cases, out, saving) as run:
        for ended in cases_in_this_process(work, cases, lambda *_: None):
            run.add(ended.result)


@pytest.fixture
def out(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "out", tmp_path / "out")


def edit(out: Path, **changes: Any) -> None:
    path = out / f"{CASE}.json"
    document = json.loads(path.read_bytes())
    for name, value in changes.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(document))


def test_the_same_again(home: Path, out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))}
    made = reproduce(out, CASE, home / "study")
    assert made.comparison.verdict is Verdict.IDENTICAL
    assert made.same_files
    assert made.as_listed
    assert made.comparison.setup == made.comparison.numbers == made.comparison.files == ()
    assert {path: path.stat().st_mtime_ns for path in (out, *out.rglob("*"))} == before


def test_the_same_again_with_every_file(home: Path, tmp_path: Path) -> None:
    analyse(home, tmp_path, [Save.ALL])
    made = reproduce(tmp_path, CASE, home / "study")
    assert made.comparison.verdict is Verdict.IDENTICAL
    assert (tmp_path / f"{CASE}_sr.dcm").is_file()


def test_other_files_with_the_same_images(home: Path, out: Path, tmp_path: Path) -> None:
    for path in sorted((home / "study").iterdir()):
        image = pydicom.dcmread(path)
        image.compress(RLELossless, generate_instance_uid=False)
        (tmp_path / "packed").mkdir(exist_ok=True)
        image.save_as(tmp_path / "packed" / f"x{path.name}")
    made = reproduce(out, CASE, tmp_path / "packed")
    assert not made.same_files
    assert made.comparison.verdict is Verdict.IDENTICAL
    fields = {one.field for one in made.comparison.packaging}
    assert {"intake.first", "intake.transfer_syntax", "fingerprint.inputs_sha256"} <= fields


def test_other_images(home: Path, out: Path) -> None:
    with raises_code("other-images"):
        reproduce(out, CASE, home / "other")


def test_another_answer_in_the_document(home: Path, out: Path) -> None:
    document = json.loads((out / f"{CASE}.json").read_bytes())
    document["sides"]["right"]["kidney"]["probability_sum"] *= 1.01
    edit(out, sides=document["sides"])
    made = reproduce(out, CASE, home / "study")
    assert made.as_listed is False
    assert made.comparison.verdict is Verdict.DIFFERENT
    assert [one.field for one in made.comparison.answers] == ["sides.right.kidney.probability_sum"]


def test_a_picture_that_was_changed(home: Path, out: Path) -> None:
    (out / f"{CASE}_overview.png").write_bytes(b"x")
    made = reproduce(out, CASE, home / "study")
    assert made.comparison.verdict is Verdict.DIFFERENT


def test_options_are_those_of_the_document(home: Path, out: Path) -> None:
    edit(out, options={"lesion_threshold": 2.0})
    comparison = reproduce(out, CASE, home / "study").comparison
    assert "thresholds.lesion" in {one.field for one in comparison.answers}


def test_another_machine_is_said_and_the_result_is_identical(home: Path, out: Path) -> None:
    edit(out, environment={"processor": "of a museum"}, rcc_onnx_version="0.0.9")
    comparison = reproduce(out, CASE, home / "study").comparison
    assert comparison.verdict is Verdict.IDENTICAL
    fields = [one.field for one in comparison.setup]
    assert fields == ["rcc_onnx_version", "environment.processor"]


def test_the_bundle_is_found_by_its_hashes(home: Path, out: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(home / "models" / "tiny", tmp_path / "elsewhere")
    study = home / "study"
    assert reproduce(out, CASE, study, models=str(moved)).comparison.verdict is Verdict.IDENTICAL
    data = tiny_model("kidney", seed=7).SerializeToString()
    other = write_bundle(tmp_path / "other", {"kidney": data})
    with raises_code("other-models", match="is another one"):
        reproduce(out, CASE, study, models=str(other))
    edit(out, models={"version": "2.0.0"})
    with raises_code("other-models", match=r"tiny 2\.0\.0 .* not installed \(installed: .*tiny"):
        reproduce(out, CASE, study)


def test_a_provider_that_cannot_run(home: Path, out: Path) -> None:
    with pytest.raises(ProviderError):
        reproduce(out, CASE, home / "study", provider=ProviderName.TENSORRT)


def test_what_cannot_be_made_again(home: Path, out: Path) -> None:
    study = home / "study"
    with raises_code("reproduce-input", match="no paths on purpose"):
        reproduce(out, CASE, None)
    for name in ("two", "../out/one", "", "results"):
        with raises_code("reproduce-case"):
            reproduce(out, name, study)
    with raises_code("reproduce-case", match="failed then"):
        reproduce(out, "bad", study)
    with raises_code("no-dicom"):
        reproduce(out, CASE, out / ".report")
    edit(out, options=None)
    with raises_code("reproduce-case", match="does not state"):
        reproduce(out, CASE, study)
    for damage in ({"provider": "abacus"}, {"threads": 0}, {"threads": "x"}, {"save": ["gold"]}):
        shutil.copy(home / "out" / f"{CASE}.json", out)
        edit(out, options=damage)
        with raises_code("reproduce-case", match="none that there are"):
            reproduce(out, CASE, study)
    (out / f"{CASE}.json").write_bytes(b"[]")
    with raises_code("reproduce-case", match="was changed"):
        reproduce(out, CASE, study)


def test_names_stay_hidden(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    analyse(home, out, hide_names=True)
    secret = shutil.copytree(home / "study", tmp_path / "DOE_JOHN")
    made = reproduce(out, CASE, secret)
    assert made.comparison.verdict is Verdict.IDENTICAL
    assert json.loads((out / f"{CASE}.json").read_bytes())["intake"]["first"] == "file-000001"
    (secret / "001.dcm").write_bytes((secret / "001.dcm").read_bytes()[:-100])
    run = CliRunner().invoke(app, ["verify", str(out), "--reproduce", CASE, "--input", str(secret)])
    assert run.exit_code == 2
    assert "file-000001" in run.output
    assert "DOE" not in run.output


def test_the_command(home: Path, out: Path) -> None:
    arguments = ["verify", str(out), "--reproduce", CASE, "--input", str(home / "study")]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0
    assert f"{CASE}: IDENTICAL apart from times" in run.output
    edit(out, profile="notebook")
    run = CliRunner().invoke(app, [*arguments, "--json"])
    assert run.exit_code == 1
    document = json.loads(run.output)
    assert document["verdict"] == "different"
    assert document["answers"] == [{"field": "profile", "before": "notebook", "now": "standard"}]
    assert document["as_listed"] is False
