"""What a person sees on the terminal."""

from dataclasses import replace

from rich.table import Table

from rcc_onnx.cli.console import case_line, results_table
from tests.support.results import (
    MEASURED_SIDES,
    NO_KIDNEY,
    case_result,
    failed_case,
    kidney_finding,
)


def cells(table: Table) -> list[str]:
    return [str(cell) for column in table.columns for cell in column.cells]


def test_a_suspected_lesion_comes_with_its_size() -> None:
    result = case_result(measured=True, sides=MEASURED_SIDES)
    assert "right: suspected lesion, 31 mm, 21.5 ml; left: no lesion" in case_line(result)
    case, right, left, _ = cells(results_table([result]))
    assert case == "case"
    assert right == "suspected lesion\n31 mm, 21.5 ml\nkidney sum 4000\nlesion sum 120"
    assert left == "no lesion\nkidney sum 3900\nlesion sum 2"


def test_without_a_place_in_the_patient_there_is_no_size() -> None:
    result = case_result()
    assert "right: suspected lesion; left" in case_line(result)
    assert "mm" not in cells(results_table([result]))[1]


def test_a_sum_near_its_threshold_is_called_borderline() -> None:
    near = replace(NO_KIDNEY, kidney=kidney_finding(950.0))
    _, right, left, _ = cells(
        results_table([case_result(sides={"right": near, "left": NO_KIDNEY})])
    )
    assert "kidney sum 950, borderline" in right
    assert "borderline" not in left


def test_a_failed_case_shows_its_code() -> None:
    assert cells(results_table([failed_case()]))[1] == "failed\nmissing-slices"
