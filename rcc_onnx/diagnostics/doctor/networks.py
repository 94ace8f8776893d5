"""Checks of the doctor of networks: bundles, and every provider tried with one of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rcc_onnx.bundles.bundle import (
    GET_PUBLISHED,
    BrokenBundle,
    Bundle,
    Installed,
    find_bundle,
    hidden_bundles,
    installed_bundles,
    load_bundle,
)
from rcc_onnx.diagnostics.doctor.checks import Category, Check, ProbeError, Verdict, probe
from rcc_onnx.errors import (
    BundleError,
    ProviderDisagreesError,
    ProviderError,
    RccOnnxError,
    RuntimeNotUsableError,
)
from rcc_onnx.runtime.providers import AUTO_ORDER, SPECS, ProviderRecord, supports_precision
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import listed_providers, open_networks
from rcc_onnx.types import NETWORK_NAMES, Precision, ProviderName

ADD_REFERENCE_OUTPUTS = (
    "Convert it again, or add reference outputs to it: python -m convert reference-outputs."
)


def check_bundles(models: str | None) -> tuple[list[Check], Bundle | None]:
    """Check every byte of the bundles, and choose the one to try providers with.

    That is the first that may be used on patients; else the first that is whole.

    Args:
        models: name or folder of the only bundle to check; None: all that are found.
    """
    hidden: tuple[tuple[Installed, Path], ...] = ()
    try:
        if models is None:
            found, hidden = installed_bundles(check=True), hidden_bundles()
        else:
            named = find_bundle(models)
            named.check()
            found = (named,)
    except BundleError as error:
        message, remedy = f"[{error.code}] {error}", "Correct the name, or get the bundle again."
        return [Category.BUNDLES.problem(models or "all", message, remedy)], None
    checks = [_check_bundle(bundle) for bundle in found]
    for bundle, by in hidden:
        message = f"hidden by another of the same name, {by}: {bundle.folder}"
        remedy = "Remove or rename one of them, so that they are not confused."
        checks.append(Category.BUNDLES.warning(bundle.name, message, remedy))
    usable = [bundle for bundle in found if isinstance(bundle, Bundle)]
    for_patients = [bundle for bundle in usable if "patient" in bundle.manifest.use_on]
    names = ", ".join(bundle.name for bundle in for_patients)
    if models is None and not for_patients:
        checks.append(Category.BUNDLES.missing("for patients", "none", f"{GET_PUBLISHED}."))
    elif models is None and len(for_patients) > 1:
        remedy = "Name one each time with --models, or remove the others."
        checks.append(Category.BUNDLES.warning("for patients", f"several: {names}", remedy))
    return checks, next(iter([*for_patients, *usable]), None)


def _check_bundle(bundle: Installed) -> Check:
    if isinstance(bundle, BrokenBundle):
        remedy = "Get the bundle again and install it with --replace, or remove it."
        message = f"broken [{bundle.error.code}]: {bundle.error}"
        return Category.BUNDLES.problem(bundle.name, message, remedy)
    manifest = bundle.manifest
    message = f"{manifest.version}, for {' and '.join(manifest.use_on)} studies"
    if manifest.provenance is not None and not manifest.provenance.certificate.holds:
        message += f": its networks do not compute what their sources do: {bundle.folder}"
        return Category.BUNDLES.problem(bundle.name, message, "Convert it again.")
    if manifest.reference_outputs is None:
        message += f", without reference outputs to compare machines with: {bundle.folder}"
        return Category.BUNDLES.warning(bundle.name, message, ADD_REFERENCE_OUTPUTS)
    return Category.BUNDLES.ok(bundle.name, f"{message}, every file as listed: {bundle.folder}")


# --- Providers -----------------------------------------------------------------------------------

PROVIDER_S = 180.0
"""OpenVINO and CUDA compile for seconds at their first start."""
TENSORRT_S = 600.0
"""It builds its engine for minutes."""


Trial = tuple[Path, ProviderName, Precision]
"""A bundle's folder, and what is to run its networks."""


