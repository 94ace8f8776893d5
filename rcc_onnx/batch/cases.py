"""The cases of an input: which there are, and the names of their results."""

import os
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.batch.pseudonyms import check_out, pseudonyms_of, read_pseudonyms
from rcc_onnx.dicom import find_studies
from rcc_onnx.errors import AmbiguousInputError, OutputError
from rcc_onnx.output.document import check_case_name
from rcc_onnx.results import ErrorRecord
from rcc_onnx.types import InputIs


@dataclass(frozen=True)
class Case:
    """A study folder or archive, and the name of its results.

    Attributes:
        hide_names: the name is a pseudonym: names of folders and files must not be shown.
        snapshot: digest of the study (`arrivals.Snapshot`) that the result must be of; None: the
            study does not change.
        error: what failed the case already, so that it is not analysed; its files are only hashed.
    """

    name: str
    folder: Path
    hide_names: bool = False
    snapshot: str | None = None
    error: ErrorRecord | None = None


def find_cases(
    folder: Path,
    out: Path | None = None,
    input_is: InputIs = InputIs.AUTO,
    pseudonyms: Path | None = None,
) -> tuple[Case, ...]:
    """Return the cases of an input: one study, or a folder of studies (docs/intake.md).

    Cases come sorted by their own names; hidden entries, those without any file and `out` are
    skipped.

    Args:
        folder: the input.
        out: the folder of results.
        input_is: whether the input is one study or several.
        pseudonyms: a CSV file with other names for the cases (docs/outputs.md).

    Raises:
        InputFolderError: the folder does not exist, nothing in it could be a case, or a name cannot
            be that of result files.
        OutputError: `out` is the folder of a study.
        AmbiguousInputError: it may be one study or several.
        PseudonymsError: the file of pseudonyms cannot be used, or does not name every case.
    """
    by_name = None if pseudonyms is None else read_pseudonyms(pseudonyms)
    try:
        studies = find_studies(folder, out, input_is)
    except AmbiguousInputError:
        if pseudonyms is None:
            raise
        raise AmbiguousInputError(
            f"{folder}: it may be one study or several, or two entries would have one name; give "
            "--input-is, or run without --pseudonyms, which shows the names"
        ) from None
    own = names = [study.name for study in studies]
    if pseudonyms is None or by_name is None:
        for name in own:
            check_case_name(name, folder)
    else:
        names = list(pseudonyms_of(own, by_name, pseudonyms))
        if out is not None:
            check_out(own, out)
    if out is not None and os.path.realpath(out) in {
        os.path.realpath(study.path) for study in studies
    }:
        # Its results would be a part of it.
        raise OutputError(f"{out} is the folder of a study; choose another --out")
    return tuple(
        Case(name, study.path, hide_names=by_name is not None)
        for name, study in zip(names, studies, strict=True)
    )
