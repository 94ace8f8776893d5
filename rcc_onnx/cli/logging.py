"""Logs of the command line: standard error and a file, without patient data."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

import typer

from rcc_onnx.errors import LogFileError, RccOnnxError
from rcc_onnx.system.files import NO_LOCKS, try_lock
from rcc_onnx.system.log_privacy import JsonFormatter, PlainFormatter, PrivacyFilter

_log = logging.getLogger(__name__)

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
"""By how often `-v` was given."""
FILE_BYTES = 10_000_000
"""Size at which a log file is renamed and a new one begun: some ten thousand cases."""
OLD_FILES = 5
"""Renamed files that are kept: FILE.1, the newest, to FILE.5."""


def set_up_logging(verbose: int = 0) -> None:
    """Log on standard error, for commands that write no log file."""
    logging.basicConfig(level=_level(verbose), handlers=[_terminal(_level(verbose))])


@contextmanager
def run_logs(verbose: int = 0, *, quiet: bool = False, file: Path | None = None) -> Iterator[None]:
    """Log on standard error and into a file while the block runs, and how it fails if it does.

    The file has level INFO whatever the terminal shows, and with `verbose` 2 everything.

    Raises:
        LogFileError: the file cannot be written, or another run writes to it.
    """
    level = logging.ERROR if quiet else _level(verbose)
    root = logging.getLogger()
    with ExitStack() as held:
        handlers: list[logging.Handler] = [_terminal(level)]
        if file is not None:
            handlers.append(held.enter_context(_log_file(file, min(_level(verbose), logging.INFO))))
        before = root.level
        root.setLevel(min(handler.level for handler in handlers))
        held.callback(root.setLevel, before)
        for handler in handlers:
            root.addHandler(handler)
            held.callback(root.removeHandler, handler)
        with _failure_logged():
            yield


def check_log_file(file: Path | None, studies: Path, out: Path) -> None:
    """Raise LogFileError if a log would grow among the studies, which it would change."""
    if file is None:
        return
    folder = file.resolve().parent
    if folder.is_relative_to(studies.resolve()) and not folder.is_relative_to(out.resolve()):
        raise LogFileError(f"{file} is inside the input folder; choose another --log-file")


def silence_warnings() -> None:
    """Hide the warnings of libraries, which quote values of headers."""
    warnings.simplefilter("ignore")


def _level(verbose: int) -> int:
    return LEVELS[min(verbose, len(LEVELS) - 1)]


def _terminal(level: int) -> logging.Handler:
    handler = _set_up(logging.StreamHandler(sys.stderr), level, PlainFormatter())
    handler.addFilter(lambda record: not getattr(record, "printed", False))
    return handler


def _set_up(handler: logging.Handler, level: int, formatter: logging.Formatter) -> logging.Handler:
    handler.setLevel(level)
    handler.setFormatter(formatter)
    handler.addFilter(PrivacyFilter())
    return handler


@contextmanager
def _failure_logged() -> Iterator[None]:
    """Log how the block failed, in the file only: others print it."""
    try:
        yield
    except RccOnnxError as error:
        _log.error("%s", error, extra=_data("error", code=error.code))
        raise
    except KeyboardInterrupt:
        _log.warning("interrupted", extra=_data("interrupted"))
        raise
    except typer.Exit:
        raise
    except Exception:
        _log.exception("unexpected", extra=_data("unexpected"))
        raise


def _data(event: str, **facts: str) -> dict[str, object]:
    return {"data": {"event": event, **facts}, "printed": True}


@contextmanager
def _log_file(path: Path, level: int) -> Iterator[logging.Handler]:
    with ExitStack() as held:
        try:
            lock = try_lock(path.with_name(f".{path.name}.lock"), remove=True)
            is_free = held.enter_context(lock)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise _cannot_log(path, error) from error
            is_free = True
        if not is_free:
            raise LogFileError(
                f"another run of rcc-onnx logs to {path}; choose another --log-file",
                code="log-file-busy",
            )
        try:
            handler = LogFile(path)
        except OSError as error:
            raise _cannot_log(path, error) from error
        held.callback(handler.close)
        yield _set_up(handler, level, JsonFormatter())


def _cannot_log(path: Path, error: OSError) -> LogFileError:
    return LogFileError(
        f"cannot log to {path}: {error.strerror or error}; choose another --log-file, in a folder "
        "that exists"
    )


class LogFile(RotatingFileHandler):
    """A log file that goes on where it can: a full disk costs lines of the log and no analysis."""

    def __init__(self, path: Path) -> None:
        # A name that is not UTF-8 becomes an escape that JSON has too.
        super().__init__(
            path,
            maxBytes=FILE_BYTES,
            backupCount=OLD_FILES,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._complained = False

    def doRollover(self) -> None:  # noqa: N802  logging's name
        try:
            super().doRollover()
        except OSError as error:
            # On Windows, another program has it open: the file grows on.
            self._complain(error)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        self._complain(sys.exc_info()[1])

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self._complain(error)

    def _complain(self, error: BaseException | None) -> None:
        """Report the first failure on standard error."""
        if not self._complained:
            self._complained = True
            why = getattr(error, "strerror", None) or type(error).__name__
            print(
                f"the log file {self.baseFilename} cannot be written ({why}); the analysis goes on",
                file=sys.stderr,
            )
