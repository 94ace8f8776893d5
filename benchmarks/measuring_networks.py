"""Networks of the likely size of the published ones: `python -m benchmarks.measuring_networks`.

The published files are not needed to measure speed, but their size is, and so are outputs that mean
something: an engine that is fast on noise proves nothing about its decisions. So the trained
networks of the `phantom` bundle (8 base filters) are put into U-Nets four times as wide (32 base
filters, 7.8 and 5.6 million weights): the trained channels see only one another, the others hold
random weights and are computed like any channel, and the last layer all but ignores them. On
phantoms the wide networks give what the trained ones do; on patients they mean as little.

Writes OUT/kidney.h5, OUT/lesion.h5 and, through `python -m convert`, OUT/bundle with the variants
for CPUs and in int8. Needs the extra `convert`. Only for measuring.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from convert.keras.frameworks import import_frameworks, third_party
from convert.phantom_training import KIDNEY_PLAN, LESION_PLAN, Plan, build_unet
from convert.quantize import quantize_bundle
from rcc_onnx.bundles.bundle import find_bundle, load_bundle
from rcc_onnx.bundles.manifest import KIDNEY_SHAPE, LESION_SHAPE
from rcc_onnx.errors import RccOnnxError
from rcc_onnx.types import NETWORK_NAMES, NetworkName

Floats = NDArray[np.float32]

WIDE_FILTERS = 32
NAME = "measuring"
SEED = 4
INT8_STUDIES = 12
"""Phantoms on which decisions in int8 are compared, enough to notice a broken variant. Bundles that
are made to be used are compared on 200 and more."""
IGNORED = 1e-6
"""Weight of a random channel in the last layer: not zero, so that no optimiser may drop its inputs,
and too small to move a probability by more than float32 rounding."""
NORMALISATION_EPSILON = 1e-3
"""Keras's own; with a variance of 1 minus this, a normalisation changes nothing."""

SHAPES = {"kidney": KIDNEY_SHAPE, "lesion": LESION_SHAPE}
PLANS = {"kidney": KIDNEY_PLAN, "lesion": LESION_PLAN}


def build_networks(out: Path, trained: str = "phantom") -> Path:
    """Write both Keras files and their bundle below `out`, unless they are there.

    Returns the folder of the bundle. `trained` is a bundle made by `convert.phantom_training`, by
    name or folder.
    """
    bundle = out / "bundle"
    if (bundle / "manifest.json").is_file():
        _add_int8(bundle)
        return bundle
    out.mkdir(parents=True, exist_ok=True)
    source = find_bundle(trained)
    for name in NETWORK_NAMES:
        widen(name, source.folder / source.manifest.networks[name].file, out / f"{name}.h5")
    command = [sys.executable, "-m", "convert", str(out / "kidney.h5"), str(out / "lesion.h5")]
    options = ["--name", NAME, "--out", str(bundle), "--use-on", "digital-phantom"]
    purpose = "Measuring speed with networks of a plausible published size. Answers on phantoms."
    subprocess.run([*command, *options, "--purpose", purpose], check=True)
    _add_int8(bundle)
    return bundle


def _add_int8(bundle: Path) -> None:
    """Add the int8 variant, unless it is there; print the reason if it is refused."""
    if "int8" in load_bundle(bundle).manifest.networks.kidney.variants:
        return
    try:
        quantize_bundle(bundle, None, lambda text: print(text, file=sys.stderr), INT8_STUDIES)
    except RccOnnxError as error:
        print(f"NO INT8: {error}", file=sys.stderr)


def widen(name: NetworkName, trained: Path, out: Path) -> None:
    """Save the wide network that holds the trained one as whole-model Keras HDF5."""
    keras = import_frameworks().tf_keras
    plan = PLANS[name]
    wide = Plan(WIDE_FILTERS, plan.levels, plan.batch, plan.phases)
    keras.backend.clear_session()
    network = build_unet(SHAPES[name], wide, keras)
    rng = np.random.default_rng(SEED)
    trained_weights = _trained_weights(onnx.load(str(trained)))
    layers = [layer for layer in network.layers if layer.weights]
    for layer, narrow in zip(layers, trained_weights, strict=True):
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights(_wide_normalisation(shapes, narrow))
            continue
        kernel = _wide_kernel(shapes[0], narrow[0], rng, _Role.of(layer, layers[-1]))
        layer.set_weights([kernel, *(_padded(bias, shapes[1]) for bias in narrow[1:])])
    with third_party():
        network.save(str(out), save_format="h5")


