"""Files and tables of an evaluation: documented, whole, with the notice everywhere."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rcc_onnx.errors import MissingExtraError, OutputError
from rcc_onnx.evaluate import require
from rcc_onnx.evaluate.cohort import PHANTOMS_ONLY, UNSUITABLE
from rcc_onnx.evaluate.figures import Evaluation, evaluate
from rcc_onnx.evaluate.masks import compare_masks
from rcc_onnx.evaluate.plots import write_plots
from rcc_onnx.evaluate.report import (
    FILES,
    notes,
    remove_old,
    write_file,
    write_json,
    write_tables,
)
from rcc_onnx.system.documents import read_document, schema
from rcc_onnx.types import RESEARCH_ONLY
from tests.support.cohorts import Answer, cohort_of, small_cohort, write_answer, write_labels
from tests.support.mask_files import kidneys, write_nifti
from tests.support.results import case_result

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "evaluate.md").read_text(encoding="utf-8")


def with_masks(folder: Path) -> Evaluation:
    """Return the evaluation of the small cohort, with masks of four cases."""
    out, labels = small_cohort(folder)
    references = folder / "reference"
    for case in ("a", "b"):
        write_nifti(out / f"{case}_mask.nii.gz", kidneys())
        write_nifti(references / f"{case}.nii.gz", kidneys(shift=2 if case == "b" else 0))
    write_nifti(out / "c_mask.nii.gz", kidneys())
    write_nifti(references / "c.nii.gz", kidneys() * 50)
    write_nifti(out / "f_mask.nii.gz", kidneys())
    masks = compare_masks("abcdef", out, references, None)
    return evaluate(cohort_of(out, labels), masks=masks)


def of_two(folder: Path, **changes: object) -> Evaluation:
    """Return the evaluation of two cases, one with a lesion; `changes` of their results."""
    for case, score in (("p", 120.0), ("q", 3.0)):
        write_answer(folder / "out", case, Answer(score), Answer(), **changes)
    rows = {("p", "right"): (1, 20.0), ("q", "right"): (0, None)}
    return evaluate(cohort_of(folder / "out", write_labels(folder / "labels.csv", rows)))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def properties(described: object) -> Iterator[str]:
    """Yield the names of all fields in a JSON Schema."""
    if isinstance(described, dict):
        yield from described.get("properties", {})
        for part in described.values():
            yield from properties(part)


def test_every_field_of_the_json_is_explained() -> None:
    text = PAGE + (DOCS / "outputs.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]*)`", text))))
    assert set(properties(schema(Evaluation))) - named == set()


def test_every_column_is_on_the_page(tmp_path: Path) -> None:
    write_tables(with_masks(tmp_path), tmp_path / "to")
    for path in (tmp_path / "to").glob("*.csv"):
        header = path.read_text().splitlines()[0].split(",")
        assert [name for name in header if f"`{name}`" not in PAGE] == [], path.name


def test_the_json(tmp_path: Path) -> None:
    written = with_masks(tmp_path)
    write_json(written, tmp_path / "new" / "e.json")
    data = (tmp_path / "new" / "e.json").read_bytes()
    assert read_document(Evaluation, data) == written
    document = json.loads(data)
    assert document["notice"] == RESEARCH_ONLY
    cohort = document["cohort"]
    assert cohort["labels"]["kidneys"] == len(cohort["kidneys"]) == 11
    assert sum(group["kidneys"] for group in cohort["groups"].values()) == 11
    assert cohort["groups"]["case_failed"] == {
        "kidneys": 2, "with_lesion": 1, "without_lesion": 1,
    }  # fmt: skip
    assert cohort["unlabelled_sides"] == [{"case": "f", "side": "left", "outcome": "lesion"}]
    figures = document["figures"]["all_labelled"]
    counts = figures["counts"]
    assert (counts["tp"], counts["fp"], counts["tn"], counts["fn"]) == (3, 1, 4, 3)
    assert counts["sensitivity"]["value"] == 0.5
    assert figures["auc"]["method"] == "DeLong"
    masks = document["masks"]
    assert masks["compared"] == ["a", "b"]
    assert masks["without_prediction"] == ["d", "e"]
    assert masks["without_reference"] == ["f"]
    assert [refused["code"] for refused in masks["refused"]] == ["mask-labels"]
    right = next(part for part in masks["structures"] if part["structure"] == "right kidney")
    assert right["cases"] == right["dice"]["of"] == 2
    assert right["dice"]["mean"] == pytest.approx((1 + 10 / 12) / 2)


def test_the_tables(tmp_path: Path) -> None:
    write_tables(with_masks(tmp_path), tmp_path / "to")
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


def test_names_that_are_not_utf_8_are_written_as_escapes(tmp_path: Path) -> None:
    """Python's text for the byte FC in a folder's name on Linux."""
    found = of_two(tmp_path)
    object.__setattr__(found.cohort.kidneys[0], "case", "M\udcfcller")
    write_tables(found, tmp_path / "to")
    assert "M\\udcfcller" in (tmp_path / "to" / "kidneys.csv").read_text(encoding="utf-8")


def test_every_file_has_the_notice(tmp_path: Path) -> None:
    study = replace(case_result().study, kind="digital-phantom")
    found = of_two(tmp_path, study=study)
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


def test_unsuitable_models_are_a_notice(tmp_path: Path) -> None:
    models = replace(case_result().models, suitable=False)
    assert of_two(tmp_path, models=models).notice == f"{RESEARCH_ONLY} {UNSUITABLE}"


def test_notes_on_masks_and_on_kidneys_of_one_kind(tmp_path: Path) -> None:
    write_answer(tmp_path / "out", "a", Answer(120.0), Answer())
    labels = write_labels(tmp_path / "labels.csv", {("a", "right"): (1, None)})
    swapped, missed = (
        np.array(table, np.uint8)[kidneys()] for table in ([0, 2, 1, 0], [0, 1, 2, 2])
    )
    for case, mask in (("a", swapped), ("b", missed)):
        write_nifti(tmp_path / "out" / f"{case}_mask.nii.gz", mask)
        write_nifti(tmp_path / "reference" / f"{case}.nii.gz", kidneys())
    masks = compare_masks("ab", tmp_path / "out", tmp_path / "reference", None)
    found = list(notes(evaluate(cohort_of(tmp_path / "out", labels), masks=masks)))
    assert "No AUC and no ROC: that takes kidneys with a lesion and kidneys without one." in found
    assert any(note.startswith("suspected lesion: 2 not predicted where") for note in found)
    assert any(note.startswith("warning: right and left look swapped") for note in found)
    assert found[-1] == RESEARCH_ONLY


def test_old_files_are_removed_and_others_kept(tmp_path: Path) -> None:
    for name in (*FILES, "mine.txt"):
        (tmp_path / name).write_text("old")
    remove_old(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "roc.png").mkdir()
    with pytest.raises(OutputError, match="cannot remove"):
        remove_old(tmp_path)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_json(of_two(tmp_path), tmp_path / "file" / "e.json")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def half(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_file(tmp_path / "a.csv", half)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_its_remedy() -> None:
    require("json", purpose="Nothing", alternative="no")
    with pytest.raises(MissingExtraError, match=r"Drawing needs no_such_thing.*rcc-onnx\[evaluate"):
        require("json", "no_such_thing", purpose="Drawing", alternative="go without")
