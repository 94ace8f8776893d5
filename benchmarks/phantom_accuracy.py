"""How well a bundle finds what was drawn: `python -m benchmarks.phantom_accuracy`.

Writes phantom studies of the evaluation seeds as DICOM, analyses each through the same stages as
`rcc-onnx infer`, and compares with the truth: Dice of the kidneys, sensitivity by lesion size,
specificity, sides. Phantoms only: no figure here says anything about patients.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap

from rcc_onnx.bundles import find_bundle
from rcc_onnx.grid import axis_map, resized_length
from rcc_onnx.intake import Study, read_study
from rcc_onnx.kidneys import split_sides
from rcc_onnx.networks import Networks
from rcc_onnx.phantom import Label, PhantomStudy, make_study
from rcc_onnx.phantom.seeds import EVALUATION, TUNING
from rcc_onnx.pipeline import analyse_study
from rcc_onnx.providers import ProviderName
from rcc_onnx.sessions import open_networks
from rcc_onnx.stopwatch import Stopwatch
from rcc_onnx.values import SIDES, Outcome, Profile, Side

CARD_START, CARD_END = "<!-- phantom figures: start -->", "<!-- phantom figures: end -->"
SIZE_BINS_MM = ((8.0, 15.0), (15.0, 20.0), (20.0, 30.0), (30.0, 40.0))
ASKED_MM = (15.0, 40.0)
"""Smaller lesions are reported apart: 50 voxels of 20 mm³ are 1 ml, a sphere of 12 mm."""


@dataclass(frozen=True)
class KidneyRecord:
    """One side of one phantom: what was drawn and what was found."""

    seed: int
    side: Side
    present: bool
    lesion_mm: float | None
    cyst_mm: float | None
    outcome: str
    kidney_sum: float
    lesion_sum: float | None
    dice: float | None
    box_on_lesion: bool | None

    @property
    def flagged(self) -> bool:
        return self.outcome in (Outcome.LESION, Outcome.LESION_NOT_LOCATED)


class Recording:
    """Networks that keep their kidney answers, so that Dice costs no second run."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.kidney: list[NDArray[np.float32]] = []

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        self.kidney.append(self._networks.kidney_probability(slices))
        return self.kidney[-1]

    def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._networks.lesion_probability(crop)


def evaluate_seed(seed: int, models: str) -> list[KidneyRecord]:
    """Both sides of one phantom, through DICOM files in a temporary folder."""
    bundle, networks = _networks(models)
    with tempfile.TemporaryDirectory() as folder:
        phantom = make_study(seed, Path(folder) / "study")
        study = read_study(phantom.folder, Profile.STANDARD)
        recording = Recording(networks)
        sides = analyse_study(study, recording, bundle.manifest.thresholds, Stopwatch())
    probability = np.concatenate(recording.kidney)
    truth = truth_on_grid(phantom, study, len(probability))
    truths, answers = split_sides(truth), split_sides(probability)
    records = []
    for side in SIDES:
        finding, kidney = sides[side], phantom.anatomy.kidney(side)
        lesion = kidney.growth("lesion") if kidney else None
        cyst = kidney.growth("cyst") if kidney else None
        on_lesion = None
        if lesion and finding.lesion and finding.lesion.box and finding.kidney.centre:
            on_lesion = _box_on_lesion(truths[side], finding.kidney.centre, finding.lesion.box)
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


def _box_on_lesion(
    truth: NDArray[np.uint8], centre: tuple[int, int, int], box: tuple[int, int, int, int, int]
) -> bool:
    """Whether the truth holds a lesion voxel inside the box on its slice."""
    from rcc_onnx.kidneys import crop_around  # noqa: PLC0415
    from rcc_onnx.values import Centre, LesionBox  # noqa: PLC0415

    z, top, bottom, left, right = LesionBox(*box)
    crop = crop_around(truth, Centre(*centre))
    return bool((crop[z, top : bottom + 1, left : right + 1] == Label.LESION).any())


@lru_cache(maxsize=1)
def _networks(models: str):  # type: ignore[no-untyped-def]
    bundle = find_bundle(models)
    return bundle, open_networks(bundle, ProviderName.CPU, 1)


# --- Figures -------------------------------------------------------------------------------------


def rate(hits: int, of: int) -> dict[str, float | int | None]:
    """A proportion with its 95 % Wilson interval."""
    if of == 0:
        return {"hits": 0, "of": 0, "rate": None, "low": None, "high": None}
    interval = binomtest(hits, of).proportion_ci(method="wilson")
    return {"hits": hits, "of": of, "rate": hits / of, "low": interval.low, "high": interval.high}