def _trained_weights(model: Any) -> Iterator[list[Floats]]:
    """Yield the trained weights layer by layer, in Keras's order and layout.

    Where conversion folded a normalisation into its convolution, one that only adds the
    convolution's bias takes its place.
    """
    values = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in _WEIGHTED]
    for at, node in enumerate(nodes):
        arrays = [values[name] for name in node.input[1:]]
        follower = nodes[at + 1].op_type if at + 1 < len(nodes) else ""
        if node.op_type == "BatchNormalization":
            yield arrays
        elif node.op_type == "ConvTranspose":
            bias = arrays[1] if len(arrays) == 2 else _added_bias(model, node, values)
            yield [_to_keras(arrays[0]), bias.ravel()]
        elif at == len(nodes) - 1:
            yield [_to_keras(arrays[0]), arrays[1]]
        elif follower == "BatchNormalization":
            yield [_to_keras(arrays[0])]
        else:
            yield [_to_keras(arrays[0])]
            zeros = np.zeros_like(arrays[1])
            yield [zeros + 1, arrays[1], zeros, zeros + np.float32(1 - NORMALISATION_EPSILON)]


_WEIGHTED = ("Conv", "ConvTranspose", "BatchNormalization")


def _added_bias(model: Any, node: Any, values: dict[str, Floats]) -> Floats:
    """Return the bias that conversion left as an addition after a convolution."""
    (add,) = (taker for taker in model.graph.node if node.output[0] in taker.input[:1])
    assert add.op_type == "Add"
    return values[add.input[1]]


def _to_keras(kernel: Floats) -> Floats:
    """Turn (a, b, *window) into (*window, b, a), whichever of a and b are the outputs."""
    return np.transpose(kernel, (*range(2, kernel.ndim), 1, 0))


@dataclass(frozen=True)
class _Role:
    """The role of a convolution in the U-Net.

    Attributes:
        joined: its input is a skip connection and the upsampled level below, in this order.
        last: it gives the output.
        transposed: Keras keeps its output channels before its input channels.
    """

    joined: bool
    last: bool
    transposed: bool

    @classmethod
    def of(cls, layer: Any, last: Any) -> "_Role":
        joined = "concatenate" in str(layer.input.name)
        return cls(joined, layer is last, type(layer).__name__.endswith("Transpose"))


def _wide_normalisation(shapes: list[tuple[int, ...]], narrow: list[Floats]) -> list[Floats]:
    """Return scale, shift, mean and variance: the trained ones, then ones without effect."""
    wide = [
        np.full(shape, value) for shape, value in zip(shapes, (1.0, 0.0, 0.0, 1.0), strict=True)
    ]
    for full, part in zip(wide, narrow, strict=True):
        full[: len(part)] = part
    return [full.astype(np.float32) for full in wide]


def _wide_kernel(
    shape: tuple[int, ...], narrow: Floats, rng: np.random.Generator, role: _Role
) -> Floats:
    """Put the trained kernel into a wide one, whose other outputs are random and see every input.

    Trained outputs see trained inputs only; those of the last layer see the others with next to no
    weight.
    """
    wide = np.empty(shape, np.float32)
    into = np.swapaxes(wide, -1, -2) if role.transposed else wide
    part = np.swapaxes(narrow, -1, -2) if role.transposed else narrow
    # A 2x2 window with stride 2 puts one input pixel into each output pixel.
    window = 1 if role.transposed else int(np.prod(shape[:-2]))
    he_normal = float(np.sqrt(2 / (window * into.shape[-2])))
    into[:] = rng.normal(0, IGNORED if role.last else he_normal, into.shape)
    trained_outputs = part.shape[-1]
    if not role.last:
        into[..., :trained_outputs] = 0
    for of_wide, of_part in _kept_inputs(into.shape[-2], part.shape[-2], role.joined):
        into[..., of_wide, :trained_outputs] = part[..., of_part, :]
    return wide


def _padded(bias: Floats, shape: tuple[int, ...]) -> Floats:
    wide = np.zeros(shape, np.float32)
    wide[: len(bias)] = bias
    return wide


def _kept_inputs(wide: int, narrow: int, joined: bool) -> list[tuple[slice, slice]]:
    """Return where trained input channels lie among the wide ones: first in each joined half."""
    if not joined:
        return [(slice(0, narrow), slice(0, narrow))]
    half, part = wide // 2, narrow // 2
    return [
        (slice(0, part), slice(0, part)),
        (slice(half, half + part), slice(part, narrow)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--trained", default="phantom", help="bundle to widen, by name or folder")
    options = parser.parse_args()
    print(f"bundle: {build_networks(options.out, options.trained)}")


if __name__ == "__main__":
    main()
