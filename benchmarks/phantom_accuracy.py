"""How well a bundle finds what was drawn: `python -m benchmarks.phantom_accuracy`.

Writes phantom studies of the evaluation seeds as DICOM, analyses each through the same stages as
`rcc-onnx infer`, and compares with the truth: Dice of the kidneys, sensitivity by lesion size,
specificity, sides. Phantoms only: no figure here says anything about patients.
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

from benchmarks.phantom_figures import KidneyRecord, figures, markdown
from rcc_onnx.bundles.bundle import Bundle, find_bundle
from rcc_onnx.dicom import Study, read_study
from rcc_onnx.imaging.resampling import axis_map, resized_length
from rcc_onnx.phantom import Label, PhantomStudy, make_study
from rcc_onnx.phantom.samples import EVALUATION, TUNING
from rcc_onnx.pipeline import analyse_study
from rcc_onnx.pipeline.localization import crop_around
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.pipeline.timing import Stopwatch
from rcc_onnx.runtime.networks import Networks, network_input, split_sides
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import SIDES, Centre, LesionBox, Profile, ProviderName

CARD_START, CARD_END = "<!-- phantom figures: start -->", "<!-- phantom figures: end -->"


class Recording:
    """Networks that keep their kidney answers, so that Dice costs no second run."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._answers: dict[bytes, NDArray[np.float32]] = {}

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        answers = self._networks.kidney_probability(slices)
        for one, answer in zip(slices, answers, strict=True):
            self._answers[one.tobytes()] = answer
        return answers

    def kidney_map(self, volume: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What was answered for a volume, of its shape. Slices that are the same are asked once."""
        return np.stack([self._answers[one.tobytes()] for one in network_input(volume)])

    def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._networks.lesion_probability(crop)


def evaluate_seed(seed: int, models: str) -> list[KidneyRecord]:
    """Both sides of one phantom, through DICOM files in a temporary folder."""
    bundle, networks = _networks(models)
    with tempfile.TemporaryDirectory() as folder:
        phantom = make_study(seed, Path(folder) / "study")
        study = read_study(phantom.folder, Profile.STANDARD)
        recording = Recording(networks)
        sides = analyse_study(study, recording, bundle.manifest.thresholds, Stopwatch()).sides
        probability = recording.kidney_map(network_volume(study).values)
    truth = truth_on_grid(phantom, study, len(probability))
    truths, answers = split_sides(truth), split_sides(probability)
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
                dice=dice(truths[side] > 0, answers[side] >= 0.5) if kidney else None,
                box_on_lesion=on_lesion,
            )
        )
    return records


def truth_on_grid(phantom: PhantomStudy, study: Study, slices: int) -> NDArray[np.uint8]:
    """The truth mask carried to the network grid by the pipeline's own index maps."""
    scan = phantom.scan
    axis = axis_map(scan.matrix, resized_length(scan.matrix, scan.pixel_mm))
    needed = phantom.labels[:: study.stride]
    grid = np.zeros((slices, 160, 160), np.uint8)
    before = (slices - len(needed)) // 2
    grid[before : before + len(needed), axis.places, axis.places] = needed[
        :, axis.sources[:, None], axis.sources[None, :]
    ]
    return grid


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks; 1 if both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def _box_on_lesion(truth: NDArray[np.uint8], centre: Centre, box: LesionBox) -> bool:
    """Whether the truth of a half volume holds a lesion voxel inside the box on its slice."""
    on_slice = crop_around(truth, centre)[box.slice]
    inside = on_slice[box.top : box.bottom + 1, box.left : box.right + 1]
    return bool((inside == Label.LESION).any())


@lru_cache(maxsize=1)
def _networks(models: str) -> tuple[Bundle, Networks]:
    """Opened once in each worker process."""
    bundle = find_bundle(models)
    return bundle, open_networks(bundle, ProviderName.CPU, 1)


def write_card(card: Path, table: str) -> None:
    """Put the table between the card's two marks, or at its end where there are none."""
    text = card.read_text(encoding="utf-8")
    block = f"{CARD_START}\n{table}{CARD_END}\n"
    if CARD_START in text:
        before, rest = text.split(CARD_START, 1)
        text = before + block + rest.split(CARD_END, 1)[1].lstrip("\n")
    else:
        text = f"{text.rstrip()}\n\n## Figures on digital phantoms\n\n{block}"
    card.write_text(text, encoding="utf-8")


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
        write_card(options.card, table)


if __name__ == "__main__":
    main()
