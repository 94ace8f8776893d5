"""Accuracy of a bundle on digital phantoms: `python -m benchmarks.phantom_accuracy`.

Writes phantom studies of the evaluation seeds as DICOM, analyses each through the same stages as
`rcc-onnx infer`, and compares with the ground truth: Dice of the kidneys, sensitivity by lesion
size, specificity, sides. Phantoms only: no figure here says anything about patients.
"""

import argparse
import json
import platform
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from benchmarks.phantom_figures import KidneyRecord, figures, markdown
from rcc_onnx.bundles.bundle import Bundle, find_bundle
from rcc_onnx.dicom import Study, read_study
from rcc_onnx.imaging.placement import axis_map, resized_length
from rcc_onnx.phantom import Label, PhantomStudy, make_study
from rcc_onnx.phantom.scan import EVALUATION, TUNING
from rcc_onnx.pipeline import analyse_study
from rcc_onnx.pipeline.localization import crop_around
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.pipeline.timing import Stopwatch
from rcc_onnx.runtime.networks import Networks, network_input, split_sides
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import SIDES, Centre, LesionBox, Profile, ProviderName

SECTION = "phantom figures"
CARD_HEADING = "## Figures on digital phantoms"


class Recording:
    """Networks that keep their kidney outputs, so that Dice needs no second run."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._outputs: dict[bytes, NDArray[np.float32]] = {}

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs = self._networks.kidney_probability(slices)
        for image, output in zip(slices, outputs, strict=True):
            self._outputs[image.tobytes()] = output
        return outputs

    def kidney_map(self, volume: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the outputs for a volume, of its shape; equal slices were run once."""
        return np.stack([self._outputs[image.tobytes()] for image in network_input(volume)])

    def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._networks.lesion_probability(crop)


def evaluate_seed(seed: int, models: str) -> list[KidneyRecord]:
    """Analyse both sides of one phantom, through DICOM files in a temporary folder."""
    bundle, networks = _networks(models)
    with tempfile.TemporaryDirectory() as folder:
        phantom = make_study(seed, Path(folder) / "study")
        study = read_study(phantom.folder, Profile.STANDARD)
        recording = Recording(networks)
        sides = analyse_study(
            study, recording, bundle.manifest.default_thresholds, Stopwatch()
        ).sides
        probability = recording.kidney_map(network_volume(study).values)
    truth = truth_on_grid(phantom, study, len(probability))
    truths, probabilities = split_sides(truth), split_sides(probability)
    records = []
    for side in SIDES:
        finding, kidney = sides[side], phantom.anatomy.kidney(side)
        lesion = kidney.growth("lesion") if kidney else None
        cyst = kidney.growth("cyst") if kidney else None
        on_lesion = None
        if lesion and finding.lesion and finding.lesion.box and finding.kidney.centre_zyx:
            on_lesion = _box_on_lesion(truths[side], finding.kidney.centre_zyx, finding.lesion.box)
        records.append(
            KidneyRecord(
                seed=seed,
                side=side,
                present=kidney is not None,
                lesion_mm=lesion.diameter_mm if lesion else None,
                cyst_mm=cyst.diameter_mm if cyst else None,
                outcome=str(finding.outcome),
                kidney_sum=finding.kidney.probability_sum,
                lesion_sum=finding.lesion.probability_sum if finding.lesion else None,
                dice=dice(truths[side] > 0, probabilities[side] >= 0.5) if kidney else None,
                box_on_lesion=on_lesion,
            )
        )
    return records


def truth_on_grid(phantom: PhantomStudy, study: Study, slices: int) -> NDArray[np.uint8]:
    """Return the truth mask on the network grid, by the pipeline's own index maps."""
    scan = phantom.scan
    axis = axis_map(scan.matrix, resized_length(scan.matrix, scan.pixel_mm))
    needed = phantom.labels[:: study.stride]
    grid = np.zeros((slices, 160, 160), np.uint8)
    before = (slices - len(needed)) // 2
    grid[before : before + len(needed), axis.places, axis.places] = needed[
        :, axis.sources[:, None], axis.sources[None, :]
    ]
    return grid


def dice(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks; 1 if both are empty."""
    total = int(truth.sum()) + int(found.sum())
    return 2 * int((truth & found).sum()) / total if total else 1.0


def _box_on_lesion(truth: NDArray[np.uint8], centre: Centre, box: LesionBox) -> bool:
    """Return whether the truth of a half volume has a lesion voxel in the box on its slice."""
    on_slice = crop_around(truth, centre)[box.slice]
    inside = on_slice[box.top : box.bottom + 1, box.left : box.right + 1]
    return bool((inside == Label.LESION).any())


@lru_cache(maxsize=1)
def _networks(models: str) -> tuple[Bundle, Networks]:
    """Open the networks once in each worker process."""
    bundle = find_bundle(models)
    return bundle, open_networks(bundle, ProviderName.CPU, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="phantom", help="bundle, by name or folder")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tuning", action="store_true", help="tuning seeds: for development")
    parser.add_argument("--json", type=Path, help="write records and figures here")
    parser.add_argument("--card", type=Path, help="write the table into this MODEL_CARD.md")
    options = parser.parse_args()
    seeds = (TUNING if options.tuning else EVALUATION)[: options.studies]
    with ProcessPoolExecutor(options.workers) as pool:
        parts = list(pool.map(partial(evaluate_seed, models=options.models), seeds, chunksize=4))
    records = [record for part in parts for record in part]
    command = f"python -m benchmarks.phantom_accuracy --studies {options.studies}"
    command += " --tuning" if options.tuning else ""
    table = markdown(records, command)
    print(table)
    if options.json:
        document = {
            "command": command,
            "environment": {"python": platform.python_version(), "machine": platform.machine()},
            "figures": dict(figures(records)),
            "records": [asdict(record) for record in records],
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.card:
        common.write_section(options.card, SECTION, table, CARD_HEADING)


if __name__ == "__main__":
    main()
