"""Stored answers: written, read without trust, and part of a bundle like its networks."""

import json
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from rcc_onnx.bundles.bundle import load_bundle, shipped_models_folder
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE, Manifest
from rcc_onnx.bundles.reference_outputs import (
    LARGEST_REFERENCE_OUTPUTS,
    STEPS,
    ReferenceOutputs,
    read_reference_outputs,
    write_reference_outputs,
)
from rcc_onnx.errors import BundleManifestError
from tests.support.errors import raises_code
from tests.support.reference_outputs import bundle_with_reference_outputs, put_reference_outputs
from tests.support.tiny_networks import manifest_of, tiny_model, write_bundle

RNG = np.random.default_rng(3)
ANSWERS = ReferenceOutputs(
    RNG.integers(0, 256, (2, 160, 160)).astype(np.uint8),
    RNG.integers(0, 256, (40, 64, 64)).astype(np.uint8),
    RNG.random((2, 160, 160), np.float32),
    RNG.random((40, 64, 64), np.float32),
)


def test_what_is_written_is_read_again_within_half_a_step() -> None:
    found = read_reference_outputs(write_reference_outputs(ANSWERS), "x")
    np.testing.assert_array_equal(found.slices, ANSWERS.slices)
    np.testing.assert_array_equal(found.crop, ANSWERS.crop)
    for given, stored in ((ANSWERS.kidney, found.kidney), (ANSWERS.lesion, found.lesion)):
        assert stored.dtype == np.float32
        assert np.abs(given - stored).max() <= 0.5 / STEPS + 1e-7


def test_ends_are_kept_and_what_rounding_puts_beyond_them_is_brought_back() -> None:
    lesion = np.zeros((40, 64, 64), np.float32)
    lesion[0, 0, :3] = 1, 1 + 5e-6, -5e-6
    found = read_reference_outputs(
        write_reference_outputs(
            ReferenceOutputs(ANSWERS.slices, ANSWERS.crop, ANSWERS.kidney, lesion)
        ),
        "x",
    )
    assert found.lesion[0, 0, :3].tolist() == [1, 1, 0]


def test_the_same_answers_give_the_same_file() -> None:
    assert write_reference_outputs(ANSWERS) == write_reference_outputs(ANSWERS)


def test_numpy_reads_it_too() -> None:
    with np.load(BytesIO(write_reference_outputs(ANSWERS)), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["crop", "kidney", "lesion", "slices"]
        np.testing.assert_array_equal(arrays["crop"], ANSWERS.crop)


@pytest.mark.parametrize(
    ("slices", "crop", "kidney", "lesion"),
    [
        ((0, 160, 160), (40, 64, 64), (0, 160, 160), (40, 64, 64)),
        ((5, 160, 160), (40, 64, 64), (5, 160, 160), (40, 64, 64)),
        ((2, 160, 161), (40, 64, 64), (2, 160, 161), (40, 64, 64)),
        ((2, 160, 160), (40, 64, 64), (1, 160, 160), (40, 64, 64)),
        ((2, 160, 160), (40, 64, 65), (2, 160, 160), (40, 64, 65)),
        ((2, 160, 160), (40, 64, 64), (2, 160, 160), (64, 64, 40)),
        ((160, 160), (40, 64, 64), (160, 160), (40, 64, 64)),
    ],
)
def test_shapes_that_no_answers_have(
    slices: tuple[int, ...], crop: tuple[int, ...], kidney: tuple[int, ...], lesion: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"slices of 160|for each pixel|crop of 40"):
        ReferenceOutputs(
            np.zeros(slices, np.uint8),
            np.zeros(crop, np.uint8),
            np.zeros(kidney, np.float32),
            np.zeros(lesion, np.float32),
        )


# --- Files that are not what they should be ------------------------------------------------------


def npy(array: np.ndarray, **options: bool) -> bytes:
    stream = BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def parts() -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(write_reference_outputs(ANSWERS))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: dict[str, bytes]) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def with_header(header: str, rest: bytes = b"") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + rest


def crop_is(data: bytes) -> bytes:
    return packed(parts() | {"crop.npy": data})


