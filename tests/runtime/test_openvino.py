"""OpenVINO through its build of onnxruntime (docs/providers.md), on machines that have it."""

from types import SimpleNamespace

import numpy as np
import pytest

from rcc_onnx.bundles.bundle import find_bundle
from rcc_onnx.errors import ProviderError
from rcc_onnx.phantom import network_samples
from rcc_onnx.runtime.providers import AUTO_ORDER, SPECS
from rcc_onnx.runtime.session import _ran, listed_providers, open_networks
from rcc_onnx.types import ProviderName

DEVICES = (ProviderName.OPENVINO, ProviderName.OPENVINO_GPU, ProviderName.OPENVINO_NPU)
FLOAT32_ROUNDING = 1e-5
"""Two libraries add the same products in another order: 20 layers of that stay far below this."""


@pytest.fixture
def _openvino() -> None:
    if ProviderName.OPENVINO not in listed_providers():
        pytest.skip("NOT TESTED HERE: onnxruntime-openvino is not the installed onnxruntime")


@pytest.mark.parametrize("asked", DEVICES)
def test_the_device_that_was_asked_for_is_the_one_that_ran(asked: ProviderName) -> None:
    name = SPECS[ProviderName.OPENVINO].runtime_name
    session = SimpleNamespace(get_providers=lambda: [name, "CPUExecutionProvider"])
    assert _ran(session, asked) is asked
    assert _ran(session, ProviderName.CPU) is ProviderName.OPENVINO
    fallen_back = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    assert _ran(fallen_back, asked) is ProviderName.CPU


def test_devices_are_named_one_by_one_and_never_taken_by_auto() -> None:
    # AUTO, HETERO and MULTI would let OpenVINO choose another device without a word.
    told = [SPECS[one].options_for(2)["device_type"] for one in DEVICES]
    assert told == ["CPU", "GPU", "NPU"]
    assert [one for one in DEVICES if one in AUTO_ORDER] == [ProviderName.OPENVINO]


@pytest.mark.usefixtures("_openvino")
def test_it_answers_as_the_cpu_does() -> None:
    bundle = find_bundle("phantom")
    samples = network_samples(3)
    slices = samples.slices[18:24].astype(np.float32) / np.float32(255)
    crop = samples.crops[0].astype(np.float32) / np.float32(255)
    cpu = open_networks(bundle, ProviderName.CPU, 2)
    openvino = open_networks(bundle, ProviderName.OPENVINO, 2)
    assert openvino.record.ran is ProviderName.OPENVINO
    kidney = cpu.kidney_probability(slices)
    assert kidney.max() > 0.9
    np.testing.assert_allclose(openvino.kidney_probability(slices), kidney, atol=FLOAT32_ROUNDING)
    np.testing.assert_allclose(
        openvino.lesion_probability(crop), cpu.lesion_probability(crop), atol=FLOAT32_ROUNDING
    )


@pytest.mark.usefixtures("_openvino")
@pytest.mark.parametrize("device", DEVICES[1:])
def test_a_device_that_is_not_there_is_an_error(device: ProviderName) -> None:
    try:
        networks = open_networks(find_bundle("phantom"), device, 2)
    except ProviderError as error:
        code, said = error.code, str(error)
    else:
        assert networks.record.ran is device
        pytest.skip(f"NOT TESTED HERE: this machine has what {device} needs")
    assert code == "provider-not-loaded"
    assert "is not available" in said
    assert SPECS[device].needs in said
