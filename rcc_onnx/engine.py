"""The engine: networks opened once, studies analysed one after another.

engine = Engine.load(models="phantom", provider="cpu")
result = engine.analyse("studies/case01")
print(result.sides["right"].outcome)
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rcc_onnx.bundles.bundle import Bundle, choose_bundle, find_bundle, search_folders
from rcc_onnx.bundles.manifest import Certificate, StudyKind
from rcc_onnx.dicom import SeriesSelection, Study, read_study
from rcc_onnx.errors import OptionError
from rcc_onnx.measurement.measure import mean_kidney_hu
from rcc_onnx.measurement.patient_space import measure_sides, place_in_patient
from rcc_onnx.options import InferenceOptions
from rcc_onnx.pipeline import analyse_study
from rcc_onnx.pipeline.quality_flags import study_flags
from rcc_onnx.pipeline.timing import StageListener, Stopwatch
from rcc_onnx.results import (
    AnalysedCase,
    CertificateSummary,
    ModelsUsed,
    ParitySummary,
    SideFinding,
    SourceSummary,
    StudyFacts,
)
from rcc_onnx.runtime.networks import Networks
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.runtime.self_test import checked_against_reference
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.system.host import environment
from rcc_onnx.system.memory import MemoryTrimmer
from rcc_onnx.types import NETWORK_NAMES, SIDES, Note, Side, Thresholds

_log = logging.getLogger(__name__)

SECONDS_DECIMALS = 4
"""Decimals of stage times in results: a tenth of a millisecond."""


@dataclass(frozen=True)
class _OpenBundle:
    """A bundle with its networks open."""

    bundle: Bundle
    networks: Networks
    provider: ProviderRecord


@dataclass
class Engine:
    """Analyses studies. Make one with `Engine.load`; it may be used from one thread at a time."""

    options: InferenceOptions
    _named: _OpenBundle | None = None
    _chosen: dict[StudyKind, _OpenBundle] = field(default_factory=dict)
    _memory: MemoryTrimmer = field(default_factory=MemoryTrimmer)

    @classmethod
    def load(
        cls,
        models: str | Path | None = None,
        options: InferenceOptions | None = None,
        **changes: Any,
    ) -> "Engine":
        """Return an engine that is ready.

        Args:
            models: name or folder of a bundle. None: for each study the only installed bundle
                that is meant for its kind, opened when the first such study comes.
            options: how to analyse.
            changes: fields of `InferenceOptions` in place of `options`: `provider="cpu"`.

        Raises:
            BundleError: the bundle is missing or broken.
            ProviderError: the provider cannot run here, or does not pass the self-test.
            OptionError: an option is unknown or has an impossible value, or the bundle or the
                provider lacks the precision (code `precision`).
        """
        if options is not None and changes:
            raise OptionError("give either `options` or single options, not both")
        options = options or InferenceOptions.parse(**changes)
        search_folders()  # reports a wrong RCC_ONNX_MODELS_FOLDER now, not with every study
        named = None if models is None else _open(find_bundle(str(models)), options)
        return cls(options, named)

    def bundle_for(self, kind: StudyKind) -> Bundle:
        """Return the bundle that a study of this kind would be given, without opening networks.

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
    ) -> AnalysedCase:
        """Analyse one study.

        Args:
            path: folder or zip archive of one study.
            case: name for the result; the folder's or archive's own if None.
            listener: called with each stage and how much of it is done.
            hide_names: the result, messages and logs call the study by `case`, and its files by
                number in the order of their names.

        Raises:
            OptionError: `hide_names` without `case`.
            IntakeError: the folder does not hold one study that can be analysed without guessing.
            BundleError: no bundle, or more than one, is meant for such a study.
            ProviderError, NetworkError: the networks cannot run.
        """
        if hide_names and case is None:
            raise OptionError("names can be hidden only where `case` gives the study another name")
        folder, options, watch = Path(path), self.options, Stopwatch(listener)
        with watch.stage("reading_headers"):
            selection = SeriesSelection(options.series, options.series_policy)
            shown_as = case if hide_names else None
            study = read_study(folder, options.profile, selection, shown_as=shown_as)
        kind: StudyKind = "digital-phantom" if study.is_digital_phantom else "patient"
        with watch.stage("loading_networks"):
            opened = self._networks_for(kind)
        thresholds = _thresholds(opened.bundle, options)
        analysis = analyse_study(study, opened.networks, thresholds, watch)
        with watch.stage("measuring"):
            patient = place_in_patient(study, analysis, options.mask_cutoff)
            sides = measure_sides(analysis, patient, thresholds) if patient else analysis.sides
        kidney_hu = mean_kidney_hu(patient) if patient else None
        flags = study_flags(len(study.needed_slices), study.has_contrast, kidney_hu)
        self._memory.after_a_study()
        models = _models_used(opened, kind)
        return AnalysedCase(
            case=case if case is not None else _case_name(folder),
            options=options,
            thresholds=thresholds,
            warnings=(*_warnings(models, kind), *(note.text for note in study.record.warnings)),
            flags=flags,
            intake=study.record,
            study=_study_facts(study, kind, analysis.images_sha256, pseudonym=hide_names),
            models=models,
            provider=opened.provider,
            environment=environment(),
            timings_s={name: round(s, SECONDS_DECIMALS) for name, s in watch.seconds().items()},
            measured=patient is not None,
            sides=_judged(sides, flags),
            network_images=analysis.images,
            patient_images=patient,
        )

    def _networks_for(self, kind: StudyKind) -> _OpenBundle:
        if self._named is not None:
            return self._named
        if kind not in self._chosen:
            bundle = choose_bundle(kind)
            # One bundle may serve both kinds; its networks are opened once.
            twin = next((known for known in self._chosen.values() if known.bundle == bundle), None)
            self._chosen[kind] = twin or _open(bundle, self.options)
        return self._chosen[kind]


