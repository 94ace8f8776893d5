"""Things that are wrong for all studies, as a share that is not mounted: said once, tried again."""

from dataclasses import dataclass

FIRST_S = 5.0
LONGEST_S = 300.0
"""Between two tries. They become fewer: a share may be away for a weekend."""


@dataclass
class Trouble:
    """One kind of thing that goes wrong. Times are those of the watcher's clock."""

    reason: str | None = None
    next_try: float = 0.0
    _pause: float = FIRST_S

    @property
    def is_on(self) -> bool:
        return self.reason is not None

    def begin(self, reason: str, now: float) -> bool:
        """It goes wrong, or still does; whether that is news."""
        is_news = self.reason is None
        self._pause = FIRST_S if is_news else min(2 * self._pause, LONGEST_S)
        self.next_try = now + self._pause
        self.reason = reason
        return is_news

    def end(self) -> bool:
        """It goes well; whether that is news."""
        is_news, self.reason = self.reason is not None, None
        return is_news

    def must_wait(self, now: float) -> bool:
        """Whether it is too early for another try."""
        return self.is_on and now < self.next_try