def check_providers(bundle: Bundle | None) -> Iterator[Check]:
    """Run the networks of a bundle on every provider that this onnxruntime lists."""
    try:
        listed = listed_providers()
    except RuntimeNotUsableError:
        message = "none can be tried without onnxruntime"
        yield Category.PROVIDERS.problem("all", message, "See onnxruntime above.")
        return
    if bundle is None:
        remedy = "Install a bundle, or name one with --models."
        yield Category.PROVIDERS.problem("all", "none can be tried without a bundle", remedy)
        return
    usable = []
    for provider in sorted(listed, key=list(SPECS).index):
        for precision in _precisions(bundle, provider):
            exact = precision is Precision.FLOAT32
            subject = str(provider) if exact else f"{provider}, {precision}"
            tried = _try(subject, (bundle.folder.resolve(), provider, precision))
            if isinstance(tried, Check):
                yield tried
                continue
            yield _describe(subject, tried)
            if exact:
                usable.append(provider)
    chosen = next((provider for provider in AUTO_ORDER if provider in usable), None)
    if chosen is None:
        yield Category.PROVIDERS.problem("auto", "no provider can be used", "See those above.")
    else:
        yield Category.PROVIDERS.ok("auto", f"would take {chosen}")
    absent = ", ".join(name for name in SPECS if name not in listed)
    if absent:
        remedy = "docs/providers.md says which package brings each, if you want one."
        yield Category.PROVIDERS.missing("others", f"{absent}: not in this onnxruntime", remedy)


def _precisions(bundle: Bundle, provider: ProviderName) -> Iterator[Precision]:
    """Yield float32, and what else the bundle has for this provider."""
    entries = [bundle.manifest.networks[name] for name in NETWORK_NAMES]
    for precision in Precision:
        own = any(precision in entry.variant_names for entry in entries)
        if (own or precision is Precision.FLOAT32) and supports_precision(provider, precision):
            yield precision


def _try(subject: str, trial: Trial) -> ProviderRecord | Check:
    """Return what ran, or the check that says why nothing did."""
    provider = trial[1]
    seconds = TENSORRT_S if provider is ProviderName.TENSORRT else PROVIDER_S
    is_cpu = provider is ProviderName.CPU
    try:
        return probe(try_provider, trial, seconds)
    except ProviderDisagreesError as error:
        return Category.PROVIDERS.problem(subject, error.problem, f"{error.advice}.")
    except ProviderError as error:
        # Part of this onnxruntime, but not of this machine: only the CPU is everywhere.
        optional = Verdict.WARNING if provider in AUTO_ORDER else Verdict.MISSING
        verdict = Verdict.PROBLEM if is_cpu else optional
        return Check(Category.PROVIDERS, subject, verdict, error.problem, error.advice or None)
    except (RccOnnxError, ProbeError) as error:
        remedy = "Use --provider cpu, and update the driver or the package."
        remedy = "Install onnxruntime again, and get the bundle again." if is_cpu else remedy
        return Category.PROVIDERS.problem(subject, f"does not run: {error}", remedy)


def try_provider(trial: Trial) -> ProviderRecord:
    """Open both networks and run the self-test; return what ran and how it agreed.

    Raises:
        BundleError, ProviderError, NetworkError, OptionError: it cannot run here.
    """
    folder, provider, precision = trial
    bundle = load_bundle(folder)
    networks = open_networks(bundle, provider, precision=precision)
    found = self_test(networks, networks.record, bundle.manifest, bundle.read_reference_outputs())
    return replace(networks.record, self_test=found)


def _describe(subject: str, record: ProviderRecord) -> Check:
    found = record.self_test
    if found is None or not found.tested:
        message = "can be loaded, but the bundle has no reference outputs to compare with"
        return Category.PROVIDERS.warning(subject, message, ADD_REFERENCE_OUTPUTS)
    parts = [
        f"{what} differ by {largest:.1e} at most ({accepted:.1e} accepted)"
        for what, largest, accepted in (
            ("probabilities", found.largest_difference, found.tolerance),
            ("sums", found.largest_sum_difference, found.sum_tolerance),
        )
        if largest is not None and accepted is not None
    ]
    message = f"agrees with the reference outputs: {', '.join(parts)}; {record.threads} threads"
    return Category.PROVIDERS.ok(subject, message)
