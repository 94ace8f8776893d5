"""Model bundles as tables, lines and JSON. Nothing here prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from rcc_onnx.bundles.bundle import BrokenBundle, Bundle, Installed
from rcc_onnx.bundles.data_folder import REPLACED
from rcc_onnx.bundles.manifest import NETWORK_NAMES, Manifest, NetworkName, Provenance
from rcc_onnx.runtime.providers import ProviderRecord


def installed_table(bundles: Sequence[Installed]) -> Table:
    """One row a bundle; a broken one with what is wrong."""
    table = Table(title="Installed bundles", title_justify="left")
    for column in ("name", "version", "may be used on", "source", "folder"):
        table.add_column(column, overflow="fold")
    for one in bundles:
        if isinstance(one, BrokenBundle):
            problem = Text(f"broken [{one.error.code}]: {one.error}", style="bold red")
            table.add_row(Text(one.name), "", problem, "", Text(str(one.folder)))
            continue
        manifest = one.manifest
        table.add_row(
            Text(one.name),
            Text(manifest.version),
            ", ".join(manifest.use_on),
            _source(manifest.provenance),
            Text(str(one.folder)),
        )
    return table


def installed_json(one: Installed) -> dict[str, Any]:
    """One bundle of `models list --json`."""
    if isinstance(one, BrokenBundle):
        error = {"code": one.error.code, "message": str(one.error)}
        return {"name": one.name, "folder": str(one.folder), "error": error}
    manifest = one.manifest
    return {
        "name": one.name,
        "folder": str(one.folder),
        "version": manifest.version,
        "use_on": list(manifest.use_on),
        "published_weights": _published(manifest.provenance),
        "error": None,
    }


def bundle_table(bundle: Bundle) -> Table:
    """Everything in a manifest that a person asks about."""
    manifest = bundle.manifest
    title = f"Bundle {manifest.name} {manifest.version}"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    rows = [
        ("folder", str(bundle.folder)),
        ("purpose", manifest.purpose),
        ("may be used on", ", ".join(manifest.use_on)),
        ("licence", manifest.licence),
        (
            "stored answers",
            "none" if manifest.reference_outputs is None else manifest.reference_outputs.sha256,
        ),
        ("kidney threshold", f"{manifest.thresholds.kidney:g}"),
        ("lesion threshold", f"{manifest.thresholds.lesion:g}"),
    ]
    for name in NETWORK_NAMES:
        rows.append((f"{name} network", _network_words(manifest, name)))
        rows += _variant_rows(manifest, name)
    rows += _provenance_rows(manifest.provenance)
    for label, text in rows:
        table.add_row(label, Text(text))
    return table


def verified_lines(
    bundle: Bundle, provider: ProviderRecord, sha256: str, others: Sequence[str]
) -> tuple[str, ...]:
    """What `models verify` says of a bundle that passed.

    `sha256`: of the zip file that `models export` makes of it. `others`: names of files in its
    folder that are no part of it.
    """
    manifest = bundle.manifest
    provenance = manifest.provenance
    parity = (
        "no certificate: nobody compared these networks with their Keras source"
        if provenance is None
        else _certificate_words(provenance)
    )
    variants = ", ".join(f"{name} {variant}" for name, variant in provider.variants.items())
    return (
        f"{manifest.name} {manifest.version}: hashes, shapes, operators as the manifest says",
        f"both networks ran on {provider.ran} with onnxruntime {provider.onnxruntime} ({variants})",
        parity,
        _agreement_words(provider),
        f"SHA-256 as a zip file of `models export`: {sha256}",
        *_others_lines(others),
    )


def installation_lines(
    bundle: Bundle, *, already: bool, replaced: Installed | None, left_out: Sequence[str]
) -> tuple[str, ...]:
    """What `models install` says when it is done."""
    manifest = bundle.manifest
    if already:
        done = f"{manifest.name} {manifest.version} was installed already, in {bundle.folder}"
    else:
        done = f"{manifest.name} {manifest.version} is installed in {bundle.folder}"
    if isinstance(replaced, BrokenBundle):
        done += ", in place of a broken one"
    elif replaced is not None:
        done += f", in place of {replaced.manifest.version}"
    return (
        done,
        f"may be used on: {', '.join(manifest.use_on)}; source: {_source(manifest.provenance)}",
        *_others_lines(left_out),
        f"Next: rcc-onnx infer STUDY --models {manifest.name}",
    )


def hidden_lines(hidden: Sequence[tuple[Installed, Path]]) -> tuple[str, ...]:
    """A line for each bundle that another of the same name hides, with the folder of that one."""
    return tuple(
        f"note: {by} is used for the name {one.name}; it hides {one.folder}" for one, by in hidden
    )


def searched_line(folders: Sequence[Path]) -> str:
    """Where `models list` looked."""
    # What is being replaced is looked for too, but is nothing that a user puts there.
    shown = [str(folder) for folder in folders if folder.name != REPLACED]
    return "looked for in: " + (", ".join(shown) or "no folder")


def _agreement_words(provider: ProviderRecord) -> str:
    found = provider.self_test
    if found is None or not found.tested or found.largest_difference is None:
        return "no stored answers: no machine can be compared with them"
    return (
        f"answers on this machine as the stored ones, within {found.largest_difference:.1e} "
        f"(tolerance {found.tolerance or 0:g})"
    )


def _others_lines(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"beside the bundle, and no part of it: {', '.join(map(ascii, names[:10]))}",)


def _provenance_rows(provenance: Provenance | None) -> list[tuple[str, str]]:
    if provenance is None:
        return [("provenance", "none: made by hand, nothing is certified")]
    rows = []
    for name in NETWORK_NAMES:
        source = provenance.sources[name]
        which = "the published file" if source.published else "not the published file"
        rows.append((f"{name} source", f"{source.file}, git blob {source.git_blob}, {which}"))
    rows.append(("certificate", _certificate_words(provenance)))
    rows.append(("converted with", ", ".join(f"{p} {v}" for p, v in provenance.converter)))
    return rows


def _certificate_words(provenance: Provenance) -> str:
    certificate = provenance.certificate
    parts = ", ".join(
        f"{name} {certificate_part.largest_difference:.1e} on {certificate_part.inputs} inputs"
        for name, certificate_part in (
            ("kidney", certificate.kidney),
            ("lesion", certificate.lesion),
        )
    )
    verdict = "holds" if certificate.holds else "DOES NOT HOLD"
    return (
        f"certificate {verdict}: largest difference from Keras in probability: {parts} "
        f"(tolerance {certificate.tolerance:g})"
    )


def _network_words(manifest: Manifest, name: NetworkName) -> str:
    entry = manifest.networks[name]
    shape = "x".join(str(size) for size in entry.input.shape[1:])
    return f"{entry.file}, input {shape} {entry.input.dtype}, opset {entry.opset}, {entry.sha256}"


def _variant_rows(manifest: Manifest, name: NetworkName) -> list[tuple[str, str]]:
    """The other variants of a network, and why one that was tried is not there."""
    entry = manifest.networks[name]
    rows = []
    for label, variant in entry.variants.items():
        found = variant.comparison
        same = "same decisions" if found.decisions_equal else "DECISIONS DIFFER"
        words = (
            f"{variant.file}, {variant.note}; against the plain variant on {found.inputs} inputs: "
            f"{same} ({found.decisions}), largest difference {found.largest_difference:.1e}, in a "
            f"sum {found.largest_sum_difference:.1e}, Dice at least {found.least_dice:.4f}, "
            f"{variant.sha256}"
        )
        rows.append((f"{name}, {label} variant", words))
    rows += [(f"{name}, no {label} variant", reason) for label, reason in entry.left_out.items()]
    return rows


def _published(provenance: Provenance | None) -> bool:
    return provenance is not None and all(
        provenance.sources[name].published for name in NETWORK_NAMES
    )


def _source(provenance: Provenance | None) -> str:
    if provenance is None:
        return "made by hand"
    return "published weights" if _published(provenance) else "other weights"
