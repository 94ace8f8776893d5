"""What is done with a study in a process of its own: its files hashed, then itself analysed.

Two tasks, as whoever watches decides between them whether such files were analysed already.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rcc_onnx.batch.cases import Case, analyse_case, write_result
from rcc_onnx.batch.resume import inputs_sha256
from rcc_onnx.batch.runner import BatchConfig, log_end, log_start
from rcc_onnx.batch.worker_pool import Handler, Tell
from rcc_onnx.engine import Engine
from rcc_onnx.errors import CaseMemoryError, StudyChangedError, StudyUnreadableError
from rcc_onnx.results import CaseResult, FailedCase, Fingerprint
from rcc_onnx.system.log_privacy import case_context
from rcc_onnx.watch.inbox import snapshot
from rcc_onnx.watch.state import check_there


@dataclass(frozen=True)
class Hash:
    """Hash a study's files.

    Attributes:
        key: of the study, for whoever asks.
        case: its name and folder.
        look: digest of its snapshot.
        skip: paths that are no part of a study.
    """

    key: str
    case: Case
    look: str
    skip: frozenset[Path] = frozenset()


@dataclass(frozen=True)
class Analyse:
    """Analyse a study whose files have this hash."""

    key: str
    case: Case
    look: str
    inputs: str
    skip: frozenset[Path] = frozenset()


Task = Hash | Analyse
Answer = str | CaseResult | FailedCase
"""The hash, or the result, whose files are written."""


@dataclass(frozen=True)
class WatchWork:
    """Makes what does the tasks. Picklable: it travels to the processes."""

    work: BatchConfig

    def handler(self) -> Handler[Task, Answer]:
        """Ready for tasks; raises as `BatchConfig.engine`."""
        return partial(_do, self.work.engine(), self.work)


def fingerprint_of(work: BatchConfig, inputs: str) -> Fingerprint:
    return Fingerprint(inputs, work.settings_sha256)


def _do(engine: Engine, work: BatchConfig, task: Task, tell: Tell) -> Answer:
    """One task.

    Raises:
        StudyUnreadableError: a file cannot be read for hashing.
        StudyChangedError: the study is not what it was when it was looked at, and nothing was
            written.
        CaseMemoryError: the process wanted too much memory.
        ProviderError, OutputError, OutputGoneError: no other study could be done either.
    """
    if isinstance(task, Hash):
        try:
            return inputs_sha256(task.case.folder)
        except OSError as error:
            raise StudyUnreadableError(f"files cannot be read ({error.strerror})") from error
    with case_context(task.case.name):
        log_start(task.case.name)
        started = time.perf_counter()
        result = _analyse(engine, work, task, tell)
        log_end(result, time.perf_counter() - started)
    return result


def _analyse(
    engine: Engine, work: BatchConfig, task: Analyse, tell: Tell
) -> CaseResult | FailedCase:
    """A study, with its files written; raises as `_do`."""
    result = analyse_case(engine, task.case, tell)
    # Files that came, or went, meanwhile may be part of it or not: an answer to neither.
    now = snapshot(task.case.folder, task.skip)
    if now is None or now.digest != task.look:
        raise StudyChangedError("it changed while it was analysed")
    check_there(work.out)
    result = replace(result, fingerprint=fingerprint_of(work, task.inputs))
    written = write_result(engine, result, work.out, work.saving)
    if isinstance(written, FailedCase) and isinstance(written.error, CaseMemoryError):
        # Such a process does no other study.
        raise written.error
    return written
