"""The report as text: that it holds what it should, and that nothing in it can do harm."""

import base64
import hashlib
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rcc_onnx.errors import SeveralSeriesError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output import html as report_module
from rcc_onnx.output.html import row_of, write_report
from rcc_onnx.output.html.case_images import (
    SHEET_BYTES,
    case_images_name,
    label_runs,
    read_case_images,
)
from rcc_onnx.results import AnalysedCase, ErrorRecord, FailedCase
from rcc_onnx.types import RESEARCH_ONLY, Note, Outcome, Profile, SkippedFile
from tests.support.positioned_cases import SHAPE, placed_case
from tests.support.results import (
    INTAKE,
    LESION_MEASURES,
    MEASURED_SIDES,
    SERIES,
    case_result,
    failed_case,
    measured,
)
from tests.support.runs import write_case
from tests.support.truths import two_kidneys

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{ 7*7 }}</template>"
CASE_BYTES = 450_000
"""What one case may cost in the report."""


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> AnalysedCase:
    return placed_case(tmp_path_factory.mktemp("placed") / "case")


class PixelObserver(HTMLParser):
    """Tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem:
            self.raw.append((self.cdata_elem, data))
        else:
            self.text.append(data)

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def report(out: Path, *results: AnalysedCase | FailedCase, planned: int = 0) -> str:
    for result in results:
        write_case(result, out)
    write_report(results, out, planned or len(results), out / "report.html")
    return (out / "report.html").read_text(encoding="utf-8")


def evil_case() -> AnalysedCase:
    flag = Note(EVIL, EVIL)
    result = case_result(
        EVIL.replace("/", "\u2215"),
        warnings=(EVIL,),
        flags=(flag,),
        intake=replace(
            INTAKE,
            chosen=replace(SERIES, description=EVIL, contrast=EVIL, kernel=EVIL, label=EVIL),
            chosen_because=EVIL,
            other_series=(replace(SERIES, description=EVIL, reason=EVIL, verdict=EVIL),),
            warnings=(flag,),
            order=EVIL,
            patient_position=EVIL,
        ),
        measured=True,
        sides=MEASURED_SIDES,
    )
    study = replace(result.study, skipped_files=(SkippedFile(EVIL, EVIL),))
    models = replace(result.models, name=EVIL, version=EVIL)
    provider = replace(result.provider, reason=EVIL)
    return replace(result, study=study, models=models, provider=provider)


def test_whatever_is_written_stays_text(tmp_path: Path) -> None:
    series = (replace(SERIES, description=EVIL, reason=EVIL),)
    error = ErrorRecord.of(SeveralSeriesError(EVIL, series))
    failed = failed_case("<b>failed", error=error)
    harmless_case = case_result(measured=True, sides=MEASURED_SIDES)
    harmless = PixelObserver(report(tmp_path, harmless_case, failed_case()))
    text = report(tmp_path, evil_case(), failed)
    seen = PixelObserver(text)
    assert {tag for tag, _ in seen.tags} == {tag for tag, _ in harmless.tags}
    assert sum(tag == "script" for tag, _ in seen.tags) == 1
    assert not any(name.startswith("on") for _, attrs in seen.tags for name in attrs)
    assert "style" not in {name for _, attrs in seen.tags for name in attrs}
    assert "".join(seen.text).count("{{ 7*7 }}") > 10
    assert sum(EVIL in text for text in seen.attributes("data-flags")) == 1


def test_the_policy_lets_in_only_what_is_there(tmp_path: Path, placed: AnalysedCase) -> None:
    seen = PixelObserver(report(tmp_path, placed))
    policy = next(
        attrs["content"]
        for _, attrs in seen.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    hashes = {
        tag: "'sha256-" + base64.b64encode(hashlib.sha256(data.encode()).digest()).decode() + "'"
        for tag, data in seen.raw
        if not data.startswith("{")
    }
    assert rules["script-src"] == hashes["script"]
    assert rules["style-src"] == hashes["style"]


def test_nothing_is_asked_of_the_network(tmp_path: Path, placed: AnalysedCase) -> None:
    text = report(tmp_path, placed, case_result("other"), failed_case())
    seen = PixelObserver(text)
    assert all(src.startswith("data:image/webp;base64,") for src in seen.attributes("src"))
    assert all(href.startswith(("#", "data:")) for href in seen.attributes("href"))
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_it_says_what_a_reader_must_know(tmp_path: Path, placed: AnalysedCase) -> None:
    wrong = replace(placed, warnings=("the models mean nothing here",))
    words = "".join(PixelObserver(report(tmp_path, wrong, failed_case())).text)
    for part in (
        RESEARCH_ONLY,
        "the models mean nothing here",
        "does not rule out disease",
        "missing-slices",
        "slices are missing",
        "a" * 64,
        "took cpu",
        "it is the only suitable series",
        f"{placed.sides['right'].lesion_measures.volume_ml:.1f}",
        "Slices are thick.",
    ):
        assert part in words
    assert "ended after" not in words


def test_a_run_that_was_broken_off_says_so(tmp_path: Path) -> None:
    assert "ended after 1 of 5 cases" in report(tmp_path, failed_case(), planned=5)


def test_cases_without_images_and_without_files(tmp_path: Path) -> None:
    options = InferenceOptions(profile=Profile.NOTEBOOK)
    notebook = case_result("notebook", options=options, intake=None)
    write_report([notebook], tmp_path, 2, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "knows no positions" in text
    assert "ended after 1 of 2" in text
    write_report([], tmp_path, 2, tmp_path / "report.html")


def test_names_that_are_no_utf_8_do_no_harm(tmp_path: Path) -> None:
    # What Python makes of the byte FC, a u with dots in Latin-1, in a file name on Linux.
    chosen = replace(SERIES, description="M\udcfcller")
    text = report(tmp_path, case_result(intake=replace(INTAKE, chosen=chosen)))
    assert "M\\udcfcller" in text


def test_the_images_of_a_case_are_removed_where_it_fails_later(
    tmp_path: Path, placed: AnalysedCase
) -> None:
    write_case(placed, tmp_path)
    path = tmp_path / case_images_name("case")
    assert read_case_images(path) is not None
    write_case(failed_case("case"), tmp_path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"version": 999}', b"\xff"])
def test_images_that_cannot_be_read_are_missing(
    tmp_path: Path, placed: AnalysedCase, content: bytes
) -> None:
    write_case(placed, tmp_path)
    (tmp_path / case_images_name("case")).write_bytes(content)
    write_report([placed], tmp_path, 1, tmp_path / "report.html")
    assert "images of this case are missing" in (tmp_path / "report.html").read_text()


def noisy(result: AnalysedCase) -> AnalysedCase:
    """With images of noise, which no compression makes small."""
    patient = result.patient_images
    hu = np.random.default_rng(1).normal(40, 100, patient.hu.shape).astype(np.float32)
    return replace(result, patient_images=replace(patient, hu=hu))


def test_no_case_costs_more_than_it_may(tmp_path: Path, placed: AnalysedCase) -> None:
    for number, result in enumerate((placed, noisy(placed))):
        write_case(replace(result, case=f"case{number}"), tmp_path)
        path = tmp_path / case_images_name(f"case{number}")
        images = read_case_images(path)
        assert len(images.sheet.picture.src) <= SHEET_BYTES * 4 / 3 + 100
        assert path.stat().st_size <= CASE_BYTES
    tall = placed_case(tmp_path / "tall", "tall", two_kidneys((200, 90, 100)), spacing=(4, 3, 3))
    write_case(noisy(tall), tmp_path)
    images = read_case_images(tmp_path / case_images_name("tall"))
    assert (tmp_path / case_images_name("tall")).stat().st_size <= CASE_BYTES
    numbers = [one.number for one in images.sheet.slices]
    assert len(numbers) < 100
    # Those round the masks are there.
    labels = tall.patient_images.labels.any(axis=(1, 2))
    assert any(one.runs for one in images.sheet.slices)
    assert labels.any()


def test_the_sheet_is_what_the_networks_saw(tmp_path: Path, placed: AnalysedCase) -> None:
    write_case(placed, tmp_path)
    sheet = read_case_images(tmp_path / case_images_name("case")).sheet
    assert [one.number for one in sheet.slices] == list(range(1, SHAPE[0] + 1))
    z = [one.z_mm for one in sheet.slices]
    assert np.diff(z) == pytest.approx(-5.0)
    real = placed.patient_images.placement.real_places
    for one, labels in zip(sheet.slices, placed.patient_images.labels[real], strict=True):
        np.testing.assert_array_equal(decoded(one.runs), labels)
    title, at = sheet.stops[0]
    assert title == "right finding"
    assert (
        sheet.slices[at].number
        == placed.sides["right"].lesion_measures.longest_axial_diameter.slice + 1
    )


def decoded(runs: list[int], size: int = 160) -> np.ndarray:
    """As the report's script does."""
    labels, at = np.zeros(size * size, np.uint8), 0
    for between, length, label in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        labels[at + between : at + between + length] = label
        at += between + length
    return labels.reshape(size, size)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=16, max_size=16))
