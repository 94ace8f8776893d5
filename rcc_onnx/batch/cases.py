"""Many cases, one after another; a bad one does not stop the others."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rcc_onnx.batch.pseudonyms import check_out, pseudonyms_of, read_pseudonyms
from rcc_onnx.batch.worker_pool import out_of_memory
from rcc_onnx.dicom import InputIs, StudyPlace, find_studies
from rcc_onnx.engine import Engine
from rcc_onnx.errors import (
    AmbiguousInputError,
    BundleError,
    OutputError,
    ProviderError,
    RccOnnxError,
    UnexpectedError,
)
from rcc_onnx.options import Saving
from rcc_onnx.output.case import prepare_output, write_case
from rcc_onnx.output.exports import check_saving
from rcc_onnx.output.names import check_case_name
from rcc_onnx.pipeline.timing import StageListener
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.system.log_privacy import where_raised

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """A study folder or archive, and the name of its results.

    Attributes:
        hide_names: the name is a pseudonym: no name of a folder or file may be told.
    """

    name: str
    folder: Path
    hide_names: bool = False

    def named(self, name: str) -> "Case":
        """The same study with another name for its results."""
        return replace(self, name=name)


def find_cases(
    folder: Path,
    out: Path | None = None,
    input_is: InputIs = InputIs.AUTO,
    pseudonyms: Path | None = None,
) -> tuple[Case, ...]:
    """The cases of an input: one study, or a folder of studies (docs/intake.md).

    Cases come sorted by their own names; hidden entries, those without any file and `out` are
    passed over.

    Args:
        folder: the input.
        out: the folder of results.
        input_is: whether the input is one study or several.
        pseudonyms: a CSV file with other names for the cases (docs/outputs.md).

    Raises:
        InputFolderError: there is no such folder, nothing in it could be a case, or a name cannot
            be that of result files.
        OutputError: `out` is the folder of a study.
        AmbiguousInputError: it may be one study or several.
        PseudonymsError: the file of pseudonyms cannot be used, or does not name every case.
    """
    if pseudonyms is not None:
        return _pseudonymous(folder, out, input_is, pseudonyms)
    cases = tuple(Case(name, path) for name, path in find_studies(folder, out, input_is))
    for case in cases:
        check_case_name(case.name, folder)
    _reject_overlap(cases, out)
    return cases


def _pseudonymous(
    folder: Path, out: Path | None, input_is: InputIs, file: Path
) -> tuple[Case, ...]:
    """The cases under their pseudonyms, checked before any work."""
    pseudonyms = read_pseudonyms(file)
    try:
        places: Sequence[StudyPlace] = find_studies(folder, out, input_is)
    except AmbiguousInputError:
        raise AmbiguousInputError(
            f"{folder}: it may be one study or several, or two entries would have one name; say "
            "--input-is, or run without --pseudonyms, which tells the names"
        ) from None
    names = [place.name for place in places]
    chosen = pseudonyms_of(names, pseudonyms, file)
    if out is not None:
        check_out(names, out)
    chosen_cases = tuple(
        Case(name, place.path, hide_names=True) for name, place in zip(chosen, places, strict=True)
    )
    _reject_overlap(chosen_cases, out)
    return chosen_cases


def _reject_overlap(cases: Sequence[Case], out: Path | None) -> None:
    """Raise OutputError if `out` is a study's own folder, of which its results would be a part."""
    if out is not None and any(
        os.path.realpath(out) == os.path.realpath(case.folder) for case in cases
    ):
        raise OutputError(f"{out} is the folder of a study; choose another --out")


def analyse_cases(
    engine: Engine,
    cases: Sequence[Case],
    out: Path,
    listener: Callable[[Case], StageListener | None] = lambda case: None,
    saving: Saving | None = None,
) -> Iterator[CaseResult | FailedCase]:
    """Analyse each case, write its files into `out`, and yield its result.

    The files of the whole run are another thing: `run_files.RunFiles`. `saving` says which files
    there are beside the JSON and the pictures; None: none. A case of which one cannot be made is a
    failed one, as what was asked for is not there.

    Raises:
        InputFolderError: a case's name cannot be that of result files.
        OptionError, MissingExtraError: `saving` cannot be had; told before the first case.
        ProviderError: the provider cannot run here, so no case could be analysed.
        OutputError: results cannot be written; told before the first case where it can be.
    """
    for case in cases:
        check_case_name(case.name, out)
    saving = saving or Saving()
    check_saving(saving, engine.options.profile)
    prepare_output(out)
    for case in cases:
        yield write_result(engine, analyse_case(engine, case, listener(case)), out, saving)


def analyse_case(
    engine: Engine, case: Case, listener: StageListener | None = None
) -> CaseResult | FailedCase:
    """One case; whatever is wrong with it becomes a `FailedCase`."""
    try:
        return engine.analyse(case.folder, case.name, listener, hide_names=case.hide_names)
    except ProviderError:
        raise
    except Exception as error:
        return _failed(engine, case.name, error, "analysing this case")


def write_result(
    engine: Engine, result: CaseResult | FailedCase, out: Path, saving: Saving
) -> CaseResult | FailedCase:
    """Write a case's files, and give back its result without arrays.

    A case of which a file cannot be made is a failed one, as what was asked for is not there.

    Raises:
        OutputError: no file at all can be written there.
    """
    try:
        write_case(result, out, saving)
        return result.without_images() if isinstance(result, CaseResult) else result
    except OutputError:
        raise
    except Exception as error:
        failed = replace(
            _failed(engine, result.case, error, "writing the files of this case"),
            fingerprint=result.fingerprint,
        )
        write_case(failed, out)
        return failed


def _failed(engine: Engine, case: str, error: Exception, doing: str) -> FailedCase:
    if isinstance(error, RccOnnxError):
        return FailedCase(case, engine.options.profile, error)
    if isinstance(error, MemoryError):
        return FailedCase(case, engine.options.profile, out_of_memory())
    # A defect of ours or of a library: this case is lost, the night's other cases are not.
    # Not its message, which may quote a patient's data: where it happened is what helps.
    _log.error("case %s: unexpected error %s at %s", case, *where_raised(error))
    unexpected = UnexpectedError(
        f"{type(error).__name__} while {doing}; this is a defect, please report it with the output "
        "of the same command and -v"
    )
    return FailedCase(case, engine.options.profile, unexpected)


def exit_code(results: Sequence[CaseResult | FailedCase]) -> int:
    """0: all analysed; 1: at least one failed; 2: all failed for want of models."""
    failed = [one for one in results if isinstance(one, FailedCase)]
    if not failed:
        return 0
    no_models = all(isinstance(one.error, BundleError) for one in failed)
    return 2 if no_models and len(failed) == len(results) else 1
