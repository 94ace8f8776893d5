"""What may leave a site: numbers, words that are ours, and nothing that somebody else chose.

Values are let through by what they are, not held back by what they look like. Only sentences of the
doctor, which are ours but name places of this machine, have such names taken out of them.
"""

import getpass
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcc_onnx.bundles.data_folder import MODELS_VARIABLE, data_folder
from rcc_onnx.errors import DataFolderError

Json = dict[str, Any]

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,79}")
_PHRASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,+()@_-]{0,119}")
_REST = r"[^\s'\"<>,;:()]*"
"""Of a path, up to where a sentence may go on."""
_ANY_PATH = re.compile(rf"(?<![\w<>])(?:[A-Za-z]:[\\/]|\\\\|~?/){_REST}")
_NAME_FROM = 3
"""Letters from which on a user's or a machine's name is taken out of sentences. A shorter one is in
many words by chance; that of its folder is taken out with the path."""
_NUMBER_OF_LETTERS = 4


class CaseNumbers:
    """Names for cases that say nothing: case-0001 is the same one everywhere in a bundle."""

    def __init__(self, names: Iterable[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(sorted(set(names)), start=1)}

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, name: object) -> str | None:
        """The number of a case; None of what is no case's name."""
        if not isinstance(name, str) or name not in self._numbers:
            return None
        return f"case-{self._numbers[name]:0{_NUMBER_OF_LETTERS}}"


def word(value: Any) -> str | None:
    """A name that this software or a package has chosen, as a code or a version; None for others.

    To be asked for fields whose values are such names. What has a path in it is none.
    """
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def phrase(value: Any) -> str | None:
    """Several words, as a processor's name; None for others."""
    return value if isinstance(value, str) and _PHRASE.fullmatch(value) else None


def number(value: Any) -> float | bool | None:
    """A number, or whether; None for others."""
    return value if isinstance(value, bool | int | float) else None


def words(values: Any) -> list[str]:
    """Those of a list that are `word`s."""
    return [one for one in values if word(one)] if isinstance(values, list) else []


def numbers(values: Any) -> Json | list[Any] | None:
    """The numbers of a list, or by name; None for others."""
    if isinstance(values, list):
        return [number(one) for one in values]
    if isinstance(values, Mapping):
        return {name: number(one) for name, one in values.items() if word(name)}
    return None


def picked(document: Any, **fields: Any) -> Json:
    """Of a JSON object the fields that are named, each as its function lets it through."""
    if not isinstance(document, Mapping):
        return {}
    return {name: let(document[name]) for name, let in fields.items() if name in document}


@dataclass(frozen=True)
class Sentences:
    """Takes names of places, of the user and of the machine out of sentences.

    Attributes:
        places: what to say instead of each folder, the deepest first.
        names: what to say instead of each name, in any case of letters.
    """

    places: tuple[tuple[str, str], ...]
    names: tuple[tuple[str, str], ...]

    @classmethod
    def of_this_machine(cls) -> "Sentences":
        users = {os.environ.get(one, "") for one in ("USER", "LOGNAME", "USERNAME")}
        with suppress(Exception):  # a service's user without an entry anywhere
            users.add(getpass.getuser())
        home = None
        with suppress(RuntimeError):
            home = Path.home()
            users.add(home.name)
        hosts = {platform.node(), platform.node().partition(".")[0]}
        hosts |= {os.environ.get(one, "") for one in ("HOSTNAME", "COMPUTERNAME", "USERDOMAIN")}
        names = [(one, "<user>") for one in users] + [(one, "<machine>") for one in hosts]
        long_enough = [pair for pair in names if len(pair[0]) >= _NAME_FROM]
        return cls(_places(home), tuple(sorted(long_enough, key=_longest)))

    def clean(self, value: Any) -> Any:
        """JSON with all its sentences cleaned; keys are ours."""
        if isinstance(value, Mapping):
            return {str(name): self.clean(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(one) for one in value]
        return self.sentence(value) if isinstance(value, str) else number(value)

    def sentence(self, text: str) -> str:
        for place, instead in self.places:
            whole = rf"{re.escape(place)}(?![\w-]){_REST}"
            text = re.sub(whole, instead, text, flags=re.IGNORECASE)
        text = _ANY_PATH.sub("<path>", text)
        for name, instead in self.names:
            whole = rf"(?<![\w-]){re.escape(name)}(?![\w-])"
            text = re.sub(whole, instead, text, flags=re.IGNORECASE)
        return text


def _places(home: Path | None) -> tuple[tuple[str, str], ...]:
    found: list[tuple[Path | str, str]] = [
        (Path(__file__).resolve().parents[2], "<package>"),
        (sys.prefix, "<python>"),
        (tempfile.gettempdir(), "<temporary folder>"),
        (os.environ.get(MODELS_VARIABLE, ""), "<models folder>"),
    ]
    with suppress(OSError):  # it was removed
        found.append((Path.cwd(), "<current folder>"))
    with suppress(DataFolderError):
        found.append((data_folder() or "", "<data folder>"))
    if home is not None:
        found.append((home, "<home>"))
    # What is above all is in every path.
    named = [(str(one), instead) for one, instead in found if len(Path(one).parts) > 1]
    return tuple(sorted(named, key=_longest))


def _longest(pair: tuple[str, str]) -> tuple[int, str]:
    return -len(pair[0]), pair[0]
