"""Reference outputs: written, and read without trust."""

import struct
import zipfile
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest

from rcc_onnx.bundles.bundle import load_bundle, shipped_models_folder
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE
from rcc_onnx.bundles.reference_outputs import (
    STEPS,
    ReferenceOutputs,
    read_reference_outputs,
    write_reference_outputs,
)
from tests.support.errors import raises_code

RNG = np.random.default_rng(3)
OUTPUTS = ReferenceOutputs(
    RNG.integers(0, 256, (2, 160, 160)).astype(np.uint8),
    RNG.integers(0, 256, (40, 64, 64)).astype(np.uint8),
    RNG.random((2, 160, 160), np.float32),
    RNG.random((40, 64, 64), np.float32),
)


def test_what_is_written_is_read_again_within_half_a_step() -> None:
    found = read_reference_outputs(write_reference_outputs(OUTPUTS), "x")
    np.testing.assert_array_equal(found.slices, OUTPUTS.slices)
    np.testing.assert_array_equal(found.crop, OUTPUTS.crop)
    for given, stored in ((OUTPUTS.kidney, found.kidney), (OUTPUTS.lesion, found.lesion)):
        assert stored.dtype == np.float32
        assert np.abs(given - stored).max() <= 0.5 / STEPS + 1e-7


def test_ends_are_kept_and_what_rounding_puts_beyond_them_is_brought_back() -> None:
    lesion = np.zeros((40, 64, 64), np.float32)
    lesion[0, 0, :3] = 1, 1 + 5e-6, -5e-6
    found = read_reference_outputs(
        write_reference_outputs(
            ReferenceOutputs(OUTPUTS.slices, OUTPUTS.crop, OUTPUTS.kidney, lesion)
        ),
        "x",
    )
    assert found.lesion[0, 0, :3].tolist() == [1, 1, 0]


def test_the_same_outputs_give_the_same_file() -> None:
    assert write_reference_outputs(OUTPUTS) == write_reference_outputs(OUTPUTS)


def test_numpy_reads_it_too() -> None:
    with np.load(BytesIO(write_reference_outputs(OUTPUTS)), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["crop", "kidney", "lesion", "slices"]
        np.testing.assert_array_equal(arrays["crop"], OUTPUTS.crop)


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
def test_shapes_that_no_reference_outputs_have(
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
    with zipfile.ZipFile(BytesIO(write_reference_outputs(OUTPUTS))) as archive:
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
    "cut short": lambda: write_reference_outputs(OUTPUTS)[:-40],
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
def test_files_that_hold_no_reference_outputs(name: str) -> None:
    with raises_code("bundle-reference-outputs", match=r"^here: .*convert reference-outputs"):
        read_reference_outputs(BROKEN[name](), "here")


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpacked(*_: object) -> bytes:
        raise AssertionError("was unpacked")

    monkeypatch.setattr(zipfile.ZipFile, "read", unpacked)
    with raises_code("bundle-reference-outputs", match="unpacks to more than"):
        read_reference_outputs(BROKEN["bomb"](), "here")


def test_the_shipped_reference_outputs_hold_kidneys_and_a_lesion() -> None:
    shipped = shipped_models_folder()
    assert shipped is not None
    path = shipped / "phantom" / REFERENCE_OUTPUTS_FILE
    assert path.stat().st_size <= 150_000
    outputs = load_bundle(path.parent).read_reference_outputs()
    assert outputs is not None
    for probability in (outputs.kidney, outputs.lesion):
        high = float((probability > 0.9).mean())
        assert 0.005 < high < 0.5
        assert float((probability < 0.1).mean()) > 0.3
    # Both kidneys, and a suspected lesion, would be found.
    assert outputs.kidney[:, :, :80].sum() > 1000 < outputs.kidney[:, :, 80:].sum()
    assert outputs.lesion.sum() > 50
