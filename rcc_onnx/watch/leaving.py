"""Studies that are done leave the inbox, where that is wished."""

from dataclasses import dataclass, field

from rcc_onnx.errors import MoveError
from rcc_onnx.watch.look import Looks, Study
from rcc_onnx.watch.moving import move_study
from rcc_onnx.watch.rules import Rules
from rcc_onnx.watch.voice import Voice


@dataclass
class Leaving:
    """Moves studies away, each once it is as its record says."""

    rules: Rules
    looks: Looks
    voice: Voice
    _immovable: dict[str, str] = field(default_factory=dict)

    def move(self, study: Study) -> None:
        """Move a study that has a record, if that is wished and possible. One that cannot be moved
        is tried again in the next session, or when it has changed."""
        record = self.looks.state.records[study.key]
        to = self.rules.move_failed if record.failed else self.rules.move_done
        if to is None or self._immovable.get(study.key) == record.snapshot:
            return
        found = self.looks.inbox.snapshot(study.entry)
        if found is None or found.digest != record.snapshot:
            return
        try:
            target = move_study(study.case.folder, to)
        except MoveError as error:
            self._immovable[study.key] = record.snapshot
            self.voice.say(f"{study.case.name}: [{error.code}] {error}")
            return
        where = to if study.case.hide_names else target
        self.voice.say(f"{study.case.name}: moved to {where}")
        self.looks.forget(study.key)
