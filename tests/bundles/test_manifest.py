"""manifest.json: what is accepted comes back unchanged, everything else is refused by key."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcc_onnx.bundles.manifest import Manifest
from rcc_onnx.bundles.manifest_fields import is_plain_file_name
from rcc_onnx.errors import BundleError, BundleManifestError


def _network(name: str, shape: list[int]) -> dict[str, Any]:
    return {
        "file": f"{name}.onnx",
        "sha256": "ab" * 32,
        "opset": 17,
        "input": {"name": "image", "shape": ["batch", *shape], "dtype": "float32"},
        "output": {"name": "probability", "shape": ["batch", *shape], "dtype": "float32"},
    }


def _source(name: str) -> dict[str, Any]:
    return {"file": name, "sha256": "cd" * 32, "git_blob": "ef" * 20, "published": True}


def _parity() -> dict[str, Any]:
    return {
        "inputs": 40,
        "largest_difference": 1.2e-06,
        "decisions_equal": True,
        "inputs_by_kind": {"phantom": 24, "zeros": 1, "ones": 1, "noise": 14},
    }


VALID: dict[str, Any] = {
    "schema_version": 1,
    "name": "phantom",
    "version": "1.0.0",
    "purpose": "Finds kidneys in digital phantoms.",
    "use_on": ["digital-phantom"],
    "licence": "Apache-2.0",
    "thresholds": {"kidney": 1000.0, "lesion": 50.0},
    "networks": {
        "kidney": _network("kidney", [160, 160, 1]),
        "lesion": _network("lesion", [40, 64, 64, 1]),
    },
    "provenance": {
        "sources": {
            "kidney": _source("kidney_segmentation.h5"),
            "lesion": _source("RCC_segmentation.h5"),
        },
        "converter": {"rcc_onnx": "0.1.0", "tensorflow": "2.21.0"},
        "certificate": {"tolerance": 0.0001, "kidney": _parity(), "lesion": _parity()},
    },
}


def _changed(path: str, value: object) -> str:
    """VALID as text, with the value at a dotted path replaced, added or (None) removed."""
    raw = copy.deepcopy(VALID)
    *parents, last = path.split(".")
    inner = raw
    for key in parents:
        inner = inner[key]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(raw)


REMOVED = object()


def _paths(raw: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in raw.items():
        found.append(prefix + key)
        if isinstance(value, dict):
            found += _paths(value, f"{prefix}{key}.")
    return found


# These objects may hold any keys: they name packages and kinds of input.
OPEN = ("provenance.converter", "inputs_by_kind")
CLOSED_PATHS = [path for path in _paths(VALID) if not any(f"{name}." in path for name in OPEN)]


def test_text_comes_back_with_keys_in_order() -> None:
    text = json.dumps(VALID, indent=2) + "\n"
    assert Manifest.from_json(text).to_json() == text


def test_values_are_where_the_schema_says() -> None:
    manifest = Manifest.from_json(json.dumps(VALID))
    assert manifest.networks["lesion"].input.shape == ("batch", 40, 64, 64, 1)
    assert manifest.networks.kidney.file == "kidney.onnx"
    assert manifest.thresholds.lesion == 50.0
    assert manifest.provenance is not None
    assert manifest.provenance.certificate.holds
    assert dict(manifest.provenance.converter)["tensorflow"] == "2.21.0"


def test_no_provenance_is_allowed() -> None:
    manifest = Manifest.from_json(_changed("provenance", None))
    assert manifest.provenance is None
    assert json.loads(manifest.to_json())["provenance"] is None


@pytest.mark.parametrize(
    ("key", "value"), [("largest_difference", 0.00011), ("decisions_equal", False)]
)
def test_certificate_does_not_hold(key: str, value: object) -> None:
    text = _changed(f"provenance.certificate.lesion.{key}", value)
    provenance = Manifest.from_json(text).provenance
    assert provenance is not None
    assert not provenance.certificate.holds


@pytest.mark.parametrize("path", CLOSED_PATHS)
def test_missing_key(path: str) -> None:
    with pytest.raises(BundleManifestError) as caught:
        Manifest.from_json(_changed(path, REMOVED))
    parent, _, last = path.rpartition(".")
    assert caught.value.key == parent
    assert f"key missing: {last}" in str(caught.value)


@pytest.mark.parametrize(
    "parent",
    sorted({path.rpartition(".")[0] for path in CLOSED_PATHS}),
)
def test_unknown_key(parent: str) -> None:
    with pytest.raises(BundleManifestError, match=r"unknown key.*surprise") as caught:
        Manifest.from_json(_changed(f"{parent}.surprise".lstrip("."), 1))
    assert caught.value.key == parent


WRONG_TYPES = [
    (path, value)
    for path in CLOSED_PATHS
    for value in ([[]], {"a": {}}, -1.5, True, "\x1b[31m")
    if not (value is True and path.endswith((".published", ".decisions_equal")))
]


@pytest.mark.parametrize(("path", "value"), WRONG_TYPES)
def test_wrong_type_names_the_key(path: str, value: object) -> None:
    with pytest.raises(BundleManifestError) as caught:
        Manifest.from_json(_changed(path, value))
    assert caught.value.key.startswith(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 2),
        ("schema_version", 1.0),
        ("name", "Phantom"),
        ("name", "../phantom"),
        ("name", "a" * 65),
        ("name", "phantom\n"),
        ("name", "con"),
        ("name", "lpt1.models"),
        ("name", "ends-with-a-dot."),
        ("version", " "),
        ("purpose", "x" * 2001),
        ("use_on", []),
        ("use_on", ["animal"]),
        ("use_on", ["patient", "patient"]),
        ("thresholds.kidney", "1000"),
        ("thresholds.kidney", -0.1),
        ("thresholds.lesion", 10**400),
        ("networks.kidney.sha256", "AB" * 32),
        ("networks.kidney.sha256", "ab" * 31),
        ("networks.kidney.opset", 0),
        ("networks.kidney.opset", 17.0),
        ("networks.kidney.input.shape", ["batch", 160, 160]),
        ("networks.kidney.input.shape", [1, 160, 160, 1]),
        ("networks.kidney.input.shape", ["batch", 160.0, 160, 1]),
        ("networks.kidney.input.shape", ["batch", 160, 160, True]),
        ("networks.lesion.output.shape", ["batch", 160, 160, 1]),
        ("networks.lesion.output.dtype", "float16"),
        ("networks.lesion.output.name", ""),
        ("provenance.sources.kidney.file", "/home/someone/kidney.h5"),
        ("provenance.sources.kidney.git_blob", "ef" * 19),
        ("provenance.certificate.kidney.inputs_by_kind", {"noise": 39}),
    ],
)
def test_wrong_value_names_the_key(path: str, value: object) -> None:
    with pytest.raises(BundleManifestError) as caught:
        Manifest.from_json(_changed(path, value))
    assert caught.value.key == path
    assert path in str(caught.value)


@pytest.mark.parametrize("file", ["manifest.json", "Model_Card.md", "notice"])
def test_a_network_cannot_have_the_name_of_another_file_of_the_bundle(file: str) -> None:
    with pytest.raises(BundleManifestError, match="cannot be the name of a network"):
        Manifest.from_json(_changed("networks.kidney.file", file))


def test_the_version_of_the_schema_is_judged_before_its_keys() -> None:
    raw = {**VALID, "schema_version": 2, "spleen": {}}
    with pytest.raises(BundleManifestError, match="install a newer rcc-onnx") as caught:
        Manifest.from_json(json.dumps(raw))
    assert caught.value.key == "schema_version"


FILES_THAT_LEAVE = [
    "../kidney.onnx",
    "a/../../kidney.onnx",
    "sub/kidney.onnx",
    "sub\\kidney.onnx",
    "/etc/passwd",
    "C:kidney.onnx",
    "C:\\kidney.onnx",
    "..",
    ".",
    "",
    ".hidden.onnx",
    "~root",
    "kidney.onnx\x00.txt",
    "kidney.onnx\n",
    "kidney.onnx.",
    "NUL",
    "con.onnx",
    "kidney.onnx:stream",
]


@pytest.mark.parametrize("name", FILES_THAT_LEAVE)
def test_file_outside_the_folder(name: str) -> None:
    with pytest.raises(BundleManifestError, match="plain file name") as caught:
        Manifest.from_json(_changed("networks.lesion.file", name))
    assert caught.value.key == "networks.lesion.file"


@given(st.text(max_size=20))
def test_plain_file_names_stay_inside(name: str) -> None:
    if is_plain_file_name(name):
        assert not set(name) & set("/\\:\0\n")
        assert name not in (".", "..")


def test_both_networks_in_one_file() -> None:
    with pytest.raises(BundleManifestError, match="same file") as caught:
        Manifest.from_json(_changed("networks.lesion.file", "KIDNEY.onnx"))
    assert caught.value.key == "networks"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"text"', "\ufeff{}", "[" * 100_000, "1" * 10_000, "{} {}"],
    ids=lambda text: text[:6],
)
def test_no_json_object(text: str) -> None:
    with pytest.raises(BundleManifestError):
        Manifest.from_json(text)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_number_that_is_none(word: str) -> None:
    text = json.dumps(VALID).replace("1000.0", word)
    with pytest.raises(BundleManifestError):
        Manifest.from_json(text)


def test_key_given_twice() -> None:
    text = json.dumps(VALID).replace('"name": "phantom"', '"name": "phantom", "name": "other"')
    with pytest.raises(BundleManifestError, match="key given twice: name"):
        Manifest.from_json(text)


def test_error_is_a_bundle_error_and_a_value_error() -> None:
    error = BundleManifestError("is wrong", "networks.kidney")
    assert isinstance(error, BundleError)
    assert isinstance(error, ValueError)
    assert error.code == "bundle-manifest"
    assert str(error) == "manifest.json, networks.kidney: is wrong"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_any_json_gives_one_kind_of_error(value: object) -> None:
    with pytest.raises(BundleManifestError):
        Manifest.from_json(json.dumps(value))
