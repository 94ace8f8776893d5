"""The files of a whole run, beside those of its cases: report, `results.csv`, `results.json`.

with RunFiles(engine.options, cases, out) as run:
    for result in analyse_cases(engine, cases, out):
        run.add(result)
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rcc_onnx.batch import Case
from rcc_onnx.case_files import cannot_write, json_bytes, prepare_output, write_whole
from rcc_onnx.case_json import case_json
from rcc_onnx.engine import Options, asked_options
from rcc_onnx.errors import OutputError, RccOnnxError
from rcc_onnx.findings import CaseResult, FailedCase
from rcc_onnx.html import REPORT_NAME, write_report
from rcc_onnx.out_lock import is_held, vanished
from rcc_onnx.results_table import results_csv
from rcc_onnx.run_json import Run, run_json
from rcc_onnx.run_sums import write_sums
from rcc_onnx.saving import Saving
from rcc_onnx.sums import SUMS_NAME

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
    """Takes the results of a run as they come and writes its files when it ends, however it ends,
    and whenever asked.

    Those of an earlier run in the same folder are removed at the start, so that a run that is
    killed leaves no table that its cases do not fit.

    Args:
        options: of the engine.
        cases: all of the run, in order. None: not known before, and in order of their names.
        out: the folder of results.
        saving: which files there are beside the JSON and the pictures.
        pseudonyms: whether cases have other names than their folders; None: as the cases say.
    """

    def __init__(
        self,
        options: Options,
        cases: Sequence[Case] | None,
        out: Path,
        saving: Saving | None = None,
        *,
        pseudonyms: bool | None = None,
    ) -> None:
        self._names = None if cases is None else [case.name for case in cases]
        self._out = out
        if pseudonyms is None:
            pseudonyms = any(case.hide_names for case in cases or ())
        self._options = options_json(options, saving or Saving(), pseudonyms=pseudonyms)
        self._results: dict[str, CaseResult | FailedCase] = {}

    def __enter__(self) -> Self:
        """Raises OutputError if files cannot be written there."""
        self.start()
        return self

    def start(self) -> None:
        """The run begins. Raises OutputError if files cannot be written there."""
        prepare_output(self._out)
        try:
            for output in RUN_OUTPUTS:
                (self._out / output.name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self._out, error) from error
        self._is_locked = is_held(self._out)
        self._started, self._start_s = datetime.now(UTC), time.perf_counter()

    def add(self, result: CaseResult | FailedCase) -> None:
        """A case was reached, and its files are written; its last result counts.

        Raises:
            OutputError: the folder has vanished since, with these files or without.
        """
        self._see_that_it_is_there()
        kept = result.without_images() if isinstance(result, CaseResult) else result
        self._results[result.case] = kept

    @property
    def results(self) -> tuple[CaseResult | FailedCase, ...]:
        """Of the cases that were reached, without arrays, in order: several at once end in any."""
        if self._names is None:
            return tuple(self._results[name] for name in sorted(self._results))
        return tuple(self._results[name] for name in self._names if name in self._results)

    @property
    def earlier_cases(self) -> int:
        """Results of earlier runs that lie in the folder, and that the run's files do not count."""
        own = {f"{name}.json" for name in self._results}
        own |= {output.name for output in RUN_OUTPUTS}
        others = (path for path in self._out.glob("*.json") if path.name not in own)
        return sum(_is_ours(path) for path in others)

    def write(self, stopped_by: str | None = None) -> None:
        """Write the files of the run as far as it has come.

        Args:
            stopped_by: None: by nothing; else `interrupted`, or the code of an error.

        Raises:
            OutputError: one cannot be written.
        """
        self._see_that_it_is_there()
        spent = timedelta(seconds=time.perf_counter() - self._start_s)
        run = Run(
            out=self._out,
            options=self._options,
            names=sorted(self._results) if self._names is None else self._names,
            results=self.results,
            started=self._started,
            # Not by the clock, which may have been set meanwhile.
            ended=self._started + spent,
            stopped_by=stopped_by,
            earlier_cases=self.earlier_cases,
        )
        write_run(run)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises OutputError if a file cannot be written, unless the run ended with an error."""
        try:
            self.write(_stopped_by(error))
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
        # Hashes of files that are being replaced would call what is new changed.
        (run.out / SUMS_NAME).unlink(missing_ok=True)
        for output in RUN_OUTPUTS:
            write_whole(run.out / output.name, partial(output.write, run))
    except OSError as error:
        raise cannot_write(run.out, error) from error


def options_json(options: Options, saving: Saving, *, pseudonyms: bool = False) -> dict[str, Any]:
    """What was asked for, as it stands in results.json; no path, which may hold a name."""
    return asked_options(options, saving.names, pseudonyms=pseudonyms).as_json()


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


def _write_sums(run: Run, to: Path) -> None:
    write_sums(run.out, [one.name for one in RUN_OUTPUTS if one.name != SUMS_NAME], to)


RUN_OUTPUTS: tuple[RunOutput, ...] = (
    RunOutput("results.csv", _write_csv),
    RunOutput(REPORT_NAME, _write_report),
    RunOutput("results.json", _write_json),
    RunOutput(SUMS_NAME, _write_sums),
)
"""In the order in which they are written; the hashes of all others last."""
