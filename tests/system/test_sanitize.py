import pytest

from rcc_onnx.system.log_privacy import sanitize

ALL_LETTERS = "caf\u00e9 \u8a9e \U0001f468\u200d\U0001f469"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a b", "a b"),
        (
            "caf\u00e9 \u8a9e \U0001f468\u200d\U0001f469",
            "caf\u00e9 \u8a9e \U0001f468\u200d\U0001f469",
        ),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31m\x07\x7f", "\\x1b[31m\\x07\\x7f"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("M\udcfcller", "M\\udcfcller"),
    ],
)
def test_one_line_that_does_nothing(text: str, line: str) -> None:
    assert sanitize(text) == line
