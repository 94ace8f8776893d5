"""Write docs/errors.md from the error trees: `python docs/make_errors_page.py`. A test compares."""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "errors.md"

HEAD = """\
# Error codes

Every refusal has a code that stays the same between releases. A case that cannot be analysed has
it in its JSON (`error.code`) and on the terminal; a command that cannot start prints
`error [code]: message` and ends with exit code 2. The message says what is wrong, where, and what
to do next.

This page is written by `python docs/make_errors_page.py` from `rcc_onnx/errors/` and
`convert/errors.py`.
"""


def leaves(root: type) -> Iterator[type]:
    """The class and all below it, parents first, in the order of the source."""
    yield root
    for child in root.__subclasses__():
        yield from leaves(child)


def page() -> str:
    """The whole page."""
    sys.path.insert(0, str(ROOT))
    from convert.errors import ConvertError  # noqa: PLC0415  after the path is set
    from rcc_onnx.errors import RccOnnxError  # noqa: PLC0415

    groups = [group for group in RccOnnxError.__subclasses__() if group is not ConvertError]
    lines = [HEAD]
    for title, roots in (
        ("rcc-onnx", groups),
        ("python -m convert", [ConvertError]),
    ):
        lines += [f"## `{title}`\n", "| code | meaning |", "|---|---|"]
        lines += [
            f"| `{leaf.code}` | {_meaning(leaf)} |" for root in roots for leaf in leaves(root)
        ]
        lines.append("")
    return "\n".join(lines)


def _meaning(leaf: type) -> str:
    """The first paragraph of the docstring, in one line."""
    return " ".join((leaf.__doc__ or "").split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
