"""Bundles: what is tampered with is refused, and the right one is found or the error says why."""

import json
import os
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
from rcc_onnx.errors import BundleFolderError, BundleManifestError, OnnxFormatError
from tests.support.errors import raises_code
from tests.support.tiny_networks import tiny_model, write_bundle

needs_links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")


# --- Loading -------------------------------------------------------------------------------------


def test_whole_bundle_loads_and_gives_the_bytes_that_were_hashed(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    bundle = load_bundle(folder)
    bundle.check()
    assert bundle.name == "tiny"
    assert bundle.read_network("lesion") == (folder / "lesion.onnx").read_bytes()


def test_every_flipped_bit_of_a_network_is_noticed(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    data = bytearray((folder / "kidney.onnx").read_bytes())
    for position in range(0, len(data), 7):
        data[position] ^= 1
        (folder / "kidney.onnx").write_bytes(data)
        with raises_code("bundle-hash", match=r"kidney\.onnx: has SHA-256") as caught:
            load_bundle(folder).check()
        assert caught.value.code == "bundle-hash"
        data[position] ^= 1


def test_swapped_files(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "kidney.onnx").rename(folder / "other")
    (folder / "lesion.onnx").rename(folder / "kidney.onnx")
    (folder / "other").rename(folder / "lesion.onnx")
    with raises_code("bundle-hash"):
        load_bundle(folder).check()


def test_swapped_networks_with_hashes_to_fit(tmp_path: Path) -> None:
    swapped = {
        "kidney": tiny_model("lesion").SerializeToString(),
        "lesion": tiny_model("kidney").SerializeToString(),
    }
    with raises_code("bundle-network", match="the input is"):
        load_bundle(write_bundle(tmp_path / "tiny", swapped)).check()


def test_network_of_another_shape_with_hash_to_fit(tmp_path: Path) -> None:
    network = tiny_model("lesion", shape=(32, 64, 64, 1)).SerializeToString()
    with raises_code("bundle-network", match=r"32, 64, 64, 1"):
        load_bundle(write_bundle(tmp_path / "tiny", {"lesion": network})).check()


def test_unsafe_networks_with_hashes_to_fit(tmp_path: Path) -> None:
    outside, custom = tiny_model(), tiny_model()
    outside.graph.initializer[0].external_data.add(key="location", value="../../weights.bin")
    custom.graph.node[2].domain = "somebody.else"
    for name, model, code in (
        ("o", outside, "external-data"),
        ("c", custom, "custom-operator"),
    ):
        folder = write_bundle(tmp_path / name, {"kidney": model.SerializeToString()})
        with raises_code(code):
            load_bundle(folder).check()


def test_network_that_is_no_onnx_with_hash_to_fit(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "tiny", {"kidney": b"<html>not found</html>"}))
    with pytest.raises(OnnxFormatError, match=r"kidney\.onnx: is no well-formed ONNX file"):
        bundle.check()


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(BundleFolderError, match=r"has no manifest\.json") as caught:
        load_bundle(tmp_path)
    assert caught.value.code == "bundle-folder"
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(BundleFolderError, match="is no folder"):
        load_bundle(tmp_path / "nothing")


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"{}", b"not json"])
def test_broken_manifest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(BundleManifestError):
        load_bundle(tmp_path)


