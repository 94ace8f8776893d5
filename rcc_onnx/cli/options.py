"""Options of commands, each declared once: its name, type, default and help.

Those of an analysis are the fields of `InferenceOptions`. A command with many options takes a
dataclass, by `with_options`.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from rcc_onnx.cli.settings import SettingHint, read_settings
from rcc_onnx.cli.shared import exit_on_error
from rcc_onnx.options import InferenceOptions, Save
from rcc_onnx.types import InputIs, ProviderName

SaveChoice = StrEnum(  # type: ignore[misc]  # made of another enum
    "SaveChoice", {**{kind.name: kind.value for kind in Save}, "ALL": "all"}
)


FIELDS = {item.name: item for item in fields(InferenceOptions)}


def inference_option(name: str) -> Any:
    """Return the typer option of a field of `InferenceOptions`."""
    about = FIELDS[name].metadata
    return typer.Option(
        help=about["help"],
        metavar=about.get("metavar"),
        show_default=about.get("shown_default", True),
    )


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise typer.BadParameter("it must be a finite number")
    return seconds


SECONDS: dict[str, Any] = {"metavar": "SECONDS", "callback": _finite}
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
        float, typer.Option(min=0, **SECONDS, help="Seconds after which a case fails; 0: never.")
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
        float, typer.Option(min=0.1, **SECONDS, help="Between two scans of INBOX.")
    ] = 5.0
    stable_time: Annotated[
        float,
        typer.Option(
            min=0,
            **SECONDS,
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
    """Return the command with an option for each field of its one parameter that is a dataclass,
    and for each field of `InferenceOptions` in place of the field `analysis`."""
    signature = inspect.signature(command, eval_str=True)
    ((name, kind),) = (
        (parameter.name, parameter.annotation)
        for parameter in signature.parameters.values()
        if is_dataclass(parameter.annotation) and isinstance(parameter.annotation, type)
    )
    options = list(_parameters(kind))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        own = {option.name: given.pop(option.name) for option in options}
        if any(item.name == "analysis" for item in fields(kind)):
            with exit_on_error():
                own["analysis"] = InferenceOptions.parse(**{key: own.pop(key) for key in FIELDS})
        command(**{name: kind(**own)}, **given)

    others = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.name != name
    ]
    parameters = [*others, *options]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters(kind: Any) -> Iterator[inspect.Parameter]:
    """Yield a parameter of a command for each field of a dataclass of options."""
    make = functools.partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)
    hints = get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        if item.name != "analysis":
            default = inspect.Parameter.empty if item.default is MISSING else item.default
            yield make(item.name, default=default, annotation=hints[item.name])
            continue
        kinds = get_type_hints(InferenceOptions) | {"save": list[SaveChoice] | None}
        for name, option in FIELDS.items():
            hint = SettingHint(option.metadata.get("example"))
            yield make(
                name,
                default=None if name == "save" else option.default,
                annotation=Annotated[kinds[name], inference_option(name), hint],
            )
