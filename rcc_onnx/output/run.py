"""The files of a whole run, beside those of its cases: report, `results.csv`, `results.json`.

with RunFiles(engine.options, cases, out) as run:
    for result in analyse_cases(engine, cases, out):
        run.add(result)
"""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rcc_onnx._version import __version__
from rcc_onnx.batch.cases import Case
from rcc_onnx.engine import Options, asked_options
from rcc_onnx.errors import OutputError, RccOnnxError
from rcc_onnx.options import Saving
from rcc_onnx.output.case import (
    cannot_write,
    case_output_names,
    files_of_case,
    json_bytes,
    prepare_output,
    write_whole,
)
from rcc_onnx.output.checksums import SUMS_NAME, size_and_sha256, sums_bytes
from rcc_onnx.output.document import SCHEMA_VERSION, Json, case_json
from rcc_onnx.output.html import REPORT_NAME, fragment_name, write_report
from rcc_onnx.output.lock import is_held, vanished
from rcc_onnx.output.table import results_csv
from rcc_onnx.results import CaseResult, FailedCase, margin
from rcc_onnx.system.host import environment
from rcc_onnx.types import RESEARCH_ONLY, SIDES, Outcome, Side

_log = logging.getLogger(__name__)


# A whole run as a JSON document, schema version 1 (docs/outputs.md).


@dataclass(frozen=True)
class Run:
    """One run over many cases, as far as it got.

    Attributes:
        out: the folder of its results.
        options: as they stand in the document.
        names: of all cases that were to be analysed, in order.
        results: of those that were reached, without arrays.
        stopped_by: None if all were reached; else `interrupted`, or the code of an error.
        earlier_cases: results of earlier runs that lie in `out`.
    """

    out: Path
    options: Mapping[str, Any]
    names: Sequence[str]
    results: Sequence[CaseResult | FailedCase]
    started: datetime
    ended: datetime
    stopped_by: str | None
    earlier_cases: int

    @property
    def not_reached(self) -> list[str]:
        """Names of the cases without a result, in order."""
        reached = {one.case for one in self.results}
        return [name for name in self.names if name not in reached]


def run_json(run: Run) -> Json:
    """The JSON document of a run; every field is in docs/outputs.md."""
    analysed = [one for one in run.results if isinstance(one, CaseResult)]
    return {
        "schema_version": SCHEMA_VERSION,
        "rcc_onnx_version": __version__,
        "notice": RESEARCH_ONLY,
        "started": _time(run.started),
        "ended": _time(run.ended),
        "seconds": round((run.ended - run.started).total_seconds(), 3),
        "stopped_by": run.stopped_by,
        "options": dict(run.options),
        "environment": environment(),
        "models": _distinct(_models(one) for one in analysed),
        "providers": _distinct(_provider(one) for one in analysed),
        "counts": _counts(run, analysed),
        "earlier_cases": run.earlier_cases,
        "cases": [_case(one, run.out) for one in run.results],
        "not_reached": run.not_reached,
    }


def _counts(run: Run, analysed: Sequence[CaseResult]) -> Json:
    errors = Counter(one.error.code for one in run.results if isinstance(one, FailedCase))
    both = [(one, side) for one in analysed for side in SIDES]
    return {
        "cases": len(run.names),
        "analysed": len(analysed),
        "failed": len(run.results) - len(analysed),
        "not_reached": len(run.not_reached),
        "errors": [{"code": code, "count": count} for code, count in errors.most_common()],
        "outcomes": {
            str(outcome): {
                side: sum(one.sides[side].outcome is outcome for one in analysed) for side in SIDES
            }
            for outcome in Outcome
        },
        "kidneys_not_assessable": sum(bool(one.flags_of(side)) for one, side in both),
        "kidneys_borderline": sum(_is_borderline(one, side) for one, side in both),
    }


def _is_borderline(result: CaseResult, side: Side) -> bool:
    finding, thresholds = result.sides[side], result.thresholds
    sums = [(finding.kidney.probability_sum, thresholds.kidney)]
    if finding.lesion is not None:
        sums.append((finding.lesion.probability_sum, thresholds.lesion))
    return any(margin(*one, result.options).borderline for one in sums)


