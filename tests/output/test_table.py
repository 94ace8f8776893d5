import csv
import io
from dataclasses import replace

import pytest

from rcc_onnx.output.table import COLUMNS, results_csv
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.types import Outcome
from tests.support.results import (
    LESION_MEASURES,
    MEASURED_SIDES,
    NO_KIDNEY,
    WITHOUT_LESION,
    case_result,
    failed_case,
    measured_case,
)


def rows(*results: CaseResult | FailedCase) -> list[dict[str, str]]:
    text = results_csv(results).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_two_rows_for_each_case_whatever_became_of_it() -> None:
    found = rows(case_result("a"), failed_case("b"), case_result("c"))
    assert [(row["case"], row["side"], row["status"]) for row in found] == [
        ("a", "right", "analysed"),
        ("a", "left", "analysed"),
        ("b", "right", "failed"),
        ("b", "left", "failed"),
        ("c", "right", "analysed"),
        ("c", "left", "analysed"),
    ]
    assert [row["error_code"] for row in found[2:4]] == ["missing-slices"] * 2
    filled = {name for name, value in found[2].items() if value}
    options = {"profile", "mask_cutoff"}
    assert filled == {"case", "side", "status", "error_code", "rcc_onnx_version", *options}


def test_no_case_leaves_the_header() -> None:
    (line,) = results_csv([]).decode().splitlines()
    assert line == ",".join(f'"{column.name}"' for column in COLUMNS)
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)


def test_values_of_a_measured_case() -> None:
    right, left = rows(measured_case())
    assert right["outcome"] == Outcome.LESION
    assert (right["assessable"], right["study_flags"], right["side_flags"]) == (
        "false",
        "few-slices",
        "body-outside-grid kidney-cut-by-first-slice",
    )
    assert (left["assessable"], left["side_flags"]) == ("false", "")
    assert right["warnings"] == "thick-slices"
    assert (right["kidney_sum"], right["kidney_threshold"]) == ("4000.5", "1000.0")
    assert (right["lesion_margin"], right["lesion_borderline"]) == ("70.25", "false")
    measures, diameter = LESION_MEASURES, LESION_MEASURES.longest_axial_diameter
    assert float(right["lesion_volume_ml"]) == measures.volume_ml
    assert float(right["lesion_diameter_mm"]) == diameter.mm
    assert right["lesion_diameter_sop_instance_uid"] == diameter.sop_instance_uid
    assert right["lesion_diameter_frame"] == ""
    centre = tuple(float(right[f"lesion_centre_{xyz}_mm"]) for xyz in "xyz")
    assert centre == measures.centre_lps_mm
    box = measures.box
    for axis, ends in (("slice", box.slices), ("row", box.rows), ("column", box.columns)):
        assert tuple(int(right[f"lesion_{end}_{axis}"]) for end in ("first", "last")) == ends
    for end, corner in (("lowest", box.lowest_lps_mm), ("highest", box.highest_lps_mm)):
        assert tuple(float(right[f"lesion_{end}_{xyz}_mm"]) for xyz in "xyz") == corner
    assert right["lesion_touches_crop_border"] == "false"
    assert left["lesion_volume_ml"] == left["lesion_mean_hu"] == ""
    assert (right["spacing_z_mm"], right["spacing_x_mm"], right["stride"]) == ("5.0", "0.7", "1")
    assert (right["models"], right["provider"], right["seconds"]) == ("tiny", "cpu", "1.25")


def test_a_side_that_the_lesion_network_did_not_see() -> None:
    right, _ = rows(case_result(sides={"right": NO_KIDNEY, "left": WITHOUT_LESION}))
    assert (right["kidney_sum"], right["lesion_sum"], right["lesion_threshold"]) == (
        "3.0",
        "",
        "50.0",
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(start: str) -> None:
    name = f"{start}cmd|' /C calc'!A0"
    right, left = rows(case_result(name))
    assert right["case"] == left["case"] == f"'{name}"
    # Numbers stay numbers.
    assert float(left["lesion_margin"]) == -48.5


def test_texts_are_in_quotes_and_numbers_are_not() -> None:
    line = results_csv([case_result('a;=1,"b')]).decode().split("\r\n")[1]
    assert line.startswith('"a;=1,""b","right","analysed","",')
    assert ",4000.5,1000.0," in line


def test_every_path_of_a_column_leads_somewhere() -> None:
    """Of a case that has everything, no cell is empty but the code of an error and the frame."""
    diameter = replace(LESION_MEASURES.longest_axial_diameter, frame=2)
    measures = replace(LESION_MEASURES, longest_axial_diameter=diameter)
    right = MEASURED_SIDES["right"]
    framed = replace(right, lesion=replace(right.lesion, measures=measures))
    flagged = replace(framed, flags=measured_case().sides["right"].flags)
    (row, _) = rows(measured_case(sides={**MEASURED_SIDES, "right": flagged}))
    assert [name for name, value in row.items() if not value] == ["error_code"]
