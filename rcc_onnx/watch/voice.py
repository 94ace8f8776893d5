"""What a watcher says: a line for each event, and none twice for what only goes on."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Voice:
    """Says lines. `say` takes one; nothing here prints."""

    say: Callable[[str], None]
    _said: dict[str, str] = field(default_factory=dict)

    def once(self, about: str, line: str) -> None:
        """Say a line unless it was the last that was said about this."""
        if self._said.get(about) != line:
            self._said[about] = line
            self.say(line)

    def forget(self, about: str) -> None:
        """Whatever was said about this is over: it may be said again."""
        self._said.pop(about, None)
