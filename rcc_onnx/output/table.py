"""`OUT/results.csv`: two rows for each case, one for each kidney, taken from the case's JSON.

A case that failed has its two rows too, so that rows are always twice the cases and nothing
vanishes from a count. Every column is in docs/outputs.md.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcc_onnx.output.document import Case
from rcc_onnx.system.documents import Json, to_json
from rcc_onnx.types import SIDES, Side

Cell = str | int | float

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes a text that starts so for a formula, and would run it."""


@dataclass(frozen=True)
class Column:
    """A column, and where in the case's JSON its values are.

    Attributes:
        path: keys and indices with points between; `*` stands for the row's side. Of a list of
            notes, the codes are written, with spaces between.
    """

    name: str
    path: str


def _columns(prefix: str, path: str, *names: str) -> tuple[Column, ...]:
    """Return columns that have the names of their fields."""
    return tuple(Column(f"{prefix}{name}", f"{path}.{name}") for name in names)


def _margin_columns(network: str) -> tuple[Column, ...]:
    margin = f"sides.*.{network}.margin"
    return (
        Column(f"{network}_margin", f"{margin}.absolute"),
        Column(f"{network}_margin_relative", f"{margin}.relative"),
        Column(f"{network}_borderline", f"{margin}.borderline"),
    )


_LESION = "sides.*.lesion"
_MEASURES = f"{_LESION}.measures"
_DIAMETER = f"{_MEASURES}.longest_axial_diameter"
_BOX = f"{_MEASURES}.box"

COLUMNS: tuple[Column, ...] = (
    Column("case", "case"),
    Column("side", ""),
    Column("status", "status"),
    Column("error_code", "error.code"),
    *_columns("", "sides.*", "outcome", "assessable"),
    Column("study_flags", "flags"),
    Column("side_flags", "sides.*.flags"),
    Column("warnings", "intake.warnings"),
    Column("kidney_sum", "sides.*.kidney.probability_sum"),
    Column("kidney_threshold", "thresholds.kidney"),
    *_margin_columns("kidney"),
    *_columns("kidney_", "sides.*.kidney.measures", "volume_ml", "mean_hu"),
    Column("lesion_sum", f"{_LESION}.probability_sum"),
    Column("lesion_threshold", "thresholds.lesion"),
    *_margin_columns("lesion"),
    *_columns("lesion_", _MEASURES, "volume_ml", "mean_hu", "parts"),
    Column("lesion_diameter_mm", f"{_DIAMETER}.mm"),
    *_columns("lesion_diameter_", _DIAMETER, "slice", "sop_instance_uid", "frame"),
    *(
        Column(f"lesion_centre_{xyz}_mm", f"{_MEASURES}.centre_lps_mm.{i}")
        for i, xyz in enumerate("xyz")
    ),
    *(
        Column(f"lesion_{end}_{axis}", f"{_BOX}.{axis}s.{i}")
        for axis in ("slice", "row", "column")
        for i, end in enumerate(("first", "last"))
    ),
    *(
        Column(f"lesion_{end}_{xyz}_mm", f"{_BOX}.{end}_lps_mm.{i}")
        for end in ("lowest", "highest")
        for i, xyz in enumerate("xyz")
    ),
    Column("lesion_touches_crop_border", f"{_MEASURES}.touches_crop_border"),
    *_columns("", "options", "mask_cutoff"),
    Column("study_kind", "study.kind"),
    *_columns("", "study", "slices_in_series", "slices_analysed", "stride"),
    *(Column(f"spacing_{axis}_mm", f"study.spacing_zyx_mm.{i}") for i, axis in enumerate("zyx")),
    Column("series_instance_uid", "intake.chosen.series_instance_uid"),
    Column("profile", "options.profile"),
    Column("models", "models.name"),
    Column("models_version", "models.version"),
    Column("models_suitable", "models.suitable"),
    Column("models_kidney_sha256", "models.sha256.kidney"),
    Column("models_lesion_sha256", "models.sha256.lesion"),
    Column("provider", "provider.ran"),
    *_columns("", "provider", "precision", "threads", "onnxruntime"),
    Column("rcc_onnx_version", "rcc_onnx_version"),
    Column("seconds", "timings_s.total"),
)
"""In the order in which they are written, which stays; new ones come last."""


def results_csv(results: Sequence[Case]) -> bytes:
    """Return the table of cases, in UTF-8. Texts are in quotes, numbers are not.

    The quotes keep a text in its cell where a spreadsheet parts cells at semicolons.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([column.name for column in COLUMNS])
    for result in results:
        document = to_json(result)
        for side in SIDES:
            writer.writerow([_cell(document, side, column) for column in COLUMNS])
    return text.getvalue().encode("utf-8")


def _cell(document: Json, side: Side, column: Column) -> Cell:
    value = _find(document, column.path.replace("*", side)) if column.path else side
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = " ".join(note["code"] for note in value)
    if isinstance(value, int | float):
        return value
    # A spreadsheet shows this as the text itself, and does not run it.
    return f"'{value}" if str(value).startswith(FORMULA_STARTS) else str(value)


def _find(document: Json, path: str) -> Any:
    """Return the value at a path; None where the path ends before."""
    found: Any = document
    for step in path.split("."):
        if isinstance(found, list):
            found = found[int(step)]
        elif isinstance(found, dict):
            found = found.get(step)
        else:
            return None
    return found
