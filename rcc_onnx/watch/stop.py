"""Whether a watcher is to stop."""

import time

_SLICE_S = 0.05


class Stop:
    """Set by a signal, at any moment. So there is no lock in it that the code which the signal
    interrupts may hold, as in `threading.Event`."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def set(self, reason: str) -> None:
        """Stop; the first reason counts."""
        self.reason = self.reason or reason

    def is_set(self) -> bool:
        return self.reason is not None

    def wait(self, seconds: float) -> bool:
        """Sleep until it is set, or so long; whether it is set."""
        until = time.monotonic() + seconds
        while not self.is_set() and (left := until - time.monotonic()) > 0:
            # Windows wakes nobody for a signal.
            time.sleep(min(left, _SLICE_S))
        return self.is_set()
