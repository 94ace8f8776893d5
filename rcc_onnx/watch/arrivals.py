"""When a study has arrived: it has not changed for a time, by the watcher's own clock.

Nothing here knows files: what is told of a study is a text that another text can differ from.
"""

from dataclasses import dataclass, field


@dataclass
class Arrivals:
    """Studies that are arriving, each with its last look and since when it has been like that.

    Times are those of a clock that never goes backwards.
    """

    stable_s: float
    _since: dict[str, tuple[str, float]] = field(default_factory=dict)

    def seen(self, name: str, look: str, now: float) -> bool:
        """Take a look at a study; whether it has been like that for long enough."""
        before, since = self._since.get(name, (None, now))
        if before != look:
            self._since[name] = (look, now)
            return self.stable_s <= 0
        return now - since >= self.stable_s

    def is_new(self, name: str) -> bool:
        """Whether no look at a study was taken."""
        return name not in self._since

    def wait_again(self, name: str, now: float) -> None:
        """Count anew for a study: it is not what it looked like."""
        if name in self._since:
            self._since[name] = (self._since[name][0], now)

    def all_wait_again(self, now: float) -> None:
        """Count anew for all, as after a time in which none could be seen."""
        for name in self._since:
            self.wait_again(name, now)

    def forget(self, name: str) -> None:
        """A study is gone, or needs no more looks."""
        self._since.pop(name, None)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are arriving."""
        return tuple(self._since)
