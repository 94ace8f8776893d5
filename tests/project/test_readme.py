"""The README's promises that a test can hold it to."""

import re
from pathlib import Path
from pkgutil import resolve_name

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_quick_start_is_two_one_line_commands() -> None:
    section = README.split("## Quick start", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```[a-z]*\n(.*?)```", section, flags=re.DOTALL)
    assert len(blocks) == 2
    assert all(block.count("\n") == 1 for block in blocks)
    assert "rcc-onnx demo" in blocks[0]
    assert "pytest" in blocks[1]


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_architecture_is_one_page_and_names_every_package() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = ROOT / "rcc_onnx"
    names = [path.name for path in package.glob("*.py") if path.name[0] != "_"]
    names += [path.parent.name for path in package.glob("*/__init__.py")]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert len(page.splitlines()) <= 100


def test_the_architecture_names_only_what_exists() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    modules = re.findall(r"`(?:rcc_onnx/)?([a-z_]+/[a-z_/]+\.py)`", page)
    assert modules
    assert [module for module in modules if not (ROOT / "rcc_onnx" / module).is_file()] == []
    in_diagram = re.findall(r"[\[{]\"([a-z]+(?:\.\w+)+)<br/>", page)
    assert in_diagram
    for dotted in in_diagram:
        resolve_name(f"rcc_onnx.{dotted}")
