"""Stored answers in bundles that are installed and exported: as guarded as the networks."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rcc_onnx.bundles.bundle import load_bundle
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE
from rcc_onnx.bundles.reference_outputs import LARGEST_REFERENCE_OUTPUTS
from rcc_onnx.cli.app import app
from tests.support.bundle_zips import zip_of
from tests.support.reference_outputs import bundle_with_reference_outputs, put_reference_outputs
from tests.support.tiny_networks import write_bundle

Files = dict[str, bytes]


def files_of(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return files_of(bundle_with_reference_outputs(tmp_path_factory.mktemp("good") / "tiny"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def install(tmp_path: Path, files: Files | bytes, *options: str) -> tuple[int, str]:
    path = tmp_path / "bundle.zip"
    path.write_bytes(files if isinstance(files, bytes) else zip_of(files))
    result = CliRunner().invoke(app, ["models", "install", str(path), *options])
    return result.exit_code, result.output


def test_answers_are_installed_verified_and_exported(
    tmp_path: Path, home: Path, good: Files
) -> None:
    code, said = install(tmp_path, good)
    assert code == 0, said
    assert files_of(home / "models" / "tiny") == good
    verified = CliRunner().invoke(app, ["models", "verify", "tiny"])
    assert "answers on this machine as the stored ones, within" in verified.output
    exported = tmp_path / "exported.zip"
    result = CliRunner().invoke(app, ["models", "export", "tiny", str(exported)])
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(exported) as archive:
        assert archive.read(f"tiny/{REFERENCE_OUTPUTS_FILE}") == good[REFERENCE_OUTPUTS_FILE]
    code, said = install(tmp_path, exported.read_bytes())
    assert code == 0
    assert "was installed already" in said


def test_a_bundle_without_answers_says_so(tmp_path: Path, home: Path) -> None:
    code, said = install(tmp_path, files_of(write_bundle(tmp_path / "tiny")))
    assert code == 0, said
    verified = CliRunner().invoke(app, ["models", "verify", "tiny"])
    assert "no stored answers" in verified.output


def changed(good: Files, place: int) -> Files:
    data = bytearray(good[REFERENCE_OUTPUTS_FILE])
    data[place] ^= 1
    return {**good, REFERENCE_OUTPUTS_FILE: bytes(data)}


def with_answers(good: Files, data: bytes, folder: Path) -> Files:
    folder.mkdir()
    for name, content in good.items():
        (folder / name).write_bytes(content)
    return files_of(put_reference_outputs(folder, data))


def pointing(good: Files, file: object) -> Files:
    manifest = json.loads(good["manifest.json"])
    manifest["reference_outputs"]["file"] = file
    return {**good, "manifest.json": json.dumps(manifest).encode()}


def undeclared(good: Files) -> Files:
    manifest = json.loads(good["manifest.json"])
    del manifest["reference_outputs"]
    return {**good, "manifest.json": json.dumps(manifest).encode()}


def off(folder: Path) -> Files:
    return files_of(bundle_with_reference_outputs(folder, off_by=0.01))


ATTACKS: dict[str, tuple[Callable[[Files, Path], Files], str]] = {
    "a bit flipped at the start": (lambda good, _: changed(good, 5), "bundle-hash"),
    "a bit flipped in the middle": (lambda good, _: changed(good, 9999), "bundle-hash"),
    "missing": (
        lambda good, _: {
            name: data for name, data in good.items() if name != REFERENCE_OUTPUTS_FILE
        },
        "bundle-file",
    ),
    "named elsewhere": (lambda good, _: pointing(good, "../x.npz"), "bundle-manifest"),
    "named as the manifest": (lambda good, _: pointing(good, "manifest.json"), "bundle-manifest"),
    "no file name": (lambda good, _: pointing(good, 7), "bundle-manifest"),
    "not declared": (lambda good, _: undeclared(good), "bundle-undeclared-file"),
    "no zip file, with its hash": (
        lambda good, folder: with_answers(good, b"nothing", folder),
        "bundle-reference-outputs",
    ),
    "too large, with its hash": (
        lambda good, folder: with_answers(good, b"x" * (LARGEST_REFERENCE_OUTPUTS + 1), folder),
        "bundle-archive-too-large",
    ),
    "a network in its place, with its hash": (
        lambda good, folder: with_answers(good, good["kidney.onnx"], folder),
        "bundle-reference-outputs",
    ),
    "answers of another network, with their hash": (
        lambda _, folder: off(folder),
        "provider-disagrees",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_tampered_answers_are_refused_and_the_installed_bundle_stays(
    name: str, tmp_path: Path, home: Path, good: Files
) -> None:
    assert install(tmp_path, good)[0] == 0
    attack, code = ATTACKS[name]
    ended, said = install(tmp_path, attack(good, tmp_path / "tampered"), "--replace")
    assert ended == 2
    assert f"error [{code}]" in said
    assert files_of(home / "models" / "tiny") == good
    load_bundle(home / "models" / "tiny").check()


def test_changed_answers_are_not_exported(tmp_path: Path, good: Files) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, data in changed(good, 9999).items():
        (folder / name).write_bytes(data)
    result = CliRunner().invoke(app, ["models", "export", str(folder), str(tmp_path / "x.zip")])
    assert result.exit_code == 2
    assert "error [bundle-hash]" in result.output
    assert not (tmp_path / "x.zip").exists()


def test_half_copied_answers_in_a_folder(tmp_path: Path, home: Path, good: Files) -> None:
    folder = bundle_with_reference_outputs(tmp_path / "half")
    (folder / REFERENCE_OUTPUTS_FILE).write_bytes(good[REFERENCE_OUTPUTS_FILE][:-10])
    result = CliRunner().invoke(app, ["models", "install", str(folder)])
    assert result.exit_code == 2
    assert "error [bundle-hash]" in result.output
    shutil.rmtree(folder)
    assert not (home / "models" / "tiny").exists()
