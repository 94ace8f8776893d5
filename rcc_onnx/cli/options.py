"""Options of commands, each declared once: its name, type, default and help.

Commands that share many take them as a dataclass, by `with_options`.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from rcc_onnx.cli.settings_command import InSettings, read_settings
from rcc_onnx.options import Save
from rcc_onnx.types import InputIs, Precision, Profile, ProviderName, SeriesPolicy

if TYPE_CHECKING:
    from rcc_onnx.engine import Options

BUNDLES = "the bundle's"

Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        "-m",
        metavar="NAME|DIR",
        help="Model bundle, by name or folder. Default: the only installed one that is meant for "
        "the study.",
    ),
    InSettings("published", names_folder=True),
]
Provider = Annotated[
    ProviderName,
    typer.Option(
        # Written out by itself, the choice would be wider than a terminal.
        metavar="PROVIDER",
        help=f"What runs the networks: {', '.join(ProviderName)}. One that is named and "
        "cannot run is an error; auto says which one it took and why.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads. Default: the CPUs this process may use."),
    InSettings(8),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, help="Log what is done; -vv: also what only defects need."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]


Pseudonyms = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="CSV with the columns case,pseudonym: the names that results and messages use. "
        "No name of a folder or file is told then.",
    ),
    InSettings("pseudonyms.csv"),
]


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """What an answer hangs on, for commands that analyse studies."""

    models: Models = None
    provider: Provider = ProviderName.AUTO
    threads: Threads = None
    precision: Annotated[
        Precision,
        typer.Option(
            help="int8 is faster and runs on the CPU only, float16 on GPUs only, both from "
            "bundles that hold them (python -m convert quantize).",
        ),
    ] = Precision.FLOAT32
    profile: Annotated[
        Profile,
        typer.Option(help="standard, or notebook: the published notebook to the letter."),
    ] = Profile.STANDARD
    kidney_threshold: Annotated[
        float | None,
        typer.Option(
            min=0, help="Probability sum above which there is a kidney.", show_default=BUNDLES
        ),
        InSettings(500.0),
    ] = None
    lesion_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Probability sum above which there is a suspected lesion.",
            show_default=BUNDLES,
        ),
        InSettings(50.0),
    ] = None
    series: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|UID",
            help="Which series to take: its label in `rcc-onnx series`, its number, or its UID.",
        ),
        InSettings("3"),
    ] = None
    series_policy: Annotated[
        SeriesPolicy | None,
        typer.Option(help="Which of several suitable series to take. Default: none, refuse."),
        InSettings("thinnest"),
    ] = None
    mask_cutoff: Annotated[
        float, typer.Option(help="A voxel belongs to a mask from this probability on.")
    ] = 0.5
    borderline: Annotated[
        float,
        typer.Option(help="A sum this near to its threshold, as a part of it, is borderline."),
    ] = 0.1

    def checked(self) -> "Options":
        """As the engine takes them; raises OptionError."""
        from rcc_onnx.dicom import SeriesSelection  # noqa: PLC0415
        from rcc_onnx.engine import Options  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.results import MeasuringOptions  # noqa: PLC0415

        return Options(
            profile=self.profile,
            provider=self.provider,
            threads=self.threads,
            kidney_threshold=self.kidney_threshold,
            lesion_threshold=self.lesion_threshold,
            wish=SeriesSelection(self.series, self.series_policy),
            precision=self.precision,
            measuring=MeasuringOptions(self.mask_cutoff, self.borderline),
        )


@dataclass(frozen=True, kw_only=True)
class RunOptions(AnalysisOptions):
    """How a run goes through its cases, and what it writes and says of them."""

    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "rcc-onnx-results"
    )
    save: Annotated[
        list[Save] | None,
        typer.Option(
            help="Also write masks as NIfTI or DICOM SEG, probabilities as NIfTI, measurements as "
            "DICOM SR. May be repeated."
        ),
        InSettings("seg", "sr"),
    ] = None
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Processes that analyse cases side by side; 0: none but this one, where a crash "
            "ends the run.",
        ),
    ] = 1
    case_timeout: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds after which a case is given up; 0: never.", metavar="SECONDS"
        ),
    ] = 1800
    case_memory: Annotated[
        int | None,
        typer.Option(
            min=256,
            metavar="MB",
            help="Memory that a case may have, on Linux. Default: what there is.",
        ),
        InSettings(16384),
    ] = None
    verbose: Verbose = 0
    quiet: Annotated[
        bool,
        typer.Option("--quiet/--no-quiet", "-q", help="Tell errors and the last line only."),
    ] = False
    log_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also log into this file, a line of JSON each; it is renamed when it is large "
            "(docs/logs.md).",
        ),
        InSettings("rcc-onnx.jsonl"),
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
    """What only a run over a given input can be told."""

    input_is: Annotated[
        InputIs,
        typer.Option(help="Whether INPUT is one study or a folder of studies; auto looks."),
    ] = InputIs.AUTO
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite/--no-overwrite",
            help="Analyse again what is done already, unchanged, in OUT.",
        ),
    ] = False
    pseudonyms: Pseudonyms = None


@dataclass(frozen=True, kw_only=True)
class WatchOptions(RunOptions):
    """What only a watched folder can be told."""

    workers: Annotated[
        int, typer.Option(min=1, help="Processes that analyse studies side by side.")
    ] = 1
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Between two looks at INBOX.")
    ] = 5.0
    stable_time: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="A study in which nothing has changed for so long has arrived.",
        ),
    ] = 60.0
    once: Annotated[
        bool,
        typer.Option("--once/--no-once", help="Do what is there and has arrived, then end."),
    ] = False
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed/--no-retry-failed", help="Try what failed before again."),
    ] = False
    move_done: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where studies go that were analysed. Default: they stay in INBOX."
        ),
        InSettings("done"),
    ] = None
    move_failed: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where studies go that failed. Default: they stay."),
        InSettings("failed"),
    ] = None
    pseudonyms: Pseudonyms = None


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer wants it: its one parameter that is a dataclass becomes an option for
    each field, named and with the default as there."""
    signature = inspect.signature(command, eval_str=True)
    ((name, kind),) = (
        (one.name, one.annotation)
        for one in signature.parameters.values()
        if is_dataclass(one.annotation) and isinstance(one.annotation, type)
    )
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]

    @functools.wraps(command)
    def told(**given: Any) -> None:
        command(**{name: kind(**{one: given.pop(one) for one in names})}, **given)

    own = [one for one in signature.parameters.values() if one.name != name]
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + options
    told.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    told.__annotations__ = {one.name: one.annotation for one in parameters}
    return told
