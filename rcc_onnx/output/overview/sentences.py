"""What an overview says in words."""

from rcc_onnx._version import __version__
from rcc_onnx.results import CaseResult, KidneyFinding, LesionFinding
from rcc_onnx.types import PAGE_WORDS, PHANTOM, SIDES, Outcome, Side

TOUCHES = "The lesion's mask reaches the border of what the network saw; it may go on beyond it."


def headline(result: CaseResult) -> str:
    """Both sides in a line."""
    words = []
    for side in SIDES:
        outcome = result.sides[side].outcome
        proof = " (no proof of health)" if outcome is Outcome.NO_LESION else ""
        words.append(f"{side} side: {PAGE_WORDS[outcome]}{proof}")
    line = "; ".join(words)
    return line[0].upper() + line[1:]


def made_by(result: CaseResult) -> str:
    models, provider = result.models, result.provider
    return (
        f"models {models.name} {models.version}, {provider.precision} on {provider.ran}, "
        f"rcc-onnx {__version__}"
    )


def warnings_of(result: CaseResult) -> list[str]:
    """What a person must read beside the pictures."""
    flags = [flag.text for flag in result.flags]
    for side in SIDES:
        flags += [f"{side.capitalize()} side: {flag.text}" for flag in result.sides[side].flags]
        measures = result.sides[side].lesion_measures
        if measures and measures.touches_crop_border:
            flags.append(f"{side.capitalize()} side: {TOUCHES}")
    phantom = [PHANTOM] if result.study.kind == "digital-phantom" else []
    return [*phantom, *result.warnings, *flags]


def side_lines(result: CaseResult, side: Side) -> list[tuple[str, str]]:
    """Names and values of a side, as its text block lists them."""
    finding = result.sides[side]
    lines: list[tuple[str, str]] = []
    lesion = finding.lesion_measures
    if lesion is not None:
        lines += [
            ("longest axial diameter", f"{lesion.longest_axial_diameter.mm:.0f} mm"),
            ("volume", f"{lesion.volume_ml:.1f} ml"),
            ("mean", f"{lesion.mean_hu:.0f} HU"),
        ]
        if lesion.parts > 1:
            lines.append(("parts of the mask", f"{lesion.parts}; measured: the largest"))
    if finding.lesion is not None:
        lines.append(("lesion sum", _sum(finding.lesion, result.thresholds.lesion)))
    if finding.kidney.measures is not None:
        lines.append(("kidney volume", f"{finding.kidney.measures.volume_ml:.0f} ml"))
    lines.append(("kidney sum", _sum(finding.kidney, result.thresholds.kidney)))
    return lines


def _sum(found: KidneyFinding | LesionFinding, threshold: float) -> str:
    near = ", borderline" if found.margin.borderline else ""
    return f"{found.probability_sum:.0f} (threshold {threshold:g}{near})"