def figures(records: Sequence[KidneyRecord]) -> dict[str, object]:
    """Everything the model card reports."""
    present = [r for r in records if r.present]
    negatives = [r for r in present if r.lesion_mm is None]
    dices = np.array([r.dice for r in present if r.dice is not None])
    spread = bootstrap((dices,), np.mean, rng=np.random.default_rng(0)).confidence_interval

    def sensitivity(low: float, high: float) -> dict[str, float | int | None]:
        chosen = [r for r in present if r.lesion_mm and low <= r.lesion_mm < high]
        return rate(sum(r.flagged for r in chosen), len(chosen))

    located = [r for r in present if r.box_on_lesion is not None]
    return {
        "studies": len({r.seed for r in records}),
        "kidneys": len(present),
        "dice": {
            "mean": float(dices.mean()),
            "low": float(spread.low),
            "high": float(spread.high),
            "least": float(dices.min()),
        },
        "dice_by_seed_below_0.9": sorted(
            {r.seed for r in present if r.dice is not None and r.dice < 0.9}
        ),
        "sensitivity_15_to_40_mm": sensitivity(*ASKED_MM),
        "sensitivity_by_size": {
            f"{low:g} to {high:g} mm": sensitivity(low, high) for low, high in SIZE_BINS_MM
        },
        "specificity": rate(sum(not r.flagged for r in negatives), len(negatives)),
        "specificity_with_cyst": rate(
            sum(not r.flagged for r in negatives if r.cyst_mm),
            sum(1 for r in negatives if r.cyst_mm),
        ),
        "specificity_without_cyst": rate(
            sum(not r.flagged for r in negatives if not r.cyst_mm),
            sum(1 for r in negatives if not r.cyst_mm),
        ),
        "kidneys_found": rate(
            sum(r.outcome != Outcome.KIDNEY_NOT_FOUND for r in present), len(present)
        ),
        "absent_kidneys_found": rate(
            sum(r.outcome != Outcome.KIDNEY_NOT_FOUND for r in records if not r.present),
            sum(not r.present for r in records),
        ),
        "boxes_on_the_lesion": rate(sum(bool(r.box_on_lesion) for r in located), len(located)),
        "wrong_sides": wrong_sides(records),
    }


def wrong_sides(records: Sequence[KidneyRecord]) -> list[int]:
    """Seeds of phantoms with a lesion on one side only, flagged on the other side alone."""
    wrong = []
    for seed in sorted({r.seed for r in records}):
        pair = [r for r in records if r.seed == seed]
        with_lesion = {r.side for r in pair if r.lesion_mm}
        flagged = {r.side for r in pair if r.flagged}
        if len(with_lesion) == 1 and flagged and not flagged & with_lesion:
            wrong.append(seed)
    return wrong


def markdown(result: dict[str, object], command: str) -> str:
    """The table for the model card."""

    def words(value: object) -> str:
        assert isinstance(value, dict)
        if value["rate"] is None:
            return "none"
        return (
            f"{value['rate']:.1%} ({value['hits']}/{value['of']}; "
            f"95 % CI {value['low']:.1%} to {value['high']:.1%})"
        )

    overlap, by_size = result["dice"], result["sensitivity_by_size"]
    assert isinstance(overlap, dict)
    assert isinstance(by_size, dict)
    rows = [
        (
            "kidney Dice, mean",
            f"{overlap['mean']:.4f} (95 % CI {overlap['low']:.4f} to "
            f"{overlap['high']:.4f}; lowest {overlap['least']:.3f})",
        ),
        ("sensitivity, lesions of 15 to 40 mm", words(result["sensitivity_15_to_40_mm"])),
        *((f"sensitivity, lesions of {size}", words(value)) for size, value in by_size.items()),
        ("specificity, all kidneys without lesion", words(result["specificity"])),
        ("specificity, kidneys with a simple cyst", words(result["specificity_with_cyst"])),
        ("specificity, kidneys with neither", words(result["specificity_without_cyst"])),
        ("kidneys found", words(result["kidneys_found"])),
        ("absent kidneys reported as found", words(result["absent_kidneys_found"])),
        ("boxes that hold lesion", words(result["boxes_on_the_lesion"])),
        ("wrong sides", str(len(result["wrong_sides"]))),  # type: ignore[arg-type]
    ]
    lines = [
        f"{result['studies']} digital phantom studies, {result['kidneys']} kidneys, seeds never "
        f"used in training or tuning. Command: `{command}`.",
        "",
        "| per kidney, at the published thresholds | phantoms |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    return "\n".join(lines) + "\n"


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
    result = figures(records)
    command = f"python -m benchmarks.phantom_accuracy --studies {options.studies}"
    table = markdown(result, command)
    print(table)
    if options.json:
        document = {
            "command": command,
            "python": platform.python_version(),
            "figures": result,
            "records": [asdict(record) for record in records],
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.card:
        write_card(options.card, table)


if __name__ == "__main__":
    main()
