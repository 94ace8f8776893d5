"""A whole conversion: the bundle of the tiny files, and every way to end without one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest

from convert import conversion
from convert.conversion import convert_files
from convert.errors import ExportError, OutputExistsError
from convert.keras.frameworks import import_frameworks, third_party
from convert.keras.verification import TOLERANCE, ConvertedNetwork
from convert.optimize.conv3d_to_conv2d import rewrite_3d_convolutions
from convert.optimize.onnx_graph import Rewritten
from rcc_onnx.bundles.bundle import load_bundle
from rcc_onnx.bundles.manifest import ByNetwork
from rcc_onnx.errors import RccOnnxError
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import NETWORK_NAMES, ProviderName, Thresholds
from tests.support.fixtures_convert import TINY_FILES, make_request
from tests.support.keras_files import change_config, edited_copy, layer_of
from tests.support.keras_networks import UNet, save_network

Edit = Callable[[h5py.File], None]


def convert(out: Path, sources: ByNetwork[Path] = TINY_FILES, **changes: Any) -> None:
    convert_files(make_request(out, sources, **changes), lambda step: None)


def test_the_engine_computes_what_keras_computes(tiny_bundle: Path) -> None:
    tf_keras = import_frameworks().tf_keras
    networks = open_networks(load_bundle(tiny_bundle), ProviderName.CPU)
    rng = np.random.default_rng(11)
    slices = rng.random((5, 160, 160), np.float32)
    crop = rng.random((40, 64, 64), np.float32)
    with third_party():
        kidney = tf_keras.models.load_model(TINY_FILES.kidney, compile=False)
        lesion = tf_keras.models.load_model(TINY_FILES.lesion, compile=False)
        expected = (
            kidney(slices[..., np.newaxis], training=False).numpy()[..., 0],
            lesion(crop[np.newaxis, ..., np.newaxis], training=False).numpy()[0, ..., 0],
        )
    given = networks.kidney_probability(slices), networks.lesion_probability(crop)
    for keras, onnx_runtime in zip(expected, given, strict=True):
        assert np.abs(keras - onnx_runtime).max() <= 1e-5


def test_the_engine_takes_the_bundle_and_its_manifest_names_the_sources(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    bundle.check()
    manifest = bundle.manifest
    assert (manifest.name, manifest.use_on) == ("tiny", ("patient", "digital-phantom"))
    assert manifest.default_thresholds == Thresholds(1000.0, 50.0)
    assert manifest.licence == "NOASSERTION"
    provenance = manifest.provenance
    assert provenance is not None
    assert provenance.sources.kidney.file == "kidney_tiny.h5"
    assert provenance.sources.kidney.git_blob == "2957b4d3d11f272ae67787cea06dc4cc958cf7ef"
    assert not provenance.sources.kidney.published
    packages = set(provenance.converter)
    assert packages == {
        *("rcc_onnx", "python", "tensorflow", "tf_keras", "tf2onnx", "onnx", "onnxruntime")
    }
    certificate = provenance.certificate
    assert certificate.holds
    assert certificate.tolerance == TOLERANCE == 1e-4
    for part in (certificate.kidney, certificate.lesion):
        assert part.inputs >= 32
        assert 0 < part.largest_difference < 1e-5
        assert set(part.inputs_by_kind) == {"phantom", "zeros", "ones", "noise"}


def test_the_lesion_network_has_a_variant_for_cpus(tiny_bundle: Path) -> None:
    manifest = load_bundle(tiny_bundle).manifest
    assert not manifest.networks.kidney.variants
    assert "too few wide" in manifest.networks.kidney.left_out["cpu"]
    assert manifest.networks.lesion.variant_names == ("plain", "cpu")
    found = manifest.networks.lesion.variants["cpu"].comparison
    assert found.decisions_equal
    assert found.inputs == found.decisions == 36
    assert found.least_dice == 1
    assert 0 < found.largest_difference < 1e-5
    networks = open_networks(load_bundle(tiny_bundle), ProviderName.CPU)
    assert networks.record.variants == {"kidney": "plain", "lesion": "cpu"}


def test_a_variant_that_differs_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(model: onnx.ModelProto) -> Rewritten:
        flat = rewrite_3d_convolutions(model)
        assert flat.model is not None
        for weight in flat.model.graph.initializer:
            if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) == 4:
                values = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
                weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return flat

    monkeypatch.setattr("convert.optimize.cpu_variant.rewrite_3d_convolutions", spoilt)
    out = tmp_path / "spoilt"
    convert(out)
    entry = load_bundle(out).manifest.networks.lesion
    assert entry.variant_names == ("plain",)
    assert "differ by up to" in entry.left_out["cpu"]
    assert not (out / "lesion.cpu.onnx").exists()


@pytest.mark.parametrize("network", NETWORK_NAMES)
def test_the_onnx_file(tiny_bundle: Path, network: str) -> None:
    path = tiny_bundle / f"{network}.onnx"
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    ends = [*model.graph.input, *model.graph.output]
    assert [end.name for end in ends] == ["image", "probability"]
    sizes = [160, 160, 1] if network == "kidney" else [40, 64, 64, 1]
    for end in ends:
        batch, *rest = end.type.tensor_type.shape.dim
        assert batch.dim_param == "batch"
        assert [dim.dim_value for dim in rest] == sizes
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["rcc_onnx.network"] == network
    assert facts["rcc_onnx.source_is_published_file"] == "no"
    assert len(facts["rcc_onnx.source_git_blob"]) == 40
    assert facts["rcc_onnx.tolerance"] == "0.0001"
    assert float(facts["rcc_onnx.largest_difference"]) < 1e-5
    assert facts["rcc_onnx.use"].startswith("Research use only.")
    assert str(Path.home()).encode() not in path.read_bytes()


def test_the_model_card(tiny_bundle: Path) -> None:
    card = (tiny_bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Research use only" in card
    assert "2957b4d3d11f272ae67787cea06dc4cc958cf7ef" in card
    # Figures of the published networks are not claimed for others.
    assert "84.3" not in card
    assert "published results say nothing" in card


def test_converting_again_gives_the_same_bytes(tiny_bundle: Path, tmp_path: Path) -> None:
    convert(tmp_path / "again")
    for path in tiny_bundle.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_published_files_are_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = ByNetwork(
        "2957b4d3d11f272ae67787cea06dc4cc958cf7ef", "341443fe1bd7432c7f4fb618a635e43b1522ac28"
    )
    monkeypatch.setattr("convert.keras.source.PUBLISHED_GIT_BLOBS", blobs)
    out = tmp_path / "published"
    convert(out)
    manifest = load_bundle(out).manifest
    assert manifest.licence == "Apache-2.0"
    assert manifest.provenance is not None
    assert manifest.provenance.sources.kidney.published
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    for figure in ("0.930", "84.3 %", "92.3 %", "0.933", "84.8 %", "90.2 %", "Toda"):
        assert figure in card


def refused(tmp_path: Path, sources: ByNetwork[Path], **changes: Any) -> RccOnnxError:
    """The error of a conversion that must leave nothing behind."""
    outs = tmp_path / "outs"
    outs.mkdir()
    with pytest.raises(RccOnnxError) as raised:
        convert(outs / "bundle", sources, **changes)
    assert list(outs.iterdir()) == []
    return raised.value


def test_a_lambda_layer_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    def build(layers: Any, keras: Any) -> Any:
        def leave_a_mark(x: Any, path: str = str(marker)) -> Any:
            with open(path, "w") as file:  # noqa: PTH123  pathlib may not be known where it runs
                file.write("was run")
            return x

        inputs = layers.Input((160, 160, 1))
        x = layers.Lambda(leave_a_mark)(inputs)
        return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))

    path = save_network(build, tmp_path / "kidney.h5")
    # It was run while it was built here; loading it would run it again.
    marker.unlink()
    problem = refused(tmp_path, ByNetwork(path, TINY_FILES.lesion))
    assert problem.code == "convert-lambda"
    assert not marker.exists()
    with third_party():
        import_frameworks().tf_keras.models.load_model(path, compile=False, safe_mode=False)
    assert marker.exists(), "this test would not notice if the layer were run"


def edit_layer(name: str, **options: Any) -> Edit:
    return change_config(lambda config: layer_of(config, name)["config"].update(options))


def name_an_extra_layer(file: h5py.File) -> None:
    root = file["model_weights"]
    root.copy("conv2d_1", "extra")
    root.attrs["layer_names"] = np.array([*root.attrs["layer_names"], "extra"], dtype="S32")


def leave_a_layer_out(file: h5py.File) -> None:
    root = file["model_weights"]
    names = [name for name in root.attrs["layer_names"] if name != "batch_normalization_1"]
    root.attrs["layer_names"] = np.array(names, dtype="S32")


@pytest.mark.parametrize(
    ("edit", "code", "text"),
    [
        (edit_layer("conv2d_1", padding="sideways"), "convert-load", "tf_keras cannot build"),
        (edit_layer("conv2d_1", no_such_option=1), "convert-load", "tf_keras cannot build"),
        (edit_layer("conv2d_1", filters=1), "convert-weights", "needs weights of shapes"),
        (name_an_extra_layer, "convert-weights", "'extra'"),
        (leave_a_layer_out, "convert-weights", "no weights for layer 'batch_normalization_1'"),
    ],
)
def test_networks_that_are_refused(tmp_path: Path, edit: Edit, code: str, text: str) -> None:
    path = edited_copy(tmp_path, edit, TINY_FILES.kidney)
    problem = refused(tmp_path, ByNetwork(path, TINY_FILES.lesion))
    assert problem.code == code
    assert text in str(problem)


def test_channels_first_where_tensorflow_cannot_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_network(UNet(width=2, channels_first=True).build, tmp_path / "kidney.h5")

    def fail(*arguments: Any) -> None:
        raise ExportError("no such operation")

    monkeypatch.setattr(conversion, "export_network", fail)
    problem = refused(tmp_path, ByNetwork(path, TINY_FILES.lesion))
    assert problem.code == "convert-channels-first"
    assert "no such operation. The network works on channels first" in str(problem)
    assert "channels_last" in str(problem)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "No Spaces"}, "--name"),
        ({"name": "../up"}, "--name"),
        ({"version": ""}, "--version"),
        ({"purpose": ""}, "--purpose"),
        ({"use_on": ("everybody",)}, "--use-on"),
    ],
)
def test_options_that_no_bundle_can_have(tmp_path: Path, changes: Any, text: str) -> None:
    problem = refused(tmp_path, TINY_FILES, **changes)
    assert problem.code == "convert-option"
    assert text in str(problem)


def test_an_existing_folder_is_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputExistsError):
        convert_files(make_request(tmp_path / "out"), pytest.fail)


class Wrong(ConvertedNetwork):
    """A converted network that is a little off."""

    def predict(self, inputs: Any) -> Any:
        return np.clip(super().predict(inputs) + np.float32(3e-4), 0, 1)


def test_networks_that_differ_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = conversion.open_converted
    monkeypatch.setattr(conversion, "open_converted", lambda *args: Wrong(plain(*args).network))
    problem = refused(tmp_path, TINY_FILES)
    assert problem.code == "convert-parity"
    assert "0.0003" in str(problem)


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    outs = tmp_path / "outs"
    outs.mkdir()

    def stop(text: str) -> None:
        if text.startswith("Comparing the lesion"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_files(make_request(outs / "bundle"), stop)
    assert list(outs.iterdir()) == []
