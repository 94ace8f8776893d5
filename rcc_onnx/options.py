"""The options of an analysis, stated once: for the API, the command line, results and resuming."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_type_hints

from rcc_onnx.errors import OptionError
from rcc_onnx.types import Precision, Profile, ProviderName, SeriesPolicy

Choice = TypeVar("Choice", bound=StrEnum)


class Save(StrEnum):
    """Kinds of files that are written beside a case's JSON and pictures (docs/outputs.md)."""

    NIFTI = "nifti"
    PROBABILITIES = "probabilities"
    SEG = "seg"
    SR = "sr"


def _described(text: str, **more: Any) -> dict[str, Any]:
    """Return the metadata of a field, from which the command line makes its option.

    Args:
        text: of the help, one or two sentences.
        more: `metavar`, what stands for the value in the help; `shown_default`, what the help calls
            a default of None; `example`, a value for the settings template.
    """
    return {"help": text, **more}


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """Options of an analysis, as requested; None is the default of the bundle or the machine.

    Names of files and folders are left out, since results hold these options.

    Raises:
        OptionError: an option has an impossible value.
    """

    profile: Profile = field(
        default=Profile.STANDARD,
        metadata=_described("standard, or notebook: the published notebook to the letter."),
    )
    provider: ProviderName = field(
        default=ProviderName.AUTO,
        metadata=_described(
            f"Execution provider: {', '.join(ProviderName)}. One that is named and cannot run is "
            "an error; auto reports which one it took and why.",
            metavar="PROVIDER",
        ),
    )
    precision: Precision = field(
        default=Precision.FLOAT32,
        metadata=_described(
            "int8 is faster and runs on the CPU only, float16 on GPUs only, both from bundles that "
            "hold them (python -m convert quantize)."
        ),
    )
    threads: int | None = field(
        default=None,
        metadata=_described("CPU threads. Default: the CPUs this process may use.", example=8),
    )
    kidney_threshold: float | None = field(
        default=None,
        metadata=_described(
            "Probability sum above which there is a kidney.",
            shown_default="the bundle's",
            example=500,
        ),
    )
    lesion_threshold: float | None = field(
        default=None,
        metadata=_described(
            "Probability sum above which there is a suspected lesion.",
            shown_default="the bundle's",
            example=50,
        ),
    )
    borderline: float | None = field(
        default=None,
        metadata=_described(
            "A sum is borderline up to this distance from its threshold, as a part of it.",
            shown_default="the bundle's",
            example=0.1,
        ),
    )
    mask_cutoff: float = field(
        default=0.5, metadata=_described("Probability from which a voxel belongs to a mask.")
    )
    series: str | None = field(
        default=None,
        metadata=_described(
            "Series to analyse: its label in `rcc-onnx series`, its number, or its UID.",
            metavar="NUMBER|UID",
            example="3",
        ),
    )
    series_policy: SeriesPolicy | None = field(
        default=None,
        metadata=_described(
            "Which of several suitable series to analyse. Default: none, refuse.",
            example="thinnest",
        ),
    )
    save: tuple[Save, ...] = field(
        default=(),
        metadata=_described(
            "Also write masks as NIfTI or DICOM SEG, probabilities as NIfTI, measurements as DICOM "
            "SR, or all of them. May be repeated.",
            example=["seg", "sr"],
        ),
    )

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"threads must be at least 1, not {self.threads}", code="threads")
        for name in ("kidney_threshold", "lesion_threshold", "borderline"):
            value = getattr(self, name)
            # Written so that NaN fails too.
            if value is not None and not 0 <= value < math.inf:
                raise OptionError(
                    f"{_spoken(name)} must be a finite number of 0 or more, not {value}"
                )
            if value is not None:
                # Fingerprints are hashed from JSON, where 50 and 50.0 differ.
                object.__setattr__(self, name, float(value))
        if not 0 < self.mask_cutoff <= 1:
            raise OptionError(f"mask cutoff must be above 0 and at most 1, not {self.mask_cutoff}")
        object.__setattr__(self, "mask_cutoff", float(self.mask_cutoff))
        if self.profile is Profile.NOTEBOOK and (self.series, self.series_policy) != (None, None):
            raise OptionError(
                "the notebook profile takes every *.dcm file and cannot choose a series; use the "
                "standard profile, or put the series into a folder of its own"
            )
        if self.profile is Profile.NOTEBOOK and self.save:
            raise OptionError(
                f"--save {self.save[0]} needs positions in the patient, which the notebook profile "
                "does not know; use the standard profile"
            )

    @classmethod
    def parse(cls, **values: Any) -> "InferenceOptions":
        """Return options from values as people write them: choices as text, `save` as any sequence.

        Raises:
            OptionError: an option is unknown, or has an impossible value.
        """
        kinds = get_type_hints(cls)
        unknown = sorted(values.keys() - kinds.keys())
        if unknown:
            raise OptionError(f"there is no option {unknown[0]!r}; known: {', '.join(kinds)}")
        if "save" in values:
            names = values.pop("save") or ()
            values["save"] = save_kinds([names] if isinstance(names, str) else names)
        for name, value in values.items():
            for kind in (kinds[name], *get_args(kinds[name])):
                if isinstance(value, str) and isinstance(kind, type) and issubclass(kind, StrEnum):
                    values[name] = choice(kind, value, _spoken(name))
        return cls(**values)


def choice(kind: type[Choice], name: str, called: str) -> Choice:
    """Return the value that a name stands for. Raises OptionError for another name."""
    try:
        return kind(name)
    except ValueError:
        raise OptionError(f"there is no {called} {name!r}; known: {', '.join(kind)}") from None


def save_kinds(names: Iterable[str]) -> tuple[Save, ...]:
    """Return kinds of files in the order in which they are written; `all` stands for every kind."""
    names = tuple(names)
    wanted = set(Save) if "all" in names else {choice(Save, name, "--save") for name in names}
    return tuple(kind for kind in Save if kind in wanted)


def _spoken(name: str) -> str:
    return name.replace("_", " ")
