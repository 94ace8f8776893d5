"""Results read back from their documents."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from rcc_onnx.output.read import _kinds, read_case, read_failed, read_results

from rcc_onnx.errors import CaseTimeoutError, ProviderError, SeveralSeriesError
from rcc_onnx.results import AskedOptions, FailedCase, Fingerprint, WrittenFile
from rcc_onnx.runtime.providers import SelfTestRecord
from rcc_onnx.system.documents import to_json
from rcc_onnx.types import Note, Outcome, Profile
from tests.support.results import (
    MEASURES,
    NO_KIDNEY,
    WITH_LESION,
    WITHOUT_LESION,
    case_result,
    failed_case,
)
from tests.support.runs import write_case

LESION = WITH_LESION.lesion
RESULTS = {
    "measured": case_result(measures=MEASURES, warnings=("a warning",)),
    "flagged": case_result(
        flags=(Note("few-slices", "Few."),),
        sides={"right": replace(WITH_LESION, flags=(Note("cut", "Cut."),)), "left": NO_KIDNEY},
        measures={"right": MEASURES["right"], "left": type(MEASURES["left"])(None, None, None)},
    ),
    "not located": case_result(
        sides={
            "right": replace(
                WITH_LESION, outcome=Outcome.LESION_NOT_LOCATED, lesion=replace(LESION, box=None)
            ),
            "left": WITHOUT_LESION,
        }
    ),
    "notebook": case_result(
        profile=Profile.NOTEBOOK, intake=replace(case_result().intake, chosen=None, others=())
    ),
    "no intake": case_result(intake=None),
    "provenance": case_result(
        asked=AskedOptions(
            "standard", "auto", "float32", None, None, 5.0, "2", None, 0.5, 0.1, ("seg",), True
        ),
        environment={"rcc_onnx": "1", "packages": {"numpy": "2", "python-gdcm": None}},
        files=(WrittenFile("case_r.png", 3, "c" * 64),),
        study=replace(case_result().study, images_sha256="d" * 64),
    ),
    "agreement": case_result(
        provider=replace(
            case_result().provider, self_test=SelfTestRecord(True, 1.1e-05, 0.0001, 2e-07, None)
        )
    ),
    "no stored answers": case_result(
        provider=replace(case_result().provider, self_test=SelfTestRecord(tested=False))
    ),
    "fingerprint": case_result(fingerprint=Fingerprint("a" * 64, "b" * 64)),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_document_that_was_read_is_written_the_same(name: str) -> None:
    document = json.loads(json.dumps(to_json(RESULTS[name])))
    found = read_case(document)
    assert found is not None
    assert json.loads(json.dumps(to_json(found))) == document
    # Documents hold everything but arrays.
    assert found == replace(RESULTS[name].without_images())


FAILED = {
    "plain": failed_case("a"),
    "candidates": FailedCase(
        "a",
        Profile.NOTEBOOK,
        SeveralSeriesError("which?", (case_result().intake.chosen,), code="several-studies"),
    ),
    "of an error that is made of parts": FailedCase(
        "a", Profile.STANDARD, ProviderError("it broke", "mend it")
    ),
    "of an error that is an OSError": FailedCase("a", Profile.STANDARD, CaseTimeoutError("late")),
    "fingerprint": replace(failed_case("a"), fingerprint=Fingerprint("a" * 64, "b" * 64)),
}


@pytest.mark.parametrize("name", FAILED)
def test_a_failed_case_that_was_read_is_written_the_same(name: str) -> None:
    document = json.loads(json.dumps(to_json(FAILED[name])))
    found = read_failed(document)
    assert found is not None
    assert type(found.error) is type(FAILED[name].error)
    assert json.loads(json.dumps(to_json(found))) == document
    assert read_failed(to_json(case_result())) is None


def test_every_kind_of_error_can_be_read_back() -> None:
    for code in _kinds():
        document = to_json(failed_case())
        document["error"] = {"code": code, "message": "It is so."}
        if issubclass(_kinds()[code], SeveralSeriesError):
            document["error"]["series"] = []
        found = read_failed(document)
        assert found is not None, code
        assert (found.error.code, str(found.error)) == (code, "It is so.")
        assert to_json(found) == document


def test_a_code_that_is_no_more_is_told_as_it_was() -> None:
    document = to_json(failed_case())
    document["error"] = {"code": "long-ago", "message": "It was so."}
    found = read_failed(document)
    assert found is not None
    assert (found.error.code, str(found.error)) == ("long-ago", "It was so.")


def test_all_results_of_a_folder(tmp_path: Path) -> None:
    for one in (case_result("b"), failed_case("a"), case_result("c")):
        write_case(one, tmp_path)
    (tmp_path / "copy.json").write_bytes((tmp_path / "c.json").read_bytes())
    (tmp_path / "d.json").write_text("[]")
    (tmp_path / "e.json").write_text("{")
    (tmp_path / ".hidden.json").write_text("{}")
    assert [one.case for one in read_results(tmp_path)] == ["a", "b", "c"]


def test_what_failed_or_is_of_another_version_is_nothing() -> None:
    assert read_case(to_json(failed_case())) is None
    assert read_case({**to_json(case_result()), "schema_version": 2}) is None
    assert read_case({}) is None


def test_what_was_edited_by_hand_is_nothing() -> None:
    whole = json.loads(json.dumps(to_json(case_result(measures=MEASURES))))
    for key in ("study", "models", "provider", "sides", "measuring", "thresholds", "intake"):
        for damage in ({}, [], "x", 3):
            spoiled = deepcopy(whole)
            spoiled[key] = damage
            assert read_case(spoiled) is None, (key, damage)