def test_runs_hold_every_label(labels: list[int]) -> None:
    array = np.array(labels, np.uint8).reshape(4, 4)
    np.testing.assert_array_equal(decoded(label_runs(array), 4), array)


def test_large_cohorts_have_slices_only_where_something_was_found(
    tmp_path: Path, placed: AnalysedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = placed_case(tmp_path / "study", "quiet", two_kidneys(SHAPE, lesion=False))
    both = report(tmp_path, placed, quiet)
    monkeypatch.setattr(report_module, "SCROLLERS_FOR_ALL", 1)
    fewer = report(tmp_path, placed, quiet)
    assert (both.count('class="sheet"'), fewer.count('class="sheet"')) == (2, 1)
    assert "More than 1 cases" in fewer
    assert "More than" not in both


def test_what_the_table_says_of_a_case() -> None:
    lesion = replace(LESION_MEASURES, touches_crop_border=True)
    sides = {**MEASURED_SIDES, "right": measured(MEASURED_SIDES["right"], lesion)}
    models = replace(case_result().models, suitable=False)
    row = row_of(3, case_result(measured=True, sides=sides, models=models))
    assert row.outcomes == (Outcome.LESION, Outcome.NO_LESION)
    assert row.flags == ("unsuitable-models", "touches-crop-border")
    assert (row.diameter_mm, row.volume_ml, row.lesion_sum) == (31.25, 21.5, 120.25)
    assert row.groups == ("lesion", "no_lesion")
    failed = row_of(4, failed_case())
    assert (failed.groups, failed.error_code) == (("failed",), "missing-slices")


def test_nothing_of_the_patient_module(tmp_path: Path) -> None:
    keywords = (
        "PatientName", "PatientID", "OtherPatientIDs", "PatientComments", "PatientAddress",
        "OtherPatientNames", "EthnicGroup", "AdditionalPatientHistory", "Occupation",
    )  # fmt: skip
    patient = dict.fromkeys(keywords, "CANARY") | {"PatientBirthDate": "19230405"}
    result = placed_case(tmp_path / "study", patient=patient)
    report(tmp_path / "out", result)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) == 5  # JSON, picture, overview, fragment, report
    for path in written:
        data = path.read_bytes()
        assert b"CANARY" not in data
        assert b"19230405" not in data
    images = json.loads((tmp_path / "out" / case_images_name("case")).read_text())
    assert set(images) == {"version", "overview", "sheet"}
