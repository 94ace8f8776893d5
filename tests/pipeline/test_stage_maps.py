"""Centres and boxes of 80 probability maps, as the published notebook's functions give them."""

import json
from dataclasses import astuple

import numpy as np
import pytest

from rcc_onnx.pipeline.localization import bound_lesion, locate_kidney
from rcc_onnx.types import LesionBox
from tests.conftest import REFERENCE

STAGES = json.loads((REFERENCE / "stages.json").read_text())


@pytest.fixture(scope="module")
def maps():
    with np.load(REFERENCE / "stages.npz") as stored:
        return {name: stored[name] for name in stored.files}


def probability(name, stored):
    if name.endswith("/exactly_half"):
        return np.where(stored > 0, 0.5, 0.0)
    return stored / 255


def expected(name):
    """None for every way in which the notebook cannot locate: nulls, or an error."""
    answer = STAGES[name]["expected"]
    return None if answer == "ValueError" or answer[0] is None else tuple(answer)


def test_eighty_maps_are_there(maps):
    assert len(STAGES) == 80
    assert set(STAGES) == set(maps)


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("store", [np.float64, np.float32, np.dtype(">f8")], ids=str)
def test_answer_and_sum(name, store, maps):
    values = probability(name, maps[name]).astype(store)
    decide = locate_kidney if name.startswith("kidney/") else bound_lesion
    assert numbers(decide(values)) == expected(name)
    assert values.sum() == pytest.approx(STAGES[name]["sum"], rel=1e-5)


@pytest.mark.parametrize("name", STAGES)
def test_memory_order_does_not_matter_and_the_input_is_kept(name, maps):
    values = np.asfortranarray(probability(name, maps[name]))
    values.setflags(write=False)
    decide = locate_kidney if name.startswith("kidney/") else bound_lesion
    found = numbers(decide(values))
    assert found == expected(name)
    assert found is None or all(type(number) is int for number in found)


def numbers(found):
    return astuple(found) if isinstance(found, LesionBox) else found