def test_manifest_too_large(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b" " * (bundles.LARGEST_MANIFEST + 1))
    with raises_code("bundle-file", match="larger than"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("path", ["../outside.onnx", "/etc/passwd", "sub/kidney.onnx"])
def test_path_that_leaves_the_folder(tmp_path: Path, path: str) -> None:
    folder = write_bundle(tmp_path / "tiny")
    raw = json.loads((folder / "manifest.json").read_text())
    raw["networks"]["kidney"]["file"] = path
    (folder / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(BundleManifestError, match=r"networks\.kidney\.file"):
        load_bundle(folder)


def test_missing_network(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "lesion.onnx").unlink()
    with raises_code("bundle-file", match=r"lesion\.onnx: No such file"):
        load_bundle(folder)


def test_folder_in_place_of_a_network(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "lesion.onnx").unlink()
    (folder / "lesion.onnx").mkdir()
    with raises_code("bundle-file", match="not a regular file"):
        load_bundle(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_in_place_of_a_network_does_not_hang(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "lesion.onnx").unlink()
    os.mkfifo(folder / "lesion.onnx")
    with raises_code("bundle-file", match="not a regular file"):
        load_bundle(folder)


@needs_links
def test_link_out_of_the_folder(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "kidney.onnx").rename(tmp_path / "outside.onnx")
    (folder / "kidney.onnx").symlink_to(tmp_path / "outside.onnx")
    with raises_code("bundle-file", match="leads out of"):
        load_bundle(folder)


@needs_links
def test_link_put_there_after_loading(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "tiny"))
    (bundle.folder / "kidney.onnx").rename(tmp_path / "outside.onnx")
    (bundle.folder / "kidney.onnx").symlink_to(tmp_path / "outside.onnx")
    with raises_code("bundle-file", match="leads out of"):
        bundle.read_network("kidney")


@needs_links
def test_link_within_the_folder_and_linked_folder_are_fine(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "kidney.onnx").rename(folder / "v1.onnx")
    (folder / "kidney.onnx").symlink_to("v1.onnx")
    (tmp_path / "linked").symlink_to(folder, target_is_directory=True)
    load_bundle(tmp_path / "linked").check()


@needs_links
def test_link_loop(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    (folder / "kidney.onnx").unlink()
    (folder / "kidney.onnx").symlink_to("kidney.onnx")
    with raises_code("bundle-file"):
        load_bundle(folder)


# --- Finding -------------------------------------------------------------------------------------


def test_bundles_are_listed_by_name_and_other_things_passed_over(tmp_path: Path) -> None:
    write_bundle(tmp_path / "1", name="b")
    write_bundle(tmp_path / "2", name="a")
    (tmp_path / "no-bundle").mkdir()
    (tmp_path / "file").write_text("")
    assert [one.name for one in installed_bundles([tmp_path])] == ["a", "b"]


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
    assert [(one.folder, by) for one, by in found] == [(hidden, mine), (shipped, mine)]
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
    (one,) = installed_bundles([tmp_path])
    assert isinstance(one, BrokenBundle)


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


def test_variable_comes_before_what_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "shipped_models_folder", lambda: Path("shipped"))
    none = {"RCC_ONNX_HOME": str(tmp_path / "none")}
    named = none | {"RCC_ONNX_MODELS_FOLDER": str(tmp_path)}
    assert search_folders(named) == (tmp_path, Path("shipped"))
    assert search_folders(none | {"RCC_ONNX_MODELS_FOLDER": ""}) == (Path("shipped"),)
    assert search_folders(none) == (Path("shipped"),)


def test_installed_bundles_come_between_the_variable_and_what_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, mine, shipped = tmp_path / "home", tmp_path / "mine", tmp_path / "shipped"
    monkeypatch.setattr(bundles, "shipped_models_folder", lambda: shipped)
    for folder in (home / "models", home / "replaced", mine):
        folder.mkdir(parents=True)
    environ = {"RCC_ONNX_HOME": str(home), "RCC_ONNX_MODELS_FOLDER": str(mine)}
    assert search_folders(environ) == (mine, home / "models", home / "replaced", shipped)


def test_variable_is_read_at_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "x", name="from-the-environment")
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(tmp_path))
    assert find_bundle("from-the-environment").folder == tmp_path / "x"


def test_variable_that_names_no_folder_of_bundles(tmp_path: Path) -> None:
    with pytest.raises(BundleFolderError, match="which is no folder"):
        search_folders({"RCC_ONNX_MODELS_FOLDER": str(tmp_path / "nothing")})
    folder = write_bundle(tmp_path / "x")
    with pytest.raises(BundleFolderError, match="which is a bundle"):
        search_folders({"RCC_ONNX_MODELS_FOLDER": str(folder)})


def test_shipped_folder_in_the_package_or_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "rcc_onnx"
    package.mkdir()
    monkeypatch.setattr(bundles, "__file__", str(package / "bundles" / "bundle.py"))
    (tmp_path / "models").mkdir()
    assert shipped_models_folder() is None, "site-packages/models is somebody else's"
    (tmp_path / "pyproject.toml").write_text("")
    assert shipped_models_folder() == tmp_path / "models"
    (package / "models").mkdir()
    assert shipped_models_folder() == package / "models"
