"""What the studies of an inbox are called, and which of them cannot be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rcc_onnx.batch.pseudonyms import check_out, gives_away, pseudonym_of, read_pseudonyms
from rcc_onnx.errors import InputFolderError, NameTakenError, PseudonymsError, RccOnnxError
from rcc_onnx.output.names import check_case_name, same_everywhere
from rcc_onnx.watch.inbox import Inbox


@dataclass(frozen=True)
class Named:
    """The entries of an inbox by what they are to be called.

    Attributes:
        cases: the name of each one's case, by entry.
        refused: why an entry cannot be taken, by entry.
        waiting: entries without a pseudonym.
    """

    cases: Mapping[str, str]
    refused: Mapping[str, RccOnnxError]
    waiting: tuple[str, ...]


@dataclass
class Names:
    """Names cases.

    Attributes:
        file: of pseudonyms, read again when it changes; None: cases are called as their entries.
        out: the folder of results, which must hold none under a name that is hidden.
    """

    inbox: Inbox
    file: Path | None = None
    out: Path | None = None
    _pseudonyms: Mapping[str, str] = field(default_factory=dict)
    _read: object = None

    @property
    def hidden(self) -> bool:
        """Whether no name of an entry or file may be told."""
        return self.file is not None

    def refresh(self) -> None:
        """Read the file of pseudonyms if it has changed.

        Raises:
            PseudonymsError: it cannot be used; what it said before still counts.
        """
        if self.file is None:
            return
        try:
            found = self.file.stat()
            look: object = (found.st_size, found.st_mtime_ns)
        except OSError:
            look = None
        if look == self._read and look is not None:
            return
        self._read = look
        self._pseudonyms = read_pseudonyms(self.file)

    def of(self, entries: Iterable[str], held: Mapping[str, str]) -> Named:
        """Name entries. Of two with one name the one that has it already keeps it.

        Args:
            entries: in order; the first of several takes a name that nobody has.
            held: entries by the name of the case that they are, as `same_everywhere` writes it.
        """
        entries = tuple(entries)
        cases: dict[str, str] = {}
        refused: dict[str, RccOnnxError] = {}
        waiting: list[str] = []
        own = {entry: self.inbox.case_name(entry) for entry in entries}
        holders = {name: entry for name, entry in held.items() if entry in own}
        for entry in entries:
            case = pseudonym_of(own[entry], self._pseudonyms) if self.hidden else own[entry]
            if case is None:
                waiting.append(entry)
                continue
            try:
                if holders.get(same_everywhere(case)) != entry:
                    self._check(entry, case, own)
                if holders.setdefault(same_everywhere(case), entry) != entry:
                    raise NameTakenError(
                        "another entry of the inbox has results of this name; rename one of them"
                    )
            except (InputFolderError, NameTakenError, PseudonymsError) as error:
                refused[entry] = error
            else:
                cases[entry] = case
        return Named(cases, refused, tuple(waiting))

    def _check(self, entry: str, case: str, own: Mapping[str, str]) -> None:
        if not self.hidden:
            check_case_name(case, self.inbox.folder)
            return
        if self.out is not None:
            check_out([own[entry]], self.out)
        if gives_away(case, own.values()):
            raise PseudonymsError(
                f"{self.file}: a pseudonym is or holds a case's own name; choose one that says "
                "nothing",
                code="pseudonym-unsafe",
            )
