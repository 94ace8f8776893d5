"""The files of a case against those of an analysis made again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rcc_onnx.output.checksums import size_and_sha256
from rcc_onnx.output.document import overview_name
from rcc_onnx.output.exports import same_but_for_times
from rcc_onnx.output.html import fragment_name


@dataclass(frozen=True)
class FileDifference:
    """A file that is not the same.

    Attributes:
        is_answer: it shows another answer. Others may show a number or what ran, and follow those.
    """

    name: str
    text: str
    is_answer: bool


@dataclass(frozen=True)
class CaseFolder:
    """A folder of results, and the hashes that a case's document states of its files."""

    out: Path
    stated: Mapping[str, str]


def file_differences(case: str, before: CaseFolder, now: CaseFolder) -> Iterator[FileDifference]:
    """What differs between the files of a case. Times in DICOM files do not count."""
    for name in sorted(before.stated.keys() | now.stated.keys()):
        if name not in before.stated or name not in now.stated:
            text = "was not written then" if name in now.stated else "is not written now"
            yield FileDifference(name, text, is_answer=True)
            continue
        path = before.out / name
        if not path.is_file():
            if name != fragment_name(case):  # which may be removed
                yield FileDifference(name, "is not there any more", is_answer=True)
        elif size_and_sha256(path)[1] != before.stated[name]:
            yield FileDifference(name, "was changed since it was written", is_answer=True)
        elif before.stated[name] != now.stated[name]:
            yield from _other_bytes(name, path, now.out / name, case)


def _other_bytes(name: str, before: Path, now: Path, case: str) -> Iterator[FileDifference]:
    if name.endswith(".png"):
        pixels = _other_pixels(before, now)
        if pixels:
            # The overview prints sums and draws outlines; the small pictures show pixels and a box.
            yield FileDifference(name, pixels, is_answer=name != overview_name(case))
    elif not (name.endswith(".dcm") and same_but_for_times(before, now)):
        yield FileDifference(name, "has other bytes", is_answer=False)


def _other_pixels(before: Path, now: Path) -> str:
    """How two pictures differ; empty if they show the same."""
    try:
        with Image.open(before) as one, Image.open(now) as other:
            first, second = (np.asarray(image.convert("RGB")) for image in (one, other))
    except (OSError, UnidentifiedImageError):
        return "cannot be read as a picture"
    if first.shape != second.shape:
        return "has another size"
    count = int((first != second).any(axis=2).sum())
    return f"differs in {count} of {first.shape[0] * first.shape[1]} pixels" if count else ""
