"""Which form of each network runs, for a provider and a precision."""

from rcc_onnx.bundles import Bundle
from rcc_onnx.errors import PrecisionError
from rcc_onnx.manifest import NETWORK_NAMES
from rcc_onnx.providers import AUTO_ORDER, ProviderName
from rcc_onnx.values import Precision
from rcc_onnx.variants import Form, VariantName


def candidates(provider: ProviderName, precision: Precision) -> tuple[ProviderName, ...]:
    """The providers to try, in order."""
    if precision is not Precision.INT8:
        return AUTO_ORDER if provider is ProviderName.AUTO else (provider,)
    if provider not in (ProviderName.AUTO, ProviderName.CPU):
        raise PrecisionError(
            f"int8 runs on the CPU only, not on {provider}. Say --provider cpu, or leave out "
            "--precision."
        )
    return (ProviderName.CPU,)


def choose_forms(bundle: Bundle, provider: ProviderName, precision: Precision) -> dict[str, Form]:
    """The form of each network that a provider is to run.

    Raises:
        PrecisionError: int8 is asked for, and the bundle has it of neither network.
    """
    entries = bundle.manifest.networks
    wanted: list[VariantName] = ["cpu"] if provider is ProviderName.CPU else []
    if precision is Precision.INT8:
        wanted = ["int8", *wanted]
        if not any("int8" in entries[name].variants for name in NETWORK_NAMES):
            raise PrecisionError(
                f"the bundle {bundle.name} has no int8 variant. In a checkout of rcc-onnx, "
                f"python -m convert quantize {bundle.folder} makes one and measures it."
            )
    forms: dict[str, Form] = {}
    for name in NETWORK_NAMES:
        there = (one for one in wanted if one in entries[name].variants)
        forms[name] = next(there, "plain")
    return forms
