"""Folders of results as a run writes them, without the analysis."""

from dataclasses import replace
from pathlib import Path

from rcc_onnx.batch.cases import Case
from rcc_onnx.engine import Options, asked_options
from rcc_onnx.output.case import write_case
from rcc_onnx.output.run import RunFiles
from rcc_onnx.results import CaseResult
from rcc_onnx.system.host import environment
from tests.support.results import failed_case


def write_run(out: Path, result: CaseResult, *names: str) -> None:
    """A run over cases that all have this result; those whose names start with `bad` failed."""
    whole = replace(
        result,
        asked=asked_options(Options()),
        environment=environment(),
        study=replace(result.study, images_sha256="1" * 64),
    )
    with RunFiles(Options(), [Case(name, Path(name)) for name in names], out) as files:
        for name in names:
            one = failed_case(name) if name.startswith("bad") else replace(whole, case=name)
            write_case(one, out)
            files.add(one)
