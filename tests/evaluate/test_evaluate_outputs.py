"""What an evaluation writes: JSON, CSV, plots; documented, whole, with the notice everywhere."""

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rcc_onnx.errors import MissingExtraError, OutputError
from rcc_onnx.evaluate.cohort import build_cohort
from rcc_onnx.evaluate.documents import PHANTOMS_ONLY, UNSUITABLE, Evaluation, evaluation_json
from rcc_onnx.evaluate.figures import evaluate_cohort
from rcc_onnx.evaluate.files import need, write_file
from rcc_onnx.evaluate.labels import read_labels
from rcc_onnx.evaluate.masks import compare_masks
from rcc_onnx.evaluate.plots import write_plots
from rcc_onnx.evaluate.results import read_results
from rcc_onnx.evaluate.tables import FILES, remove_old, write_json, write_tables
from rcc_onnx.types import RESEARCH_ONLY
from tests.support.cohorts import Answer, small_cohort, write_answer, write_labels
from tests.support.mask_files import kidneys, write_nifti
from tests.support.results import case_result

PAGE = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")


def evaluation(folder: Path, *, masks: bool = False) -> Evaluation:
    out, labels_file = small_cohort(folder)
    return evaluate(out, labels_file, folder / "reference" if masks else None)


def evaluate(out: Path, labels_file: Path, references: Path | None = None) -> Evaluation:
    labels, results = read_labels(labels_file), read_results(out)
    cohort = build_cohort(labels, results, allow_unlabelled=False, allow_missing=False)
    masks = None
    if references is not None:
        for case in ("a", "b"):
            write_nifti(out / f"{case}_mask.nii.gz", kidneys())
            write_nifti(references / f"{case}.nii.gz", kidneys(shift=2 if case == "b" else 0))
        write_nifti(out / "c_mask.nii.gz", kidneys())
        write_nifti(references / "c.nii.gz", kidneys() * 50)
        write_nifti(out / "f_mask.nii.gz", kidneys())
        masks = compare_masks(list(results.cases), out, references, None)
    return Evaluation(labels, cohort, evaluate_cohort(cohort), masks)


def phantoms(folder: Path) -> Evaluation:
    facts = case_result()
    study = type(facts.study)("digital-phantom", 44, 44, 44, 1, (5.0, 0.7, 0.7), ())
    for case, score in (("p", 120.0), ("q", 3.0)):
        write_answer(folder / "out", case, Answer(score), Answer(), study=study)
    rows = {("p", "right"): (1, 20.0), ("q", "right"): (0, None)}
    return evaluate(folder / "out", write_labels(folder / "labels.csv", rows))


