"""Text from outside, such as a file's name, made fit to be shown on a terminal."""

import re

_NOT_SHOWN = re.compile(
    # Controls, escape sequences and line breaks among them; what turns the direction of text; and
    # what Python has for bytes of names that are no UTF-8.
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def shown(text: str) -> str:
    """The text in one line, with an escape such as `\\x1b` for what a terminal would act upon."""
    return _NOT_SHOWN.sub(lambda found: ascii(found[0])[1:-1], text)
