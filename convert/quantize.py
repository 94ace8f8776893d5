"""Adds networks in 8-bit integers to a bundle, if they decide as those in float32 do."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from convert.bundle import CARD_FILE, write_folder
from convert.card import model_card
from convert.eight_bits import in_eight_bits
from convert.errors import QuantizedDecisionsError, QuantizeError
from convert.int8_agreement import Tally, compare_precisions
from convert.onnx_network import open_converted
from convert.ranges import observed_ranges
from convert.study_samples import StudySample, phantom_studies, user_studies
from rcc_onnx.bundles import Bundle, load_bundle
from rcc_onnx.manifest import (
    MANIFEST_FILE,
    NETWORK_NAMES,
    ByNetwork,
    Manifest,
    NetworkEntry,
    NetworkName,
)
from rcc_onnx.phantom.seeds import TRAINING, TUNING
from rcc_onnx.providers import ProviderName
from rcc_onnx.sessions import OnnxNetworks, open_networks
from rcc_onnx.values import Precision
from rcc_onnx.variants import Variant

CALIBRATION_PHANTOMS = 12
SLICE_STEP = 4
"""Of a study's slices every so manieth is used to calibrate: neighbours look alike."""
LEAST_STUDIES = 200
"""Phantoms on which decisions are compared before a variant is written."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Quantized:
    """A bundle that now has int8 variants, and what comparing them gave."""

    manifest: Manifest
    tallies: ByNetwork[Tally]


def quantize_bundle(
    folder: Path, calibrate: Path | None, progress: Progress, studies: int = LEAST_STUDIES
) -> Quantized:
    """Make, compare, write. `progress` is told what begins.

    Args:
        folder: a bundle; it gets two files more and another manifest, or stays as it is.
        calibrate: a study, or a folder of studies, to calibrate on in place of phantoms. They are
            also compared, besides the phantoms.
        progress: called with what begins.
        studies: how many phantoms to compare on.

    Raises:
        QuantizeError: a network has no convolution, or there is nothing to calibrate on.
        QuantizedDecisionsError: a decision differs.
        BundleError, OutputError: the bundle is broken, or cannot be written.
    """
    bundle = load_bundle(folder)
    bundle.check()
    plain = open_networks(bundle, ProviderName.CPU)
    own = [] if calibrate is None else list(_own_studies(calibrate, plain, bundle))
    samples = own or list(phantom_studies(TRAINING[:CALIBRATION_PHANTOMS]))
    networks = {}
    for name in NETWORK_NAMES:
        progress(f"Calibrating the {name} network on {len(samples)} studies")
        networks[name] = _small(bundle, name, samples)
    progress(f"Comparing decisions on {studies + len(own)} studies")
    small = _opened(bundle, plain, networks)
    compared = chain(own, phantom_studies(TUNING[:studies]))
    tallies = compare_precisions(plain, small, bundle.manifest.thresholds, compared)
    _check(tallies)
    progress("Writing the bundle")
    calibrated = f"calibrated on {len(samples)} {'studies' if own else 'phantoms'}"
    manifest = _with_variants(bundle.manifest, networks, tallies, calibrated)
    write_folder(folder, _files(bundle, manifest, networks), overwrite=True)
    return Quantized(manifest, tallies)


def _own_studies(folder: Path, networks: OnnxNetworks, bundle: Bundle) -> Iterator[StudySample]:
    return user_studies(folder, networks, bundle.manifest.thresholds)


def _small(bundle: Bundle, name: NetworkName, samples: list[StudySample]) -> bytes:
    """The ONNX file of a network in 8-bit integers."""
    model = onnx.load_from_string(bundle.read_network(name))
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    batches = list(_inputs(name, samples))
    if not batches:
        raise QuantizeError(f"there is nothing to calibrate the {name} network on: no kidney found")
    small = in_eight_bits(model, observed_ranges(model, batches))
    small.metadata_props.extend(model.metadata_props)
    return bytes(small.SerializeToString(deterministic=True))


def _inputs(name: NetworkName, samples: list[StudySample]) -> Iterator[NDArray[np.float32]]:
    """What a network takes, channels last, in parts that need little memory."""
    for sample in samples:
        values = sample.slices[::SLICE_STEP] if name == "kidney" else sample.crops
        for start in range(len(values)):
            yield values[start : start + 1, ..., np.newaxis]


def _entry(bundle: Bundle, name: NetworkName) -> NetworkEntry:
    return bundle.manifest.networks[name].form("plain")


def _opened(
    bundle: Bundle, plain: OnnxNetworks, networks: dict[NetworkName, bytes]
) -> OnnxNetworks:
    kidney, lesion = (
        open_converted(name, networks[name], _entry(bundle, name)).network for name in NETWORK_NAMES
    )
    return OnnxNetworks(kidney, lesion, replace(plain.record, precision=Precision.INT8))


def _check(tallies: ByNetwork[Tally]) -> None:
    for name in NETWORK_NAMES:
        tally = tallies[name]
        if tally.differing:
            raise QuantizedDecisionsError(
                f"the {name} network decides otherwise in 8-bit integers on {tally.differing} of "
                f"{tally.decided} maps (its sum closest to the threshold is {tally.closest:.2f} of "
                "it); nothing was written. Try --calibrate with studies of your own, or stay with "
                "float32."
            )


def _with_variants(
    manifest: Manifest,
    networks: dict[NetworkName, bytes],
    tallies: ByNetwork[Tally],
    calibrated: str,
) -> Manifest:
    entries = {}
    for name in NETWORK_NAMES:
        entry, tally = manifest.networks[name], tallies[name]
        note = f"8-bit integers, {calibrated}"
        if tally.located:
            note += f"; {tally.moved} of {tally.located} located elsewhere"
        variant = Variant(
            file=f"{name}.int8.onnx",
            sha256=hashlib.sha256(networks[name]).hexdigest(),
            note=note,
            agreement=tally.agreement(),
        )
        entries[name] = replace(entry, variants={**entry.variants, "int8": variant})
    return replace(manifest, networks=ByNetwork(entries["kidney"], entries["lesion"]))


def _files(
    bundle: Bundle, manifest: Manifest, networks: dict[NetworkName, bytes]
) -> dict[str, bytes]:
    """Every file of the bundle that is to be, by name."""
    files = {MANIFEST_FILE: manifest.to_json().encode()}
    for name in NETWORK_NAMES:
        entry = bundle.manifest.networks[name]
        for form in entry.forms:
            if form != "int8":
                files[entry.form(form).file] = bundle.read_network(name, form)
        files[f"{name}.int8.onnx"] = networks[name]
    card = bundle.folder / CARD_FILE
    if manifest.provenance is not None:
        files[CARD_FILE] = model_card(manifest).encode()
    elif card.is_file():
        files[CARD_FILE] = card.read_bytes()
    return files