def _case_name(path: Path) -> str:
    return path.stem if path.is_file() else path.resolve().name


def _open(bundle: Bundle, options: InferenceOptions) -> _OpenBundle:
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
    return _OpenBundle(bundle, networks, record)


def _thresholds(bundle: Bundle, options: InferenceOptions) -> Thresholds:
    """Return the bundle's own thresholds, but for those that were requested."""
    requested = {
        "kidney": options.kidney_threshold,
        "lesion": options.lesion_threshold,
        "borderline": options.borderline,
    }
    changes = {name: value for name, value in requested.items() if value is not None}
    return replace(bundle.manifest.default_thresholds, **changes)


def _judged(sides: Mapping[Side, SideFinding], flags: tuple[Note, ...]) -> dict[Side, SideFinding]:
    return {
        side: replace(sides[side], assessable=not (flags or sides[side].flags)) for side in SIDES
    }


def _models_used(opened: _OpenBundle, kind: StudyKind) -> ModelsUsed:
    manifest, variants = opened.bundle.manifest, opened.provider.variants
    origin = manifest.provenance
    return ModelsUsed(
        name=manifest.name,
        version=manifest.version,
        sha256={
            name: manifest.networks[name].variant(variants.get(name, "plain")).sha256
            for name in NETWORK_NAMES
        },
        meant_for=tuple(manifest.use_on),
        suitable=kind in manifest.use_on,
        sources=None
        if origin is None
        else {
            name: SourceSummary(origin.sources[name].sha256, origin.sources[name].published)
            for name in NETWORK_NAMES
        },
        certificate=None if origin is None else _summary(origin.certificate),
    )


def _summary(certificate: Certificate) -> CertificateSummary:
    kidney, lesion = (
        ParitySummary(part.inputs, part.largest_difference, part.decisions_equal)
        for part in (certificate.kidney, certificate.lesion)
    )
    return CertificateSummary(certificate.tolerance, certificate.holds, kidney, lesion)


def _warnings(models: ModelsUsed, kind: StudyKind) -> tuple[str, ...]:
    if models.suitable:
        return ()
    return (
        f"the models {models.name!r} are meant for {' and '.join(models.meant_for)} studies and "
        f"were chosen by hand for a {kind} study: results are not meaningful for this kind of "
        "study",
    )


def _study_facts(
    study: Study, kind: StudyKind, images_sha256: str | None, *, pseudonym: bool
) -> StudyFacts:
    return StudyFacts(
        kind=kind,
        pseudonym=pseudonym,
        files_found=study.files_found,
        slices_in_series=len(study.slices),
        slices_analysed=len(study.needed_slices),
        stride=study.stride,
        spacing_zyx_mm=study.spacing_zyx_mm,
        skipped_files=study.skipped_files,
        images_sha256=images_sha256,
    )
