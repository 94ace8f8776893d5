"""Other forms of a network: what a manifest may say of them, and which one runs."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rcc_onnx.bundles.bundle import Bundle, load_bundle
from rcc_onnx.bundles.manifest import Manifest
from rcc_onnx.engine import Engine
from rcc_onnx.errors import BundleManifestError, NetworkOutputError, OptionError
from rcc_onnx.runtime.providers import candidates, choose_variants
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.runtime.verify import verify_bundle
from rcc_onnx.types import Precision, ProviderName
from tests.support.errors import raises_code
from tests.support.tiny_networks import add_variant, tiny_model, write_bundle


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A bundle whose lesion network has both variants for the CPU, each with other weights."""
    folder = write_bundle(tmp_path / "tiny")
    for seed, name in ((1, "cpu"), (2, "int8")):
        add_variant(folder, "lesion", name, tiny_model("lesion", seed=seed).SerializeToString())
    return folder


def raw(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text()))


def test_a_manifest_with_variants_comes_back_unchanged(folder: Path) -> None:
    manifest = load_bundle(folder).manifest
    assert manifest.networks.lesion.variant_names == ("plain", "cpu", "int8")
    assert manifest.networks.lesion.variant("cpu").file == "lesion.cpu.onnx"
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert json.loads(manifest.to_json()) == raw(folder)


def test_a_manifest_without_variants_does_not_speak_of_them(tmp_path: Path) -> None:
    manifest = load_bundle(write_bundle(tmp_path / "old")).manifest
    assert manifest.networks.lesion.variant_names == ("plain",)
    assert "variants" not in manifest.to_json()
    assert "left_out" not in manifest.to_json()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda lesion: lesion["variants"].update(fast=lesion["variants"]["cpu"]), "variants"),
        (lambda lesion: lesion["variants"]["cpu"].update(file="../x.onnx"), "variants.cpu.file"),
        (lambda lesion: lesion["variants"]["cpu"].update(sha256="x"), "variants.cpu.sha256"),
        (lambda lesion: lesion["variants"]["cpu"].update(note=""), "variants.cpu.note"),
        (lambda lesion: lesion["variants"]["cpu"].update(more=1), "variants.cpu"),
        (
            lambda lesion: lesion["variants"]["cpu"]["comparison"].update(decisions_equal=1),
            "variants.cpu.comparison.decisions_equal",
        ),
        (
            lambda lesion: lesion["variants"]["cpu"]["comparison"].update(least_dice=-1),
            "variants.cpu.comparison.least_dice",
        ),
        (lambda lesion: lesion.update(variants=[]), "variants"),
        (lambda lesion: lesion.update(left_out={"cpu": 1}), "left_out.cpu"),
        (lambda lesion: lesion.update(left_out={"fast": "no"}), "left_out"),
    ],
)
def test_what_a_manifest_may_not_say(folder: Path, change: Any, key: str) -> None:
    changed = copy.deepcopy(raw(folder))
    change(changed["networks"]["lesion"])
    with pytest.raises(BundleManifestError) as caught:
        Manifest.from_json(json.dumps(changed))
    assert caught.value.key == f"networks.lesion.{key}"


def test_two_forms_in_one_file(folder: Path) -> None:
    changed = raw(folder)
    changed["networks"]["lesion"]["variants"]["cpu"]["file"] = "kidney.onnx"
    with pytest.raises(BundleManifestError, match="same file"):
        Manifest.from_json(json.dumps(changed))


def test_a_variant_that_is_missing_or_changed_breaks_the_bundle(folder: Path) -> None:
    path = folder / "lesion.int8.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with raises_code("bundle-hash", match=r"lesion\.int8\.onnx"):
        load_bundle(folder).check()
    with raises_code("bundle-hash"):
        open_networks(load_bundle(folder), ProviderName.CPU, precision=Precision.INT8)
    # Another form of the same bundle is whole.
    open_networks(load_bundle(folder), ProviderName.CPU)
    path.unlink()
    with raises_code("bundle-file", match=r"lesion\.int8\.onnx"):
        load_bundle(folder)


def answer(bundle: Bundle, precision: Precision) -> np.ndarray:
    networks = open_networks(bundle, ProviderName.CPU, precision=precision)
    return networks.lesion_probability(np.full((40, 64, 64), 0.5, np.float32))


def test_the_form_that_is_reported_is_the_one_that_runs(folder: Path) -> None:
    bundle = load_bundle(folder)
    for precision, form, seed in ((Precision.FLOAT32, "cpu", 1), (Precision.INT8, "int8", 2)):
        record = open_networks(bundle, ProviderName.CPU, precision=precision).record
        assert record.precision is precision
        assert record.variants == {"kidney": "plain", "lesion": form}
        alone = write_bundle(
            folder.parent / form,
            {"lesion": tiny_model("lesion", seed=seed).SerializeToString()},
        )
        expected = answer(load_bundle(alone), Precision.FLOAT32)
        np.testing.assert_array_equal(answer(bundle, precision), expected)


def test_gpus_take_the_plain_form(folder: Path) -> None:
    forms = choose_variants(load_bundle(folder), ProviderName.CUDA, Precision.FLOAT32)
    assert forms == {"kidney": "plain", "lesion": "plain"}


def test_int8_is_for_the_cpu_and_for_bundles_that_have_it(folder: Path, tmp_path: Path) -> None:
    with raises_code("precision", match="CPU only, not on cuda"):
        open_networks(load_bundle(folder), ProviderName.CUDA, precision=Precision.INT8)
    automatic = open_networks(load_bundle(folder), precision=Precision.INT8)
    assert automatic.record.ran is ProviderName.CPU
    without = load_bundle(write_bundle(tmp_path / "without"))
    with raises_code("precision", match="convert quantize"):
        open_networks(without, precision=Precision.INT8)


def test_float16_is_for_gpus_and_for_bundles_that_have_it(folder: Path) -> None:
    add_variant(folder, "lesion", "float16", tiny_model("lesion", seed=3).SerializeToString())
    bundle = load_bundle(folder)
    for provider in (ProviderName.CUDA, ProviderName.TENSORRT, ProviderName.OPENVINO_GPU):
        assert candidates(provider, Precision.FLOAT16) == (provider,)
        forms = choose_variants(bundle, provider, Precision.FLOAT16)
        assert forms == {"kidney": "plain", "lesion": "float16"}
    for provider in (ProviderName.CPU, ProviderName.OPENVINO, ProviderName.COREML):
        with raises_code("precision", match=f"runs on cuda, .* not on {provider}") as caught:
            open_networks(bundle, provider, precision=Precision.FLOAT16)
        assert caught.value.code == "precision"


def test_a_bundle_without_float16_says_how_to_make_it(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "without"))
    with raises_code("precision", match=r"convert quantize .* --precision float16 makes one"):
        choose_variants(bundle, ProviderName.CUDA, Precision.FLOAT16)


def test_the_engine_takes_a_precision(folder: Path) -> None:
    assert Engine.load(folder, precision="int8").options.precision is Precision.INT8
    with pytest.raises(OptionError, match="float32, int8, float16"):
        Engine.load(folder, precision="int4")


def test_verifying_runs_every_form(folder: Path) -> None:
    assert verify_bundle(load_bundle(folder)).variants == {"kidney": "plain", "lesion": "cpu"}
    broken = tiny_model("lesion", last="Log").SerializeToString()
    add_variant(folder, "lesion", "int8", broken)
    with pytest.raises(NetworkOutputError, match="not finite"):
        verify_bundle(load_bundle(folder))
