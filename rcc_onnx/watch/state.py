"""What a watcher knows of the studies in its inbox, kept over restarts.

The results in OUT are what counts: this file spares reading all studies again, and joins studies
that got more files, or another name, to their results. Without it nothing is lost.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rcc_onnx.errors import OutputGoneError
from rcc_onnx.output.case import json_bytes, write_whole
from rcc_onnx.results import CaseResult, FailedCase

STATE_NAME = ".rcc-onnx-watch.json"
STATE_VERSION = 1


@dataclass(frozen=True)
class Record:
    """A study that needs nothing more as long as it does not change.

    Attributes:
        snapshot: digest of its last look.
        files: how many it had.
        inputs: hash of its files, names and bytes.
        case: its result's name.
        failed: whether that is a failure.
    """

    snapshot: str
    files: int
    inputs: str
    case: str
    failed: bool


@dataclass
class State:
    """Studies by key: the entry's name, or what stands for it where names are hidden.

    Attributes:
        records: by key; changed by `keep` and `forget` only.
        is_saved: whether the file says what the records do.
        results: hash of the files that each result was made of, and whether it is a failure, by
            case; as the results in OUT say.
    """

    records: dict[str, Record] = field(default_factory=dict)
    is_saved: bool = False
    results: dict[str, tuple[str, bool]] = field(default_factory=dict)
    _case_of: dict[str, str] = field(default_factory=dict)

    def result_of(self, inputs: str) -> tuple[str, bool] | None:
        """The case whose result was made of such files, and whether it is a failure."""
        case = self._case_of.get(inputs)
        return None if case is None else (case, self.results[case][1])

    def done(self, result: CaseResult | FailedCase) -> None:
        """A result was written or read; the one that its case had before is no more."""
        self.lose(result.case)
        if result.fingerprint is not None:
            inputs = result.fingerprint.inputs_sha256
            self.results[result.case] = (inputs, isinstance(result, FailedCase))
            self._case_of[inputs] = result.case

    def lose(self, case: str) -> None:
        """A case has no result any more."""
        before = self.results.pop(case, None)
        if before is not None and self._case_of.get(before[0]) == case:
            del self._case_of[before[0]]

    def keep(self, key: str, record: Record) -> None:
        """A study needs nothing more."""
        self.is_saved = self.is_saved and self.records.get(key) == record
        self.records[key] = record

    def forget(self, key: str) -> None:
        """A study is gone from the inbox; its result stays."""
        if self.records.pop(key, None) is not None:
            self.is_saved = False

    def forget_failures(self) -> None:
        """Have everything that failed tried again."""
        self._case_of = {
            inputs: case for inputs, case in self._case_of.items() if not self.results[case][1]
        }
        for key in [key for key, one in self.records.items() if one.failed]:
            self.forget(key)


def load_state(out: Path, results: Iterable[CaseResult | FailedCase]) -> State:
    """The state that was left in OUT, as far as the results bear it out."""
    state = State()
    for result in results:
        state.done(result)
    for key, record in _records(out).items():
        if state.results.get(record.case) == (record.inputs, record.failed):
            state.records[key] = record
    return state


def save_state(state: State, out: Path) -> None:
    """Write the state, whole or not at all. Raises OSError."""
    document = {
        "schema_version": STATE_VERSION,
        "studies": {key: asdict(record) for key, record in sorted(state.records.items())},
    }
    data = json_bytes(document)
    write_whole(out / STATE_NAME, lambda to: to.write_bytes(data))
    state.is_saved = True


def check_there(out: Path) -> None:
    """Raise OutputGoneError unless the folder is the one in which a watcher keeps its state: it may
    be gone, or an empty mount point."""
    if not (out / STATE_NAME).is_file():
        raise OutputGoneError(
            f"{out} is not there, or is another folder than before; is the share mounted?"
        )


def _records(out: Path) -> dict[str, Record]:
    try:
        document = json.loads((out / STATE_NAME).read_bytes())
        if document["schema_version"] != STATE_VERSION:
            return {}
        found = {key: Record(**one) for key, one in document["studies"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    kinds = {"snapshot": str, "files": int, "inputs": str, "case": str, "failed": bool}
    return {
        key: one
        for key, one in found.items()
        if all(isinstance(getattr(one, name), kind) for name, kind in kinds.items())
    }
