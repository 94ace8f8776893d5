"""The only module that imports onnxruntime: makes sessions, and reports what really runs.

onnxruntime prefers running somewhere to failing: a provider that cannot load is replaced by the CPU
with no more than a line on standard error. Here a requested provider runs or is an error, and the
one that is reported is read back from the sessions.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.bundles.manifest import BATCH, NetworkEntry, VariantName
from rcc_onnx.errors import (
    NetworkError,
    NetworkOutputError,
    OptionError,
    ProviderDisagreesError,
    ProviderError,
    RuntimeNotUsableError,
)
from rcc_onnx.runtime.networks import check_crop, check_probability, check_slices
from rcc_onnx.runtime.providers import (
    SPECS,
    ProviderRecord,
    candidates,
    choose_variants,
    installed_runtimes,
    not_installed,
    not_loaded,
    why_skipped,
)
from rcc_onnx.system.host import usable_cpus
from rcc_onnx.system.memory import keep_freed_memory
from rcc_onnx.system.stderr_capture import captured_stderr, logged_errors, one_line
from rcc_onnx.types import CROP_SHAPE_ZYX, NETWORK_NAMES, SLICE_SHAPE, Precision, ProviderName

_log = logging.getLogger(__name__)

TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"

KIDNEY_BATCH = 4
"""Slices in every run of the 2D network; the last run is filled up with zeros.

