import pytest

from rcc_onnx.dicom import header_privacy as header_text
from rcc_onnx.dicom.header_privacy import (
    IMAGE_TYPES,
    PATIENT_POSITIONS,
    agent_words,
    error_text,
    kernel_words,
    protocol_words,
    term,
    terms,
    uid,
    whole_number,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("venous", "venous"),
        ("Abdomen venous 5.0 B30f", "Abdomen venous 5.0 B30f"),
        ("ABD_PEL portal-venous 1.25mm", "ABD ? portal-venous 1.25mm"),
        ("DOE JANE abdomen", "? abdomen"),
        ("abdomen Doe^Jane venous", "abdomen ? venous"),
        ("Doe, Jane", ""),
        ("native 12.03.1956", "native ?"),
        ("native 12/03/56", "native ?"),
        ("native 12 03 56", "native ?"),
        ("native 19560312", "native ?"),
        ("axial AB123 P001", "axial ?"),
        ("venös", "venös"),
        ("[venous] (late)", "venous late"),
        ("venousDoe", ""),
    ],
)
def test_descriptions(text: str, shown: str) -> None:
    assert protocol_words(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("B30f", "B30f"),
        ("Br40d\\3", "Br40d\\3"),
        ("FC08-H", "FC08-H"),
        ("STANDARD", "STANDARD"),
        ("Doe", ""),
        ("DOE1956", ""),
        ("B30f Doe", "B30f ?"),
    ],
)
def test_kernels(text: str, shown: str) -> None:
    assert kernel_words(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("Iohexol", "Iohexol"),
        ("Imeron 350", "Imeron ?"),
        ("100ml Ultravist iv", "100ml Ultravist iv"),
        ("Doe", "recorded"),
        ("iv contrast", "recorded"),
        ("recorded", "recorded"),
    ],
)
def test_contrast_agents(text: str, shown: str) -> None:
    assert agent_words(text) == shown


def test_codes_numbers_and_uids() -> None:
    assert term("HFS", PATIENT_POSITIONS) == "HFS"
    assert term("DOE", PATIENT_POSITIONS) == "?"
    assert term("", PATIENT_POSITIONS) == ""
    assert terms(["ORIGINAL", "PRIMARY", "CT_SOM5 SPI"], IMAGE_TYPES) == (
        "ORIGINAL\\PRIMARY\\CT_SOM5 SPI"
    )
    assert terms(["ORIGINAL", "DOE JANE"], IMAGE_TYPES) == "ORIGINAL\\? ?"
    assert uid("1.2.840.10008") == "1.2.840.10008"
    assert {uid("1.2.DOE"), uid("1" * 65), uid("")} == {""}
    assert (whole_number("12"), whole_number("-1")) == ("12", "-1")
    assert {whole_number("Doe"), whole_number("1.5")} == {""}


def test_quotes_are_removed_from_messages() -> None:
    shown = error_text(ValueError("The value of 'Doe' is \"Jane\", b'\\x00' at 5\nDoe"))
    assert shown == "The value of ? is ?, b? at 5"
    assert error_text(ValueError("cut short 'Doe")) == "cut short ?"
    assert error_text(ValueError("")) == "ValueError"
    assert len(error_text(ValueError("x" * 1000))) == header_text._MESSAGE_LENGTH
