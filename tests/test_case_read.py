"""Results read back from their documents."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest

from rcc_onnx.case_json import case_json
from rcc_onnx.case_read import read_case
from rcc_onnx.findings import Fingerprint
from rcc_onnx.intake_record import Note
from rcc_onnx.provenance import AskedOptions, WrittenFile
from rcc_onnx.providers import Agreement
from rcc_onnx.values import Outcome, Profile
from tests.results import (
    MEASURES,
    NO_KIDNEY,
    WITH_LESION,
    WITHOUT_LESION,
    case_result,
    failed_case,
)

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
            case_result().provider, agreement=Agreement(True, 1.1e-05, 0.0001, 2e-07, None)
        )
    ),
    "no stored answers": case_result(
        provider=replace(case_result().provider, agreement=Agreement(tested=False))
    ),
    "fingerprint": case_result(fingerprint=Fingerprint("a" * 64, "b" * 64)),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_document_that_was_read_is_written_the_same(name: str) -> None:
    document = json.loads(json.dumps(case_json(RESULTS[name])))
    found = read_case(document)
    assert found is not None
    assert json.loads(json.dumps(case_json(found))) == document
    # Documents hold everything but arrays.
    assert found == replace(RESULTS[name].without_images())


def test_what_failed_or_is_of_another_version_is_nothing() -> None:
    assert read_case(case_json(failed_case())) is None
    assert read_case({**case_json(case_result()), "schema_version": 2}) is None
    assert read_case({}) is None


def test_what_was_edited_by_hand_is_nothing() -> None:
    whole = json.loads(json.dumps(case_json(case_result(measures=MEASURES))))
    for key in ("study", "models", "provider", "sides", "measuring", "thresholds", "intake"):
        for damage in ({}, [], "x", 3):
            spoiled = deepcopy(whole)
            spoiled[key] = damage
            assert read_case(spoiled) is None, (key, damage)
