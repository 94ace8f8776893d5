"""`rcc-onnx verify OUT`: a folder of results against its SHA256SUMS and its documents."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path

from rcc_onnx.errors import CheckError
from rcc_onnx.output.case import case_file_names
from rcc_onnx.output.checksums import SUMS_NAME, read_sums
from rcc_onnx.output.folder import OutputFolder, StoredCase
from rcc_onnx.output.html.case_images import CASE_IMAGES
from rcc_onnx.output.run import RUN_DOCUMENT, RUN_FILES, RunResult, read_run
from rcc_onnx.results import CaseResult
from rcc_onnx.system.documents import DocumentError, document_text
from rcc_onnx.system.files import LOCK_NAME, size_and_sha256


class Kind(StrEnum):
    """How a file is not as it was written."""

    CHANGED = "changed"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_LISTED = "not-listed"
    HALF_DONE = "half-done"
    INVALID = "invalid"
    RENAMED = "renamed"
    DISAGREES = "disagrees"


@dataclass(frozen=True)
class Finding:
    """One difference; `file`: its name from the folder of results, with `/`."""

    kind: Kind
    file: str
    text: str


class FolderVerdict(StrEnum):
    """Whether a folder is as it was written."""

    OK = "ok"
    MODIFIED = "modified"


@dataclass(frozen=True)
class FolderCheck:
    """The document that `verify OUT --json` prints (docs/verifying.md).

    Attributes:
        listed: files that SHA256SUMS lists.
        unchanged: how many of them are as they were written.
        cases: documents of cases in the folder.
        notes: what else a reader should know; no difference.
        sums_sha256: of SHA256SUMS itself, to be compared with a note of it elsewhere.
    """

    verdict: FolderVerdict
    listed: int
    unchanged: int
    cases: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    sums_sha256: str


def check_folder(out: Path) -> FolderCheck:
    """Hash every listed file of a folder again, and check that its documents agree.

    Nothing is written and no lock is taken.

    Raises:
        CheckError (check-folder): there is no such folder, or it cannot be listed.
        CheckError (sums-missing): it has no SHA256SUMS.
        SumsFormatError: that is damaged.
    """
    data = _read_sums_file(out)
    folder = _Folder(out, read_sums(data))
    changes = {name: folder.check_file(name) for name in folder.sums}
    findings = (
        *(finding for finding in changes.values() if finding is not None),
        *folder.check_unlisted(),
        *folder.document_findings,
        *(finding for stored in folder.cases.values() for finding in folder.check_case(stored)),
        *folder.check_run(),
    )
    removed = sum(folder.is_removed(name) for name in folder.sums)
    return FolderCheck(
        verdict=FolderVerdict.MODIFIED if findings else FolderVerdict.OK,
        listed=len(folder.sums),
        unchanged=sum(finding is None for finding in changes.values()) - removed,
        cases=len(folder.cases),
        findings=findings,
        notes=tuple(folder.notes(removed)),
        sums_sha256=hashlib.sha256(data).hexdigest(),
    )


class _Folder:
    """A folder of results: its files, and its documents as far as they can be read."""

    def __init__(self, out: Path, sums: Mapping[str, str]) -> None:
        self.out = out
        self.sums = sums
        self.names = _file_names(out)
        self.cases: dict[str, StoredCase] = {}
        self.run: RunResult | None = None
        self.document_findings: list[Finding] = []
        for name in sorted(self.names):
            if name.endswith(".json") and "/" not in name and not name.startswith("."):
                self._read_document(name)

    def _read_document(self, name: str) -> None:
        """Read a JSON file of the folder itself; one that is not listed may be anything."""
        try:
            if name == RUN_DOCUMENT:
                self.run = read_run((self.out / name).read_bytes())
            else:
                self.cases[name] = OutputFolder(self.out).stored_case(name)
        except DocumentError as error:
            if name in self.sums:
                self.document_findings.append(Finding(Kind.INVALID, name, str(error)))
        except OSError:
            pass  # `check_file` reports it

    def is_removed(self, name: str) -> bool:
        """Return whether this is an image of the report that was removed, as it may be."""
        return name.startswith(f"{CASE_IMAGES}/") and not (self.out / name).exists()

    def check_file(self, name: str) -> Finding | None:
        """Compare a listed file with its hash."""
        path = self.out / name
        try:
            if self.is_removed(name):
                return None
            if not path.is_file():
                return Finding(Kind.MISSING, name, "it was written, and is not there")
            if size_and_sha256(path)[1] != self.sums[name]:
                return Finding(Kind.CHANGED, name, "its bytes are not those that were written")
        except OSError as error:
            return Finding(Kind.UNREADABLE, name, f"it cannot be read ({error.strerror})")
        return None

    def check_unlisted(self) -> Iterator[Finding]:
        """Find files that look like results and that no run lists."""
        for name in sorted(self.names - self.sums.keys()):
            case = _case_of(name)
            if fnmatch(Path(name).name, ".rcc-onnx-*.part*"):
                yield Finding(Kind.NOT_LISTED, name, "half written, left by a run that was killed")
            elif name in self.cases or (name in RUN_FILES and name != SUMS_NAME):
                yield Finding(Kind.NOT_LISTED, name, "no run lists it")
            elif case is not None and f"{case}.json" not in self.names:
                yield Finding(Kind.HALF_DONE, name, "its case has no JSON: it was never finished")
            elif case is not None and name != f"{case}.json":
                yield Finding(Kind.NOT_LISTED, name, "no run lists it")

    def check_case(self, stored: StoredCase) -> Iterator[Finding]:
        """Compare the hashes that a case's document states with those that are listed."""
        result = stored.result
        if not stored.is_own:
            yield Finding(Kind.RENAMED, stored.name, "it is the document of a case of another name")
            return
        listed = self.sums
        files = result.files if isinstance(result, CaseResult) else ()
        stated = {file.name: file.sha256 for file in files}
        own = case_file_names(result.case)[1:]
        for name in sorted({*stated, *own}):
            if name in listed and name not in stated:
                text = f"it does not state {name!r}, which is listed"
            elif name in listed and stated[name] != listed[name]:
                text = f"it states another hash of {name!r} than is listed"
            elif name not in listed and name not in own:
                text = f"it states {name!r}, which is not a file of its case"
            else:
                continue
            yield Finding(Kind.DISAGREES, stored.name, text)

    def check_run(self) -> Iterator[Finding]:
        """Compare the document of the run with the cases' own, and with the list."""
        # This document holds names as text; the list has their bytes.
        listed = {document_text(name) for name in self.sums}
        own = {document_text(found.result.case): found.result for found in self.cases.values()}
        for case in self.run.cases if self.run else ():
            for file in case.files:
                if file not in listed:
                    text = f"it names {file!r}, which is not listed"
                    yield Finding(Kind.DISAGREES, RUN_DOCUMENT, text)
            result = own.get(case.case)
            if result is None:
                continue
            sides = result.sides if isinstance(result, CaseResult) else {}
            outcomes = {side: finding.outcome for side, finding in sides.items()}
            if (case.status, case.outcomes or {}) != (result.status, outcomes):
                text = f"it states another outcome of {case.case!r} than the case's own document"
                yield Finding(Kind.DISAGREES, RUN_DOCUMENT, text)

    def notes(self, removed: int) -> Iterator[str]:
        """Yield how the last run ended, and what is no difference."""
        if self.run is None:
            yield "how the last run ended is not known: results.json is missing or damaged"
        elif self.run.stopped_by is None:
            yield "the last run reached all of its cases"
        else:
            left = len(self.run.not_reached)
            yield f"the last run was stopped by {self.run.stopped_by!r}; {left} cases were left"
        if removed:
            yield f"{removed} files of the report's images are removed, as they may be"
        if _may_be_written(self.out):
            yield f"there is a {LOCK_NAME}: a run may be writing here, or one was killed"


