"""The files of a whole run: `results.csv`, the report, `results.json`, `SHA256SUMS`.

with OutputFolder.open(out) as folder, RunRecord(folder, options, names) as run:
    for outcome in run_cases(cases, config, on_progress):
        run.add(outcome.result)
"""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeVar

from rcc_onnx._version import __version__
from rcc_onnx.errors import OutputError, RccOnnxError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.case import case_file_names
from rcc_onnx.output.checksums import SUMS_NAME, sums_bytes
from rcc_onnx.output.document import Case
from rcc_onnx.output.folder import OutputFolder, StoredCase, cannot_write
from rcc_onnx.output.html import REPORT_NAME, write_report
from rcc_onnx.output.html.case_images import case_images_name
from rcc_onnx.output.table import results_csv
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.system.documents import STRICT, document_bytes, read_document
from rcc_onnx.system.files import size_and_sha256, write_whole
from rcc_onnx.system.host import Environment, environment
from rcc_onnx.types import RESEARCH_ONLY, SIDES, Outcome, Precision, ProviderName, Side

_log = logging.getLogger(__name__)

_Item = TypeVar("_Item")

INTERRUPTED = "interrupted"
TABLE_NAME = "results.csv"
RUN_DOCUMENT = "results.json"
RUN_FILES = (TABLE_NAME, REPORT_NAME, RUN_DOCUMENT, SUMS_NAME)
"""In the order in which they are written; the hashes of all others last."""


@dataclass(frozen=True)
class RunModels:
    """Models that gave answers in a run."""

    name: str
    version: str
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class RunProvider:
    """A provider that ran."""

    ran: ProviderName
    onnxruntime: str
    precision: Precision
    threads: int


@dataclass(frozen=True)
class ErrorCount:
    """How many cases failed with a code."""

    code: str
    count: int


@dataclass(frozen=True)
class RunCounts:
    """Cases by status, and sides by outcome."""

    cases: int
    analysed: int
    failed: int
    not_reached: int
    errors: tuple[ErrorCount, ...]
    outcomes: Mapping[Outcome, Mapping[Side, int]]
    kidneys_not_assessable: int
    kidneys_borderline: int


@dataclass(frozen=True)
class RunCase:
    """One case of a run, in short. Fields of the other status are None."""

    case: str
    status: Literal["analysed", "failed"]
    error_code: str | None
    files: tuple[str, ...]
    outcomes: Mapping[Side, Outcome] | None
    assessable: Mapping[Side, bool] | None
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run as its document `results.json` holds it.

    Attributes:
        started, ended: UTC, as 2026-01-31T12:00:00Z.
        stopped_by: None: the run reached all cases; else `interrupted`, or the code of an error.
        earlier_cases: results of earlier runs in the folder, which are not counted.
        not_reached: names of the cases without a result, in order.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema_version: Literal[1] = 1
    rcc_onnx_version: str = __version__
    notice: str = RESEARCH_ONLY
    started: str
    ended: str
    seconds: float
    stopped_by: str | None
    options: InferenceOptions
    environment: Environment
    models: tuple[RunModels, ...]
    providers: tuple[RunProvider, ...]
    counts: RunCounts
    earlier_cases: int
    cases: tuple[RunCase, ...]
    not_reached: tuple[str, ...]


def read_run(data: bytes) -> RunResult:
    """Return the run that the bytes of `results.json` hold. Raises DocumentError."""
    return read_document(RunResult, data)


