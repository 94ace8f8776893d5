"""Which form of each network runs, for a provider and a precision."""

from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.bundles.manifest import NETWORK_NAMES
from rcc_onnx.bundles.variants import Form, VariantName
from rcc_onnx.errors import PrecisionError
from rcc_onnx.runtime.providers import AUTO_ORDER, SPECS, ProviderName
from rcc_onnx.types import Precision


def runs(provider: ProviderName, precision: Precision) -> bool:
    """Whether a provider, one that is not `auto`, runs networks of this precision at all."""
    if precision is Precision.INT8:
        return provider is ProviderName.CPU
    return precision is Precision.FLOAT32 or SPECS[provider].half_options is not None


def candidates(provider: ProviderName, precision: Precision) -> tuple[ProviderName, ...]:
    """The providers to try, in order.

    Raises:
        PrecisionError: the provider asked for does not run this precision.
    """
    if provider is ProviderName.AUTO:
        return tuple(one for one in AUTO_ORDER if runs(one, precision))
    if runs(provider, precision):
        return (provider,)
    if precision is Precision.INT8:
        raise PrecisionError(
            f"int8 runs on the CPU only, not on {provider}. Say --provider cpu, or leave out "
            "--precision."
        )
    able = ", ".join(one for one in SPECS if runs(one, precision))
    raise PrecisionError(
        f"{precision} runs on {able}, not on {provider}. Name one of these, or leave out "
        "--precision."
    )


def choose_forms(bundle: Bundle, provider: ProviderName, precision: Precision) -> dict[str, Form]:
    """The form of each network that a provider is to run.

    Raises:
        PrecisionError: int8 or float16 is asked for, and the bundle has it of neither network.
    """
    entries = bundle.manifest.networks
    wanted: list[VariantName] = ["cpu"] if provider is ProviderName.CPU else []
    own = _OWN_VARIANT.get(precision)
    if own is not None:
        wanted = [own, *wanted]
        if not any(own in entries[name].variants for name in NETWORK_NAMES):
            option = "" if own == "int8" else f" --precision {own}"
            raise PrecisionError(
                f"the bundle {bundle.name} has no {own} variant. In a checkout of rcc-onnx, "
                f"python -m convert quantize {bundle.folder}{option} makes one and measures it."
            )
    forms: dict[str, Form] = {}
    for name in NETWORK_NAMES:
        there = (one for one in wanted if one in entries[name].variants)
        forms[name] = next(there, "plain")
    return forms


_OWN_VARIANT: dict[Precision, VariantName] = {
    Precision.INT8: "int8",
    Precision.FLOAT16: "float16",
}