def require_folder(out: Path) -> None:
    """Raise CheckError (check-folder) if a folder of results is not there."""
    if not out.is_dir():
        message = f"{out} is not a folder; give the folder that rcc-onnx infer wrote to"
        raise CheckError(message, code="check-folder")


def _read_sums_file(out: Path) -> bytes:
    require_folder(out)
    try:
        return (out / SUMS_NAME).read_bytes()
    except FileNotFoundError:
        reason = "no run has ended there. Start the same command again; it keeps what is done"
        if _may_be_written(out):
            reason = (
                "a run is writing there and lists its files when it ends, or it was killed; then "
                "start the same command again, and it continues"
            )
        raise CheckError(f"{out} has no {SUMS_NAME}: {reason}", code="sums-missing") from None
    except OSError as error:
        message = f"{out / SUMS_NAME} cannot be read: {error.strerror}"
        raise CheckError(message, code="check-folder") from error


def _may_be_written(out: Path) -> bool:
    # Probing the lock could make a run that starts at that moment fail.
    return (out / LOCK_NAME).exists()


def _file_names(out: Path) -> set[str]:
    """Return names of files in the folder and in that of the report's images, links among them."""
    found = set()
    for folder in (out, out / CASE_IMAGES):
        try:
            entries = list(folder.iterdir()) if folder.exists() else []
        except OSError as error:
            message = f"{folder} cannot be listed: {error.strerror}"
            raise CheckError(message, code="check-folder") from error
        found |= {path.relative_to(out).as_posix() for path in entries if not path.is_dir()}
    return found


def _case_of(name: str) -> str | None:
    """Return the case that a file of this name would belong to, if any."""
    for pattern in case_file_names("*"):
        before, after = map(re.escape, pattern.split("*"))
        found = re.fullmatch(f"{before}([^/]+){after}", name, re.DOTALL)
        if found:
            return found[1]
    return None
