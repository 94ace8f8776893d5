"""The error classes: codes are stable, unique, documented and in use."""

import ast
import builtins
import importlib.util
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import convert.errors
import rcc_onnx.errors
from rcc_onnx.errors import IntakeError, ProviderError, RccOnnxError, SeveralSeriesError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_errors_page", DOCS / "make_errors_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_errors() -> dict[str, type[RccOnnxError]]:
    """Return every error class by name; `convert` has an OutputError of its own."""
    return {
        f"{module.__name__}.{name}": error
        for module in (rcc_onnx.errors, convert.errors)
        for name, error in vars(module).items()
        if isinstance(error, type) and issubclass(error, RccOnnxError) and error is not RccOnnxError
    }


def all_codes() -> list[str]:
    classes = dict.fromkeys(all_errors().values())
    own = [error.code for error in classes if "code" in vars(error)]
    return own + [code for error in classes for code in vars(error).get("codes", {})]


def raised() -> Iterator[tuple[type[RccOnnxError], str | None]]:
    """Yield the class, and the literal code if there is one, of every error made in the code."""
    errors = all_errors()
    for path in (*ROOT.glob("rcc_onnx/**/*.py"), *ROOT.glob("convert/**/*.py")):
        tree = ast.parse(path.read_bytes())
        home = "convert.errors" if "from convert.errors" in path.read_text() else "rcc_onnx.errors"
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
                continue
            name = call.func.id
            error = errors.get(f"{home}.{name}") or errors.get(f"rcc_onnx.errors.{name}")
            if error is None:
                continue
            given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
            if all(isinstance(value, ast.Constant) for value in given):
                yield error, given[0].value if given else None


def test_the_page_is_generated_from_the_code(maker: ModuleType) -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert page == maker.page(), "run: python docs/make_errors_page.py"
    assert [code for code in all_codes() if f"| `{code}` |" not in page] == []


def test_codes_are_unique_and_fit_for_scripts() -> None:
    codes = all_codes()
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in codes)


def test_every_error_is_raised_with_a_code_of_its_class() -> None:
    made = list(raised())
    assert len(made) > 150
    assert [
        (error.__name__, code)
        for error, code in made
        if (error.code == "error" if code is None else code not in error.codes)
    ] == []


def test_every_code_is_raised_somewhere() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in ROOT.glob("rcc_onnx/**/*.py")
        if path.parent.name != "errors"
    )
    classes = {error for name, error in all_errors().items() if name.startswith("rcc_onnx")}
    codes = {code for error in classes for code in vars(error).get("codes", {})}
    assert {code for code in codes if f'"{code}"' not in sources} == set()
    names = {error.__name__ for error in classes if "code" in vars(error)}
    assert {name for name in names if f"{name}(" not in sources} == set()


@pytest.mark.parametrize(
    "error",
    [error for error in all_errors().values() if not error.__subclasses__()],
    ids=lambda error: error.__name__,
)
def test_every_class_is_also_the_builtin_that_fits(error: type[RccOnnxError]) -> None:
    ours = (error, RccOnnxError, Exception, BaseException, object)
    natural = [base for base in error.__mro__ if base not in ours]
    assert any(getattr(builtins, base.__name__, None) is base for base in natural)


@pytest.mark.parametrize(
    "error",
    [
        IntakeError("x", code="no-ct"),
        SeveralSeriesError("x", code="several-studies"),
        ProviderError("x", "do y", code="provider-conflict"),
        rcc_onnx.errors.FolderNotFoundError("x"),
        rcc_onnx.errors.BundleManifestError("x", "networks.kidney"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_reaches_another_process_whole(error: RccOnnxError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert (type(there), there.code, str(there)) == (type(error), error.code, str(error))
    assert vars(there) == vars(error)
