"""Folders of results as a run writes them, with the analysis or without it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import BatchConfig, analyse_case
from rcc_onnx.engine import Engine
from rcc_onnx.options import InferenceOptions, save_kinds
from rcc_onnx.output.document import Case as CaseDocument
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.output.run import RunRecord
from rcc_onnx.results import AnalysedCase
from tests.support.results import failed_case


def with_save(result: AnalysedCase, *kinds: str) -> AnalysedCase:
    """The same case as if these files had been requested with `--save`."""
    return replace(result, options=replace(result.options, save=save_kinds(kinds)))


def write_case(result: AnalysedCase | CaseDocument, out: Path, *save: str) -> Path:
    """Write a case's files, and what `--save` would add; the JSON's path."""
    if isinstance(result, AnalysedCase):
        result = with_save(result, *save) if save else result
    OutputFolder(out).write_case(result)
    return out / f"{result.case}.json"


def written(result: AnalysedCase | CaseDocument, out: Path) -> dict[str, Any]:
    """The document of a case as its file holds it."""
    document: dict[str, Any] = json.loads(write_case(result, out).read_bytes())
    return document


def analyse_cases(engine: Engine, cases: Sequence[Case], out: Path) -> list[CaseDocument]:
    """Analyse cases and write their files, in this process."""
    config = BatchConfig(out, engine.options, overwrite=True)
    return [analyse_case(engine, config, case, lambda *_: None).result for case in cases]


def write_run(out: Path, result: AnalysedCase, *names: str) -> None:
    """A run over cases that all have this result; those whose names start with `bad` failed."""
    whole = replace(result, study=replace(result.study, images_sha256="1" * 64))
    with OutputFolder.open(out) as folder, RunRecord(folder, InferenceOptions(), names) as run:
        for name in names:
            case = failed_case(name) if name.startswith("bad") else replace(whole, case=name)
            run.add(folder.write_case(case))
