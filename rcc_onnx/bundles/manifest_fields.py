"""Checks of single values read from manifest.json, each naming the key it is about."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rcc_onnx.errors import BundleManifestError

LONGEST_TEXT = 2000
"""Characters in any text of the manifest: it is printed in tables and error messages."""
LARGEST_COUNT = 2**31 - 1
"""No count in a manifest means anything beyond this."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Windows opens a device, not a file, for these names with any extension.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@contextmanager
def at(key: str) -> Iterator[None]:
    """Put `key` in front of the key that an error raised inside names."""
    try:
        yield
    except BundleManifestError as error:
        path = f"{key}.{error.key}" if error.key else key
        raise BundleManifestError(error.problem, path) from error.__cause__


def load_json(text: str) -> Any:
    """Parse JSON, refusing what Python's reader lets through: doubled keys, NaN and infinity."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        whole = dict(pairs)
        if len(whole) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            raise BundleManifestError(f"key given twice: {', '.join(twice)}")
        return whole

    def constant(word: str) -> Any:
        raise BundleManifestError(f"{word} is not a number that JSON allows")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except BundleManifestError:
        raise
    except (ValueError, RecursionError) as error:
        raise BundleManifestError(f"is not JSON ({error})") from error


def any_object(raw: Any) -> dict[str, Any]:
    """A copy of a JSON object."""
    if not isinstance(raw, dict):
        raise BundleManifestError(f"must be an object, not {show(raw)}")
    return dict(raw)


def object_with(raw: Any, keys: set[str]) -> dict[str, Any]:
    """A copy of a JSON object that has exactly these keys."""
    whole = any_object(raw)
    missing, unknown = sorted(keys - set(whole)), sorted(set(whole) - keys)
    if missing:
        raise BundleManifestError(f"key missing: {', '.join(missing)}")
    if unknown:
        raise BundleManifestError(f"unknown key: {show(', '.join(unknown))}")
    return whole


def any_list(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise BundleManifestError(f"must be a list, not {show(raw)}")
    return raw


def check_text(value: object, key: str) -> None:
    """One line of text, or more, that a terminal can show as it is."""
    if not isinstance(value, str) or not value.strip():
        raise BundleManifestError(f"must be a text that is not empty, not {show(value)}", key)
    if len(value) > LONGEST_TEXT:
        raise BundleManifestError(f"is longer than {LONGEST_TEXT} characters", key)
    if not value.replace("\n", "").isprintable():
        raise BundleManifestError("holds control characters", key)


def is_plain_file_name(name: str) -> bool:
    """Whether `name` can only mean a file directly inside the folder it is joined to."""
    return bool(_FILE.fullmatch(name)) and not name.endswith(".") and not _DEVICE.fullmatch(name)


def check_file_name(value: object, key: str) -> None:
    if not isinstance(value, str) or not is_plain_file_name(value):
        problem = "must be a plain file name (letters, digits, '.', '_', '-') in the bundle's"
        raise BundleManifestError(f"{problem} own folder, not {show(value)}", key)


def check_hex(value: object, digits: int, key: str) -> None:
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
        problem = f"must be {digits} hexadecimal digits in lower case, not {show(value)}"
        raise BundleManifestError(problem, key)


def check_count(value: object, key: str, least: int) -> None:
    # bool is an int in Python; in a manifest `true` is no count.
    if isinstance(value, bool) or not (isinstance(value, int) and least <= value <= LARGEST_COUNT):
        raise BundleManifestError(f"must be a whole number from {least}, not {show(value)}", key)


def check_number(value: object, key: str) -> None:
    """A finite number of at least 0."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A whole number can be too large for a float; no quantity here comes near that.
        with suppress(OverflowError):
            if math.isfinite(value) and value >= 0:
                return
    raise BundleManifestError(f"must be a number of at least 0, not {show(value)}", key)


def check_bool(value: object, key: str) -> None:
    if not isinstance(value, bool):
        raise BundleManifestError(f"must be true or false, not {show(value)}", key)


def show(value: object) -> str:
    """A value as JSON for a message, cut short."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