The size never changes because onnxruntime's memory grows with every new shape, and some providers
compile for each. Four waste at most three slices of a study.
"""
CPU_KIDNEY_BATCH = 1
"""On the CPU 1 to 16 slices a run take the same time per slice, within 5 %, and every slice in a
run costs some 40 MB of memory in a network of 32 base filters."""
LESION_BATCH = 1
"""There is one crop for each kidney."""

_ERRORS_ONLY = 3


def import_runtime() -> ModuleType:
    """Import onnxruntime with its telemetry off. Raises RuntimeNotUsableError.

    From 1.29 on its Linux wheel writes an identifier of the machine below the home folder, and
    means to send it, as soon as it is imported. Only this variable, set before the import, prevents
    that: `onnxruntime.disable_telemetry_events()` comes too late.
    """
    if "onnxruntime" in sys.modules and os.environ.get(TELEMETRY_SWITCH) != "1":
        _log.warning(
            "onnxruntime was imported before rcc-onnx could turn its telemetry off; set %s=1 in "
            "the environment of this program",
            TELEMETRY_SWITCH,
        )
    os.environ[TELEMETRY_SWITCH] = "1"
    try:
        # Late: after the switch, and not at all for a mere --version.
        import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415
    except Exception as error:
        found = ", ".join(installed_runtimes()) or "none"
        raise RuntimeNotUsableError(
            f"onnxruntime cannot be imported: {one_line(str(error))}",
            f"Packages of it that are installed: {found}. Reinstall exactly one; on Windows it "
            "also needs the Microsoft Visual C++ Redistributable.",
        ) from error
    runtime: ModuleType = onnxruntime
    runtime.set_default_logger_severity(_ERRORS_ONLY)
    keep_freed_memory()
    return runtime


def runtime_version() -> str:
    """Return the version of onnxruntime. Raises RuntimeNotUsableError."""
    return str(import_runtime().__version__)


def listed_providers() -> tuple[ProviderName, ...]:
    """Return the providers that this onnxruntime was built with; a listed one need not load."""
    names = import_runtime().get_available_providers()
    return tuple(name for name, spec in SPECS.items() if spec.runtime_name in names)


@dataclass(frozen=True)
class OnnxNetwork:
    """One network in one session, run in batches of one fixed size.

    Attributes:
        name: for messages.
        entry: of the variant that runs.
        ran: the provider that the session says it uses first.
    """

    name: str
    entry: NetworkEntry
    batch: int
    ran: ProviderName
    _session: Any

    def probability(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run n inputs, float32 (n, *shape without channel); the output has the same shape.

        Raises:
            NetworkError (network-run): the network fails.
            NetworkOutputError: its output is not a probability.
        """
        output = np.empty(values.shape, np.float32)
        for start in range(0, len(values), self.batch):
            part = values[start : start + self.batch]
            full = np.zeros((self.batch, *values.shape[1:], 1), np.float32)
            full[: len(part), ..., 0] = part
            output[start : start + len(part)] = self._run(full)[: len(part), ..., 0]
        return output

    def _run(self, full: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            names = [self.entry.output.name]
            output = self._session.run(names, {self.entry.input.name: full})[0]
        except Exception as error:
            raise NetworkError(
                f"onnxruntime failed in the {self.name} network on {self.ran} "
                f"({one_line(str(error))}). Try --provider cpu.",
                code="network-run",
            ) from error
        return check_probability(output, full.shape, self.name)


@dataclass(frozen=True)
class OnnxNetworks:
    """Both networks of a bundle (the `Networks` protocol), and what runs them."""

    kidney: OnnxNetwork
    lesion: OnnxNetwork
    record: ProviderRecord

    def kidney_probability(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        check_slices(slices)
        return self.kidney.probability(slices)

    def lesion_probability(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        check_crop(crop)
        lesion: NDArray[np.float32] = self.lesion.probability(crop[np.newaxis])[0]
        return lesion


Test = Callable[[OnnxNetworks], OnnxNetworks]
"""Returns the networks if they may be used; raises ProviderError for others."""


def open_networks(
    bundle: Bundle,
    provider: ProviderName = ProviderName.AUTO,
    threads: int | None = None,
    precision: Precision = Precision.FLOAT32,
    test: Test = lambda networks: networks,
) -> OnnxNetworks:
    """Read, check and load a bundle's networks, each in the variant that suits the provider.

    Args:
        bundle: a network is read from it once, and runs from the bytes that were checked.
        provider: an explicit one runs or is an error; `auto` takes the first of AUTO_ORDER that
            loads both networks.
        threads: of one network on the CPU; None means the CPUs that this process may use.
        precision: int8 runs on the CPU only, where `auto` takes it; float16 on GPUs only.
        test: a provider whose networks fail it counts as one that does not load.

    Raises:
        BundleError: the bundle is broken.
        OptionError (precision): no such variant, or the provider does not run it.
        ProviderError: the provider cannot run here.
        NetworkError (network-load): onnxruntime refuses a network.
    """
    threads = usable_cpus() if threads is None else threads
    errors: dict[ProviderName, ProviderError] = {}
    for candidate in candidates(provider, precision):
        variants = choose_variants(bundle, candidate, precision)
        try:
            # A provider that is not there costs no reading of large files.
            _check_listed(candidate)
            pair = _open_both(bundle, variants, candidate, threads, precision)
            ran = _common_provider(pair)
            reason = f"{ran} was requested" if ran is provider else f"took {ran}"
            reasons = (*why_skipped(errors, runtime_version()), reason)
            record = ProviderRecord(
                provider, ran, "; ".join(reasons), threads, runtime_version(), precision, variants
            )
            networks = test(OnnxNetworks(*pair, record))
        except ProviderError as error:
            if provider is not ProviderName.AUTO or isinstance(error, RuntimeNotUsableError):
                raise
            errors[candidate] = error
            continue
        _log.info("provider %s: %s", networks.record.ran, networks.record.reason)
        return networks
    raise _none_usable(errors, precision)


def _none_usable(
    errors: Mapping[ProviderName, ProviderError], precision: Precision
) -> ProviderError | OptionError:
    """Return the error for `auto` where every provider failed."""
    reasons = "; ".join(why_skipped(errors, runtime_version()))
    if any(isinstance(error, ProviderDisagreesError) for error in errors.values()):
        return ProviderDisagreesError(
            f"no provider gives the right results here: {reasons}",
            "See `rcc-onnx doctor`; install onnxruntime again, and get the bundle again.",
        )
    if precision is Precision.FLOAT16:
        return OptionError(
            f"float16 runs on GPUs only, and none loads here: {reasons}. Leave out --precision.",
            code="precision",
        )
    # The CPU is last in AUTO_ORDER and always listed; if not, onnxruntime is beyond repair.
    return ProviderError(f"no provider works here: {reasons}", code="provider-not-loaded")


def _open_both(
    bundle: Bundle,
    variants: Mapping[str, VariantName],
    provider: ProviderName,
    threads: int,
    precision: Precision,
) -> tuple[OnnxNetwork, OnnxNetwork]:
    """Load both networks on exactly this provider; their bytes are freed before anything runs."""
    entries = bundle.manifest.networks
    # Both are read and checked before the first takes time to load.
    data = {name: bundle.read_network(name, variants[name]) for name in NETWORK_NAMES}
    kidney, lesion = (
        open_network(
            name,
            data[name],
            entries[name].variant(variants[name]),
            provider,
            threads,
            precision=precision,
        )
        for name in NETWORK_NAMES
    )
    return kidney, lesion


def open_network(  # noqa: PLR0913  the last is seldom given
    name: str,
    data: bytes,
    entry: NetworkEntry,
    provider: ProviderName = ProviderName.CPU,
    threads: int | None = None,
    *,
    precision: Precision = Precision.FLOAT32,
) -> OnnxNetwork:
    """Load one network from checked bytes on exactly this provider (not `auto`).

    `precision` is that of the network: some providers need an option for float16.

    Raises:
        ProviderError, NetworkError (network-load): as `open_networks`.
    """
    threads = usable_cpus() if threads is None else threads
    batch = _batch(entry, provider)
    _check_listed(provider)
    if provider is ProviderName.CPU:
        try:
            session = _session(data, provider, batch, threads)
        except Exception as error:
            raise NetworkError(
                f"onnxruntime {runtime_version()} refuses the {name} network: "
                f"{one_line(str(error))}",
                code="network-load",
            ) from error
        return OnnxNetwork(name, entry, batch, _ran(session, provider), session)
    with captured_stderr() as captured:
        failure = None
        try:
            session = _session(data, provider, batch, threads, precision)
            network = OnnxNetwork(name, entry, batch, _ran(session, provider), session)
            if network.ran is provider:
                # Some libraries (cuDNN) are first looked for when something runs. This also moves
                # the slow first run of a shape out of the first study.
                shape = CROP_SHAPE_ZYX if batch == LESION_BATCH else SLICE_SHAPE
                network.probability(np.zeros((1, *shape), np.float32))
        except NetworkOutputError:
            raise
        except Exception as error:
            failure = error
    if failure is None and network.ran is provider:
        return network
    reasons = logged_errors(captured.text) or ([one_line(str(failure))] if failure else [])
    raise not_loaded(provider, runtime_version(), reasons) from failure


def _batch(entry: NetworkEntry, provider: ProviderName) -> int:
    if len(entry.input.shape) == len(CROP_SHAPE_ZYX) + 2:
        return LESION_BATCH
    return CPU_KIDNEY_BATCH if provider is ProviderName.CPU else KIDNEY_BATCH


def _session(
    data: bytes,
    provider: ProviderName,
    batch: int,
    threads: int,
    precision: Precision = Precision.FLOAT32,
) -> Any:
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    options.add_free_dimension_override_by_name(BATCH, batch)
    # The bytes were checked as ONNX; onnxruntime would guess, and has a second format.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # An arena keeps what the largest run took, for each session, and on top of it what did not fit
    # its holes: 100 MB more with networks of 32 base filters. What it saves in time,
    # keep_freed_memory saves too.
    options.enable_cpu_mem_arena = False
    # A pattern asks for all of a run's memory in one block. Without an arena, what is left of the
    # last one seldom fits once something small lies in it: from 410 to 790 MB in ten cases.
    # DirectML cannot work with patterns at all.
    options.enable_mem_pattern = provider not in (ProviderName.CPU, ProviderName.DIRECTML)
    names = (provider, *SPECS[provider].before)
    if provider in (ProviderName.CUDA, ProviderName.TENSORRT):
        _preload_libraries(runtime)
    session = runtime.InferenceSession(
        data,
        options,
        providers=[
            (SPECS[name].runtime_name, SPECS[name].options_for(threads, precision))
            for name in names
        ],
        enable_fallback=0,
        # Neither the file nor the environment may change what is set here.
        read_config_from_model=0,
    )
    session.disable_fallback()
    return session


def _preload_libraries(runtime: ModuleType) -> None:
    """Load CUDA and cuDNN from NVIDIA's Python packages, if those are installed."""
    if hasattr(runtime, "preload_dlls"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            runtime.preload_dlls()
        _log.debug("onnxruntime.preload_dlls: %s", printed.getvalue().strip())


def _ran(session: Any, requested: ProviderName) -> ProviderName:
    """Return the provider that a session uses first, as the session reports it.

    Where several of ours go by that name, OpenVINO's devices, it is the requested one: a session
    does not report its device, but none is made on a device that is not there.
    """
    first = session.get_providers()[0]
    for name, spec in ((requested, SPECS[requested]), *SPECS.items()):
        if spec.runtime_name == first:
            return name
    raise ProviderError(
        f"onnxruntime runs on {first}, which was not requested", code="provider-not-loaded"
    )


def _check_listed(provider: ProviderName) -> None:
    if provider not in listed_providers():
        raise not_installed(provider, runtime_version())


def _common_provider(pair: Sequence[OnnxNetwork]) -> ProviderName:
    ran = {network.ran for network in pair}
    if len(ran) != 1:
        raise ProviderError(
            f"the networks run on different providers: {sorted(ran)}", code="provider-not-loaded"
        )
    return ran.pop()
