"""The figures of the model card come from what the engine finds, seed by seed."""

from benchmarks.phantom_accuracy import evaluate_seed
from rcc_onnx.types import Outcome


def test_one_phantom_is_judged_as_it_was_drawn() -> None:
    """Seed 9 is the demo's: a cyst of 27 mm on the right, a lesion of 35 mm on the left."""
    right, left = evaluate_seed(9, "phantom")
    assert (right.side, left.side) == ("right", "left")
    assert right.cyst_mm
    assert (right.lesion_mm, right.outcome) == (None, Outcome.NO_LESION)
    assert left.lesion_mm
    assert (left.outcome, left.box_on_lesion) == (Outcome.LESION, True)
    for kidney in (right, left):
        assert kidney.dice is not None
        assert kidney.dice > 0.95
