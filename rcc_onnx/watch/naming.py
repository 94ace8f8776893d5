"""What a result is called, and what is said when a study is taken up."""

import re

from rcc_onnx.types import counted
from rcc_onnx.watch.inbox import Snapshot
from rcc_onnx.watch.output import Output
from rcc_onnx.watch.state import Record


def result_name(own: str, record: Record | None, output: Output) -> str:
    """The name for the result of a study that is called `own`. It replaces nothing but an earlier
    result of this entry, or a failure; otherwise a number is added."""
    if record is not None and re.fullmatch(rf"{re.escape(own)}(-\d+)?", record.case):
        return record.case
    name, number = own, 1
    while output.is_taken(name):
        number += 1
        name = f"{own}-{number}"
    return name


def taken_up(snapshot: Snapshot, record: Record | None) -> str:
    """What happens to a study, in words."""
    if record is None:
        return f"{counted(snapshot.files, 'file')}, analysing"
    more = snapshot.files - record.files
    return f"again: {counted(more, 'more file')} arrived" if more > 0 else "again: it has changed"
