"""Adds networks in 8-bit integers or in float16 to a bundle, if they decide as in float32."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from convert.bundle import CARD_FILE, write_folder
from convert.errors import QuantizedDecisionsError, QuantizeError
from convert.keras.onnx_network import open_converted
from convert.model_card import model_card
from convert.optimize.calibration import observed_ranges
from convert.optimize.compare_precisions import Tally, compare_precisions
from convert.optimize.float16 import to_float16
from convert.optimize.quantize_int8 import to_int8
from convert.optimize.study_samples import StudySample, phantom_studies, user_studies
from rcc_onnx.bundles.bundle import Bundle, load_bundle
from rcc_onnx.bundles.bundle_files import read_bundle_file
from rcc_onnx.bundles.manifest import (
    MANIFEST_FILE,
    NETWORK_NAMES,
    REFERENCE_OUTPUTS_FILE,
    ByNetwork,
    Manifest,
    NetworkEntry,
    NetworkName,
)
from rcc_onnx.bundles.reference_outputs import LARGEST_REFERENCE_OUTPUTS
from rcc_onnx.bundles.variants import ExtraVariant, VariantEntry, VariantName
from rcc_onnx.errors import NetworkOutputError, ProviderDisagreesError
from rcc_onnx.phantom.samples import TRAINING, TUNING
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import OnnxNetworks, open_networks
from rcc_onnx.types import Precision, ProviderName

CALIBRATION_PHANTOMS = 12
SLICE_STEP = 4
"""Of a study's slices every so manieth is used to calibrate: neighbours look alike."""
LEAST_STUDIES = 200
"""Phantoms on which decisions are compared before a variant is written."""

Progress = Callable[[str], None]


_IN_WORDS: dict[ExtraVariant, str] = {"int8": "8-bit integers", "float16": "float16"}


@dataclass(frozen=True)
class Quantized:
    """A bundle that now has variants of one more precision, and what comparing them gave."""

    manifest: Manifest
    tallies: ByNetwork[Tally]


@dataclass(frozen=True)
class _Made:
    """A network in fewer bits.

    Attributes:
        content: the ONNX file.
        compared: an ONNX file that answers on the CPU as `content` is to answer where it runs.
    """

    content: bytes
    compared: bytes


def quantize_bundle(
    folder: Path,
    calibrate: Path | None,
    progress: Progress,
    studies: int = LEAST_STUDIES,
    kind: ExtraVariant = "int8",
) -> Quantized:
    """Make, compare, write. `progress` is told what begins.

    Args:
        folder: a bundle; it gets two files more and another manifest, or stays as it is.
        calibrate: a study, or a folder of studies, to calibrate int8 on in place of phantoms. They
            are also compared, besides the phantoms.
        progress: called with what begins.
        studies: how many phantoms to compare on.
        kind: "int8" or "float16". The latter is compared as GPUs compute that add up in float32.

    Raises:
        QuantizeError: a network has no such form, or there is nothing to calibrate on.
        QuantizedDecisionsError: a decision differs.
        BundleError, OutputError: the bundle is broken, or cannot be written.
    """
    bundle = load_bundle(folder)
    bundle.check()
    plain = open_networks(bundle, ProviderName.CPU)
    own = [] if calibrate is None else list(_own_studies(calibrate, plain, bundle))
    if kind == "int8":
        samples = own or list(phantom_studies(TRAINING[:CALIBRATION_PHANTOMS]))
        progress(f"Calibrating on {len(samples)} studies")
        made = {name: _small(bundle, name, samples) for name in NETWORK_NAMES}
        how = f"calibrated on {len(samples)} {'studies' if own else 'phantoms'}"
    else:
        made = {name: _half(bundle, name) for name in NETWORK_NAMES}
        how = "compared as computed with sums in float32"
    progress(f"Comparing decisions on {studies + len(own)} studies")
    compared = chain(own, phantom_studies(TUNING[:studies]))
    tallies = _compared(bundle, plain, made, compared, kind)
    progress("Writing the bundle")
    manifest = _with_variants(bundle.manifest, made, tallies, kind, how)
    _hold_to_answers(bundle, manifest, made, plain.record, kind)
    write_folder(folder, _files(bundle, manifest, made, kind), overwrite=True)
    return Quantized(manifest, tallies)


def _own_studies(folder: Path, networks: OnnxNetworks, bundle: Bundle) -> Iterator[StudySample]:
    return user_studies(folder, networks, bundle.manifest.thresholds)


def _plain_model(bundle: Bundle, name: NetworkName) -> onnx.ModelProto:
    model = onnx.load_from_string(bundle.read_network(name))
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def _to_bytes(model: onnx.ModelProto, source: onnx.ModelProto) -> bytes:
    model.metadata_props.extend(source.metadata_props)
    return bytes(model.SerializeToString(deterministic=True))


def _small(bundle: Bundle, name: NetworkName, samples: list[StudySample]) -> _Made:
    """A network in 8-bit integers."""
    model = _plain_model(bundle, name)
    batches = list(_inputs(name, samples))
    if not batches:
        raise QuantizeError(f"there is nothing to calibrate the {name} network on: no kidney found")
    content = _to_bytes(to_int8(model, observed_ranges(model, batches)), model)
    return _Made(content, content)