def _case(result: CaseResult | FailedCase, out: Path) -> Json:
    document: Json = {
        "case": result.case,
        "status": "failed",
        "error_code": None,
        "files": list(files_of_case(result.case, out)),
        "outcomes": None,
        "assessable": None,
        "seconds": None,
    }
    if isinstance(result, FailedCase):
        return document | {"error_code": result.error.code}
    return document | {
        "status": "analysed",
        "outcomes": {side: str(result.sides[side].outcome) for side in SIDES},
        "assessable": {side: not result.flags_of(side) for side in SIDES},
        "seconds": round(result.timings_s["total"], 4),
    }


def _models(result: CaseResult) -> Json:
    models = result.models
    return {
        "name": models.name,
        "version": models.version,
        "sha256": dict(models.network_sha256),
    }


def _provider(result: CaseResult) -> Json:
    provider = result.provider
    return {
        "ran": str(provider.ran),
        "onnxruntime": provider.onnxruntime,
        "precision": str(provider.precision),
        "threads": provider.threads,
    }


def _distinct(documents: Iterable[Json]) -> list[Json]:
    """Each document once, in the order in which they came."""
    found: list[Json] = []
    for one in documents:
        if one not in found:
            found.append(one)
    return found


def _time(moment: datetime) -> str:
    """As 2026-01-31T12:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# What SHA256SUMS of a folder of results lists: every file of every case, and those of the run.
#
# Files of cases have the hashes that were taken when they were written, out of the cases'
# documents:
# what a disk did to them since shows. Documents and files of the run are hashed here.


def write_sums(out: Path, run_files: Sequence[str], to: Path) -> None:
    """Write the hashes of everything in `out`, earlier runs' cases among it, into a path.

    Args:
        out: the folder of results.
        run_files: names of the files of the run, but for this one.
        to: where to write.

    Raises:
        OSError: a file cannot be read or written.
    """
    sums = {name: size_and_sha256(out / name)[1] for name in run_files if (out / name).is_file()}
    for name, data, document in case_documents(out, run_files):
        sums[name] = hashlib.sha256(data).hexdigest()
        sums |= _beside(out, name, document)
    to.write_bytes(sums_bytes(sums))


def case_documents(out: Path, run_files: Sequence[str]) -> Iterator[tuple[str, bytes, Json]]:
    """File names, bytes and contents of the cases' documents in a folder, in order.

    Raises:
        OSError: one cannot be read.
    """
    for path in sorted(out.glob("*.json")):
        if path.name in run_files or path.name.startswith(".") or not path.is_file():
            continue
        data = path.read_bytes()
        document = as_case_document(data)
        if document is not None:
            yield path.name, data, document


def as_case_document(data: bytes) -> Json | None:
    """The document of a case; None if the bytes are none, of this program."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, dict) and {"rcc_onnx_version", "case", "status"} <= document.keys():
        return document
    return None


def listed_files(document: Json) -> dict[str, str]:
    """Hashes by name that a document states of its case's files; none for another shape."""
    files = document.get("files")
    try:
        return {str(one["name"]): str(one["sha256"]) for one in files or ()}
    except (TypeError, KeyError):
        return {}


def _beside(out: Path, name: str, document: Json) -> dict[str, str]:
    """Of the files that a case has beside its document."""
    case = name.removesuffix(".json")
    if document["case"] != case:
        return {}  # somebody renamed it; what it lists are other files
    stated = listed_files(document)
    if "files" not in document:
        # Of a version that did not state them.
        there = [one for one in files_of_case(case, out) if one != name]
        stated = {one: size_and_sha256(out / one)[1] for one in there}
    expected = set(case_output_names(case))
    if not (out / fragment_name(case)).is_file():
        # It may be removed once the report is written.
        expected.discard(fragment_name(case))
    return {one: sha256 for one, sha256 in stated.items() if one in expected}


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
        self._check_folder()
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
        self._check_folder()
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

    def _check_folder(self) -> None:
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
