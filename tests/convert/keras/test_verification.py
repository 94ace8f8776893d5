"""The comparison must notice what it is there to notice. Networks here are plain functions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from convert.errors import ConvertError, OutputActivationError, ParityError
from convert.keras.verification import (
    TIE,
    TOLERANCE,
    Comparison,
    SampleGroup,
    compare,
    sample_groups,
)
from rcc_onnx.bundles.manifest import KIDNEY_SHAPE, LESION_SHAPE
from rcc_onnx.types import NetworkName, Thresholds

Array = np.ndarray


@dataclass
class Fake:
    respond: Callable[[Array], Array]

    def predict(self, inputs: Array) -> Array:
        return self.respond(inputs)


def kidney_like(inputs: Array) -> Array:
    """Low everywhere but in one box on the right side, 30 rows by 40 columns."""
    outputs = np.full(inputs.shape, 0.01, np.float32)
    outputs[:, 60:90, 20:60] = 0.9
    return outputs


def groups(count: int = 40, shape: tuple[int, ...] = KIDNEY_SHAPE) -> list[SampleGroup]:
    return [SampleGroup("phantom", np.zeros((count, *shape), np.float32))]


def run(
    given: Callable[[Array], Array],
    reference: Callable[[Array], Array] = kidney_like,
    network: NetworkName = "kidney",
    samples: list[SampleGroup] | None = None,
    thresholds: Thresholds | None = None,
) -> Comparison:
    return compare(
        Fake(reference),
        Fake(given),
        network,
        thresholds or Thresholds(),
        groups() if samples is None else samples,
    )


def changed(place: tuple[int, ...], by: float) -> Callable[[Array], Array]:
    def respond(inputs: Array) -> Array:
        outputs = kidney_like(inputs)
        outputs[place] += np.float32(by)
        return outputs

    return respond


def test_equal_networks() -> None:
    found = run(kidney_like)
    assert found.largest_difference == 0
    assert found.certificate.decisions_equal
    assert found.certificate.inputs_by_kind == {"phantom": 40}
    assert found.decisions == 2
    assert found.tied_pixels == 0


def test_the_largest_difference_is_reported() -> None:
    found = run(changed((3, 70, 30, 0), 5e-5))
    assert found.largest_difference == pytest.approx(5e-5, rel=0.01)
    total = float(kidney_like(groups()[0].inputs).sum(dtype=np.float64))
    assert found.largest_sum_difference == pytest.approx(5e-5 / total, rel=0.01)


@pytest.mark.parametrize(
    ("by", "code", "text"),
    [
        (2e-4, "convert-parity", r"up to 0\.0002 in probability.*40 inputs"),
        (-2e-4, "convert-parity", r"up to 0\.0002 in probability"),
        (float("nan"), "convert-activation", "not between 0 and 1"),
    ],
)
def test_one_probability_that_differs_too_much(by: float, code: str, text: str) -> None:
    with pytest.raises(ConvertError, match=text) as raised:
        run(changed((3, 70, 30, 0), by))
    assert raised.value.code == code


def flat(value: float) -> Callable[[Array], Array]:
    def respond(inputs: Array) -> Array:
        outputs = kidney_like(inputs)
        outputs[:, 60:90, 20:60] = value
        return outputs

    return respond


def test_a_sum_on_the_other_side_of_the_threshold() -> None:
    # Right half: 40 slices of 12,800 pixels, 1,200 of them at 0.9 and the rest at 0.01.
    total = float(kidney_like(groups()[0].inputs)[:, :, :80].sum(dtype=np.float64))
    thresholds = Thresholds(kidney=total + 1e-3)
    assert run(kidney_like, thresholds=thresholds).decisions == 2
    with pytest.raises(ParityError, match="decisions"):
        run(changed((slice(None), slice(60, 90), slice(20, 60)), 2e-6), thresholds=thresholds)


def test_pixels_that_cross_one_half_are_ties_only_within_rounding() -> None:
    found = run(flat(0.5 - TIE / 4), flat(0.5 + TIE / 4))
    assert found.tied_pixels == 40 * 30 * 40
    assert found.certificate.decisions_equal
    assert 4 * TIE < TOLERANCE
    with pytest.raises(ParityError, match="decisions"):
        run(flat(0.5 - 2 * TIE), flat(0.5 + 2 * TIE))


def test_a_pixel_that_crosses_one_half_where_no_location_depends_on_it() -> None:
    def alone(value: float) -> Callable[[Array], Array]:
        return changed((0, 5, 5, 0), value - 0.01)

    with pytest.raises(ParityError, match="1 of 2 decisions"):
        run(alone(0.5 - 2 * TIE), alone(0.5 + 2 * TIE))


def lesion_like(inputs: Array) -> Array:
    outputs = np.full(inputs.shape, 0.0, np.float32)
    outputs[:, 20, 30:40, 30:40] = 0.9
    return outputs


def test_crops_are_decided_one_by_one() -> None:
    samples = groups(33, LESION_SHAPE)
    assert run(lesion_like, lesion_like, "lesion", samples).decisions == 33

    def moved(inputs: Array) -> Array:
        outputs = lesion_like(inputs)
        # Another slice of one crop gets the largest sum, by less than the tolerance.
        outputs[32, 10, 30:40, 30:40] = 0.9 + 5e-5
        return outputs

    def level(inputs: Array) -> Array:
        outputs = lesion_like(inputs)
        outputs[32, 10, 30:40, 30:40] = 0.9
        outputs[32, 20, 30:40, 30:40] += np.float32(1e-5)
        return outputs

    with pytest.raises(ParityError, match="1 of 33 decisions"):
        run(moved, level, "lesion", samples)


def test_too_few_inputs() -> None:
    with pytest.raises(ParityError, match="31 inputs only"):
        run(kidney_like, samples=groups(31))
    assert run(kidney_like, samples=groups(32)).certificate.inputs == 32


@pytest.mark.parametrize("value", [1.01, -0.01, float("nan"), float("inf")])
def test_values_that_are_no_probabilities(value: float) -> None:
    with pytest.raises(OutputActivationError, match="Keras gave") as raised:
        run(flat(value), flat(value))
    assert raised.value.code == "convert-activation"


@pytest.mark.parametrize(
    "spoil", [lambda out: out[:, 1:], lambda out: out.astype(np.float64), lambda out: out[..., 0]]
)
def test_another_shape_or_type(spoil: Callable[[Array], Array]) -> None:
    with pytest.raises(ParityError, match="ONNX Runtime gave"):
        run(lambda inputs: spoil(kidney_like(inputs)))


@pytest.mark.parametrize(("network", "shape"), [("kidney", KIDNEY_SHAPE), ("lesion", LESION_SHAPE)])
def test_the_samples(network: NetworkName, shape: tuple[int, ...]) -> None:
    found = list(sample_groups(network))
    again = list(sample_groups(network))
    kinds = [group.kind for group in found]
    assert set(kinds) == {"phantom", "zeros", "ones", "noise"}
    assert sum(len(group.inputs) for group in found) >= 32
    for group, same in zip(found, again, strict=True):
        assert group.inputs.dtype == np.float32
        assert group.inputs.shape[1:] == shape
        assert group.inputs.min() >= 0
        assert group.inputs.max() <= 1
        assert np.array_equal(group.inputs, same.inputs)
    by_kind = {group.kind: group.inputs for group in found}
    assert not by_kind["zeros"].any()
    assert (by_kind["ones"] == 1).all()
    # No two phantom inputs are the same, and noise is noise.
    assert by_kind["noise"].std() > 0.25
    if network == "lesion":
        phantoms = [group.inputs.tobytes() for group in found if group.kind == "phantom"]
        assert len(set(phantoms)) == len(phantoms) >= 20
