"""Looks at an inbox: which studies are there, which have arrived, which are as they were left."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rcc_onnx.batch.cases import Case
from rcc_onnx.errors import InboxGoneError, PseudonymsError
from rcc_onnx.output.names import same_everywhere
from rcc_onnx.types import counted
from rcc_onnx.watch.arrivals import Arrivals
from rcc_onnx.watch.inbox import Inbox, Listing, Snapshot
from rcc_onnx.watch.names import Named, Names
from rcc_onnx.watch.state import Record, State
from rcc_onnx.watch.voice import Voice

FINISHED_LOOKS = 12
"""A study that is done is looked at every so many intervals: late files are found that much
later."""
FINISHED_BUDGET_S = 1.0
"""Of a round, for studies that are done: an inbox may hold years of them on a slow share."""


class Study(NamedTuple):
    """An entry of the inbox under the name of its case.

    Attributes:
        key: what it is known by: the entry's name, or what hides it.
        entry: its name in the inbox.
        case: its name for the results, and where it lies.
    """

    key: str
    entry: str
    case: Case


class Arrived(NamedTuple):
    """A study that has not changed for long enough, as it was looked at last."""

    study: Study
    snapshot: Snapshot


@dataclass
class Looks:
    """Everything that is seen of an inbox.

    Attributes:
        studies: those that are there and can be named, by key.
        arrived: those that have arrived and are to be taken up, by key, in order.
        interval_s: between two looks.
    """

    inbox: Inbox
    names: Names
    state: State
    arrivals: Arrivals
    voice: Voice
    interval_s: float = 5.0
    clock: Callable[[], float] = time.monotonic
    studies: dict[str, Study] = field(default_factory=dict)
    arrived: dict[str, Arrived] = field(default_factory=dict)
    _finished_at: dict[str, float] = field(default_factory=dict)
    _identity: tuple[int, int] | None = None
    _saw_any: bool = False
    _refused: frozenset[str] = frozenset()

    def look(self, busy: Collection[str], stopped: Callable[[], bool]) -> list[Study]:
        """One look at everything; the studies that are as their records say, if it was their turn.

        Args:
            busy: keys of studies that are being worked on, and are left alone.
            stopped: whether to leave the rest.

        Raises:
            InboxGoneError: nothing can be seen.
        """
        listing = self._listing()
        self._name(listing)
        self._forget_gone(listing)
        for key, study in self.studies.items():
            if stopped():
                return []
            record = self.state.records.get(key)
            is_finished = record is not None and self.arrivals.is_new(key)
            if key not in busy and key not in self.arrived and not is_finished:
                self._see(study, record)
        return list(self._unchanged(busy, stopped))

    @property
    def all_looked_at(self) -> bool:
        """Whether every study that was done before has been looked at since the start."""
        done = (key for key in self.studies if key in self.state.records)
        return all(key in self._finished_at or not self.arrivals.is_new(key) for key in done)

    def again(self, arrived: Arrived) -> bool:
        """Whether a study that had arrived still is as it was; else it is arriving."""
        study, before = arrived
        now = self.inbox.snapshot(study.entry)
        self.arrived.pop(study.key, None)
        if now == before:
            return True
        self.wait(study.key)
        return False

    def wait(self, key: str) -> None:
        """Have a study be stable anew before it is taken up."""
        self.arrived.pop(key, None)
        self.arrivals.wait_again(key, self.clock())

    def done(self, key: str) -> None:
        """A study has a record now."""
        self.arrivals.forget(key)
        self.voice.forget(key)
        self._finished_at[key] = self.clock()

    def _listing(self) -> Listing:
        listing = self.inbox.listing()
        moved = self._identity is not None and listing.identity != self._identity
        if moved and self._saw_any and not listing.entries:
            raise InboxGoneError(
                f"{self.inbox.folder} is empty, and another folder than before; is the share "
                "mounted?"
            )
        self._identity = listing.identity
        return listing

    def _name(self, listing: Listing) -> None:
        """Find out what the entries are called, and tell of those that cannot be taken."""
        try:
            self.names.refresh()
        except PseudonymsError as error:
            self.voice.once("pseudonyms", f"the pseudonyms of before stay [{error.code}]: {error}")
        else:
            self.voice.forget("pseudonyms")
        held = {
            same_everywhere(one.case.name): one.entry
            for key, one in self.studies.items()
            if key in self.state.records or not self.arrivals.is_new(key)
        }
        named = self.names.of(listing.entries, held | self._recorded(listing))
        self.studies = {
            study.key: study
            for entry, name in named.cases.items()
            for study in [self._study(entry, name)]
        }
        self._tell(named, listing)

    def _recorded(self, listing: Listing) -> dict[str, str]:
        """Entries that have records under their own names; of importance after a restart."""
        if self.names.hidden:
            return {}
        return {
            same_everywhere(self.inbox.case_name(entry)): entry
            for entry in listing.entries
            if entry in self.state.records
        }

    def _study(self, entry: str, name: str) -> Study:
        hidden = self.names.hidden
        suffix = ".zip" if self.inbox.is_file(entry) else ""
        key = f"{name}{suffix}" if hidden else entry
        return Study(key, entry, Case(name, self.inbox.path(entry), hide_names=hidden))

    def _tell(self, named: Named, listing: Listing) -> None:
        for entry in self._refused - named.refused.keys():
            self.voice.forget(f"refused {entry}")
        self._refused = frozenset(named.refused)
        for entry, error in named.refused.items():
            if self.names.hidden:
                # Numbers, as the names are what must not show.
                self.voice.once(
                    f"refused {error.code}",
                    f"{counted(len(named.refused), 'study', 'studies')} cannot be taken "
                    f"[{error.code}]: {error}",
                )
            else:
                self.voice.once(f"refused {entry}", f"{entry}: refused [{error.code}]: {error}")
        self._tell_count(
            "waiting", len(named.waiting), "{} for a line in the file of pseudonyms", "waits"
        )
        self._tell_count(
            "loose",
            listing.loose_files,
            "{} directly in the inbox; a study is a folder or a zip archive",
            "lies",
        )

    def _tell_count(self, about: str, count: int, line: str, verb: str) -> None:
        if count == 0:
            self.voice.forget(about)
            return
        one, many = ("study", "studies") if about == "waiting" else ("file", "files")
        verb = verb if count == 1 else verb[:-1] if about == "waiting" else "lie"
        self.voice.once(about, line.format(f"{counted(count, one, many)} {verb}"))

    def _forget_gone(self, listing: Listing) -> None:
        """Forget studies that are not there; an inbox that is empty at the start may just not be
        mounted."""
        if listing.entries:
            self._saw_any = True
        elif not self._saw_any:
            return
        known = {*self.arrivals.names, *self.state.records, *self._finished_at}
        for key in known - set(self.studies):
            self.forget(key)
        for key in set(self.arrived) - set(self.studies):
            del self.arrived[key]

    def forget(self, key: str) -> None:
        """A study is gone."""
        self.arrivals.forget(key)
        self.arrived.pop(key, None)
        self.state.forget(key)
        self._finished_at.pop(key, None)
        self.voice.forget(key)

    def _see(self, study: Study, record: Record | None) -> None:
        """Take a look at a study that is not known as it is."""
        key, now = study.key, self.clock()
        found = self.inbox.snapshot(study.entry)
        if found is None:
            self.arrivals.forget(key)
            return
        if record is not None and record.snapshot == found.digest:
            # What had changed is as it was again.
            self.done(key)
            return
        if self.arrivals.is_new(key):
            what = "it has changed since it was analysed" if record else "arriving"
            self.voice.once(key, f"{study.case.name}: {what}")
        if not self.arrivals.seen(key, found.digest, now):
            return
        if found.half_written:
            files = counted(found.half_written, "file")
            self.voice.once(
                key, f"{study.case.name}: waits, as {files} in it have names of half written ones"
            )
            return
        self.arrived[key] = Arrived(study, found)

    def _unchanged(self, busy: Collection[str], stopped: Callable[[], bool]) -> Iterator[Study]:
        """Look at studies that are done, those first that were not looked at for longest."""
        begun = self.clock()
        waiting = [
            (self._finished_at.get(key, float("-inf")), key)
            for key in self.studies
            if key in self.state.records and self.arrivals.is_new(key) and key not in busy
        ]
        for looked_at, key in sorted(waiting):
            now = self.clock()
            too_late = now - begun > FINISHED_BUDGET_S
            is_early = now - looked_at < FINISHED_LOOKS * self.interval_s
            if stopped() or too_late or is_early:
                return
            study, record = self.studies[key], self.state.records[key]
            self._finished_at[key] = now
            found = self.inbox.snapshot(study.entry)
            if found is not None and found.digest == record.snapshot:
                yield study
            elif found is not None:
                self._see(study, record)
