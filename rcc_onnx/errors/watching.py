"""Refusals of `rcc-onnx watch`."""

from rcc_onnx.errors.base import RccOnnxError

# --- Watching ------------------------------------------------------------------------------------


class WatchError(RccOnnxError, RuntimeError):
    """Something is wrong with a watched folder, or a study in it; a later look may find it well."""

    code = "watch"


class InboxGoneError(WatchError, FileNotFoundError):
    """The watched folder is not there, or cannot be read."""

    code = "inbox-gone"


class OutputGoneError(WatchError, FileNotFoundError):
    """The folder of results is not there any more, or is another one than before."""

    code = "output-gone"


class StudyChangedError(WatchError):
    """A study changed while it was analysed; nothing was written."""

    code = "study-changed"


class StudyUnreadableError(WatchError, OSError):
    """Files of a study cannot be read yet."""

    code = "study-unreadable"


class NameTakenError(WatchError, ValueError):
    """Two entries of a watched folder would have results of one name."""

    code = "name-taken"


class MoveError(WatchError, OSError):
    """A study that is done cannot be moved away."""

    code = "move"
