"""Execution providers by our names: which package brings them, how they are set, what ran.

Holds onnxruntime's names, but does not import it. docs/providers.md explains the choices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.bundles.manifest import ExtraVariant, VariantName
from rcc_onnx.errors import OptionError, ProviderError, ProviderNotInstalledError
from rcc_onnx.types import NETWORK_NAMES, Precision, ProviderName


@dataclass(frozen=True)
class SelfTestRecord:
    """How the outputs of networks compare with the reference outputs of their bundle.

    The differences are the larger ones of the two networks, rounded up to two digits.

    Attributes:
        tested: False: the bundle has no reference outputs.
        largest_difference: in probability; reference outputs are rounded, by up to 8e-6 of it.
        tolerance: of that; None where neither network is held to its probabilities.
        largest_sum_difference: of a sum, relative to it or to the threshold, the larger of both.
        sum_tolerance: of that; None where no network computes in fewer bits than float32.
    """

    tested: bool
    largest_difference: float | None = None
    tolerance: float | None = None
    largest_sum_difference: float | None = None
    sum_tolerance: float | None = None


@dataclass(frozen=True)
class ProviderRecord:
    """Which provider was requested, which one ran, and why.

    Attributes:
        ran: read back from the sessions of both networks; never `auto`.
        reason: one sentence, for the log and the result file.
        onnxruntime: its version.
        precision: as requested.
        variants: by network name, the variant that ran.
        self_test: None where it was not run.
    """

    requested: ProviderName
    ran: ProviderName
    reason: str
    threads: int
    onnxruntime: str
    precision: Precision = Precision.FLOAT32
    variants: Mapping[str, VariantName] = field(default_factory=dict)
    self_test: SelfTestRecord | None = None


@dataclass(frozen=True)
class ProviderSpec:
    """How a provider is requested from onnxruntime.

    Attributes:
        runtime_name: onnxruntime's name.
        package: the package of onnxruntime that contains it.
        extra: the extra of rcc-onnx that installs that package; None if no extra does.
        needs: what else must be on the machine, for messages.
        options: provider options; {threads} stands for the number of threads.
        half_options: what differs in them for networks in float16; None if it runs none.
        always_half: computes in float16, or may, also where networks are in float32.
        before: providers that take the nodes this one cannot run, before the CPU does.
    """

    runtime_name: str
    package: str
    extra: str | None
    needs: str
    options: tuple[tuple[str, str], ...] = ()
    half_options: tuple[tuple[str, str], ...] | None = None
    always_half: bool = False
    before: tuple[ProviderName, ...] = ()

    def options_for(self, threads: int, precision: Precision = Precision.FLOAT32) -> dict[str, str]:
        options = dict(self.options)
        if precision is Precision.FLOAT16:
            options.update(self.half_options or ())
        return {key: value.format(threads=threads) for key, value in options.items()}


SPECS: dict[ProviderName, ProviderSpec] = {
    ProviderName.CPU: ProviderSpec("CPUExecutionProvider", "onnxruntime", None, "nothing else"),
    ProviderName.CUDA: ProviderSpec(
        "CUDAExecutionProvider",
        "onnxruntime-gpu",
        "cuda",
        "an NVIDIA GPU with its driver, and the CUDA and cuDNN versions that onnxruntime-gpu was "
        "built for (pip install 'onnxruntime-gpu[cuda,cudnn]' brings both)",
        # TF32 keeps 10 bits of each factor: too few to agree with the Keras networks to 1e-4.
        options=(("use_tf32", "0"),),
        half_options=(),
    ),
    ProviderName.DIRECTML: ProviderSpec(
        "DmlExecutionProvider",
        "onnxruntime-directml",
        "directml",
        "Windows 10 or newer and a GPU with a DirectX 12 driver",
        half_options=(),
    ),
    ProviderName.OPENVINO: ProviderSpec(
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        "openvino",
        "an Intel CPU",
        # OpenVINO may choose bfloat16 on CPUs that have it, and takes 8 threads by default.
        options=(("device_type", "CPU"), ("precision", "FP32"), ("num_of_threads", "{threads}")),
    ),
    # A device of its own each, and no others beside it: OpenVINO then fails where it is missing,
    # and the requested one is what ran.
    ProviderName.OPENVINO_GPU: ProviderSpec(
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        "openvino",
        "an Intel GPU with its compute runtime (OpenCL)",
        # OpenVINO computes in float16 on GPUs by default.
        options=(("device_type", "GPU"), ("precision", "FP32")),
        half_options=(("precision", "FP16"),),
    ),
    ProviderName.OPENVINO_NPU: ProviderSpec(
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        "openvino",
        "an Intel NPU with its driver",
        # An NPU has nothing wider.
        options=(("device_type", "NPU"), ("precision", "FP16")),
        half_options=(),
        always_half=True,
    ),
    ProviderName.TENSORRT: ProviderSpec(
        "TensorrtExecutionProvider",
        "onnxruntime-gpu",
        "cuda",
        "what cuda needs, and the TensorRT version that onnxruntime-gpu was built for",
        options=(("trt_fp16_enable", "0"), ("trt_int8_enable", "0")),
        half_options=(("trt_fp16_enable", "1"),),
        before=(ProviderName.CUDA,),
    ),
    ProviderName.COREML: ProviderSpec(
        "CoreMLExecutionProvider", "onnxruntime", None, "macOS 12 or newer", always_half=True
    ),
}

AUTO_ORDER = (ProviderName.CUDA, ProviderName.DIRECTML, ProviderName.OPENVINO, ProviderName.CPU)
"""What `auto` tries. TensorRT builds its engine for minutes, CoreML may and an NPU must compute in
float16, and OpenVINO's GPU has not been tried on one: those run only when requested by name."""

