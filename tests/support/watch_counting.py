"""`rcc-onnx watch` with an engine that writes a line for each analysis:

    python -m tests.support.watch_counting LOG MODELS INBOX --out OUT ...

MODELS is a bundle, or `none`: then nothing is computed, and each study has the same made-up
result, after an hour if there is a file
`slow` in it, or fails if there is a file `bad`.
"""

import hashlib
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcc_onnx.batch.resume import inputs_sha256
from rcc_onnx.batch.runner import BatchConfig
from rcc_onnx.cli import watch as cli_watch
from rcc_onnx.cli.app import main
from rcc_onnx.engine import Engine
from rcc_onnx.errors import IntakeError
from rcc_onnx.results import CaseResult
from tests.support.results import case_result

MEAN_S = 0.02
"""Of an analysis that computes nothing."""
work_of = cli_watch.work_of


class CountingEngine:
    """Stands in for an engine, or before one."""

    def __init__(self, log: Path, work: BatchConfig, engine: Engine | None) -> None:
        self.log, self.options, self.engine = log, work.options, engine

    def analyse(self, path: Path, case: str, *more: Any, **options: Any) -> CaseResult:
        line = {
            "case": case,
            "content": content_of(path),
            "inputs": inputs_sha256(path),
            "pid": os.getpid(),
        }
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.engine is not None:
            return self.engine.analyse(path, case, *more, **options)
        if (path / "slow").exists():
            time.sleep(3600)
        # So that kills meet a study in hand.
        time.sleep(random.uniform(0, 2 * MEAN_S))
        if (path / "bad").exists():
            raise IntakeError("no DICOM file in it", code="no-dicom")
        return case_result(case)


@dataclass(frozen=True)
class CountingWork(BatchConfig):
    """Makes such engines."""

    log: Path = Path()

    def engine(self) -> Any:
        real = None if self.models == "none" else super().engine()
        return CountingEngine(self.log, self, real)


def content_of(study: Path) -> str:
    """What tells a study's content from others', counted without the code that is tested."""
    digest = hashlib.sha256()
    files = [study] if study.is_file() else sorted(one for one in study.rglob("*") if one.is_file())
    for path in files:
        digest.update(repr((str(path.relative_to(study)), path.read_bytes())).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    log, models = Path(sys.argv[1]), sys.argv[2]

    def counting(*asked: Any) -> BatchConfig:
        work = work_of(*asked)
        return CountingWork(**{**vars(work), "models": models}, log=log)

    cli_watch.work_of = counting
    sys.argv = ["rcc-onnx", "watch", *sys.argv[3:]]
    main()
