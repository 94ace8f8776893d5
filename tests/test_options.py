"""Options of an analysis."""

import math

import pytest

from rcc_onnx.errors import OptionError
from rcc_onnx.options import InferenceOptions, Save, save_kinds
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.types import Precision, Profile, ProviderName, SeriesPolicy


def test_choices_are_given_by_name_or_as_values() -> None:
    parsed = InferenceOptions.parse(
        profile="standard",
        provider="cpu",
        precision=Precision.INT8,
        series_policy="thinnest",
        save=["sr", "nifti"],
    )
    assert parsed == InferenceOptions(
        profile=Profile.STANDARD,
        provider=ProviderName.CPU,
        precision=Precision.INT8,
        series_policy=SeriesPolicy.THINNEST,
        save=(Save.NIFTI, Save.SR),
    )


def test_a_number_is_the_same_option_with_and_without_a_decimal_point() -> None:
    whole = InferenceOptions(kidney_threshold=1, lesion_threshold=2, borderline=0, mask_cutoff=1)
    decimal = InferenceOptions(
        kidney_threshold=1.0, lesion_threshold=2.0, borderline=0.0, mask_cutoff=1.0
    )
    assert document_bytes(whole) == document_bytes(decimal)


def test_all_stands_for_every_kind_of_file() -> None:
    assert save_kinds(["all"]) == save_kinds(["seg", "all"]) == tuple(Save)
    assert InferenceOptions.parse(save="seg").save == (Save.SEG,)
    assert InferenceOptions.parse(save=None).save == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "other"}, "there is no profile 'other'; known: standard, notebook"),
        ({"provider": "other"}, "there is no provider 'other'; known: auto, cpu"),
        ({"precision": "other"}, "there is no precision 'other'"),
        ({"series_policy": "other"}, "there is no series policy 'other'"),
        ({"save": "jpeg"}, "there is no --save 'jpeg'"),
        ({"colour": 1}, "there is no option 'colour'; known: profile, provider"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"kidney_threshold": -1.0}, "kidney threshold must be a finite number of 0 or more"),
        ({"lesion_threshold": math.nan}, "lesion threshold must be a finite number"),
        ({"borderline": math.inf}, "borderline must be a finite number"),
        ({"mask_cutoff": 0.0}, "mask cutoff must be above 0 and at most 1, not 0.0"),
        ({"mask_cutoff": 1.01}, "mask cutoff must be above 0"),
        ({"mask_cutoff": math.nan}, "mask cutoff must be above 0"),
        ({"profile": "notebook", "series": "2"}, "cannot choose a series"),
        ({"profile": "notebook", "series_policy": "thinnest"}, "cannot choose a series"),
        ({"profile": "notebook", "save": "seg"}, "use the standard profile"),
    ],
)
def test_an_impossible_option_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        InferenceOptions.parse(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 1},
        {"kidney_threshold": 0.0, "lesion_threshold": 0.0, "borderline": 0.0},
        {"mask_cutoff": 1.0},
        {"profile": "notebook"},
    ],
)
def test_the_ends_of_ranges_are_possible(options: dict[str, object]) -> None:
    assert InferenceOptions.parse(**options)
