"""Model bundles as tables, lines and JSON. Nothing here prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from rcc_onnx.bundle_store.archive import BundleContent
from rcc_onnx.bundle_store.install import Installation
from rcc_onnx.bundles.bundle import BrokenBundle, Bundle, Installed
from rcc_onnx.bundles.data_folder import REPLACED
from rcc_onnx.bundles.manifest import Certificate, NetworkEntry, Provenance
from rcc_onnx.runtime.providers import ProviderRecord, SelfTestRecord
from rcc_onnx.types import NETWORK_NAMES


def installed_table(bundles: Sequence[Installed]) -> Table:
    """Return a table with one row a bundle; a broken one with its error."""
    table = Table(title="Installed bundles", title_justify="left")
    for column in ("name", "version", "may be used on", "source", "folder"):
        table.add_column(column, overflow="fold")
    for bundle in bundles:
        if isinstance(bundle, BrokenBundle):
            problem = Text(f"broken [{bundle.error.code}]: {bundle.error}", style="bold red")
            table.add_row(Text(bundle.name), "", problem, "", Text(str(bundle.folder)))
            continue
        manifest = bundle.manifest
        table.add_row(
            Text(bundle.name),
            Text(manifest.version),
            ", ".join(manifest.use_on),
            _source(manifest.provenance),
            Text(str(bundle.folder)),
        )
    return table


def installed_json(bundle: Installed) -> dict[str, Any]:
    """Return one bundle of `models list --json`."""
    where = {"name": bundle.name, "folder": str(bundle.folder)}
    if isinstance(bundle, BrokenBundle):
        return {**where, "error": {"code": bundle.error.code, "message": str(bundle.error)}}
    return {
        **where,
        "version": bundle.manifest.version,
        "use_on": list(bundle.manifest.use_on),
        "published_weights": _published(bundle.manifest.provenance),
        "error": None,
    }


def bundle_table(bundle: Bundle) -> Table:
    """Return a table of everything in a manifest that a person asks about."""
    manifest = bundle.manifest
    title = f"Bundle {manifest.name} {manifest.version}"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    outputs = manifest.reference_outputs
    rows = [
        ("folder", str(bundle.folder)),
        ("purpose", manifest.purpose),
        ("may be used on", ", ".join(manifest.use_on)),
        ("licence", manifest.licence),
        ("reference outputs", "none" if outputs is None else outputs.sha256),
        ("kidney threshold", f"{manifest.thresholds.kidney:g}"),
        ("lesion threshold", f"{manifest.thresholds.lesion:g}"),
    ]
    for name in NETWORK_NAMES:
        rows += [(f"{name}{label}", text) for label, text in _network(manifest.networks[name])]
    for label, text in (*rows, *_provenance(manifest.provenance)):
        table.add_row(label, Text(text))
    return table


def verified_lines(
    bundle: Bundle, provider: ProviderRecord, content: BundleContent
) -> tuple[str, ...]:
    """Return what `models verify` prints for a bundle that passed."""
    manifest = bundle.manifest
    variants = ", ".join(f"{name} {variant}" for name, variant in provider.variants.items())
    return (
        f"{manifest.name} {manifest.version}: hashes, shapes, operators as the manifest says",
        f"both networks ran on {provider.ran} with onnxruntime {provider.onnxruntime} ({variants})",
        "no certificate: these networks were not compared with their Keras source"
        if manifest.provenance is None
        else _certificate(manifest.provenance.certificate),
        _self_test(provider.self_test),
        f"SHA-256 as a zip file of `models export`: {content.sha256()}",
        *_others(content.others),
    )


def installation_lines(done: Installation) -> tuple[str, ...]:
    """Return what `models install` prints at its end."""
    manifest = done.bundle.manifest
    verb = "was installed already," if done.already else "is installed"
    line = f"{manifest.name} {manifest.version} {verb} in {done.bundle.folder}"
    if isinstance(done.replaced, BrokenBundle):
        line += ", in place of a broken one"
    elif done.replaced is not None:
        line += f", in place of {done.replaced.manifest.version}"
    return (
        line,
        f"may be used on: {', '.join(manifest.use_on)}; source: {_source(manifest.provenance)}",
        *_others(done.left_out),
        f"Next: rcc-onnx infer STUDY --models {manifest.name}",
    )


def hidden_lines(hidden: Sequence[tuple[Installed, Path]]) -> tuple[str, ...]:
    """Return a line for each bundle that another of the same name, in a folder, hides."""
    return tuple(
        f"note: {hider} is used for the name {bundle.name}; it hides {bundle.folder}"
        for bundle, hider in hidden
    )


def searched_line(folders: Sequence[Path]) -> str:
    """Return where `models list` looked."""
    # What is being replaced is looked for too, but is nothing that a user puts there.
    shown = [str(folder) for folder in folders if folder.name != REPLACED]
    return "looked for in: " + (", ".join(shown) or "no folder")


def _self_test(result: SelfTestRecord | None) -> str:
    if result is None or not result.tested or result.largest_difference is None:
        return "no reference outputs: no machine can be compared with them"
    return (
        f"outputs on this machine as the reference outputs, within {result.largest_difference:.1e} "
        f"(tolerance {result.tolerance or 0:g})"
    )


def _others(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"beside the bundle, and not part of it: {', '.join(map(ascii, names[:10]))}",)


def _network(entry: NetworkEntry) -> list[tuple[str, str]]:
    """Return rows for a network, its variants, and why one that was tried is not there."""
    shape = "x".join(str(size) for size in entry.input.shape[1:])
    text = f"{entry.file}, input {shape} {entry.input.dtype}, opset {entry.opset}, {entry.sha256}"
    rows = [(" network", text)]
    for name, variant in entry.variants.items():
        found = variant.comparison
        same = "same decisions" if found.decisions_equal else "DECISIONS DIFFER"
        text = (
            f"{variant.file}, {variant.note}; against the plain variant on {found.inputs} inputs: "
            f"{same} ({found.decisions}), largest difference {found.largest_difference:.1e}, in a "
            f"sum {found.largest_sum_difference:.1e}, Dice at least {found.least_dice:.4f}, "
            f"{variant.sha256}"
        )
        rows.append((f", {name} variant", text))
    return rows + [(f", no {name} variant", reason) for name, reason in entry.left_out.items()]


def _provenance(provenance: Provenance | None) -> list[tuple[str, str]]:
    if provenance is None:
        return [("provenance", "none: made by hand, nothing is certified")]
    rows = []
    for name in NETWORK_NAMES:
        source = provenance.sources[name]
        which = "the published file" if source.published else "not the published file"
        rows.append((f"{name} source", f"{source.file}, git blob {source.git_blob}, {which}"))
    versions = [f"{package} {version}" for package, version in provenance.converter.items()]
    rows.append(("certificate", _certificate(provenance.certificate)))
    return [*rows, ("converted with", ", ".join(versions))]


def _certificate(certificate: Certificate) -> str:
    parts = ", ".join(
        f"{name} {part.largest_difference:.1e} on {part.inputs} inputs"
        for name, part in (("kidney", certificate.kidney), ("lesion", certificate.lesion))
    )
    verdict = "holds" if certificate.holds else "DOES NOT HOLD"
    return (
        f"certificate {verdict}: largest difference from Keras in probability: {parts} "
        f"(tolerance {certificate.tolerance:g})"
    )


def _published(provenance: Provenance | None) -> bool:
    return provenance is not None and all(
        provenance.sources[name].published for name in NETWORK_NAMES
    )


def _source(provenance: Provenance | None) -> str:
    if provenance is None:
        return "made by hand"
    return "published weights" if _published(provenance) else "other weights"
