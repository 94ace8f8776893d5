"""Many cases, one after another; a bad one does not stop the others."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.case_files import prepare_output, write_case
from rcc_onnx.engine import Engine
from rcc_onnx.errors import (
    BundleError,
    InputFolderError,
    OutputError,
    ProviderError,
    RccOnnxError,
    UnexpectedError,
)
from rcc_onnx.findings import CaseResult, FailedCase
from rcc_onnx.intake import InputIs, find_studies
from rcc_onnx.stopwatch import StageListener

_log = logging.getLogger(__name__)

MAX_NAME_BYTES = 200
"""Of a case's name. File systems allow 255 for the names that are made from it."""


@dataclass(frozen=True)
class Case:
    """A study folder or archive, and the name of its results."""

    name: str
    folder: Path


def find_cases(
    folder: Path, out: Path | None = None, input_is: InputIs = InputIs.AUTO
) -> tuple[Case, ...]:
    """The cases of an input: one study, or a folder of studies (docs/intake.md).

    Cases come sorted by name; hidden entries, those without any file and `out` are passed over.

    Raises:
        InputFolderError: there is no such folder, nothing in it could be a case, or a name is too
            long for result files.
        AmbiguousInputError: it may be one study or several.
    """
    cases = tuple(Case(name, path) for name, path in find_studies(folder, out, input_is))
    for case in cases:
        if len(os.fsencode(case.name)) > MAX_NAME_BYTES:
            raise InputFolderError(
                f"{folder}: the name {case.name[:40]}... is too long for the results to be named "
                f"after it; rename it to at most {MAX_NAME_BYTES} bytes"
            )
    return cases


def analyse_cases(
    engine: Engine,
    cases: Sequence[Case],
    out: Path,
    listener: Callable[[Case], StageListener | None] = lambda case: None,
) -> Iterator[CaseResult | FailedCase]:
    """Analyse each case, write its files into `out`, and yield its result.

    Raises:
        ProviderError: the provider cannot run here, so no case could be analysed.
        OutputError: results cannot be written; told before the first case where it can be.
    """
    prepare_output(out)
    for case in cases:
        result = _written(analyse_case(engine, case, listener(case)), out)
        yield result.without_images() if isinstance(result, CaseResult) else result


def analyse_case(
    engine: Engine, case: Case, listener: StageListener | None = None
) -> CaseResult | FailedCase:
    """One case; whatever is wrong with it becomes a `FailedCase`."""
    try:
        return engine.analyse(case.folder, case.name, listener)
    except ProviderError:
        raise
    except RccOnnxError as error:
        return FailedCase(case.name, engine.options.profile, error)
    except Exception as error:
        # A defect of ours or of a library: this case is lost, the night's other cases are not.
        _log.exception("case %s: unexpected error", case.name)
        return FailedCase(case.name, engine.options.profile, _unexpected(error, "analysing"))


def _written(result: CaseResult | FailedCase, out: Path) -> CaseResult | FailedCase:
    """Write a case's files. A case whose files cannot be made is a failed one; the rest go on.

    Slices are decoded anew for them, and may be gone by then.
    """
    try:
        write_case(result, out)
        return result
    except OutputError:
        raise
    except RccOnnxError as error:
        failed = FailedCase(result.case, result.profile, error)
    except Exception as error:
        _log.exception("case %s: unexpected error in writing", result.case)
        failed = FailedCase(result.case, result.profile, _unexpected(error, "writing"))
    write_case(failed, out)
    return failed


def _unexpected(error: Exception, doing: str) -> UnexpectedError:
    return UnexpectedError(
        f"{type(error).__name__} while {doing} this case; this is a defect, please report it with "
        "the output of the same command and -v"
    )


def exit_code(results: Sequence[CaseResult | FailedCase]) -> int:
    """0: all analysed; 1: at least one failed; 2: all failed for want of models."""
    failed = [one for one in results if isinstance(one, FailedCase)]
    if not failed:
        return 0
    no_models = all(isinstance(one.error, BundleError) for one in failed)
    return 2 if no_models and len(failed) == len(results) else 1
