"""manifest.json: what is accepted comes back unchanged, everything else is refused by key."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcc_onnx.bundles.manifest import Manifest, is_plain_file_name, read_manifest
from rcc_onnx.errors import BundleManifestError
from rcc_onnx.system.documents import document_bytes


def network(name: str, shape: list[int]) -> dict[str, Any]:
    return {
        "file": f"{name}.onnx",
        "sha256": "ab" * 32,
        "opset": 17,
        "input": {"name": "image", "shape": ["batch", *shape], "dtype": "float32"},
        "output": {"name": "probability", "shape": ["batch", *shape], "dtype": "float32"},
        "variants": {},
        "left_out": {},
    }


VARIANT = {
    "file": "lesion.cpu.onnx",
    "sha256": "ab" * 32,
    "note": "for tests",
    "comparison": {
        "inputs": 36,
        "decisions": 36,
        "decisions_equal": True,
        "largest_difference": 1e-06,
        "largest_sum_difference": 0.0,
        "least_dice": 1.0,
    },
}


def source(name: str) -> dict[str, Any]:
    return {"file": name, "sha256": "cd" * 32, "git_blob": "ef" * 20, "published": True}


PARITY = {
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
        "kidney": network("kidney", [160, 160, 1]) | {"left_out": {"cpu": "too few channels"}},
        "lesion": network("lesion", [40, 64, 64, 1]) | {"variants": {"cpu": VARIANT}},
    },
    "provenance": {
        "sources": {
            "kidney": source("kidney_segmentation.h5"),
            "lesion": source("RCC_segmentation.h5"),
        },
        "converter": {"rcc_onnx": "0.1.0", "tensorflow": "2.21.0"},
        "certificate": {"tolerance": 0.0001, "kidney": PARITY, "lesion": PARITY},
    },
    "reference_outputs": {"file": "reference_outputs.npz", "sha256": "01" * 32},
}
REMOVED = object()


def changed(path: str, value: object) -> str:
    """Return VALID as text, with the value at a dotted path replaced, added or removed."""
    raw = json.loads(json.dumps(VALID))
    *parents, last = path.split(".")
    inner = raw
    for key in parents:
        inner = inner[key]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(raw)


def read(text: str) -> Manifest:
    return read_manifest(text.encode())


def check_refused(text: str, path: str) -> None:
    """A class that checks its values names the field in the problem, after the path to it."""
    with pytest.raises(BundleManifestError) as caught:
        read(text)
    assert path in f"{caught.value.key}.{caught.value.problem}".lstrip(".")


def paths(raw: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in raw.items():
        found.append(prefix + key)
        if isinstance(value, dict):
            found += paths(value, f"{prefix}{key}.")
    return found


# These objects may hold any keys, or any of a few: names of packages, kinds, variants.
OPEN = ("provenance.converter.", "inputs_by_kind.", ".variants.cpu", ".left_out.cpu")
FIXED_PATHS = [path for path in paths(VALID) if not path.endswith(OPEN[2:])]
FIXED_PATHS = [path for path in FIXED_PATHS if not any(part in path for part in OPEN[:2])]


def test_text_comes_back_with_keys_in_order() -> None:
    text = json.dumps(VALID, indent=2) + "\n"
    assert document_bytes(read(text)) == text.encode()


def test_values_are_where_the_schema_says() -> None:
    manifest = read(json.dumps(VALID))
    assert manifest.networks["lesion"].input.shape == ("batch", 40, 64, 64, 1)
    assert manifest.networks.lesion.variant_names == ("plain", "cpu")
    assert manifest.networks.lesion.variant("cpu").file == "lesion.cpu.onnx"
    assert manifest.networks.lesion.variant("plain").file == "lesion.onnx"
    assert manifest.thresholds.lesion == 50.0
    assert manifest.provenance is not None
    assert manifest.provenance.certificate.holds
    assert manifest.provenance.converter["tensorflow"] == "2.21.0"


@pytest.mark.parametrize("key", ["provenance", "reference_outputs"])
def test_provenance_and_reference_outputs_may_be_null(key: str) -> None:
    manifest = read(changed(key, None))
    assert getattr(manifest, key) is None
    assert json.loads(document_bytes(manifest))[key] is None


@pytest.mark.parametrize(
    ("key", "value"), [("largest_difference", 0.00011), ("decisions_equal", False)]
)
def test_certificate_does_not_hold(key: str, value: object) -> None:
    provenance = read(changed(f"provenance.certificate.lesion.{key}", value)).provenance
    assert provenance is not None
    assert not provenance.certificate.holds


@pytest.mark.parametrize("path", FIXED_PATHS)
def test_missing_key(path: str) -> None:
    check_refused(changed(path, REMOVED), f"{path}.Field required")


@pytest.mark.parametrize(
    "parent",
    sorted({path.rpartition(".")[0] for path in FIXED_PATHS} | {"networks.kidney.variants"}),
)
def test_unknown_key(parent: str) -> None:
    path = f"{parent}.surprise".lstrip(".")
    check_refused(changed(path, 1), path)


@pytest.mark.parametrize("path", FIXED_PATHS)
@pytest.mark.parametrize("value", [[[]], {"a": {}}, -1.5, True, "\x1b[31m"], ids=str)
def test_wrong_type(path: str, value: object) -> None:
    if value is True and path.endswith((".published", ".decisions_equal")):
        value = 1
    check_refused(changed(path, value), path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
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
        ("networks.lesion.variants.cpu.file", "../x.onnx"),
        ("networks.lesion.variants.cpu.comparison.inputs", 0),
        ("networks.lesion.variants.cpu.comparison.least_dice", -1),
        ("networks.kidney.left_out.cpu", 1),
        ("networks.kidney.left_out.cpu", ""),
        ("provenance.sources.kidney.file", "/home/someone/kidney.h5"),
        ("provenance.sources.kidney.git_blob", "ef" * 19),
        ("provenance.converter.keras", ""),
        ("provenance.certificate.tolerance", -1e-4),
        ("provenance.certificate.kidney.inputs_by_kind", {"noise": 39}),
        ("provenance.certificate.kidney.inputs_by_kind.noise", -1),
        ("reference_outputs.file", "../reference_outputs.npz"),
        ("reference_outputs.sha256", "0" * 63),
    ],
)
def test_wrong_value(path: str, value: object) -> None:
    check_refused(changed(path, value), path)


@pytest.mark.parametrize(
    "file", ["manifest.json", "Model_Card.md", "notice", "Reference_Outputs.npz"]
)
def test_a_network_cannot_have_the_name_of_another_file_of_the_bundle(file: str) -> None:
    check_refused(changed("networks.kidney.file", file), "another purpose")


@pytest.mark.parametrize("path", ["networks.lesion.file", "networks.lesion.variants.cpu.file"])
def test_two_networks_in_one_file(path: str) -> None:
    check_refused(changed(path, "KIDNEY.onnx"), "the same file twice")


@pytest.mark.parametrize(("version", "remedy"), [(2, "newer rcc-onnx"), (0, "convert it again")])
def test_the_version_of_the_schema_is_checked_before_its_keys(version: int, remedy: str) -> None:
    raw = {**VALID, "schema_version": version, "spleen": {}}
    with pytest.raises(BundleManifestError, match=remedy) as caught:
        read(json.dumps(raw))
    assert caught.value.key == "schema_version"


OUTSIDE = [
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


@pytest.mark.parametrize("name", OUTSIDE)
def test_file_outside_the_folder(name: str) -> None:
    check_refused(
        changed("networks.lesion.file", name), "networks.lesion.file must be a plain file name"
    )


@given(st.text(max_size=20))
def test_plain_file_names_stay_inside(name: str) -> None:
    if is_plain_file_name(name):
        assert not set(name) & set("/\\:\0\n")
        assert name not in (".", "..")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b"null",
        b"{} {}",
        b"\xef\xbb\xbf" + json.dumps(VALID).encode(),
        b'{"name": "\xe9"}',
        json.dumps(VALID).encode("utf-16"),
        b"[" * 100_000,
        b"1" * 10_000,
        *(json.dumps(VALID).replace("1000.0", word).encode() for word in ("NaN", "1e999")),
        json.dumps(VALID).replace('"licence"', '"name": "other", "licence"').encode(),
    ],
    ids=lambda data: str(data[:6]),
)
def test_what_is_not_the_json_of_a_manifest(data: bytes) -> None:
    with pytest.raises(BundleManifestError) as caught:
        read_manifest(data)
    assert str(caught.value).startswith("manifest.json")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_any_json_gives_one_kind_of_error(value: object) -> None:
    with pytest.raises(BundleManifestError):
        read(json.dumps(value))
