"""Train the two networks of the `phantom` bundle: `python -m convert.phantom_training --help`.

Two U-Nets of the published family (2D for kidneys, 3D for lesions), trained on digital phantoms
only, and saved as whole-model Keras HDF5, as the published files are. Then, like any other pair:

    python -m convert WORK/kidney.h5 WORK/lesion.h5 --name phantom --out models/phantom

Seeds are fixed; the last digits still depend on the machine and its TensorFlow.
"""

import argparse
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras.frameworks import import_frameworks
from rcc_onnx.phantom.anatomy import Label, Prevalence
from rcc_onnx.phantom.scan import TRAINING, NetworkSamples, network_samples

log = logging.getLogger(__name__)

Bytes = NDArray[np.uint8]

TRAINING_PREVALENCE = Prevalence(lesion=0.5, cyst=0.45, absent=0.08)
"""More lesions and cysts than in the evaluation: a network learns from what is there."""
SLICES_A_PHANTOM = 20


@dataclass(frozen=True)
class Phase:
    """Some epochs with one loss; the learning rate falls to zero along a cosine.

    Attributes:
        dice_of_each: compute the Dice loss of each sample, so that a small lesion counts as much as
            a large one; otherwise that of the batch as a whole.
    """

    epochs: int
    learning_rate: float
    dice_of_each: bool = False


@dataclass(frozen=True)
class Plan:
    """Size and training of a network."""

    base_filters: int
    levels: int
    batch: int
    phases: tuple[Phase, ...]
    random_seed: int = 20


KIDNEY_PLAN = Plan(base_filters=8, levels=4, batch=16, phases=(Phase(2, 1e-3),))
LESION_PLAN = Plan(
    base_filters=8,
    levels=3,
    batch=2,
    # The first phase finds what a lesion is, the second weighs small ones like large ones.
    phases=(Phase(4, 1e-3), Phase(2, 4e-4, dice_of_each=True)),
)


