"""A folder of results against its SHA256SUMS, its documents, and what it should hold."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from rcc_onnx.diagnostics.verify.documents import Document, document_findings, run_state
from rcc_onnx.diagnostics.verify.findings import Finding, Kind
from rcc_onnx.diagnostics.verify.under_way import UnderWay, run_under_way
from rcc_onnx.errors import CheckError
from rcc_onnx.output.case import case_output_names
from rcc_onnx.output.checksums import SUMS_NAME, read_sums, size_and_sha256
from rcc_onnx.output.html import fragment_name
from rcc_onnx.output.run import RUN_OUTPUTS, as_case_document
from rcc_onnx.system.files import LOCK_NAME

__all__ = ["Finding", "FolderCheck", "Kind", "check_folder"]

FRAGMENTS = Path(fragment_name("")).parent.as_posix()
"""The folder of what the report shows, which may be removed."""
LARGEST_DOCUMENT = 64 << 20
"""Bytes of a document that is looked into. A case's has some ten thousand."""


class State(StrEnum):
    """Of a listed file."""

    SAME = "same"
    CHANGED = "changed"
    MISSING = "missing"
    REMOVED = "removed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class FolderCheck:
    """What became of a folder of results.

    Attributes:
        listed: files that SHA256SUMS lists.
        same: how many of them are as they were written.
        cases: documents of cases among them.
        findings: what is not as it was written.
        notes: what else a reader should know; no difference.
        sums_sha256: of SHA256SUMS itself, to be compared with a note of it elsewhere.
        under_way: whether a run writes there now.
    """

    listed: int
    same: int
    cases: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    sums_sha256: str
    under_way: UnderWay

    @property
    def holds(self) -> bool:
        """All is as it was written."""
        return not self.findings


def check_folder(out: Path) -> FolderCheck:
    """Hash every listed file of a folder again and look for what does not belong together.

    Nothing is written and no lock is taken.

    Raises:
        CheckError (check-folder): there is no such folder, or it cannot be listed.
        CheckError (sums-missing): it has no SHA256SUMS.
        SumsFormatError: that is damaged.
    """
    return _Folder(out).check()


class _Folder:
    def __init__(self, out: Path) -> None:
        self._out = out
        self._data = _read_sums_file(out)
        self._sums = read_sums(self._data)
        self._there = _files_of(out)

    def check(self) -> FolderCheck:
        states = {name: self._state(name) for name in self._sums}
        run = run_state(self._documents.get("results.json"))
        changed = (self._changed(name, state) for name, state in states.items())
        findings = (
            *(one for one in changed if one is not None),
            *self._unlisted(),
            *document_findings(self._documents, self._sums),
        )
        notes = [run]
        removed = sum(state is State.REMOVED for state in states.values())
        if removed:
            notes.append(f"{removed} files of the report's images are removed, as they may be")
        under_way = run_under_way(self._out)
        if under_way is UnderWay.YES:
            notes.append("a run writes to this folder now: check again when it has ended")
        elif under_way is UnderWay.MAYBE:
            notes.append(f"there is a {LOCK_NAME}: a run is under way, or one was killed")
        return FolderCheck(
            listed=len(self._sums),
            same=sum(state is State.SAME for state in states.values()),
            cases=sum(one.case is not None for one in self._documents.values()),
            findings=findings,
            notes=tuple(notes),
            sums_sha256=hashlib.sha256(self._data).hexdigest(),
            under_way=under_way,
        )

    def _state(self, name: str) -> State:
        path = self._out / name
        try:
            if not path.is_file():
                may_go = name.startswith(f"{FRAGMENTS}/")
                return State.REMOVED if may_go and not path.exists() else State.MISSING
            same = size_and_sha256(path)[1] == self._sums[name]
        except OSError:
            return State.UNREADABLE
        return State.SAME if same else State.CHANGED

    def _changed(self, name: str, state: State) -> Finding | None:
        if state is State.CHANGED:
            return Finding(Kind.CHANGED, name, "its bytes are others than those that were written")
        if state is State.MISSING:
            return Finding(Kind.MISSING, name, "it was written, and is not there")
        if state is State.UNREADABLE:
            return Finding(Kind.UNREADABLE, name, "it cannot be read")
        return None

    @cached_property
    def _documents(self) -> dict[str, Document]:
        """JSON files of the folder itself, listed or not."""
        found = {}
        for name in self._there:
            path = self._out / name
            if "/" in name or not name.endswith(".json") or name.startswith("."):
                continue
            try:
                large = path.stat().st_size > LARGEST_DOCUMENT
                data = b"" if large else path.read_bytes()
            except OSError:
                continue
            document = as_case_document(data)
            if document is not None or name in self._sums:
                found[name] = Document(name, data, document)
        return found

    def _unlisted(self) -> Iterator[Finding]:
        """Files that look like results of ours, and that no run lists."""
        run_files = {output.name for output in RUN_OUTPUTS} - {SUMS_NAME}
        for name in sorted(self._there - self._sums.keys()):
            case = _case_of(name)
            if fnmatch(Path(name).name, ".rcc-onnx-*.part*"):
                yield Finding(Kind.NOT_LISTED, name, "half written, left by a run that was killed")
            elif name in run_files or name in self._documents:
                yield Finding(Kind.NOT_LISTED, name, "no run lists it")
            elif case is not None and f"{case}.json" not in self._there:
                yield Finding(Kind.HALF_DONE, name, "its case has no JSON: it was never finished")
            elif case is not None:
                yield Finding(Kind.NOT_LISTED, name, "no run lists it")


def _read_sums_file(out: Path) -> bytes:
    if not out.is_dir():
        raise CheckError(
            f"{out} is no folder; give the folder that rcc-onnx infer wrote to", code="check-folder"
        )
    try:
        return (out / SUMS_NAME).read_bytes()
    except FileNotFoundError:
        why = {
            UnderWay.YES: "a run writes to it now, and lists its files when it ends",
            UnderWay.MAYBE: "a run is under way, or was killed. Start the same command again; it "
            "goes on where it was",
            UnderWay.NO: "no run has ended there, or an older version wrote it. Start the same "
            "command again; it keeps what is done",
        }[run_under_way(out)]
        raise CheckError(f"{out} has no {SUMS_NAME}: {why}", code="sums-missing") from None
    except OSError as error:
        raise CheckError(
            f"{out / SUMS_NAME} cannot be read: {error.strerror}", code="check-folder"
        ) from error


def _files_of(out: Path) -> set[str]:
    """Names of files in the folder and in that of the report's images, links among them."""
    found = set()
    for folder in ("", FRAGMENTS):
        try:
            entries = list((out / folder).iterdir())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CheckError(
                f"{out / folder} cannot be listed: {error.strerror}", code="check-folder"
            ) from error
        found |= {one.relative_to(out).as_posix() for one in entries if not one.is_dir()}
    return found


def _case_of(name: str) -> str | None:
    """The case that a file of this name would belong to; None: it is named as no file of a case."""
    for pattern in case_output_names("*"):
        before, after = pattern.split("*")
        if name.startswith(before) and name.endswith(after) and len(name) > len(pattern) - 1:
            return name[len(before) : len(name) - len(after)]
    return None
