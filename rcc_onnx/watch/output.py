"""The folder of results of a watcher: whether it is there, what is kept in it, and when."""

import time
from collections.abc import Callable
from pathlib import Path

from rcc_onnx.output.case import cannot_write, write_case, write_whole
from rcc_onnx.output.run import RunFiles
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.watch.state import State, check_there, save_state

RUN_FILES_S = 60.0
"""Between two writings of report and tables while studies are analysed."""
SHARE_OF_TIME = 20
"""Writing them takes no more than a part of so many of the time, however many results there are."""
STATE_S = 5.0
"""Between two savings of the state. What is lost with it is only time."""
PROBE_BYTES = 1 << 20
"""What must fit on a disk that was full before a study is analysed for it: more than most results
take, and little enough to be tried every few minutes."""


class Output:
    """Keeps results, state and the files of the run. Times are those of the watcher's clock.

    `lock` has the folder held anew: a lock does not outlive that its share is mounted again.
    """

    def __init__(
        self, out: Path, state: State, files: RunFiles, lock: Callable[[], None] = lambda: None
    ) -> None:
        self._lock = lock
        self.out = out
        self.state = state
        self.files = files
        self.clock: Callable[[], float] = time.monotonic
        self._files_are_old = True
        self._files_next = 0.0
        self._state_next = 0.0

    def check(self) -> None:
        """Raise OutputGoneError if the folder is not the one that it was."""
        check_there(self.out)

    def take_back(self) -> None:
        """The folder is there again: hold it as before. Raises OutputError if another run does."""
        self._lock()

    def probe(self) -> None:
        """Raise OutputError, or OutputGoneError, if no result could be written."""
        self.check()
        path = self.out / ".rcc-onnx"
        try:
            write_whole(path, lambda to: to.write_bytes(bytes(PROBE_BYTES)))
            path.unlink()
        except OSError as error:
            raise cannot_write(self.out, error) from error

    def add(self, result: CaseResult | FailedCase) -> None:
        """A result lies there."""
        self.files.add(result)
        self.state.done(result)
        self._files_are_old = True

    def write_failed(self, result: FailedCase) -> None:
        """Write the result of a study whose process could not. Raises OutputError."""
        write_case(result, self.out)

    def is_taken(self, case: str) -> bool:
        """Whether a result that says something lies there under a name."""
        _, failed = self.state.results.get(case, ("", False))
        return not failed and (self.out / f"{case}.json").exists()

    def save(self, *, idle: bool) -> None:
        """Write what has changed, if it is time.

        Raises:
            OutputError, OutputGoneError: it cannot be written.
        """
        now = self.clock()
        state_is_due = not self.state.is_saved and now >= self._state_next
        files_are_due = self._files_are_old and now >= self._files_next - idle * RUN_FILES_S
        if state_is_due or files_are_due:
            self.check()
            self._write_state()
        if files_are_due:
            self._write_files()

    def close(self) -> None:
        """Write everything for the last time. Raises as `save`."""
        self.check()
        self._write_state()
        self.files.write()

    def begin(self) -> None:
        """Write everything for the first time; from then on the folder is known by the state.

        Raises:
            OutputError: it cannot be written.
        """
        self._write_state()
        self.files.write()
        self._files_are_old = False

    def _write_state(self) -> None:
        try:
            save_state(self.state, self.out)
        except OSError as error:
            raise cannot_write(self.out, error) from error
        self._state_next = self.clock() + STATE_S

    def _write_files(self) -> None:
        begun = self.clock()
        self.files.write()
        ended = self.clock()
        self._files_are_old = False
        self._files_next = ended + max(RUN_FILES_S, SHARE_OF_TIME * (ended - begun))
