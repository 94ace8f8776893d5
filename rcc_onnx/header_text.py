"""What of a header's text may be shown: in results, messages and logs (docs/outputs.md, Privacy).

Every text that leaves the intake goes through one of these. What is not known to be harmless is
replaced by `UNSHOWN`, for a patient's name may stand anywhere.
"""

import re
from collections.abc import Collection, Sequence
from itertools import groupby

from rcc_onnx.vocabulary import AGENTS, CONTRAST, KERNELS, PROTOCOL

UNSHOWN = "?"
"""Stands for a word, or several in a row, that may be anything."""

RECORDED = "recorded"
"""For contrast whose agent is not known by name."""

_UID = re.compile(r"[0-9.]{1,64}")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,12}")
_KERNEL = re.compile(r"[BDEHIJQSTU][a-z]?[0-9]{2}[a-z]?|FC[0-9]{2}(-?H)?")
"""As B30f, Br40d, FC08-H: too narrow for the number of a patient."""
_AMOUNT = re.compile(
    r"[0-9]|[0-9]\.[0-9]{1,3}|[0-9]{1,3}([.,][0-9]{1,3})?(mm|kv|kvp|kev|ml|s|sec|%)"
)
"""Numbers that are no part of a date: of one digit before the point, or with their unit."""
_BETWEEN = re.compile(r"[\s_,;:()\[\]{}<>\"\\^=]+")
"""Not at hyphens, slashes and points: a date must stay one word, and is none of ours."""
_QUOTED = re.compile(r"""(['"]).*?(\1|$)""")
_MESSAGE_LENGTH = 200


def uid(said: str) -> str:
    """The UID; "" if it has letters in it, or is longer than UIDs are (PS3.5 section 9.1)."""
    return said if _UID.fullmatch(said) else ""


def whole_number(said: str) -> str:
    """The number of an integer string (PS3.5 section 6.2); "" if it is none."""
    return said if _WHOLE_NUMBER.fullmatch(said) else ""


def term(said: str, known: Collection[str]) -> str:
    """A code string, if it is one of DICOM's defined terms for it; "" stays ""."""
    return said if said in known or not said else UNSHOWN


def terms(said: Sequence[str], known: Collection[str]) -> str:
    """Values of a code string with their backslashes, each word of which must be known."""

    def shown(value: str) -> str:
        return " ".join(term(word, known) for word in value.split(" "))

    return "\\".join(shown(value) for value in said)


def protocol_words(said: str) -> str:
    """The words of a description that protocols are made of; "" if there is none."""
    return _known(said, PROTOCOL | AGENTS | CONTRAST | KERNELS)


def kernel_words(said: str) -> str:
    """The kernel, where it looks like one."""
    values = (_known(value, KERNELS) for value in said.split("\\"))
    return "\\".join(value for value in values if value)


def agent_words(said: str) -> str:
    """The contrast agent, where it is known by name; else that something was recorded."""
    if not said:
        return ""
    words = _known(said, AGENTS | CONTRAST)
    return words if any(word.lower() in AGENTS for word in words.split()) else RECORDED


def without_quotes(message: str) -> str:
    """The first line of a library's message, without what it quotes: that may be from the file."""
    lines = message.splitlines()
    return _QUOTED.sub(UNSHOWN, lines[0])[:_MESSAGE_LENGTH] if lines else ""


def _known(said: str, words: Collection[str]) -> str:
    """The text with every run of unknown words as one mark; "" if none is known."""
    found = [word for word in _BETWEEN.split(said) if word]
    kept = [word if _is_known(word, words) else UNSHOWN for word in found]
    if all(word == UNSHOWN for word in kept):
        return ""
    shown = [[key] if key == UNSHOWN else list(run) for key, run in groupby(kept)]
    return " ".join(word for run in shown for word in run)


def _is_known(word: str, words: Collection[str]) -> bool:
    lower = word.lower()
    return bool(
        lower in words
        or _AMOUNT.fullmatch(lower)
        or _KERNEL.fullmatch(word)
        or all(part in words for part in re.split(r"[/+-]", lower) if part)
    )
