"""The files of a whole run, beside those of its cases: report, `results.csv`, `results.json`.

with RunFiles(engine.options, cases, out) as run:
    for result in analyse_cases(engine, cases, out):
        run.add(result)
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rcc_onnx.batch import Case
from rcc_onnx.case_files import cannot_write, json_bytes, prepare_output, write_whole
from rcc_onnx.case_json import case_json
from rcc_onnx.engine import Options
from rcc_onnx.errors import OutputError, RccOnnxError
from rcc_onnx.findings import CaseResult, FailedCase
from rcc_onnx.html import REPORT_NAME, write_report
from rcc_onnx.out_lock import is_held, vanished
from rcc_onnx.results_table import results_csv
from rcc_onnx.run_json import Run, run_json
from rcc_onnx.saving import Saving

_log = logging.getLogger(__name__)

INTERRUPTED = "interrupted"
_OURS = (b'"rcc_onnx_version": ', b'\n  "case": ')
"""In the first lines of each case's JSON."""
_FIRST_BYTES = 400


@dataclass(frozen=True)
class RunOutput:
    """One file of a run. `write` puts it into the path that it is given, of the same suffix."""

    name: str
    write: Callable[[Run, Path], object]


class RunFiles:
    """Takes the results of a run as they come and writes its files when it ends, however it ends.

    Those of an earlier run in the same folder are removed at the start, so that a run that is
    killed leaves no table that its cases do not fit.
    """

    def __init__(
        self, options: Options, cases: Sequence[Case], out: Path, saving: Saving | None = None
    ) -> None:
        self._cases = tuple(cases)
        self._out = out
        self._options = options_json(
            options, saving or Saving(), pseudonyms=any(one.hide_names for one in cases)
        )
        self._results: list[CaseResult | FailedCase] = []

    def __enter__(self) -> Self:
        """Raises OutputError if files cannot be written there."""
        prepare_output(self._out)
        try:
            for output in RUN_OUTPUTS:
                (self._out / output.name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self._out, error) from error
        self._is_locked = is_held(self._out)
        self._started, self._start_s = datetime.now(UTC), time.perf_counter()
        return self

    def add(self, result: CaseResult | FailedCase) -> None:
        """A case was reached, and its files are written.

        Raises:
            OutputError: the folder has vanished since, with these files or without.
        """
        self._see_that_it_is_there()
        kept = result.without_images() if isinstance(result, CaseResult) else result
        self._results.append(kept)

    @property
    def results(self) -> tuple[CaseResult | FailedCase, ...]:
        """Of the cases that were reached, without arrays, in the order in which they were given:
        several at once end in any order."""
        places = {case.name: place for place, case in enumerate(self._cases)}
        return tuple(sorted(self._results, key=lambda one: places[one.case]))

    @property
    def earlier_cases(self) -> int:
        """Results of earlier runs that lie in the folder, and that the run's files do not count."""
        own = {f"{one.case}.json" for one in self._results}
        own |= {output.name for output in RUN_OUTPUTS}
        others = (path for path in self._out.glob("*.json") if path.name not in own)
        return sum(_is_ours(path) for path in others)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises OutputError if a file cannot be written, unless the run ended with an error."""
        spent = timedelta(seconds=time.perf_counter() - self._start_s)
        run = Run(
            out=self._out,
            options=self._options,
            names=[case.name for case in self._cases],
            results=self.results,
            started=self._started,
            # Not by the clock, which may have been set meanwhile.
            ended=self._started + spent,
            stopped_by=_stopped_by(error),
            earlier_cases=self.earlier_cases,
        )
        try:
            self._see_that_it_is_there()
            write_run(run)
        except OutputError as unwritten:
            if error is None:
                raise
            _log.error("the files of the run are missing: %s", unwritten)

    def _see_that_it_is_there(self) -> None:
        if self._is_locked and not is_held(self._out):
            raise vanished(self._out)


def write_run(run: Run) -> None:
    """Write the files of a run, each whole or not at all.

    Raises:
        OutputError: one cannot be written.
    """
    try:
        for output in RUN_OUTPUTS:
            write_whole(run.out / output.name, partial(output.write, run))
    except OSError as error:
        raise cannot_write(run.out, error) from error


def options_json(options: Options, saving: Saving, *, pseudonyms: bool = False) -> dict[str, Any]:
    """What was asked for, as it stands in results.json; no path, which may hold a name."""
    policy = options.wish.policy
    return {
        "profile": str(options.profile),
        "provider": str(options.provider),
        "precision": str(options.precision),
        "threads": options.threads,
        "kidney_threshold": options.kidney_threshold,
        "lesion_threshold": options.lesion_threshold,
        "series": options.wish.series,
        "series_policy": None if policy is None else str(policy),
        "mask_cutoff": options.measuring.mask_cutoff,
        "borderline": options.measuring.borderline,
        "save": [name for name, asked in asdict(saving).items() if asked],
        "pseudonyms": pseudonyms,
    }


def _stopped_by(error: BaseException | None) -> str | None:
    if error is None:
        return None
    if isinstance(error, RccOnnxError):
        return error.code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else "unexpected"


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(_FIRST_BYTES)
    except OSError:
        return False
    return all(one in start for one in _OURS)


def _write_csv(run: Run, to: Path) -> None:
    table = results_csv([case_json(one) for one in run.results])
    to.write_bytes(table.encode("utf-8", "backslashreplace"))


def _write_json(run: Run, to: Path) -> None:
    to.write_bytes(json_bytes(run_json(run)))


def _write_report(run: Run, to: Path) -> None:
    write_report(run.out, [one.case for one in run.results], len(run.names), to)


RUN_OUTPUTS: tuple[RunOutput, ...] = (
    RunOutput("results.csv", _write_csv),
    RunOutput(REPORT_NAME, _write_report),
    RunOutput("results.json", _write_json),
)
"""In the order in which they are written; results.json last, so that where it is, all are."""