@dataclass(frozen=True)
class TrainingSet:
    """Inputs and binary truths, uint8, all of one network's shape."""

    inputs: Bytes
    truths: Bytes

    def batches(self, plan: Plan) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Yield shuffled batches without end, half of them mirrored, of varied brightness."""
        rng = np.random.default_rng(plan.random_seed)
        while True:
            order = rng.permutation(len(self.inputs))
            for start in range(0, len(order) - plan.batch + 1, plan.batch):
                rows = np.sort(order[start : start + plan.batch])
                x = self.inputs[rows].astype(np.float32) / 255
                y = self.truths[rows].astype(np.float32)
                if rng.random() < 0.5:
                    x, y = x[..., ::-1], y[..., ::-1]
                x = np.clip(x * rng.uniform(0.96, 1.04) + rng.uniform(-0.02, 0.02), 0, 1)
                yield x[..., None].astype(np.float32), y[..., None]


def make_training_sets(phantoms: int, workers: int) -> tuple[TrainingSet, TrainingSet]:
    """Draw slices with kidney masks, and crops with lesion masks, of the first training seeds."""
    seeds = TRAINING[:phantoms]
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(_training_part, seeds, chunksize=8))
    kidney = TrainingSet(*(np.concatenate([p[i] for p in parts]) for i in (0, 1)))
    lesion = TrainingSet(*(np.concatenate([p[i] for p in parts]) for i in (2, 3)))
    return kidney, lesion


def _training_part(seed: int) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    samples: NetworkSamples = network_samples(seed, TRAINING_PREVALENCE)
    rng = np.random.default_rng((seed, 0x7A11))
    kidney = (samples.slice_labels > Label.BACKGROUND).astype(np.uint8)
    # Slices with kidney are drawn twice as often as those without.
    weight = np.where(kidney.any(axis=(1, 2)), 2.0, 1.0)
    chosen = rng.choice(
        len(weight), min(SLICES_A_PHANTOM, len(weight)), replace=False, p=weight / weight.sum()
    )
    lesion = (samples.crop_labels == Label.LESION).astype(np.uint8)
    return samples.slices[chosen], kidney[chosen], samples.crops, lesion


def build_unet(shape: tuple[int, ...], plan: Plan, keras: Any) -> Any:
    """Build a U-Net for images or volumes: batch normalisation, transposed convolutions."""
    layers = keras.layers
    flat = len(shape) == 3
    conv = layers.Conv2D if flat else layers.Conv3D
    transposed = layers.Conv2DTranspose if flat else layers.Conv3DTranspose
    pool = layers.MaxPooling2D if flat else layers.MaxPooling3D

    def block(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = conv(filters, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.97)(x)
            x = layers.Activation("relu")(x)
        return x

    x = inputs = layers.Input(shape)
    skips = []
    for level in range(plan.levels):
        x = block(x, plan.base_filters * 2**level)
        skips.append(x)
        x = pool(2)(x)
    x = block(x, plan.base_filters * 2**plan.levels)
    for level in reversed(range(plan.levels)):
        x = transposed(plan.base_filters * 2**level, 2, strides=2, padding="same")(x)
        x = block(layers.Concatenate()([skips[level], x]), plan.base_filters * 2**level)
    return keras.Model(inputs, conv(1, 1, activation="sigmoid")(x))


def train(name: str, data: TrainingSet, plan: Plan, folder: Path) -> Path:
    """Train one network and save it as `folder/name.h5`."""
    keras = import_frameworks().tf_keras
    keras.utils.set_random_seed(plan.random_seed)
    shape = (*data.inputs.shape[1:], 1)
    network = build_unet(shape, plan, keras)
    log.info("%s: %d weights", name, network.count_params())
    path = folder / f"{name}.h5"
    for phase in plan.phases:
        train_phase(network, data, plan, phase, path)
    return path


def train_phase(network: Any, data: TrainingSet, plan: Plan, phase: Phase, path: Path) -> None:
    """Train a network further and save it to `path`."""
    frameworks = import_frameworks()
    tf, keras = frameworks.tf, frameworks.tf_keras
    steps = len(data.inputs) // plan.batch
    axes = list(range(1, data.inputs.ndim + 1)) if phase.dice_of_each else None
    smoothing = 5 if phase.dice_of_each else 20

    def minus_dice_plus_entropy(truth: Any, output: Any) -> Any:
        overlap = tf.reduce_sum(truth * output, axes)
        both = tf.reduce_sum(truth, axes) + tf.reduce_sum(output, axes)
        dice = tf.reduce_mean((2 * overlap + smoothing) / (both + smoothing))
        entropy = tf.reduce_mean(keras.losses.binary_crossentropy(truth, output))
        return 1 - dice + 2 * entropy

    rate = keras.optimizers.schedules.CosineDecay(phase.learning_rate, steps * phase.epochs)
    network.compile(keras.optimizers.Adam(rate), loss=minus_dice_plus_entropy)
    # Saved five times an epoch, so that an interrupted run leaves a network.
    network.fit(
        data.batches(plan),
        steps_per_epoch=max(steps // 5, 1),
        epochs=phase.epochs * 5,
        callbacks=[keras.callbacks.ModelCheckpoint(str(path), save_format="h5")],
        verbose=2,
    )


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Train the networks of the phantom bundle.")
    parser.add_argument("--work", type=Path, required=True, help="folder for the two .h5 files")
    parser.add_argument("--phantoms", type=int, default=1600, help="how many to train on")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=["kidney", "lesion"], help="train just one of the two")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    kidney, lesion = make_training_sets(options.phantoms, options.workers)
    log.info("%d slices, %d crops", len(kidney.inputs), len(lesion.inputs))
    if options.only != "lesion":
        train("kidney", kidney, KIDNEY_PLAN, options.work)
    if options.only != "kidney":
        train("lesion", lesion, LESION_PLAN, options.work)


if __name__ == "__main__":
    main()