def keys(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from keys(value)
    elif isinstance(document, list):
        for one in document:
            yield from keys(one)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_field_of_the_json_is_on_the_page(tmp_path: Path) -> None:
    document = evaluation_json(evaluation(tmp_path, masks=True))
    named = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]*)`", PAGE))))
    # The keys of `groups` and of `setup.sha256` are names, not fields.
    document["setup"]["sha256"] = {}
    assert set(keys(document)) - named == set()


def test_every_column_is_on_the_page(tmp_path: Path) -> None:
    write_tables(evaluation(tmp_path, masks=True), tmp_path / "to")
    for path in (tmp_path / "to").glob("*.csv"):
        header = path.read_text().splitlines()[0].split(",")
        assert [name for name in header if f"`{name}`" not in PAGE] == [], path.name


def test_the_json(tmp_path: Path) -> None:
    found = evaluation(tmp_path, masks=True)
    write_json(found, tmp_path / "new" / "e.json")
    document = json.loads((tmp_path / "new" / "e.json").read_text())
    assert document == evaluation_json(found)
    assert document["notice"] == RESEARCH_ONLY
    assert document["labels"]["kidneys"] == 11
    assert sum(one["kidneys"] for one in document["groups"].values()) == 11
    assert document["groups"]["case_failed"] == {
        "kidneys": 2, "with_lesion": 1, "without_lesion": 1,
    }  # fmt: skip
    assert len(document["not_assessable_kidneys"]) == 5
    assert document["failed_cases"] == ["e"]
    assert document["unlabelled_sides"] == [{"case": "f", "side": "left", "outcome": "lesion"}]
    figures = document["figures"]["all_labelled"]
    assert (figures["tp"], figures["fp"], figures["tn"], figures["fn"]) == (3, 1, 4, 3)
    assert figures["sensitivity"]["value"] == 0.5
    assert figures["auc"]["interval"] == "DeLong"
    masks = document["masks"]
    assert masks["compared"] == ["a", "b"]
    assert masks["without_prediction"] == ["d", "e"]
    assert masks["without_reference"] == ["f"]
    assert [one["code"] for one in masks["refused"]] == ["mask-labels"]
    right = next(one for one in masks["structures"] if one["structure"] == "right kidney")
    assert right["cases"] == right["dice"]["of"] == 2
    assert right["dice"]["mean"] == pytest.approx((1 + 10 / 12) / 2)


def test_the_tables(tmp_path: Path) -> None:
    write_tables(evaluation(tmp_path, masks=True), tmp_path / "to")
    assert {path.name for path in (tmp_path / "to").iterdir()} == {
        "evaluation.json", "evaluation.csv", "sweep.csv", "kidneys.csv", "masks.csv",
    }  # fmt: skip
    kidney_rows = rows_of(tmp_path / "to" / "kidneys.csv")
    assert len(kidney_rows) == 11
    assert kidney_rows[0] == {
        "case": "a", "side": "right", "lesion": "1", "size_mm": "15", "group": "assessable",
        "outcome": "lesion", "score": "120.0", "finding": "1", "counted_as": "TP", "why": "",
        "notice": RESEARCH_ONLY,
    }  # fmt: skip
    failed = next(row for row in kidney_rows if row["case"] == "e")
    assert (failed["outcome"], failed["score"], failed["counted_as"]) == ("", "", "FN")
    assert failed["why"] == "missing-slices"
    figures = {
        (row["population"], row["measure"]): row
        for row in rows_of(tmp_path / "to" / "evaluation.csv")
        if not row["lesion_size"]
    }
    assert figures["all labelled kidneys", "sensitivity"]["value"] == "0.5"
    assert figures["all labelled kidneys", "sensitivity"]["of"] == "6"
    assert figures["assessable kidneys", "tn"]["value"] == "2"
    sweep = rows_of(tmp_path / "to" / "sweep.csv")
    assert {row["population"] for row in sweep} == {"assessable kidneys", "all labelled kidneys"}
    at_run = [row for row in sweep if row["threshold"] == "50.0"]
    assert [(row["tp"], row["fp"]) for row in at_run] == [("2", "1"), ("3", "1")]
    assert len(rows_of(tmp_path / "to" / "masks.csv")) == 8


def test_names_that_are_no_utf_8_are_written_all_the_same(tmp_path: Path) -> None:
    """What Python makes of the byte FC in a folder's name on Linux."""
    found = evaluation(tmp_path)
    object.__setattr__(found.cohort.kidneys[0], "case", "M\udcfcller")
    write_tables(found, tmp_path / "to")
    assert "M\\udcfcller" in (tmp_path / "to" / "kidneys.csv").read_text(encoding="utf-8")


def test_every_file_says_what_it_is(tmp_path: Path) -> None:
    found = phantoms(tmp_path)
    write_plots(found, tmp_path / "to")
    write_tables(found, tmp_path / "to")
    assert {path.name for path in (tmp_path / "to").iterdir()} == set(FILES) - {"masks.csv"}
    notice = f"{RESEARCH_ONLY} {PHANTOMS_ONLY}"
    for path in (tmp_path / "to").iterdir():
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.text["Description"] == notice  # type: ignore[attr-defined]
                assert min(picture.size) > 1000
        else:
            assert notice in path.read_text(encoding="utf-8"), path.name
    for path in (tmp_path / "to").glob("*.csv"):
        assert {row["notice"] for row in rows_of(path)} == {notice}


def test_models_that_do_not_fit_are_told_everywhere(tmp_path: Path) -> None:
    models = type(case_result().models)("tiny", "1", {}, ("patient",), suitable=False)
    for case, score in (("p", 120.0), ("q", 3.0)):
        write_answer(tmp_path / "out", case, Answer(score), Answer(), models=models)
    rows = {("p", "right"): (1, 20.0), ("q", "right"): (0, None)}
    found = evaluate(tmp_path / "out", write_labels(tmp_path / "labels.csv", rows))
    assert found.notices == (RESEARCH_ONLY, UNSUITABLE)


def test_plots_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    found = evaluation(tmp_path)
    for folder in ("one", "other"):
        assert len(write_plots(found, tmp_path / folder)) == 4
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_plots_touch_nothing_global(tmp_path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415

    before = dict(mpl.rcParams)
    write_plots(evaluation(tmp_path), tmp_path / "to")
    assert dict(mpl.rcParams) == before
    import sys  # noqa: PLC0415

    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


@pytest.mark.parametrize("lesion", [0, 1])
def test_kidneys_of_one_kind_have_no_roc(tmp_path: Path, lesion: int) -> None:
    write_answer(tmp_path / "out", "a", Answer(120.0), Answer(None))
    rows = {("a", "right"): (lesion, None), ("a", "left"): (lesion, None)}
    found = evaluate(tmp_path / "out", write_labels(tmp_path / "labels.csv", rows))
    names = {path.name for path in write_plots(found, tmp_path / "to")}
    assert names == {"scores.png", "scores.svg"}
    write_tables(found, tmp_path / "to")
    document = json.loads((tmp_path / "to" / "evaluation.json").read_text())
    assert document["figures"]["all_labelled"]["auc"] is None
    side = "sensitivity" if lesion == 0 else "specificity"
    assert document["figures"]["all_labelled"][side]["value"] is None


def test_plots_of_odd_scores(tmp_path: Path) -> None:
    """No assessable kidney, a score of 0, a threshold of 0."""
    from rcc_onnx.types import Thresholds  # noqa: PLC0415

    write_answer(
        tmp_path / "out", "a", Answer(0.0, assessable=False), Answer(None),
        thresholds=Thresholds(1000, 0),
    )  # fmt: skip
    rows = {("a", "right"): (1, 3.0), ("a", "left"): (0, None)}
    found = evaluate(tmp_path / "out", write_labels(tmp_path / "labels.csv", rows))
    assert len(write_plots(found, tmp_path / "to")) == 4
    write_tables(found, tmp_path / "to")
    assert not math.isnan(found.figures.all_labelled.auc.value)  # type: ignore[union-attr]


def test_old_files_go_and_others_stay(tmp_path: Path) -> None:
    for name in (*FILES, "mine.txt"):
        (tmp_path / name).write_text("old")
    remove_old(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "roc.png").mkdir()
    with pytest.raises(OutputError, match="cannot remove"):
        remove_old(tmp_path)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_json(evaluation(tmp_path), tmp_path / "file" / "e.json")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    def half(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_file(tmp_path / "a.csv", half)
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_not_there() -> None:
    need("json", why="Nothing", instead="no")
    with pytest.raises(MissingExtraError, match=r"Drawing needs no_such_thing.*rcc-onnx\[evaluate"):
        need("json", "no_such_thing", why="Drawing", instead="go without")
