"""`rcc-onnx watch` with an engine that writes a line for each analysis:

    python -m tests.support.watch_counting LOG MODELS INBOX --out OUT ...

MODELS is a bundle, or `none`: then nothing is computed, and each study has the same made-up result,
after an hour if there is a file `slow` in it, or fails if there is a file `bad`.
"""

import hashlib
import json
import os
import random
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rcc_onnx.batch.resume import inputs_sha256
from rcc_onnx.batch.runner import BatchConfig
from rcc_onnx.cli import watch as cli_watch
from rcc_onnx.cli.app import main
from rcc_onnx.engine import Engine
from rcc_onnx.errors import IntakeError
from rcc_onnx.results import AnalysedCase
from tests.support.results import case_result
from tests.support.watch_bench import bundle_of

MEAN_S = 0.02
"""Of an analysis that computes nothing."""
build_config = cli_watch.build_config


class CountingEngine:
    """Stands in for an engine, or before one."""

    def __init__(self, log: Path, config: BatchConfig, engine: Engine | None) -> None:
        self.log, self.options, self.engine = log, config.options, engine

    def bundle_for(self, kind: Any) -> Any:
        return self.engine.bundle_for(kind) if self.engine else bundle_of(case_result().models)

    def analyse(self, path: Path, case: str, on_progress: Any, **options: Any) -> AnalysedCase:
        line = {
            "case": case,
            "content": content_of(path),
            "inputs": inputs_sha256(path),
            "pid": os.getpid(),
        }
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.engine is not None:
            return self.engine.analyse(path, case, on_progress, **options)
        on_progress("reading_headers", 0.0)
        if (path / "slow").exists():
            time.sleep(3600)
        # So that kills meet a study in hand.
        time.sleep(random.uniform(0, 2 * MEAN_S))
        if (path / "bad").exists():
            raise IntakeError("no DICOM file in it", code="no-dicom")
        return case_result(case)


@dataclass(frozen=True)
class CountingConfig(BatchConfig):
    """Makes such engines."""

    log: Path = Path()

    def engine(self) -> Any:
        real = None if self.models == "none" else super().engine()
        return CountingEngine(self.log, self, real)


def content_of(study: Path) -> str:
    """What tells a study's content from others', counted without the code that is tested."""
    digest = hashlib.sha256()
    files = [study] if study.is_file() else sorted(p for p in study.rglob("*") if p.is_file())
    for path in files:
        digest.update(repr((str(path.relative_to(study)), path.read_bytes())).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    log, models = Path(sys.argv[1]), sys.argv[2]

    def counting(*arguments: Any, **more: Any) -> BatchConfig:
        config = build_config(*arguments, **more)
        own = {field.name: getattr(config, field.name) for field in fields(BatchConfig)}
        return CountingConfig(**{**own, "models": models}, log=log)

    cli_watch.build_config = counting
    sys.argv = ["rcc-onnx", "watch", *sys.argv[3:]]
    main()