def _half(bundle: Bundle, name: NetworkName) -> _Made:
    """A network in float16."""
    model = _plain_model(bundle, name)
    content, compared = (
        _to_bytes(to_float16(model, emulated), model) for emulated in (False, True)
    )
    return _Made(content, compared)


def _inputs(name: NetworkName, samples: list[StudySample]) -> Iterator[NDArray[np.float32]]:
    """What a network takes, channels last, in parts that need little memory."""
    for sample in samples:
        values = sample.slices[::SLICE_STEP] if name == "kidney" else sample.crops
        for start in range(len(values)):
            yield values[start : start + 1, ..., np.newaxis]


def _entry(bundle: Bundle, name: NetworkName) -> NetworkEntry:
    return bundle.manifest.networks[name].variant("plain")


def _compared(
    bundle: Bundle,
    plain: OnnxNetworks,
    made: dict[NetworkName, _Made],
    studies: Iterable[StudySample],
    kind: ExtraVariant,
) -> ByNetwork[Tally]:
    """Raises QuantizedDecisionsError, or QuantizeError where answers are no numbers."""
    kidney, lesion = (
        open_converted(name, made[name].compared, _entry(bundle, name)).network
        for name in NETWORK_NAMES
    )
    small = OnnxNetworks(kidney, lesion, replace(plain.record, precision=Precision(kind)))
    try:
        tallies = compare_precisions(plain, small, bundle.manifest.thresholds, studies)
    except NetworkOutputError as problem:
        raise QuantizeError(f"in {_IN_WORDS[kind]} {problem.args[0]}") from problem
    for name in NETWORK_NAMES:
        tally = tallies[name]
        if tally.differing:
            advice = " Try --calibrate with studies of your own, or" if kind == "int8" else " So"
            raise QuantizedDecisionsError(
                f"the {name} network decides otherwise in {_IN_WORDS[kind]} on {tally.differing} "
                f"of {tally.decided} maps (its sum closest to the threshold is "
                f"{tally.closest:.2f} of it); nothing was written.{advice} stay with float32."
            )
    return tallies


def _hold_to_answers(
    bundle: Bundle,
    manifest: Manifest,
    made: dict[NetworkName, _Made],
    record: ProviderRecord,
    kind: ExtraVariant,
) -> None:
    """That networks which are written will not be refused later, when they are tested on a machine.

    Raises QuantizedDecisionsError.
    """
    kidney, lesion = (
        open_converted(name, made[name].compared, _entry(bundle, name)).network
        for name in NETWORK_NAMES
    )
    forms: dict[str, VariantName] = dict.fromkeys(NETWORK_NAMES, kind)
    record = replace(record, precision=Precision(kind), variants=forms)
    try:
        small = OnnxNetworks(kidney, lesion, record)
        self_test(small, record, manifest, bundle.read_reference_outputs())
    except ProviderDisagreesError as problem:
        raise QuantizedDecisionsError(
            f"in {_IN_WORDS[kind]}, {problem.problem}; nothing was written. Stay with float32."
        ) from problem


def _with_variants(
    manifest: Manifest,
    made: dict[NetworkName, _Made],
    tallies: ByNetwork[Tally],
    kind: ExtraVariant,
    how: str,
) -> Manifest:
    entries = {}
    for name in NETWORK_NAMES:
        entry, tally = manifest.networks[name], tallies[name]
        note = f"{_IN_WORDS[kind]}, {how}"
        if tally.located:
            note += f"; {tally.moved} of {tally.located} located elsewhere"
        variant = VariantEntry(
            file=f"{name}.{kind}.onnx",
            sha256=hashlib.sha256(made[name].content).hexdigest(),
            note=note,
            comparison=tally.agreement(),
        )
        entries[name] = replace(entry, variants={**entry.variants, kind: variant})
    return replace(manifest, networks=ByNetwork(entries["kidney"], entries["lesion"]))


def _files(
    bundle: Bundle, manifest: Manifest, made: dict[NetworkName, _Made], kind: ExtraVariant
) -> dict[str, bytes]:
    """Every file of the bundle that is to be, by name."""
    files = {MANIFEST_FILE: manifest.to_json().encode()}
    for name in NETWORK_NAMES:
        entry = bundle.manifest.networks[name]
        for form in entry.variant_names:
            if form != kind:
                files[entry.variant(form).file] = bundle.read_network(name, form)
        files[f"{name}.{kind}.onnx"] = made[name].content
    if manifest.reference_outputs is not None:
        files[REFERENCE_OUTPUTS_FILE] = read_bundle_file(
            bundle.folder, REFERENCE_OUTPUTS_FILE, LARGEST_REFERENCE_OUTPUTS
        )
    card = bundle.folder / CARD_FILE
    if manifest.provenance is not None:
        files[CARD_FILE] = model_card(manifest).encode()
    elif card.is_file():
        files[CARD_FILE] = card.read_bytes()
    return files
