"""The engine: networks opened once, studies analysed one after another.

engine = Engine.load(provider="cpu")
result = engine.analyse("studies/case01")
print(result.sides["right"].outcome)
"""

import logging
import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from rcc_onnx.bundles.bundle import Bundle, choose_bundle, find_bundle, search_folders
from rcc_onnx.bundles.manifest import NETWORK_NAMES, StudyKind
from rcc_onnx.dicom import SeriesPolicy, SeriesSelection, Study, check_series_selection, read_study
from rcc_onnx.errors import OptionError
from rcc_onnx.measurement.measure import mean_kidney_hu
from rcc_onnx.measurement.patient_space import measure_sides, place_in_patient
from rcc_onnx.pipeline import analyse_study
from rcc_onnx.pipeline.quality_flags import study_flags
from rcc_onnx.pipeline.timing import StageListener, Stopwatch
from rcc_onnx.results import (
    AskedOptions,
    CaseResult,
    CertifiedBy,
    MeasuringOptions,
    ModelsUsed,
    StudyFacts,
)
from rcc_onnx.runtime.networks import Networks
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.runtime.self_test import checked_against_reference
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.system.host import environment
from rcc_onnx.system.memory import MemoryTrimmer
from rcc_onnx.types import Precision, Profile, ProviderName, Thresholds

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How to analyse. Thresholds that are None are the bundle's own.

    Attributes:
        provider: a `ProviderName` or its value; docs/providers.md lists them.
        threads: CPU threads of a network; None: the CPUs that this process may use.
        wish: which series to take where a study has several.
        precision: float32; where the bundle has that variant, int8 on the CPU, float16 on GPUs.
        measuring: what masks and measurements hang on.
    """

    profile: Profile = Profile.STANDARD
    provider: ProviderName = ProviderName.AUTO
    threads: int | None = None
    kidney_threshold: float | None = None
    lesion_threshold: float | None = None
    wish: SeriesSelection = field(default_factory=SeriesSelection)
    precision: Precision = Precision.FLOAT32
    measuring: MeasuringOptions = field(default_factory=MeasuringOptions)

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"threads must be at least 1, not {self.threads}", code="threads")
        for name, value in (("kidney", self.kidney_threshold), ("lesion", self.lesion_threshold)):
            # Written so that a value that is no number fails too.
            if value is not None and not 0 <= value < math.inf:
                raise OptionError(
                    f"the {name} threshold must be a finite number of 0 or more, not {value}"
                )
        check_series_selection(self.profile, self.wish)


@dataclass(frozen=True)
class _Loaded:
    """A bundle with its networks open."""

    bundle: Bundle
    networks: Networks
    provider: ProviderRecord


@dataclass
class Engine:
    """Analyses studies. Make one with `Engine.load`; it may be used from one thread at a time."""

    options: Options
    _named: _Loaded | None = None
    _chosen: dict[StudyKind, _Loaded] = field(default_factory=dict)
    _memory: MemoryTrimmer = field(default_factory=MemoryTrimmer)

    @classmethod
    def load(  # noqa: PLR0913  keyword options, one for each field of Options
        cls,
        models: str | Path | None = None,
        provider: ProviderName | str = ProviderName.AUTO,
        *,
        profile: Profile | str = Profile.STANDARD,
        threads: int | None = None,
        kidney_threshold: float | None = None,
        lesion_threshold: float | None = None,
        series: str | None = None,
        series_policy: SeriesPolicy | str | None = None,
        precision: Precision | str = Precision.FLOAT32,
        mask_cutoff: float = MeasuringOptions.mask_cutoff,
        borderline: float = MeasuringOptions.borderline,
    ) -> "Engine":
        """An engine that is ready.

        Args:
            models: name or folder of a bundle. None: for each study the only installed bundle
                that is meant for its kind, opened when the first such study comes.
            provider: a `ProviderName` or its value; docs/providers.md lists them.
            profile: standard, or notebook: the published notebook to the letter.
            threads: CPU threads of a network; None: the CPUs that this process may use.
            kidney_threshold: None: the bundle's own.
            lesion_threshold: None: the bundle's own.
            series: label, SeriesNumber or SeriesInstanceUID of the series to analyse.
            series_policy: thinnest, most-slices or contrast: which of several suitable series.
            precision: float32; int8 runs on the CPU, float16 on GPUs, from bundles that have it.
            mask_cutoff: a voxel belongs to a mask from this probability on.
            borderline: a sum is borderline up to this distance from its threshold, as a part of it.

        Raises:
            BundleError: the bundle is missing or broken.
            ProviderError: the provider cannot run here, or does not answer as the bundle's sources.
            OptionError (precision): the bundle or the provider has no such precision.
            OptionError: an option has an impossible value.
        """
        policy = series_policy
        options = Options(
            profile=_named(Profile, profile, "profile"),
            provider=_named(ProviderName, provider, "provider"),
            threads=threads,
            kidney_threshold=kidney_threshold,
            lesion_threshold=lesion_threshold,
            wish=SeriesSelection(
                series, None if policy is None else _named(SeriesPolicy, policy, "series policy")
            ),
            precision=_named(Precision, precision, "precision"),
            measuring=MeasuringOptions(mask_cutoff, borderline),
        )
        return cls.of(options, models)

    @classmethod
    def of(cls, options: Options, models: str | Path | None = None) -> "Engine":
        """As `load`, with options that are values already."""
        search_folders()  # a wrong RCC_ONNX_MODELS_FOLDER is told now, not with every study
        named = None if models is None else _open(find_bundle(str(models)), options)
        return cls(options, named)

    def bundle_for(self, kind: StudyKind) -> Bundle:
        """The bundle that a study of this kind would be given; its networks are not opened.

        Raises:
            BundleError: no bundle, or more than one, is meant for such a study.
        """
        if self._named is not None:
            return self._named.bundle
        return self._chosen[kind].bundle if kind in self._chosen else choose_bundle(kind)

    def analyse(
        self,
        path: str | Path,
        case: str | None = None,
        listener: StageListener | None = None,
        *,
        hide_names: bool = False,
    ) -> CaseResult:
        """Analyse one study.

        Args:
            path: folder or zip archive of one study.
            case: name for the result; the folder's or archive's own if None.
            listener: told the stage and how much of it is done.
            hide_names: the result, messages and logs call the study by `case`, and its files by
                number in the order of their names.

        Raises:
            OptionError: `hide_names` without `case`.
            IntakeError: the folder does not hold one study that can be analysed without guessing.
            BundleError: no bundle, or more than one, is meant for such a study.
            ProviderError, NetworkError: the networks cannot run.
        """
        folder = Path(path)
        if hide_names and case is None:
            raise OptionError("names can be hidden only where `case` says what to call the study")
        watch = Stopwatch(listener)
        with watch.stage("reading_headers"):
            shown_as = case if hide_names else None
            options = self.options
            study = read_study(folder, options.profile, options.wish, shown_as=shown_as)
        kind: StudyKind = "digital-phantom" if study.is_digital_phantom else "patient"
        with watch.stage("loading_networks"):
            loaded = self._networks_for(kind)
        thresholds = _thresholds(loaded.bundle, self.options)
        analysis = analyse_study(study, loaded.networks, thresholds, watch)
        with watch.stage("measuring"):
            patient = place_in_patient(study, analysis, self.options.measuring)
            measures = None if patient is None else measure_sides(analysis, patient, thresholds)
        kidney_hu = None if patient is None else mean_kidney_hu(patient)
        self._memory.after_a_study()
        models = _models_used(loaded, kind)
        return CaseResult(
            case=case if case is not None else _case_name(folder),
            profile=self.options.profile,
            thresholds=thresholds,
            sides=analysis.sides,
            study=_study_facts(study, kind, analysis.images_sha256),
            models=models,
            provider=loaded.provider,
            timings_s=watch.seconds(),
            warnings=(*_warnings(models, kind), *(note.text for note in study.warnings)),
            flags=study_flags(len(study.needed_slices), study.has_contrast, kidney_hu),
            intake=study.record,
            options=self.options.measuring,
            asked=asked_options(self.options, pseudonyms=hide_names),
            environment=environment(),
            measures=measures,
            network_images=analysis.images,
            patient_images=patient,
        )

    def _networks_for(self, kind: StudyKind) -> _Loaded:
        if self._named is not None:
            return self._named
        if kind not in self._chosen:
            bundle = choose_bundle(kind)
            # One bundle may serve both kinds; its networks are opened once.
            twin = next((one for one in self._chosen.values() if one.bundle == bundle), None)
            self._chosen[kind] = twin or _open(bundle, self.options)
        return self._chosen[kind]


Name = TypeVar("Name", bound=StrEnum)


def asked_options(
    options: Options, save: tuple[str, ...] = (), *, pseudonyms: bool = False
) -> AskedOptions:
    """Options as results name them."""
    policy = options.wish.policy
    return AskedOptions(
        profile=str(options.profile),
        provider=str(options.provider),
        precision=str(options.precision),
        threads=options.threads,
        kidney_threshold=options.kidney_threshold,
        lesion_threshold=options.lesion_threshold,
        series=options.wish.series,
        series_policy=None if policy is None else str(policy),
        mask_cutoff=options.measuring.mask_cutoff,
        borderline=options.measuring.borderline,
        save=save,
        pseudonyms=pseudonyms,
    )


def _named(kind: type[Name], name: str, called: str) -> Name:
    """The value that a name stands for; raises OptionError."""
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(kind)
        raise OptionError(f"there is no {called} {name!r}; known: {known}") from None


def _case_name(path: Path) -> str:
    return path.stem if path.is_file() else path.resolve().name


def _open(bundle: Bundle, options: Options) -> _Loaded:
    networks = open_networks(
        bundle,
        options.provider,
        options.threads,
        options.precision,
        checked_against_reference(bundle),
    )
    record = networks.record
    variants = ", ".join(f"{name} {variant}" for name, variant in record.variants.items())
    _log.info(
        "bundle %s %s on %s (%s)",
        bundle.name,
        bundle.manifest.version,
        record.ran,
        variants,
        extra={
            "data": {
                "event": "networks",
                "bundle": bundle.name,
                "version": bundle.manifest.version,
                "provider": str(record.ran),
                "threads": record.threads,
                "precision": str(record.precision),
                "onnxruntime": record.onnxruntime,
            }
        },
    )
    return _Loaded(bundle, networks, record)


def _thresholds(bundle: Bundle, options: Options) -> Thresholds:
    own = bundle.manifest.thresholds
    kidney, lesion = options.kidney_threshold, options.lesion_threshold
    return Thresholds(
        kidney=own.kidney if kidney is None else kidney,
        lesion=own.lesion if lesion is None else lesion,
    )


def _models_used(loaded: _Loaded, kind: StudyKind) -> ModelsUsed:
    manifest = loaded.bundle.manifest
    hashes: dict[str, str] = {
        name: manifest.networks[name].variant(loaded.provider.variants.get(name, "plain")).sha256
        for name in NETWORK_NAMES
    }
    return ModelsUsed(
        name=manifest.name,
        version=manifest.version,
        network_sha256=hashes,
        meant_for=tuple(manifest.use_on),
        suitable=kind in manifest.use_on,
        certified=CertifiedBy.of(manifest),
    )


def _warnings(models: ModelsUsed, kind: StudyKind) -> tuple[str, ...]:
    if models.suitable:
        return ()
    return (
        f"the models {models.name!r} are meant for {' and '.join(models.meant_for)} studies and "
        f"were chosen by hand for a {kind} study: their answers mean nothing here",
    )


def _study_facts(study: Study, kind: StudyKind, images_sha256: str | None) -> StudyFacts:
    return StudyFacts(
        kind=kind,
        files_found=study.files_found,
        slices_in_series=len(study.slices),
        slices_analysed=len(study.needed_slices),
        stride=study.stride,
        spacing_zyx_mm=study.spacing_zyx_mm,
        left_out=tuple((one.file_name, one.reason) for one in study.left_out),
        images_sha256=images_sha256,
    )
