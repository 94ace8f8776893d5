"""Words that stand for values wherever a person reads them."""

from rcc_onnx.values import Outcome

OUTCOME_WORDS = {
    Outcome.KIDNEY_NOT_FOUND: "kidney not found",
    Outcome.KIDNEY_NOT_LOCATED: "kidney not located",
    Outcome.NO_LESION: "no lesion",
    Outcome.LESION_NOT_LOCATED: "suspected lesion, not located",
    Outcome.LESION: "suspected lesion",
}
PAGE_WORDS = OUTCOME_WORDS | {Outcome.NO_LESION: "no suspected lesion"}
"""Where there is room for a whole phrase."""
NO_PROOF = "No suspected lesion found; this is no proof of health."
NO_PROOF_OF_A_SIDE = "A side without a suspected lesion is not proven healthy."
NO_KIDNEY = "No kidney was found, so nothing was looked for."
PHANTOM = "This is a digital phantom, not a patient."


def counted(number: int, what: str, many: str = "") -> str:
    """As `1 file` and `2 files`."""
    return f"{number} {what if number == 1 else many or what + 's'}"