KIND = "'descr': '|u1', 'fortran_order': False"
BROKEN: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no zip": lambda: b"PK\x03\x04 and no more",
    "cut short": lambda: write_reference_outputs(ANSWERS)[:-40],
    "one array less": lambda: packed({k: v for k, v in parts().items() if k != "crop.npy"}),
    "one array more": lambda: packed(parts() | {"more.npy": b""}),
    "an array elsewhere": lambda: packed(
        {k.replace("crop", "../crop"): v for k, v in parts().items()}
    ),
    "bomb": lambda: packed(
        dict.fromkeys(("slices.npy", "crop.npy", "kidney.npy", "lesion.npy"), b"\0" * 2**20)
    ),
    "pickle": lambda: crop_is(npy(np.array([print, 1], object), allow_pickle=True)),
    "other type": lambda: crop_is(npy(np.zeros((40, 64, 64), np.int8))),
    "floats": lambda: packed(parts() | {"lesion.npy": npy(np.full((40, 64, 64), np.nan))}),
    "other byte order": lambda: packed(
        parts() | {"lesion.npy": npy(np.zeros((40, 64, 64), ">u2"))}
    ),
    "columns first": lambda: crop_is(npy(np.zeros((40, 64, 64), np.uint8, order="F"))),
    "other shape": lambda: crop_is(npy(np.zeros((40, 64, 63), np.uint8))),
    "five slices": lambda: packed(parts() | {"slices.npy": npy(np.zeros((5, 160, 160), np.uint8))}),
    "fewer bytes than the shape": lambda: crop_is(
        with_header(f"{{{KIND}, 'shape': (40, 64, 64)}}", b"x")
    ),
    "more bytes than the shape": lambda: crop_is(npy(np.zeros((40, 64, 64), np.uint8)) + b"x"),
    "a shape beyond memory": lambda: crop_is(
        with_header(f"{{{KIND}, 'shape': ({10**30},)}}", b"x" * 64)
    ),
    "a shape below zero": lambda: crop_is(with_header(f"{{{KIND}, 'shape': (-1,)}}", b"x" * 64)),
    "code for a shape": lambda: crop_is(
        with_header("{'descr': __import__('os').system('true'), 'shape': ()}")
    ),
    "no header": lambda: crop_is(b"\x93NUMPY\x01\x00"),
    "header of lists": lambda: crop_is(with_header("{[]: 1}")),
    "header without an end": lambda: crop_is(with_header("{'descr': ")),
    "another version": lambda: crop_is(b"\x93NUMPY\x03\x00" + b"\0" * 64),
    "no array at all": lambda: crop_is(b"hello"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_hold_no_answers(name: str) -> None:
    with raises_code("bundle-reference-outputs", match=r"^here: .*convert reference-outputs"):
        read_reference_outputs(BROKEN[name](), "here")


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpacked(*_: object) -> bytes:
        raise AssertionError("was unpacked")

    monkeypatch.setattr(zipfile.ZipFile, "read", unpacked)
    with raises_code("bundle-reference-outputs", match="unpacks to more than"):
        read_reference_outputs(BROKEN["bomb"](), "here")


# --- In a bundle ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_with_reference_outputs(tmp_path_factory.mktemp("answers") / "tiny")


def test_a_bundle_gives_its_answers(folder: Path) -> None:
    bundle = load_bundle(folder)
    bundle.check()
    answers = bundle.read_reference_outputs()
    assert answers is not None
    assert answers.slices.shape == (2, 160, 160)
    assert Manifest.from_json(bundle.manifest.to_json()) == bundle.manifest


def test_a_bundle_without_answers_is_as_good_as_ever(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "tiny"))
    bundle.check()
    assert bundle.read_reference_outputs() is None
    assert "answers" not in bundle.manifest.to_json()


def test_changed_answers_are_not_read(tmp_path: Path) -> None:
    home = bundle_with_reference_outputs(tmp_path / "tiny")
    data = bytearray((home / REFERENCE_OUTPUTS_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (home / REFERENCE_OUTPUTS_FILE).write_bytes(data)
    for use in (load_bundle(home).read_reference_outputs, load_bundle(home).check):
        with raises_code("bundle-hash", match=REFERENCE_OUTPUTS_FILE):
            use()


def test_broken_answers_with_their_hash_are_refused(tmp_path: Path) -> None:
    home = put_reference_outputs(write_bundle(tmp_path / "tiny"), b"nothing")
    with raises_code("bundle-reference-outputs", match=REFERENCE_OUTPUTS_FILE):
        load_bundle(home).check()


def test_answers_that_are_not_there(tmp_path: Path) -> None:
    home = bundle_with_reference_outputs(tmp_path / "tiny")
    (home / REFERENCE_OUTPUTS_FILE).unlink()
    with raises_code("bundle-file", match=REFERENCE_OUTPUTS_FILE):
        load_bundle(home)


def test_answers_too_large_to_be_read(tmp_path: Path) -> None:
    home = put_reference_outputs(
        write_bundle(tmp_path / "tiny"), b"x" * (LARGEST_REFERENCE_OUTPUTS + 1)
    )
    with raises_code("bundle-file", match="larger than"):
        load_bundle(home)


@pytest.mark.parametrize(
    ("answers", "key"),
    [
        ({"file": "../reference_outputs.npz", "sha256": "0" * 64}, "reference_outputs.file"),
        ({"file": "other.npz", "sha256": "0" * 64}, "reference_outputs.file"),
        ({"file": ["reference_outputs.npz"], "sha256": "0" * 64}, "reference_outputs.file"),
        ({"file": "reference_outputs.npz", "sha256": "0" * 63}, "reference_outputs.sha256"),
        ({"file": "reference_outputs.npz"}, "reference_outputs"),
        ({"file": "reference_outputs.npz", "sha256": "0" * 64, "more": 1}, "reference_outputs"),
        ("reference_outputs.npz", "reference_outputs"),
    ],
)
def test_manifests_with_impossible_answers(answers: object, key: str) -> None:
    data = {name: tiny_model(name).SerializeToString() for name in ("kidney", "lesion")}
    with pytest.raises(BundleManifestError) as caught:
        Manifest.from_json(json.dumps(manifest_of(data, reference_outputs=answers)))
    assert caught.value.key == key


def test_no_network_has_the_name_of_the_answers() -> None:
    data = {name: tiny_model(name).SerializeToString() for name in ("kidney", "lesion")}
    manifest = manifest_of(data)
    manifest["networks"]["kidney"]["file"] = "Reference_Outputs.npz"
    with pytest.raises(BundleManifestError, match="cannot be the name of a network"):
        Manifest.from_json(json.dumps(manifest))


def test_the_bundle_that_ships_says_something() -> None:
    shipped = shipped_models_folder()
    assert shipped is not None
    path = shipped / "phantom" / REFERENCE_OUTPUTS_FILE
    assert path.stat().st_size <= 150_000
    answers = load_bundle(path.parent).read_reference_outputs()
    assert answers is not None
    for probability in (answers.kidney, answers.lesion):
        high = float((probability > 0.9).mean())
        assert 0.005 < high < 0.5
        assert float((probability < 0.1).mean()) > 0.3
    # Both kidneys, and a suspected lesion, would be found.
    assert answers.kidney[:, :, :80].sum() > 1000 < answers.kidney[:, :, 80:].sum()
    assert answers.lesion.sum() > 50
