"""Writes MODEL_CARD.md: the networks, their sources, how they were compared, and their limits."""

from rcc_onnx.bundles.manifest import Manifest, Provenance
from rcc_onnx.types import NETWORK_NAMES

RESEARCH_USE_ONLY = (
    "Research use only. Not a medical device: not cleared or approved by any authority, and not to "
    "be used for diagnosis, treatment or any other decision about a patient."
)

_DESCRIPTIONS = {
    "kidney": "2D network; gives each pixel of a slice (160x160, 2 mm) the probability of kidney",
    "lesion": "3D network; gives each voxel of a 40x64x64 crop round a kidney the probability of a "
    "suspected lesion",
}

_PUBLISHED_RESULTS = """\
## Published results

Reported by the authors of these networks, per kidney, for tumours of at most 4 cm. They were not
measured with this software.

| | patients | AUC | sensitivity | specificity | accuracy |
|---|---|---|---|---|---|
| internal cross-validation | 453 | 0.930 | 84.3 % | 92.3 % | 88.3 % |
| external validation | 132 | 0.933 | 84.8 % | 90.2 % | 87.5 % |

Source: Toda N, et al. Deep Learning Algorithm for Fully Automated Detection of Small (<=4 cm) Renal
Cell Carcinoma in Contrast-Enhanced Computed Tomography Using a Multicenter Database. Investigative
Radiology 2022;57:327-333.
"""

_UNKNOWN_RESULTS = """\
## Results

At least one of the two source files is not a published one, so the published results say nothing
about this bundle. None of its own were given to the converter.
"""


def model_card(manifest: Manifest) -> str:
    """Return the card of a converted bundle, as Markdown; the manifest must have a provenance."""
    provenance = manifest.provenance
    if provenance is None:
        raise ValueError("a converted bundle has a provenance")
    published = all(provenance.sources[name].published for name in NETWORK_NAMES)
    parts = [
        f"# {manifest.name} {manifest.version}\n",
        f"{manifest.purpose}\n",
        f"**{RESEARCH_USE_ONLY}**\n",
        f"Used on: {', '.join(manifest.use_on)}. Licence: {manifest.licence}.\n",
        "## Networks\n",
        *(f"- `{manifest.networks[name].file}`: {_DESCRIPTIONS[name]}." for name in NETWORK_NAMES),
        *_variants(manifest),
        f"\nThere is a kidney where the probabilities of a side add up to more than "
        f"{manifest.thresholds.kidney:g}, and a suspected lesion where those of a crop add up to "
        f"more than {manifest.thresholds.lesion:g}.\n",
        _sources(provenance),
        _certificate(provenance),
        _PUBLISHED_RESULTS if published else _UNKNOWN_RESULTS,
    ]
    return "\n".join(parts)


def _variants(manifest: Manifest) -> list[str]:
    lines = []
    for network in NETWORK_NAMES:
        for name, variant in manifest.networks[network].variants.items():
            found = variant.comparison
            lines.append(
                f"- `{variant.file}`: the variant {name} of `{manifest.networks[network].file}`, "
                f"{variant.note}. Compared with it on {found.inputs} inputs: "
                f"{'the same' if found.decisions_equal else 'NOT the same'} decisions, largest "
                f"difference in probability {found.largest_difference:.2g}, masks overlap by "
                f"{found.least_dice:.4f} (Dice) or more."
            )
    return lines


def _sources(provenance: Provenance) -> str:
    lines = ["## Source files\n", "| network | file | published file | git blob | SHA-256 |"]
    lines.append("|---|---|---|---|---|")
    for name in NETWORK_NAMES:
        source = provenance.sources[name]
        published = "yes" if source.published else "no"
        file = source.file.replace("|", r"\|")
        lines.append(
            f"| {name} | `{file}` | {published} | `{source.git_blob}` | `{source.sha256}` |"
        )
    lines.append(
        '\n"Published" means: the very file of the repository Naoki-Toda/RCC_detection (commit '
        "0f3c1cf, Apache-2.0), by its git blob id.\n"
    )
    return "\n".join(lines)


def _certificate(provenance: Provenance) -> str:
    certificate = provenance.certificate
    lines = [
        "## Conversion\n",
        "Keras and ONNX Runtime were run on the same inputs, and compared at every probability and "
        f"every decision. Accepted difference: {certificate.tolerance:g}.\n",
        "| network | inputs | largest difference in probability | same decisions |",
        "|---|---|---|---|",
    ]
    for name in NETWORK_NAMES:
        part = certificate.kidney if name == "kidney" else certificate.lesion
        kinds = ", ".join(f"{count} {kind}" for kind, count in part.inputs_by_kind.items())
        same = "yes" if part.decisions_equal else "no"
        lines.append(
            f"| {name} | {part.inputs} ({kinds}) | {part.largest_difference:.2g} | {same} |"
        )
    versions = ", ".join(
        f"{package} {version}" for package, version in provenance.converter.items()
    )
    lines.append(f"\nConverted with {versions}.\n")
    return "\n".join(lines)