RUNTIME_PACKAGES = tuple(dict.fromkeys(spec.package for spec in SPECS.values()))
"""All of these install the same folder `onnxruntime`, each over the other."""


def supports_precision(provider: ProviderName, precision: Precision) -> bool:
    """Return whether a provider (not `auto`) runs networks of this precision at all."""
    if precision is Precision.INT8:
        return provider is ProviderName.CPU
    return precision is Precision.FLOAT32 or SPECS[provider].half_options is not None


def candidates(provider: ProviderName, precision: Precision) -> tuple[ProviderName, ...]:
    """Return the providers to try, in order.

    Raises:
        OptionError (precision): the requested provider does not run this precision.
    """
    if provider is ProviderName.AUTO:
        return tuple(name for name in AUTO_ORDER if supports_precision(name, precision))
    if supports_precision(provider, precision):
        return (provider,)
    if precision is Precision.INT8:
        raise OptionError(
            f"int8 runs on the CPU only, not on {provider}. Say --provider cpu, or leave out "
            "--precision.",
            code="precision",
        )
    able = ", ".join(name for name in SPECS if supports_precision(name, precision))
    raise OptionError(
        f"{precision} runs on {able}, not on {provider}. Name one of these, or leave out "
        "--precision.",
        code="precision",
    )


def choose_variants(
    bundle: Bundle, provider: ProviderName, precision: Precision
) -> dict[str, VariantName]:
    """Return the variant of each network that a provider runs.

    Raises:
        OptionError (precision): the bundle has neither network in the requested precision.
    """
    entries = bundle.manifest.networks
    wanted: list[ExtraVariant] = ["cpu"] if provider is ProviderName.CPU else []
    own = _OWN_VARIANT.get(precision)
    if own is not None:
        wanted = [own, *wanted]
        if not any(own in entries[name].variants for name in NETWORK_NAMES):
            option = "" if own == "int8" else f" --precision {own}"
            raise OptionError(
                f"the bundle {bundle.name} has no {own} variant. In a checkout of rcc-onnx, "
                f"python -m convert quantize {bundle.folder}{option} makes one and measures it.",
                code="precision",
            )
    variants: dict[str, VariantName] = {}
    for name in NETWORK_NAMES:
        present = (variant for variant in wanted if variant in entries[name].variants)
        variants[name] = next(present, "plain")
    return variants


_OWN_VARIANT: dict[Precision, ExtraVariant] = {
    Precision.INT8: "int8",
    Precision.FLOAT16: "float16",
}


def installed_runtimes() -> tuple[str, ...]:
    """Return the installed onnxruntime packages; more than one is a conflict."""
    # Only for messages, and not for free: `--version` does without.
    from importlib import metadata  # noqa: PLC0415

    found = []
    for package in RUNTIME_PACKAGES:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        found.append(package)
    return tuple(found)


def how_to_install(spec: ProviderSpec) -> str:
    """Return the commands that make a provider's package the only onnxruntime."""
    if spec.extra is None:
        return f"It is part of the package {spec.package}, and needs {spec.needs}."
    others = " ".join(package for package in installed_runtimes() if package != spec.package)
    alone = f"pip uninstall -y {others}, then " if others else ""
    return (
        f"It comes with pip install 'rcc-onnx[{spec.extra}]'. Only one onnxruntime package can be "
        f"used at a time, so after that: {alone}pip install --force-reinstall --no-deps "
        f"{spec.package}. It also needs {spec.needs}."
    )


def not_installed(provider: ProviderName, runtime: str) -> ProviderError:
    """Return the error for a provider that this onnxruntime does not list."""
    spec, packages = SPECS[provider], installed_runtimes()
    if len(packages) > 1 and spec.package in packages:
        return ProviderError(
            f"{provider} is hidden: {' and '.join(packages)} are installed over one another",
            f"Run pip uninstall -y {' '.join(packages)}, then pip install {spec.package}.",
            code="provider-conflict",
        )
    return ProviderNotInstalledError(
        f"{provider} is not in this onnxruntime ({runtime})", how_to_install(spec)
    )


def not_loaded(provider: ProviderName, runtime: str, reasons: Sequence[str]) -> ProviderError:
    """Return the error for a provider that is listed but does not run, with the reasons."""
    advice = f"It needs {SPECS[provider].needs}."
    packages = installed_runtimes()
    if len(packages) > 1:
        advice += f" Installed over one another: {' and '.join(packages)}; keep one."
    return ProviderError(
        f"{provider} is in this onnxruntime ({runtime}) but does not load: "
        f"{'; '.join(reasons) or 'onnxruntime gave no reason'}",
        advice,
        code="provider-not-loaded",
    )


def why_skipped(errors: Mapping[ProviderName, ProviderError], runtime: str) -> tuple[str, ...]:
    """Return why `auto` did not take the providers it tried; those not installed together."""
    absent = [
        name for name, error in errors.items() if isinstance(error, ProviderNotInstalledError)
    ]
    reasons = [error.problem for name, error in errors.items() if name not in absent]
    if absent:
        *others, last = absent
        names = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        reasons.append(f"{names} not in this onnxruntime ({runtime})")
    return tuple(reasons)
