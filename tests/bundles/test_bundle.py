"""Bundles: what is tampered with is refused, and the right one is found or the error says why."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rcc_onnx.bundles import bundle as bundles
from rcc_onnx.bundles.bundle import (
    BrokenBundle,
    Bundle,
    choose_bundle,
    find_bundle,
    hidden_bundles,
    installed_bundles,
    load_bundle,
    search_folders,
    shipped_models_folder,
)
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE
from rcc_onnx.errors import BundleFolderError
from tests.support.errors import raises_code
from tests.support.reference_outputs import bundle_with_reference_outputs, put_reference_outputs
from tests.support.tiny_networks import add_variant, tiny_model, write_bundle

needs_links = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no such files, or needs a privilege"
)


# --- Loading -------------------------------------------------------------------------------------


def test_whole_bundle_loads_and_gives_the_bytes_that_were_hashed(tmp_path: Path) -> None:
    folder = bundle_with_reference_outputs(tmp_path / "tiny")
    bundle = load_bundle(folder)
    bundle.check()
    assert bundle.name == "tiny"
    assert bundle.read_network("lesion") == (folder / "lesion.onnx").read_bytes()
    outputs = bundle.read_reference_outputs()
    assert outputs is not None
    assert outputs.slices.shape == (2, 160, 160)


def test_a_bundle_without_reference_outputs_is_whole(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "tiny"))
    bundle.check()
    assert bundle.read_reference_outputs() is None


@pytest.mark.parametrize("file", ["kidney.onnx", REFERENCE_OUTPUTS_FILE, "lesion.int8.onnx"])
def test_every_flipped_bit_is_noticed(tmp_path: Path, file: str) -> None:
    folder = bundle_with_reference_outputs(tmp_path / "tiny")
    add_variant(folder, "lesion", "int8", tiny_model("lesion", seed=2).SerializeToString())
    bundle, data = load_bundle(folder), bytearray((folder / file).read_bytes())
    for position in range(0, len(data), len(data) // 40):
        data[position] ^= 1
        (folder / file).write_bytes(data)
        with raises_code("bundle-hash", match=f"{file}: has SHA-256"):
            bundle.check()
        data[position] ^= 1


def _external() -> bytes:
    model = tiny_model()
    model.graph.initializer[0].external_data.add(key="location", value="../../weights.bin")
    return model.SerializeToString()


def _foreign() -> bytes:
    model = tiny_model()
    model.graph.node[2].domain = "somebody.else"
    return model.SerializeToString()


UNFIT: dict[str, tuple[bytes, str]] = {
    "of the other network": (tiny_model("lesion").SerializeToString(), "bundle-network"),
    "of another shape": (tiny_model(shape=(128, 128, 1)).SerializeToString(), "bundle-network"),
    "with weights outside the file": (_external(), "external-data"),
    "with operators that are not ONNX's": (_foreign(), "custom-operator"),
    "empty": (b"", "onnx-format"),
    "a web page": (b"<html>not found</html>", "onnx-format"),
    "a pickle": (b"cos\nsystem\n(S'touch owned'\ntR.", "onnx-format"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_network_that_has_its_hash_but_is_unfit(tmp_path: Path, kind: str) -> None:
    data, code = UNFIT[kind]
    bundle = load_bundle(write_bundle(tmp_path / "tiny", {"kidney": data}))
    with raises_code(code, match=r"kidney\.onnx: "):
        bundle.check()


def test_reference_outputs_that_have_their_hash_but_are_damaged(tmp_path: Path) -> None:
    folder = put_reference_outputs(write_bundle(tmp_path / "tiny"), b"nothing")
    with raises_code("bundle-reference-outputs", match=REFERENCE_OUTPUTS_FILE):
        load_bundle(folder).check()


def test_no_manifest(tmp_path: Path) -> None:
    with raises_code("bundle-folder", match=r"has no manifest\.json") as caught:
        load_bundle(tmp_path)
    assert isinstance(caught.value, FileNotFoundError)
    with raises_code("bundle-folder", match="is not a folder"):
        load_bundle(tmp_path / "nothing")


def _link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def _link_outside(path: Path) -> None:
    path.symlink_to(path.parents[1] / "outside")


NOT_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "not a regular file"),
    "pipe": (lambda path: os.mkfifo(path), "not a regular file"),  # noqa: PLW0108  not on Windows
    "link to itself": (_link_loop, ": "),
    "link outside": (_link_outside, "leads out of"),
    "too large": (lambda path: path.write_bytes(b" " * (2**20 + 1)), "larger than"),
    "missing": (lambda _: None, "No such file"),
}
FILES = ("manifest.json", REFERENCE_OUTPUTS_FILE, "lesion.onnx")
CASES = {(file, kind) for file in FILES for kind in NOT_FILES}


@needs_links
@pytest.mark.parametrize(
    ("file", "kind"),
    sorted(CASES - {("manifest.json", "missing"), ("lesion.onnx", "too large")}),
)
def test_what_is_not_a_file_of_the_bundle(tmp_path: Path, file: str, kind: str) -> None:
    make, words = NOT_FILES[kind]
    (tmp_path / "outside").write_bytes(b"secret")
    folder = bundle_with_reference_outputs(tmp_path / "tiny")
    bundle = load_bundle(folder)
    (folder / file).unlink()
    make(folder / file)
    with raises_code("bundle-file", match=words):
        load_bundle(folder)
    if file != "manifest.json":  # put there after loading
        with raises_code("bundle-file", match=words):
            bundle.check()


@needs_links
def test_link_within_the_folder_and_linked_folder_are_fine(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "kidney.onnx").rename(folder / "v1.onnx")
    (folder / "kidney.onnx").symlink_to("v1.onnx")
    (tmp_path / "linked").symlink_to(folder, target_is_directory=True)
    load_bundle(tmp_path / "linked").check()


# --- Finding -------------------------------------------------------------------------------------


def test_bundles_are_listed_by_name_and_other_things_passed_over(tmp_path: Path) -> None:
    write_bundle(tmp_path / "1", name="b")
    write_bundle(tmp_path / "2", name="a")
    (tmp_path / "no-bundle").mkdir()
    (tmp_path / "file").write_text("")
    assert [bundle.name for bundle in installed_bundles([tmp_path])] == ["a", "b"]


def test_earlier_folder_hides_the_same_name(tmp_path: Path) -> None:
    mine = write_bundle(tmp_path / "mine" / "x", name="phantom")
    write_bundle(tmp_path / "shipped" / "phantom", name="phantom")
    (only,) = installed_bundles([tmp_path / "mine", tmp_path / "shipped"])
    assert only.folder == mine


def test_hidden_bundles_are_told_with_what_hides_them(tmp_path: Path) -> None:
    mine = write_bundle(tmp_path / "mine" / "x", name="phantom")
    write_bundle(tmp_path / "mine" / "y", name="other")
    hidden = write_bundle(tmp_path / "installed" / "phantom", name="phantom")
    shipped = write_bundle(tmp_path / "shipped" / "phantom", name="phantom")
    found = hidden_bundles([tmp_path / "mine", tmp_path / "installed", tmp_path / "shipped"])
    assert [(bundle.folder, hider) for bundle, hider in found] == [(hidden, mine), (shipped, mine)]
    assert hidden_bundles([tmp_path / "mine"]) == ()


def _broken(folder: Path, **changes: object) -> Path:
    write_bundle(folder, **changes)
    (folder / "kidney.onnx").unlink()
    return folder


def test_broken_bundle_is_listed_and_is_an_error_when_asked_for(tmp_path: Path) -> None:
    _broken(tmp_path / "x", name="half")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "manifest.json").write_text("{}")
    half, other = installed_bundles([tmp_path])
    assert isinstance(half, BrokenBundle)
    assert (half.name, half.error.code) == ("half", "bundle-file")
    assert isinstance(other, BrokenBundle)
    assert (other.name, other.error.code) == ("y", "bundle-manifest")
    with raises_code("bundle-file"):
        find_bundle("half", [half, other])


def test_tampered_bundle_is_listed_as_broken_when_checked(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "x")
    (folder / "kidney.onnx").write_bytes(b"changed")
    (shallow,) = installed_bundles([tmp_path])
    (deep,) = installed_bundles([tmp_path], check=True)
    assert isinstance(shallow, Bundle)
    assert isinstance(deep, BrokenBundle)
    assert deep.error.code == "bundle-hash"


@needs_links
def test_manifest_that_is_a_dead_link_is_listed_as_broken(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "manifest.json").symlink_to("nothing")
    (broken,) = installed_bundles([tmp_path])
    assert isinstance(broken, BrokenBundle)


def test_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(BundleFolderError):
        installed_bundles([tmp_path / "nothing"])


def test_find_by_name(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "x", name="mine")
    assert find_bundle("mine", installed_bundles([tmp_path])).folder == folder


def test_find_by_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "x", name="mine")
    monkeypatch.chdir(tmp_path)
    for given in ("x", "./x", "x/", str(tmp_path / "x")):
        assert find_bundle(given, []).name == "mine"
    monkeypatch.chdir(tmp_path / "x")
    assert find_bundle(".", []).name == "mine"


def test_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", name="mine")
    _broken(tmp_path / "y", name="half")
    with raises_code("unknown-bundle", match="Installed: half, mine"):
        find_bundle("other", installed_bundles([tmp_path]))
    with raises_code("unknown-bundle", match="Installed: none"):
        find_bundle("other", [])


def test_one_name_twice_in_one_folder(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", name="mine")
    write_bundle(tmp_path / "y", name="mine")
    with raises_code("several-bundles", match="as a folder"):
        find_bundle("mine", installed_bundles([tmp_path]))


@pytest.mark.parametrize("given", ["./nothing", "nothing/", "a\\b", "x\0/", "n" * 5000 + "/"])
def test_folder_that_is_none(given: str) -> None:
    with pytest.raises(BundleFolderError):
        find_bundle(given, [])


# --- Choosing ------------------------------------------------------------------------------------

PHANTOM, PATIENT = ["digital-phantom"], ["patient"]


def test_only_suitable_bundle_is_chosen(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", name="phantom", use_on=PHANTOM)
    write_bundle(tmp_path / "y", name="published", use_on=PATIENT)
    installed = installed_bundles([tmp_path])
    assert choose_bundle("patient", installed).name == "published"
    assert choose_bundle("digital-phantom", installed).name == "phantom"


def test_nothing_installed() -> None:
    with raises_code("no-bundle", match="python -m convert"):
        choose_bundle("digital-phantom", [])


def test_no_bundle_for_patients(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", name="phantom", use_on=PHANTOM)
    with raises_code("no-patient-bundle") as caught:
        choose_bundle("patient", installed_bundles([tmp_path]))
    message = str(caught.value)
    assert caught.value.code == "no-patient-bundle"
    assert "Naoki-Toda/RCC_detection" in message
    command = "python -m convert kidney_segmentation.h5 RCC_segmentation.h5 --name published"
    assert f"{command} --out models/published" in message
    assert "--models phantom" in message
    assert "mean nothing" in message


def test_no_bundle_for_phantoms(tmp_path: Path) -> None:
    write_bundle(tmp_path / "y", name="published", use_on=PATIENT)
    with raises_code("no-bundle", match="installed: published"):
        choose_bundle("digital-phantom", installed_bundles([tmp_path]))


def test_several_suitable_bundles(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", name="first", use_on=[*PATIENT, *PHANTOM])
    write_bundle(tmp_path / "y", name="second", use_on=PATIENT)
    installed = installed_bundles([tmp_path])
    with raises_code("several-bundles", match=r"first .*second .*--models NAME"):
        choose_bundle("patient", installed)
    assert choose_bundle("digital-phantom", installed).name == "first"


def test_broken_bundle_is_named_where_none_is_left(tmp_path: Path) -> None:
    _broken(tmp_path / "x", name="half")
    installed = installed_bundles([tmp_path])
    with raises_code("no-patient-bundle", match="half is broken"):
        choose_bundle("patient", installed)
    with raises_code("no-bundle", match="half is broken"):
        choose_bundle("digital-phantom", installed)


def test_broken_bundle_is_warned_of_where_another_will_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _broken(tmp_path / "x", name="half")
    write_bundle(tmp_path / "y", name="whole")
    assert choose_bundle("digital-phantom", installed_bundles([tmp_path])).name == "whole"
    assert "half is broken" in caplog.text


# --- Where bundles are looked for ----------------------------------------------------------------


def test_bundles_are_looked_for_as_the_variables_say_at_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, mine, shipped = tmp_path / "home", tmp_path / "mine", tmp_path / "shipped"
    monkeypatch.setattr(bundles, "shipped_models_folder", lambda: shipped)
    monkeypatch.setenv("RCC_ONNX_HOME", str(home))
    assert search_folders() == (shipped,)
    for folder in (home / "models", home / "replaced"):
        folder.mkdir(parents=True)
    write_bundle(mine / "x", name="from-the-environment")
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(mine))
    assert search_folders() == (mine, home / "models", home / "replaced", shipped)
    shipped.mkdir()
    assert find_bundle("from-the-environment").folder == mine / "x"
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", "")
    assert mine not in search_folders()


def test_variable_that_names_no_folder_of_bundles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(tmp_path / "nothing"))
    with pytest.raises(BundleFolderError, match="which is not a folder"):
        search_folders()
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(write_bundle(tmp_path / "x")))
    with pytest.raises(BundleFolderError, match="which is a bundle"):
        search_folders()


def test_shipped_folder_in_the_package_or_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "rcc_onnx"
    package.mkdir()
    monkeypatch.setattr(bundles, "__file__", str(package / "bundles" / "bundle.py"))
    (tmp_path / "models").mkdir()
    assert shipped_models_folder() is None, "site-packages/models belongs to another package"
    (tmp_path / "pyproject.toml").write_text("")
    assert shipped_models_folder() == tmp_path / "models"
    (package / "models").mkdir()
    assert shipped_models_folder() == package / "models"
