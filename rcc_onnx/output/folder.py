"""The folder of results: who writes there, what is there already, whether a case is done."""

import errno
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rcc_onnx.errors import OutputError
from rcc_onnx.output.case import case_file_names, is_complete, write_case_files
from rcc_onnx.output.document import Case, read_case, same_everywhere
from rcc_onnx.results import AnalysedCase, CaseResult, FailedCase, Fingerprint
from rcc_onnx.system.documents import DocumentError, document_text
from rcc_onnx.system.files import LOCK_NAME, NO_LOCKS, stale_files, try_lock, write_whole

_log = logging.getLogger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class StoredCase:
    """The document of a case as it is in the folder.

    Attributes:
        name: of the file.
        data: its bytes.
        result: what it holds, without arrays.
    """

    name: str
    data: bytes
    result: Case

    @property
    def is_own(self) -> bool:
        """Whether the file has its case's name: one that was copied or renamed has not."""
        return same_everywhere(self.name) == same_everywhere(f"{self.result.case}.json")


class OutputFolder:
    """A folder of results: the only place that reads and writes `OUT/<case>.json`.

    Made with its path, it reads and writes cases of a run that some process has open. `open` is for
    that process. `is_open`: some process certainly has; else that is seen from the folder.
    """

    def __init__(self, path: Path, *, is_open: bool = False) -> None:
        self.path = path
        self._was_locked = is_open or self._is_locked()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["OutputFolder"]:
        """Hold the folder, made if missing, for one run; the system releases it at the end.

        Files that runs left half written when they were killed are removed at both ends.

        Raises:
            OutputError: another run writes there (code `output-busy`), or files cannot be written
                there, which is tried before hours of work.
        """
        with ExitStack() as held:
            try:
                path.mkdir(parents=True, exist_ok=True)
                acquired = held.enter_context(try_lock(path / LOCK_NAME, remove=True))
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise cannot_write(path, error) from error
                # Some network shares have no locks. A run there is better than none.
                _log.warning("%s cannot be locked: do not start a second run there", path)
                acquired = True
            if not acquired:
                raise OutputError(
                    f"another run of rcc-onnx writes to {path}; wait until it has ended, or choose "
                    "another --out",
                    code="output-busy",
                )
            folder = cls(path)
            folder.remove_stale_files()
            folder.try_to_write()
            try:
                yield folder
            finally:
                # Ctrl-C, a full disk: a process that was ended may have been writing.
                folder.remove_stale_files()

    def check(self) -> None:
        """Raise OutputError if this is not the folder any more in which the run began."""
        if self._was_locked and not self._is_locked():
            raise OutputError(
                f"{self.path} is not the folder any more in which this run began: it was removed, "
                "or its drive was disconnected; nothing more is written. When it is back, start "
                "again: finished cases are kept"
            )

    def remove_stale_files(self, pid: int | None = None) -> None:
        """Remove what processes that were killed left half written; `pid`: of one of them."""
        for path in stale_files(self.path, pid):
            path.unlink(missing_ok=True)

    def try_to_write(self, size: int = 0) -> None:
        """Raise OutputError if a file of so many bytes cannot be written."""
        probe = self.path / ".rcc-onnx"
        try:
            write_whole(probe, lambda to: to.write_bytes(bytes(size)))
            probe.unlink()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write_case(self, result: AnalysedCase | Case) -> Case:
        """Write the files of a case and return its result, without arrays.

        Raises:
            OutputError: a file cannot be written, or the folder is not there any more.
            ImportError, IntakeError: as `write_case_files`.
        """
        self.check()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return write_case_files(result, self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def find_unchanged(
        self, case: str, fingerprint: Fingerprint, *, or_failed: bool = False
    ) -> Case | None:
        """Return an earlier run's result for a case, if its inputs and settings are the same.

        Dates are not compared.

        Args:
            case: its name.
            fingerprint: what the result must have been made of.
            or_failed: a failure counts too; else it does not, as the cause may have been removed.
        """
        stored = self._read(f"{case}.json")
        if stored is None or not stored.is_own or stored.result.fingerprint != fingerprint:
            return None
        found = stored.result
        is_done = or_failed if isinstance(found, FailedCase) else is_complete(found, self.path)
        return found if is_done else None

    def has_result(self, case: str) -> bool:
        """Return whether an earlier run analysed the case, whatever its inputs were."""
        stored = self._read(f"{case}.json")
        return stored is not None and isinstance(stored.result, CaseResult)

    def stored_cases(self) -> Iterator[StoredCase]:
        """Yield the documents of cases, in the order of their file names; other files are skipped.

        Raises:
            OSError: a document cannot be read.
        """
        for path in sorted(self.path.glob("*.json")):
            if not path.name.startswith(".") and path.is_file():
                # A worker of this run may be replacing it just now.
                with suppress(DocumentError, FileNotFoundError):
                    yield self.stored_case(path.name)

    def results(self) -> list[Case]:
        """Return the results in the folder, in order; copies under other names are left out."""
        return [stored.result for stored in self.stored_cases() if stored.is_own]

    def stored_case(self, name: str) -> StoredCase:
        """Return the document of a case by the name of its file.

        Raises:
            OSError: it cannot be read.
            DocumentError: it is not the document of a case, or one of another version.
        """
        data = (self.path / name).read_bytes()
        return StoredCase(name, data, _with_own_names(read_case(data), name))

    def _read(self, name: str) -> StoredCase | None:
        try:
            return self.stored_case(name)
        except (OSError, DocumentError):
            return None

    def _is_locked(self) -> bool:
        return (self.path / LOCK_NAME).exists()


def cannot_write(out: Path, error: OSError) -> OutputError:
    """Return the error for a folder of results that cannot be written."""
    remedy = "free some space, and start again" if error.errno in _FULL else "choose another --out"
    return OutputError(f"cannot write results to {out}: {error.strerror or error}; {remedy}")


def _with_own_names(result: Case, name: str) -> Case:
    """Return a result with the names of its files where its document `name` holds escapes.

    Documents hold escapes for bytes that are not UTF-8.
    """
    case = name.removesuffix(".json")
    if result.case == case or result.case != document_text(case):
        return result
    if isinstance(result, FailedCase):
        return replace(result, case=case)
    names = {document_text(own): own for own in case_file_names(case)}
    files = tuple(replace(file, name=names.get(file.name, file.name)) for file in result.files)
    return replace(result, case=case, files=files)
