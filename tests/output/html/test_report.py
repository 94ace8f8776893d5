"""The report as text: that it holds what it should, and that nothing in it can do harm."""

import base64
import hashlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rcc_onnx.errors import SeveralSeriesError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output import html as report_module
from rcc_onnx.output.html import row_of, write_report
from rcc_onnx.results import AnalysedCase, ErrorRecord, FailedCase
from rcc_onnx.types import RESEARCH_ONLY, Outcome, Profile
from tests.support.positioned_cases import SHAPE, placed_case
from tests.support.results import (
    EVIL,
    INTAKE,
    LESION_MEASURES,
    MEASURED_SIDES,
    SERIES,
    case_result,
    evil_case,
    failed_case,
    measured,
)
from tests.support.runs import write_case
from tests.support.truths import two_kidneys


class Page(HTMLParser):
    """Tags with their attributes, the text, and that of scripts and styles."""

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


def test_whatever_is_written_stays_text(tmp_path: Path) -> None:
    series = (replace(SERIES, description=EVIL, reason=EVIL),)
    failed = failed_case("<b>failed", error=ErrorRecord.of(SeveralSeriesError(EVIL, series)))
    harmless_case = case_result(measured=True, sides=MEASURED_SIDES)
    harmless = Page(report(tmp_path, harmless_case, failed_case()))
    page = Page(report(tmp_path, evil_case(), failed))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in harmless.tags}
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    names = {name for _, attrs in page.tags for name in attrs}
    assert not any(name.startswith("on") or name == "style" for name in names)
    assert "".join(page.text).count("{{ 7*7 }}") > 10
    assert sum(EVIL in text for text in page.attributes("data-flags")) == 1


def test_only_what_is_in_the_file_is_loaded(tmp_path: Path, placed: AnalysedCase) -> None:
    text = report(tmp_path, placed, case_result("other"), failed_case())
    page = Page(text)
    policy = next(
        attrs["content"]
        for _, attrs in page.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    hashes = {
        tag: "'sha256-" + base64.b64encode(hashlib.sha256(data.encode()).digest()).decode() + "'"
        for tag, data in page.raw
        if not data.startswith("{")
    }
    assert (rules["script-src"], rules["style-src"]) == (hashes["script"], hashes["style"])
    assert all(src.startswith("data:image/webp;base64,") for src in page.attributes("src"))
    assert all(href.startswith(("#", "data:")) for href in page.attributes("href"))
    for address in ("http://", "https://", "url(", "@import"):
        assert address not in text


def test_a_reader_finds_what_matters(tmp_path: Path, placed: AnalysedCase) -> None:
    wrong = replace(placed, warnings=("the models mean nothing here",))
    words = "".join(Page(report(tmp_path, wrong, failed_case())).text)
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


def test_a_report_states_how_far_the_run_came(tmp_path: Path) -> None:
    assert "ended after 1 of 5 cases" in report(tmp_path, failed_case(), planned=5)
    assert "ended after 0 of 5 cases" in report(tmp_path, planned=5)


def test_cases_without_images_are_shown(tmp_path: Path, placed: AnalysedCase) -> None:
    options = InferenceOptions(profile=Profile.NOTEBOOK)
    text = report(tmp_path, case_result("notebook", options=options, intake=None))
    assert "knows no positions" in text
    write_report([placed], tmp_path, 1, tmp_path / "report.html")
    assert "images of this case are missing" in (tmp_path / "report.html").read_text()


def test_texts_that_are_not_utf_8_are_escaped(tmp_path: Path) -> None:
    # What Python makes of the byte FC, a u with dots in Latin-1, in a file name on Linux.
    chosen = replace(SERIES, description="M\udcfcller")
    text = report(tmp_path, case_result(intake=replace(INTAKE, chosen=chosen)))
    assert "M\\udcfcller" in text


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


def test_the_row_of_a_case() -> None:
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
    assert len(written) == 5  # JSON, picture, overview, images of the report, report
    for path in written:
        data = path.read_bytes()
        assert b"CANARY" not in data
        assert b"19230405" not in data
