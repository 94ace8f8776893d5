"""Adds networks in 8-bit integers or in float16 to a bundle, if they decide as in float32."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from convert.bundle import CARD_FILE, bundle_files, write_folder
from convert.errors import QuantizedDecisionsError, QuantizeError
from convert.keras.verification import open_converted
from convert.model_card import model_card
from convert.optimize.calibration import observed_ranges
from convert.optimize.compare_precisions import (
    StudySample,
    Tally,
    compare_precisions,
    phantom_studies,
    user_studies,
)
from convert.optimize.float16 import to_float16
from convert.optimize.quantize_int8 import to_int8
from rcc_onnx.bundles.bundle import Bundle, load_bundle
from rcc_onnx.bundles.manifest import (
    MANIFEST_FILE,
    ByNetwork,
    ExtraVariant,
    Manifest,
    VariantEntry,
    VariantName,
)
from rcc_onnx.errors import NetworkOutputError, ProviderDisagreesError
from rcc_onnx.phantom.scan import TRAINING, TUNING
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import OnnxNetworks, open_networks
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.types import NETWORK_NAMES, NetworkName, Precision, ProviderName

CALIBRATION_PHANTOMS = 12
SLICE_STEP = 4
"""Calibration takes every fourth slice of a study, since neighbours look alike."""
MIN_STUDIES = 200
"""Phantoms on which decisions are compared before a variant is written."""

_IN_WORDS: dict[ExtraVariant, str] = {"int8": "8-bit integers", "float16": "float16"}


@dataclass(frozen=True)
class Quantized:
    """A bundle that now has both networks in one more precision.

    Attributes:
        tallies: how they compare with float32.
    """

    manifest: Manifest
    tallies: ByNetwork[Tally]


@dataclass(frozen=True)
class _Network:
    """A network in fewer bits.

    Attributes:
        content: the ONNX file.
        emulation: an ONNX file that computes on the CPU what `content` does where it will run.
    """

    content: bytes
    emulation: bytes


def quantize_bundle(
    folder: Path,
    calibrate: Path | None,
    progress: Callable[[str], None],
    studies: int = MIN_STUDIES,
    kind: ExtraVariant = "int8",
) -> Quantized:
    """Make both networks in fewer bits, compare them, and write them.

    Args:
        folder: a bundle; it gets two more files and a new manifest, or stays as it is.
        calibrate: a study, or a folder of studies, to calibrate int8 on in place of phantoms. They
            are also compared, besides the phantoms.
        progress: called with a sentence when a step begins.
        studies: how many phantoms to compare on.
        kind: "int8" or "float16". The latter is compared as GPUs compute that add up in float32.

    Raises:
        QuantizeError: a network cannot be written so, or there is nothing to calibrate on.
        QuantizedDecisionsError: a decision differs.
        BundleError, OutputError: the bundle is broken, or cannot be written.
    """
    bundle = load_bundle(folder)
    bundle.check()
    plain = open_networks(bundle, ProviderName.CPU)
    thresholds = bundle.manifest.default_thresholds
    own = [] if calibrate is None else list(user_studies(calibrate, plain, thresholds))
    if kind == "int8":
        samples = own or list(phantom_studies(TRAINING[:CALIBRATION_PHANTOMS]))
        progress(f"Calibrating on {len(samples)} studies")
        made = {name: _int8_network(bundle, name, samples) for name in NETWORK_NAMES}
        note = f"calibrated on {len(samples)} {'studies' if own else 'phantoms'}"
    else:
        made = {name: _float16_network(bundle, name) for name in NETWORK_NAMES}
        note = "compared as computed with sums in float32"
    progress(f"Comparing decisions on {studies + len(own)} studies")
    quantized = _open(bundle, plain, made, kind)
    tallies = _compare(
        plain, quantized, bundle, chain(own, phantom_studies(TUNING[:studies])), kind
    )
    progress("Writing the bundle")
    manifest = _with_variants(bundle.manifest, made, tallies, kind, note)
    _check_self_test(bundle, manifest, quantized, kind)
    _write(bundle, manifest, made, kind)
    return Quantized(manifest, tallies)


def _plain_model(bundle: Bundle, name: NetworkName) -> onnx.ModelProto:
    model = onnx.load_from_string(bundle.read_network(name))
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def _to_bytes(model: onnx.ModelProto, source: onnx.ModelProto) -> bytes:
    model.metadata_props.extend(source.metadata_props)
    return bytes(model.SerializeToString(deterministic=True))


def _int8_network(bundle: Bundle, name: NetworkName, samples: list[StudySample]) -> _Network:
    model = _plain_model(bundle, name)
    batches = list(_batches(name, samples))
    if not batches:
        raise QuantizeError(f"there is nothing to calibrate the {name} network on: no kidney found")
    content = _to_bytes(to_int8(model, observed_ranges(model, batches)), model)
    return _Network(content, content)


def _float16_network(bundle: Bundle, name: NetworkName) -> _Network:
    model = _plain_model(bundle, name)
    content, emulation = (
        _to_bytes(to_float16(model, emulated), model) for emulated in (False, True)
    )
    return _Network(content, emulation)


def _batches(name: NetworkName, samples: list[StudySample]) -> Iterator[NDArray[np.float32]]:
    """Yield inputs of a network, channels last, one at a time, which needs little memory."""
    for sample in samples:
        values = sample.slices[::SLICE_STEP] if name == "kidney" else sample.crops
        for start in range(len(values)):
            yield values[start : start + 1, ..., np.newaxis]


def _open(
    bundle: Bundle, plain: OnnxNetworks, made: dict[NetworkName, _Network], kind: ExtraVariant
) -> OnnxNetworks:
    kidney, lesion = (
        open_converted(
            name, made[name].emulation, bundle.manifest.networks[name].variant("plain")
        ).network
        for name in NETWORK_NAMES
    )
    variants: dict[str, VariantName] = dict.fromkeys(NETWORK_NAMES, kind)
    record = replace(plain.record, precision=Precision(kind), variants=variants)
    return OnnxNetworks(kidney, lesion, record)


def _compare(
    plain: OnnxNetworks,
    quantized: OnnxNetworks,
    bundle: Bundle,
    studies: Iterable[StudySample],
    kind: ExtraVariant,
) -> ByNetwork[Tally]:
    """Compare all decisions.

    Raises QuantizedDecisionsError, or QuantizeError where outputs are not probabilities.
    """
    try:
        tallies = compare_precisions(plain, quantized, bundle.manifest.default_thresholds, studies)
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


def _check_self_test(
    bundle: Bundle, manifest: Manifest, quantized: OnnxNetworks, kind: ExtraVariant
) -> None:
    """Check that the engine will not refuse the networks when it tests them on a machine.

    Raises QuantizedDecisionsError.
    """
    try:
        self_test(quantized, quantized.record, manifest, bundle.read_reference_outputs())
    except ProviderDisagreesError as problem:
        raise QuantizedDecisionsError(
            f"in {_IN_WORDS[kind]}, {problem.problem}; nothing was written. Stay with float32."
        ) from problem


def _with_variants(
    manifest: Manifest,
    made: dict[NetworkName, _Network],
    tallies: ByNetwork[Tally],
    kind: ExtraVariant,
    note: str,
) -> Manifest:
    entries = {}
    for name in NETWORK_NAMES:
        entry, tally = manifest.networks[name], tallies[name]
        moved = f"; {tally.moved} of {tally.located} located elsewhere" if tally.located else ""
        variant = VariantEntry(
            file=f"{name}.{kind}.onnx",
            sha256=hashlib.sha256(made[name].content).hexdigest(),
            note=f"{_IN_WORDS[kind]}, {note}{moved}",
            comparison=tally.variant_comparison,
        )
        entries[name] = replace(entry, variants={**entry.variants, kind: variant})
    return replace(manifest, networks=ByNetwork(entries["kidney"], entries["lesion"]))


def _write(
    bundle: Bundle, manifest: Manifest, made: dict[NetworkName, _Network], kind: ExtraVariant
) -> None:
    files = bundle_files(bundle) | {MANIFEST_FILE: document_bytes(manifest)}
    files |= {f"{name}.{kind}.onnx": made[name].content for name in NETWORK_NAMES}
    if manifest.provenance is not None:
        files[CARD_FILE] = model_card(manifest).encode()
    write_folder(bundle.folder, files, overwrite=True)
