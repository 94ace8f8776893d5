"""Options of commands, each declared once: its name, type, default and help.

Those of an analysis are the fields of `InferenceOptions`; commands that share many take a
dataclass, by `with_options`.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from rcc_onnx.cli.settings import SettingHint, read_settings
from rcc_onnx.cli.shared import exit_on_error
from rcc_onnx.options import InferenceOptions, Save
from rcc_onnx.types import InputIs, ProviderName

MB = 1 << 20
SaveChoice = StrEnum(  # type: ignore[misc]  # made of another enum
    "SaveChoice", {**{kind.name: kind.value for kind in Save}, "ALL": "all"}
)


def inference_option(name: str) -> Any:
    """Return the typer option of a field of `InferenceOptions`."""
    about = _field(name).metadata
    return typer.Option(
        help=about["help"],
        metavar=about.get("metavar"),
        show_default=about.get("shown_default", True),
    )


def _field(name: str) -> Field[Any]:
    return next(item for item in fields(InferenceOptions) if item.name == name)


def _annotation(name: str) -> Any:
    """Return the annotation of a command's parameter for a field of `InferenceOptions`."""
    kind = list[SaveChoice] | None if name == "save" else get_type_hints(InferenceOptions)[name]
    item = _field(name)
    return Annotated[kind, inference_option(name), SettingHint(item.metadata.get("example"))]


Provider = Annotated[ProviderName, inference_option("provider")]
Threads = Annotated[int | None, inference_option("threads")]


Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        "-m",
        metavar="NAME|DIR",
        help="Model bundle, by name or folder. Default: the only installed one that is meant for "
        "the study.",
    ),
    SettingHint("published", names_folder=True),
]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Verbose; -vv adds debug output.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]
Pseudonyms = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="CSV with the columns case,pseudonym: the names that results and messages use. "
        "No name of a folder or file is shown then.",
    ),
    SettingHint("pseudonyms.csv"),
]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run goes through its cases, and what it writes and shows."""

    models: Models = None
    analysis: InferenceOptions

    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "rcc-onnx-results"
    )
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Processes that analyse cases side by side; 0: only this one, where a crash ends "
            "the run.",
        ),
    ] = 1
    case_timeout: Annotated[
        float,
        typer.Option(min=0, help="Seconds after which a case fails; 0: never.", metavar="SECONDS"),
    ] = 1800
    case_memory: Annotated[
        int | None,
        typer.Option(
            min=256,
            metavar="MB",
            help="Memory limit of a case, on Linux. Default: none.",
        ),
        SettingHint(16384),
    ] = None
    verbose: Verbose = 0
    quiet: Annotated[
        bool,
        typer.Option("--quiet/--no-quiet", "-q", help="Print only errors and the summary."),
    ] = False
    log_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also log to this file, as lines of JSON; it is renamed when it is large "
            "(docs/operations.md).",
        ),
        SettingHint("rcc-onnx.jsonl"),
    ] = None
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            is_eager=True,
            callback=read_settings,
            help="Settings file. Default: rcc-onnx.toml of the current folder and of the data "
            "folder (docs/settings.md).",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class InferOptions(RunOptions):
    """Options of a run over a given input."""

    input_is: Annotated[
        InputIs,
        typer.Option(help="Whether INPUT is one study or a folder of studies; auto looks."),
    ] = InputIs.AUTO
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite/--no-overwrite",
            help="Analyse again what is finished and unchanged in OUT.",
        ),
    ] = False
    pseudonyms: Pseudonyms = None


@dataclass(frozen=True, kw_only=True)
class WatchOptions(RunOptions):
    """Options of a watched folder."""

    workers: Annotated[
        int, typer.Option(min=1, help="Processes that analyse studies side by side.")
    ] = 1
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Between two scans of INBOX.")
    ] = 5.0
    stable_time: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Seconds without changes before a study counts as complete.",
        ),
    ] = 60.0
    once: Annotated[
        bool,
        typer.Option(
            "--once/--no-once", help="Analyse the complete studies that are there, then end."
        ),
    ] = False
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed/--no-retry-failed", help="Try studies that failed before again."
        ),
    ] = False
    move_done: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where analysed studies are moved. Default: they stay in INBOX."
        ),
        SettingHint("done"),
    ] = None
    move_failed: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where failed studies are moved. Default: they stay."),
        SettingHint("failed"),
    ] = None
    pseudonyms: Pseudonyms = None


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command as Typer wants it: its one parameter that is a dataclass becomes an option
    for each field, those of `InferenceOptions` among them."""
    signature = inspect.signature(command, eval_str=True)
    ((name, kind),) = (
        (parameter.name, parameter.annotation)
        for parameter in signature.parameters.values()
        if is_dataclass(parameter.annotation) and isinstance(parameter.annotation, type)
    )
    options = {option.name: option for option in _parameters(kind)}
    has_analysis = "analysis" in {item.name for item in fields(kind)}
    analysis = [item.name for item in fields(InferenceOptions)] if has_analysis else []

    @functools.wraps(command)
    def run(**given: Any) -> None:
        own = {key: given.pop(key) for key in options}
        if analysis:
            with exit_on_error():
                own["analysis"] = InferenceOptions.parse(**{key: own.pop(key) for key in analysis})
        command(**{name: kind(**own)}, **given)

    others = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.name != name
    ]
    parameters = [*others, *options.values()]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters(kind: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        if hints[item.name] is InferenceOptions:
            for option in fields(InferenceOptions):
                default = None if option.name == "save" else option.default
                yield _keyword(option.name, default, _annotation(option.name))
        else:
            default = inspect.Parameter.empty if item.default is MISSING else item.default
            yield _keyword(item.name, default, hints[item.name])


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