class RunRecord:
    """The results of a run, taken as they come; its files are written when it ends, however.

    Files of an earlier run in the same folder are removed at the start, so that a run that is
    killed leaves no table of other cases.

    Args:
        folder: of results.
        options: as they were requested.
        names: of all cases, in order. None: not known before, and in order of their names.
    """

    def __init__(
        self, folder: OutputFolder, options: InferenceOptions, names: Sequence[str] | None
    ) -> None:
        self.folder = folder
        self.error: RccOnnxError | None = None
        self._options = options
        self._names = None if names is None else tuple(names)
        self._results: dict[str, Case] = {}
        self._started, self._start_s = datetime.now(UTC), time.perf_counter()

    def __enter__(self) -> Self:
        """Begin the run. Raises OutputError if files cannot be removed there."""
        try:
            for name in RUN_FILES:
                (self.folder.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.folder.path, error) from error
        return self

    def add(self, result: Case) -> None:
        """Take the result of a case whose files are written; a case's last result counts.

        Raises:
            OutputError: the folder is not there any more, with these files or without.
        """
        self.folder.check()
        self._results[result.case] = result

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all cases that are known, in order."""
        return tuple(sorted(self._results)) if self._names is None else self._names

    @property
    def results(self) -> tuple[Case, ...]:
        """Results of the cases that were reached, in order: several at once end in any."""
        return tuple(self._results[name] for name in self.names if name in self._results)

    @property
    def earlier_cases(self) -> int:
        """Results of earlier runs in the folder, which the run's files do not count."""
        return self._count_earlier(self.folder.stored_cases())

    def write(self, stopped_by: str | None = None) -> None:
        """Write the files of the run as far as it has come.

        Args:
            stopped_by: None: by nothing; else `interrupted`, or the code of an error.

        Raises:
            OutputError: one cannot be written.
        """
        self.folder.check()
        out, results = self.folder.path, self.results
        try:
            # Hashes of files that are being replaced would call what is new modified.
            (out / SUMS_NAME).unlink(missing_ok=True)
            stored = tuple(self.folder.stored_cases())
            table, document = results_csv(results), self._document(stored, stopped_by)
            write_whole(out / TABLE_NAME, lambda to: to.write_bytes(table))
            write_whole(
                out / REPORT_NAME, lambda to: write_report(results, out, len(self.names), to)
            )
            write_whole(out / RUN_DOCUMENT, lambda to: to.write_bytes(document_bytes(document)))
            write_whole(
                out / SUMS_NAME, lambda to: to.write_bytes(sums_bytes(_sums_of(out, stored)))
            )
        except OSError as error:
            raise cannot_write(out, error) from error

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

    def _document(self, stored: Iterable[StoredCase], stopped_by: str | None) -> RunResult:
        results = self.results
        analysed = [result for result in results if isinstance(result, CaseResult)]
        # Not by the clock, which may have been set meanwhile.
        seconds = time.perf_counter() - self._start_s
        return RunResult(
            started=_time(self._started),
            ended=_time(self._started + timedelta(seconds=seconds)),
            seconds=round(seconds, 3),
            stopped_by=stopped_by,
            options=self._options,
            environment=environment(),
            models=_distinct(
                RunModels(used.name, used.version, used.sha256)
                for used in (result.models for result in analysed)
            ),
            providers=_distinct(
                RunProvider(used.ran, used.onnxruntime, used.precision, used.threads)
                for used in (result.provider for result in analysed)
            ),
            counts=_counts(len(self.names), results, analysed),
            earlier_cases=self._count_earlier(stored),
            cases=tuple(_run_case(result, self.folder.path) for result in results),
            not_reached=tuple(name for name in self.names if name not in self._results),
        )

    def _count_earlier(self, stored: Iterable[StoredCase]) -> int:
        own = {f"{name}.json" for name in self._results}
        return sum(case.name not in own for case in stored)


def _counts(cases: int, results: Sequence[Case], analysed: Sequence[CaseResult]) -> RunCounts:
    errors = Counter(result.error.code for result in results if isinstance(result, FailedCase))
    findings = [result.sides[side] for result in analysed for side in SIDES]
    return RunCounts(
        cases=cases,
        analysed=len(analysed),
        failed=errors.total(),
        not_reached=cases - len(results),
        errors=tuple(ErrorCount(code, count) for code, count in errors.most_common()),
        outcomes={
            outcome: {
                side: sum(result.sides[side].outcome is outcome for result in analysed)
                for side in SIDES
            }
            for outcome in Outcome
        },
        kidneys_not_assessable=sum(not finding.assessable for finding in findings),
        kidneys_borderline=sum(finding.is_borderline for finding in findings),
    )


def _run_case(result: Case, out: Path) -> RunCase:
    files = tuple(name for name in case_file_names(result.case) if (out / name).exists())
    if isinstance(result, FailedCase):
        return RunCase(result.case, "failed", result.error.code, files, None, None, None)
    return RunCase(
        case=result.case,
        status="analysed",
        error_code=None,
        files=files,
        outcomes={side: result.sides[side].outcome for side in SIDES},
        assessable={side: result.sides[side].assessable for side in SIDES},
        seconds=result.timings_s["total"],
    )


def _distinct(values: Iterable[_Item]) -> tuple[_Item, ...]:
    """Return each value once, in the order in which they came."""
    found: list[_Item] = []
    for value in values:
        if value not in found:
            found.append(value)
    return tuple(found)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stopped_by(error: BaseException | None) -> str | None:
    if error is None:
        return None
    if isinstance(error, RccOnnxError):
        return error.code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else "unexpected"


def _sums_of(out: Path, stored: Iterable[StoredCase]) -> dict[str, str]:
    """Return hashes by name: every file of every case in the folder, and those of the run.

    Files of cases have the hashes that were taken when they were written, as the cases' documents
    state them, so that later damage shows. Documents and files of the run are hashed here.
    """
    sums = {
        name: size_and_sha256(out / name)[1]
        for name in RUN_FILES
        if name != SUMS_NAME and (out / name).is_file()
    }
    for case in stored:
        sums[case.name] = hashlib.sha256(case.data).hexdigest()
        if not case.is_own or not isinstance(case.result, CaseResult):
            continue
        expected = set(case_file_names(case.result.case))
        images = case_images_name(case.result.case)
        if not (out / images).is_file():
            # They may be removed once the report is written.
            expected.discard(images)
        files = (file for file in case.result.files if file.name in expected)
        sums |= {file.name: file.sha256 for file in files}
    return sums
