"""The error trees: codes are stable, unique, documented, and every leaf is also a builtin."""

import builtins
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import convert.errors
import rcc_onnx.errors
from rcc_onnx.errors import RccOnnxError

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_errors_page", DOCS / "make_errors_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_errors() -> list[type[RccOnnxError]]:
    found = []
    for module in (rcc_onnx.errors, convert.errors):
        found += [
            one
            for one in vars(module).values()
            if isinstance(one, type) and issubclass(one, RccOnnxError) and one is not RccOnnxError
        ]
    return list(dict.fromkeys(found))


def test_the_page_is_what_the_code_says(maker: ModuleType) -> None:
    said = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert said == maker.page(), "run: python docs/make_errors_page.py"


def test_every_error_is_on_the_page() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert [one.code for one in all_errors() if f"| `{one.code}` |" not in page] == []


def test_codes_are_unique_and_fit_for_scripts() -> None:
    codes = [one.code for one in all_errors()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in codes)


@pytest.mark.parametrize(
    "error",
    [one for one in all_errors() if not one.__subclasses__()],
    ids=lambda one: one.__name__,
)
def test_every_leaf_is_also_the_builtin_that_fits(error: type[RccOnnxError]) -> None:
    ours = (error, RccOnnxError, Exception, BaseException, object)
    natural = [base for base in error.__mro__ if base not in ours]
    assert any(getattr(builtins, base.__name__, None) is base for base in natural)
