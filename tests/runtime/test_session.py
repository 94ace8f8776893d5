"""Sessions on the CPU, and every way in which another provider can fail, by a stand-in runtime."""

import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rcc_onnx.bundles.bundle import Bundle, find_bundle, load_bundle
from rcc_onnx.errors import (
    NetworkOutputError,
    ProviderError,
    ProviderNotInstalledError,
)
from rcc_onnx.phantom import network_samples
from rcc_onnx.runtime import providers
from rcc_onnx.runtime import session as sessions
from rcc_onnx.runtime.networks import Networks
from rcc_onnx.runtime.providers import AUTO_ORDER, SPECS
from rcc_onnx.runtime.session import OnnxNetworks, open_network, open_networks
from rcc_onnx.types import Precision, ProviderName
from tests.support.errors import raises_code
from tests.support.tiny_networks import SHAPES, add_variant, tiny_model, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return load_bundle(write_bundle(tmp_path / "tiny"))


# --- Running on the CPU --------------------------------------------------------------------------


def _by_hand(name: str, values: np.ndarray) -> np.ndarray:
    """What `tiny_model` computes, in numpy and float64."""
    axes = len(SHAPES[name]) - 1
    weights = np.random.default_rng(0).normal(size=(3,) * axes).astype(np.float32)
    padded = np.pad(values.astype(np.float64), [(0, 0)] + [(1, 1)] * axes)
    total = np.zeros(values.shape)
    for offset in np.ndindex(*weights.shape):
        window = tuple(slice(o, o + n) for o, n in zip(offset, values.shape[1:], strict=True))
        total += weights[offset] * padded[(slice(None), *window)]
    return 1 / (1 + np.exp(-total))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 41])
def test_kidney_probability_for_any_number_of_slices(bundle: Bundle, count: int) -> None:
    networks: Networks = open_networks(bundle, ProviderName.CPU, threads=1)
    slices = np.random.default_rng(1).random((count, 160, 160), np.float32)
    answer = networks.kidney_probability(slices)
    assert (answer.dtype, answer.shape) == (np.float32, slices.shape)
    np.testing.assert_allclose(answer, _by_hand("kidney", slices), atol=1e-6)


def test_a_slice_gets_the_same_bits_in_any_place_of_a_batch(bundle: Bundle) -> None:
    networks = open_networks(bundle, ProviderName.CPU)
    slices = np.random.default_rng(2).random((6, 160, 160), np.float32)
    together = networks.kidney_probability(slices)
    for index in range(6):
        alone = networks.kidney_probability(slices[index : index + 1])
        np.testing.assert_array_equal(alone[0], together[index])


def test_lesion_probability(bundle: Bundle) -> None:
    networks = open_networks(bundle, ProviderName.CPU)
    crop = np.random.default_rng(3).random((40, 64, 64), np.float32)
    answer = networks.lesion_probability(crop)
    assert (answer.dtype, answer.shape) == (np.float32, crop.shape)
    np.testing.assert_allclose(answer, _by_hand("lesion", crop[np.newaxis])[0], atol=1e-6)


def test_input_that_is_not_contiguous(bundle: Bundle) -> None:
    networks = open_networks(bundle, ProviderName.CPU)
    wide = np.random.default_rng(4).random((2, 160, 320), np.float32)
    halves = wide[:, :, ::2]
    expected = networks.kidney_probability(np.ascontiguousarray(halves))
    np.testing.assert_array_equal(networks.kidney_probability(halves), expected)


def test_record_of_a_requested_cpu(bundle: Bundle) -> None:
    record = open_networks(bundle, ProviderName.CPU, threads=2).record
    assert (record.requested, record.ran, record.threads) == ("cpu", "cpu", 2)
    assert record.reason == "cpu was requested"
    assert record.onnxruntime == sessions.runtime_version()


def test_threads_default_to_the_usable_cpus(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "usable_cpus", lambda: 3)
    assert open_networks(bundle, ProviderName.CPU).record.threads == 3


def test_the_variant_that_is_reported_is_the_one_that_runs(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    crop = np.full((40, 64, 64), 0.5, np.float32)
    expected = {}
    for seed, name in ((1, "cpu"), (2, "int8")):
        lesion = tiny_model("lesion", seed=seed).SerializeToString()
        add_variant(folder, "lesion", name, lesion)
        alone = load_bundle(write_bundle(tmp_path / name, {"lesion": lesion}))
        expected[name] = open_networks(alone, ProviderName.CPU).lesion_probability(crop)
    for precision, name in ((Precision.FLOAT32, "cpu"), (Precision.INT8, "int8")):
        networks = open_networks(load_bundle(folder), precision=precision)
        assert networks.record.ran is ProviderName.CPU
        assert networks.record.precision is precision
        assert networks.record.variants == {"kidney": "plain", "lesion": name}
        np.testing.assert_array_equal(networks.lesion_probability(crop), expected[name])


def test_changed_bundle_is_never_loaded(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tiny_model("lesion", seed=1).SerializeToString()
    (bundle.folder / "lesion.onnx").write_bytes(changed)
    monkeypatch.setattr(sessions, "open_network", lambda *_: pytest.fail("was loaded"))
    with raises_code("bundle-hash"):
        open_networks(bundle, ProviderName.CPU)


def test_bytes_that_were_hashed_are_the_bytes_that_run(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files changed between the check and the session make no difference."""
    make = sessions._session

    def change_files_first(*args: Any) -> Any:
        for name in SHAPES:
            (bundle.folder / f"{name}.onnx").write_bytes(b"changed")
        return make(*args)

    monkeypatch.setattr(sessions, "_session", change_files_first)
    networks = open_networks(bundle, ProviderName.CPU)
    assert networks.lesion_probability(np.zeros((40, 64, 64), np.float32)).max() == 0.5


def _open(path: Path, kidney: bytes) -> OnnxNetworks:
    return open_networks(
        load_bundle(write_bundle(path / "b", {"kidney": kidney})), ProviderName.CPU
    )


def test_network_that_onnxruntime_refuses(tmp_path: Path) -> None:
    model = tiny_model(last="NoSuchOperator")
    with raises_code("network-load", match=r"refuses the kidney network.*NoSuchOp"):
        _open(tmp_path, model.SerializeToString())


def test_network_that_fails_when_it_runs(bundle: Bundle) -> None:
    network = open_networks(bundle, ProviderName.CPU).kidney
    with raises_code("network-run", match="kidney network on cpu"):
        network.probability(np.zeros((1, 10, 10), np.float32))


@pytest.mark.parametrize(("last", "words"), [("Exp", "not a probability"), ("Log", "not finite")])
def test_network_whose_output_is_not_a_probability(tmp_path: Path, last: str, words: str) -> None:
    networks = _open(tmp_path, tiny_model(last=last).SerializeToString())
    slices = np.random.default_rng(5).random((1, 160, 160), np.float32)
    with pytest.raises(NetworkOutputError, match=f"kidney network.*{words}"):
        networks.kidney_probability(slices)


def test_nothing_is_printed(bundle: Bundle, capfd: pytest.CaptureFixture[str]) -> None:
    networks = open_networks(bundle)
    networks.kidney_probability(np.zeros((5, 160, 160), np.float32))
    assert capfd.readouterr() == ("", "")


# --- Other providers, by a stand-in for onnxruntime ----------------------------------------------

CUDA, DML, OPENVINO, CPU = (SPECS[name].runtime_name for name in AUTO_ORDER)
OPENVINO_DEVICES = (ProviderName.OPENVINO, ProviderName.OPENVINO_GPU, ProviderName.OPENVINO_NPU)


class _StandIn:
    """onnxruntime as far as `sessions` uses it. `loads` decides what each session runs on."""

    __version__ = "9.9"
    ExecutionMode = SimpleNamespace(ORT_SEQUENTIAL="sequential")

    def __init__(self, listed: list[str], loads: Callable[[str], list[str]]) -> None:
        self.listed, self.loads = listed, loads
        self.made: list[tuple[Any, Any, dict[str, Any]]] = []

    def get_available_providers(self) -> list[str]:
        return self.listed

    def SessionOptions(self) -> Any:  # noqa: N802
        options = SimpleNamespace(overrides={}, config={})
        options.add_free_dimension_override_by_name = options.overrides.__setitem__
        options.add_session_config_entry = options.config.__setitem__
        return options

    def InferenceSession(self, data: bytes, options: Any, **rest: Any) -> Any:  # noqa: N802
        self.made.append((data, options, rest))
        ran = self.loads(rest["providers"][0][0])
        return SimpleNamespace(
            get_providers=lambda: ran,
            disable_fallback=lambda: None,
            run=lambda _, feed: [np.full_like(feed["image"], 0.25)],
        )


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _StandIn]:
    def install(
        listed: list[str],
        loads: Callable[[str], list[str]] = lambda name: [name, CPU],
        packages: tuple[str, ...] = ("onnxruntime",),
    ) -> _StandIn:
        runtime = _StandIn(listed, loads)
        monkeypatch.setattr(sessions, "import_runtime", lambda: runtime)
        monkeypatch.setattr(providers, "installed_runtimes", lambda: packages)
        return runtime

    return install


StandIn = Callable[..., _StandIn]


def _falls_back(_: str) -> list[str]:
    """What onnxruntime does when a provider's library is missing: a line, and the CPU."""
    os.write(
        2,
        b"\x1b[1;31m2026 [E:onnxruntime:Default, x.cc:1 f()] y.cc:2 [ONNXRuntimeError] : 1 : FAIL :"
        b" Failed to load library p.so with error: libcudnn.so.9: cannot open shared object file\n",
    )
    return [CPU]


def test_provider_that_loads(bundle: Bundle, stand_in: StandIn) -> None:
    runtime = stand_in([CUDA, CPU])
    networks = open_networks(bundle, ProviderName.CUDA, threads=3)
    assert (networks.record.requested, networks.record.ran) == ("cuda", "cuda")
    assert networks.kidney_probability(np.zeros((2, 160, 160), np.float32)).max() == 0.25
    (data, options, rest), (_, lesion_options, _) = runtime.made
    assert data == (bundle.folder / "kidney.onnx").read_bytes()
    assert rest["providers"] == [(CUDA, {"use_tf32": "0"})]
    assert rest["enable_fallback"] == 0
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.overrides == {"batch": sessions.KIDNEY_BATCH}
    assert lesion_options.overrides == {"batch": 1}
    assert options.config == {"session.load_model_format": "ONNX"}
    assert options.enable_mem_pattern is True
    assert options.enable_cpu_mem_arena is False


@pytest.mark.parametrize(
    ("provider", "settings"),
    [
        (ProviderName.CPU, {}),
        (ProviderName.DIRECTML, {}),
        (
            ProviderName.OPENVINO,
            {"device_type": "CPU", "precision": "FP32", "num_of_threads": "5"},
        ),
    ],
)
def test_each_provider_gets_its_own_session_options(
    bundle: Bundle, stand_in: StandIn, provider: ProviderName, settings: dict[str, str]
) -> None:
    runtime = stand_in([SPECS[provider].runtime_name, CPU])
    open_networks(bundle, provider, threads=5)
    for _, options, rest in runtime.made:
        assert rest["providers"] == [(SPECS[provider].runtime_name, settings)]
        assert options.enable_mem_pattern is (provider is ProviderName.OPENVINO)
        assert options.execution_mode == "sequential"


def test_the_cpu_takes_a_slice_at_a_time(bundle: Bundle) -> None:
    networks = open_networks(bundle, ProviderName.CPU, threads=1)
    assert (networks.kidney.batch, networks.lesion.batch) == (1, 1)


@pytest.fixture
def bundle_with_float16(tmp_path: Path) -> Bundle:
    folder = write_bundle(tmp_path / "half")
    for name in SHAPES:
        add_variant(folder, name, "float16", tiny_model(name, seed=3).SerializeToString())
    return load_bundle(folder)


@pytest.mark.parametrize(
    ("provider", "changed"),
    [
        (ProviderName.CUDA, {}),
        (ProviderName.DIRECTML, {}),
        (ProviderName.TENSORRT, {"trt_fp16_enable": "1"}),
        (ProviderName.OPENVINO_GPU, {"precision": "FP16"}),
    ],
)
def test_a_gpu_gets_the_networks_in_float16_with_its_option(
    bundle_with_float16: Bundle, stand_in: StandIn, provider: ProviderName, changed: dict[str, str]
) -> None:
    runtime = stand_in([SPECS[provider].runtime_name, CPU])
    record = open_networks(bundle_with_float16, provider, precision=Precision.FLOAT16).record
    assert record.variants == {"kidney": "float16", "lesion": "float16"}
    assert (record.ran, record.precision) == (provider, Precision.FLOAT16)
    (data, _, rest), _ = runtime.made
    assert data == (bundle_with_float16.folder / "kidney.float16.onnx").read_bytes()
    assert rest["providers"][0][1] == SPECS[provider].options_for(record.threads) | changed


def test_float16_without_a_gpu(bundle_with_float16: Bundle, stand_in: StandIn) -> None:
    runtime = stand_in([CUDA, OPENVINO, CPU], _falls_back)
    with raises_code("precision", match=r"GPUs only.*libcudnn.*Leave out --precision"):
        open_networks(bundle_with_float16, precision=Precision.FLOAT16)
    tried = {rest["providers"][0][0] for _, _, rest in runtime.made}
    assert tried == {CUDA}


def test_tensorrt_has_cuda_behind_it(bundle: Bundle, stand_in: StandIn) -> None:
    name = SPECS[ProviderName.TENSORRT].runtime_name
    runtime = stand_in([name, CUDA, CPU])
    open_networks(bundle, ProviderName.TENSORRT)
    assert [tried for tried, _ in runtime.made[0][2]["providers"]] == [name, CUDA]


def test_provider_that_is_not_installed(bundle: Bundle, stand_in: StandIn) -> None:
    stand_in([CPU])
    for provider, extra in (("cuda", "cuda"), ("directml", "directml"), ("openvino", "openvino")):
        with pytest.raises(ProviderNotInstalledError) as caught:
            open_networks(bundle, ProviderName(provider))
        assert caught.value.code == "provider-not-installed"
        assert f"pip install 'rcc-onnx[{extra}]'" in str(caught.value)
        assert "pip uninstall -y onnxruntime," in str(caught.value)


def test_provider_that_falls_back_is_an_error_that_names_the_library(
    bundle: Bundle, stand_in: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in([CUDA, CPU], _falls_back)
    with raises_code("provider-not-loaded") as caught:
        open_networks(bundle, ProviderName.CUDA)
    assert "does not load: libcudnn.so.9: cannot open shared object file." in str(caught.value)
    assert "NVIDIA GPU with its driver" in str(caught.value)
    assert capfd.readouterr().err == "", "the line is in the message, not on the screen"


def _raises(error: str) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise RuntimeError(error)

    return fail


@pytest.mark.parametrize(
    ("loads", "words"),
    [
        ([lambda: [CPU]], "gave no reason"),
        ([lambda: [CUDA, CPU], lambda: [CPU]], "gave no reason"),
        ([_raises("CUDA failure 100: no CUDA-capable device")], "no CUDA-capable device"),
    ],
    ids=["both networks fall back", "one falls back", "an error"],
)
def test_provider_that_does_not_load(
    bundle: Bundle, stand_in: StandIn, loads: list[Callable[[], list[str]]], words: str
) -> None:
    networks = chain(loads, repeat(loads[-1]))
    stand_in([CUDA, CPU], lambda _: next(networks)())
    with raises_code("provider-not-loaded", match=words):
        open_networks(bundle, ProviderName.CUDA)


def test_provider_that_fails_in_its_first_run(
    bundle: Bundle, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = SimpleNamespace(
        get_providers=lambda: [CUDA, CPU],
        disable_fallback=lambda: None,
        run=_raises("CUDNN_STATUS_NOT_INITIALIZED"),
    )
    runtime = stand_in([CUDA, CPU])
    monkeypatch.setattr(runtime, "InferenceSession", lambda *_, **__: failing)
    with raises_code("provider-not-loaded", match="CUDNN_STATUS_NOT_INITIALIZED"):
        open_networks(bundle, ProviderName.CUDA)


def test_packages_installed_over_one_another(bundle: Bundle, stand_in: StandIn) -> None:
    both = ("onnxruntime", "onnxruntime-gpu")
    stand_in([CPU], packages=both)
    with raises_code("provider-conflict", match="installed over one another") as caught:
        open_networks(bundle, ProviderName.CUDA)
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in str(caught.value)
    record = open_networks(bundle).record
    assert record.ran == "cpu"
    assert "cuda is hidden: onnxruntime and onnxruntime-gpu" in record.reason


TENSORRT, COREML = (
    SPECS[name].runtime_name for name in (ProviderName.TENSORRT, ProviderName.COREML)
)


@pytest.mark.parametrize(
    ("listed", "ran", "reason"),
    [
        (
            [CUDA, OPENVINO, CPU],
            "openvino",
            "cuda is in this onnxruntime (9.9) but does not load: libcudnn.so.9: cannot open "
            "shared object file; directml is not in this onnxruntime (9.9); took openvino",
        ),
        (
            [TENSORRT, COREML, CPU],
            "cpu",
            "cuda, directml and openvino are not in this onnxruntime (9.9); took cpu",
        ),
        ([OPENVINO, DML, CPU], "directml", "cuda is not in this onnxruntime (9.9); took directml"),
    ],
)
def test_auto_takes_the_first_that_loads_and_records_why(
    bundle: Bundle, stand_in: StandIn, listed: list[str], ran: str, reason: str
) -> None:
    stand_in(listed, lambda name: _falls_back(name) if name == CUDA else [name, CPU])
    record = open_networks(bundle).record
    assert (record.requested, record.ran, record.reason) == ("auto", ran, reason)


def test_auto_needs_both_networks_on_one_provider(bundle: Bundle, stand_in: StandIn) -> None:
    ran = iter([[CUDA, CPU], [CPU], [CPU], [CPU]])
    stand_in([CUDA, CPU], lambda _: next(ran))
    networks = open_networks(bundle)
    assert {networks.kidney.ran, networks.lesion.ran, networks.record.ran} == {ProviderName.CPU}


def test_no_provider_at_all(bundle: Bundle, stand_in: StandIn) -> None:
    stand_in([])
    with raises_code(
        "provider-not-loaded", match="no provider works here: cuda, directml, openvino and cpu"
    ):
        open_networks(bundle)


def test_session_on_an_unknown_provider(bundle: Bundle, stand_in: StandIn) -> None:
    stand_in([CPU], lambda _: ["XyzExecutionProvider"])
    with raises_code("provider-not-loaded", match="XyzExecutionProvider"):
        open_network("kidney", b"", bundle.manifest.networks.kidney)


@pytest.mark.parametrize("device", OPENVINO_DEVICES)
def test_the_requested_openvino_device_is_the_one_that_ran(device: ProviderName) -> None:
    session = SimpleNamespace(get_providers=lambda: [OPENVINO, CPU])
    assert sessions._ran(session, device) is device
    assert sessions._ran(session, ProviderName.CPU) is ProviderName.OPENVINO
    fallen_back = SimpleNamespace(get_providers=lambda: [CPU])
    assert sessions._ran(fallen_back, device) is ProviderName.CPU


def test_listed_providers(stand_in: StandIn) -> None:
    stand_in([CPU, "AzureExecutionProvider", CUDA])
    assert sessions.listed_providers() == ("cpu", "cuda")


def test_cuda_libraries_are_preloaded_without_output(
    bundle: Bundle, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = stand_in([CUDA, CPU])
    runtime.preload_dlls = lambda: print("Failed to load something")  # type: ignore[attr-defined]
    open_networks(bundle, ProviderName.CUDA)
    assert capsys.readouterr().out == ""


# --- OpenVINO itself, on machines that have its build of onnxruntime -----------------------------

FLOAT32_ROUNDING = 1e-5
"""Two libraries add the same products in another order: 20 layers of that stay far below this."""


@pytest.fixture
def _openvino() -> None:
    if ProviderName.OPENVINO not in sessions.listed_providers():
        pytest.skip("NOT TESTED HERE: onnxruntime-openvino is not the installed onnxruntime")


@pytest.mark.usefixtures("_openvino")
def test_openvino_computes_what_the_cpu_does() -> None:
    bundle = find_bundle("phantom")
    samples = network_samples(3)
    slices = samples.slices[18:24].astype(np.float32) / np.float32(255)
    crop = samples.crops[0].astype(np.float32) / np.float32(255)
    cpu = open_networks(bundle, ProviderName.CPU, 2)
    openvino = open_networks(bundle, ProviderName.OPENVINO, 2)
    assert openvino.record.ran is ProviderName.OPENVINO
    kidney = cpu.kidney_probability(slices)
    assert kidney.max() > 0.9
    np.testing.assert_allclose(openvino.kidney_probability(slices), kidney, atol=FLOAT32_ROUNDING)
    np.testing.assert_allclose(
        openvino.lesion_probability(crop), cpu.lesion_probability(crop), atol=FLOAT32_ROUNDING
    )


@pytest.mark.usefixtures("_openvino")
@pytest.mark.parametrize("device", OPENVINO_DEVICES[1:])
def test_a_missing_openvino_device_is_an_error(device: ProviderName) -> None:
    try:
        networks = open_networks(find_bundle("phantom"), device, 2)
    except ProviderError as error:
        code, message = error.code, str(error)
    else:
        assert networks.record.ran is device
        pytest.skip(f"NOT TESTED HERE: this machine has what {device} needs")
    assert code == "provider-not-loaded"
    assert "is not available" in message
    assert SPECS[device].needs in message


# --- In a process of its own ---------------------------------------------------------------------


def _python(home: Path, code: str, **environment: str) -> str:
    """Standard output of a program whose home is an empty folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    homes = dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"), str(home))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=kept | homes | {"XDG_CACHE_HOME": str(home / ".cache")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


RUN = """
    import os, sys
    from pathlib import Path
    import numpy as np
    from rcc_onnx.bundles.bundle import load_bundle
    from rcc_onnx.runtime.session import open_networks
    assert "onnxruntime" not in sys.modules, "onnxruntime is imported before it is needed"
    networks = open_networks(load_bundle(Path(os.environ["BUNDLE"])))
    networks.kidney_probability(np.zeros((1, 160, 160), np.float32))
    descriptors = Path("/proc/self/fd")
    links = [os.readlink(one) for one in descriptors.iterdir() if one.is_symlink()] if (
        descriptors.is_dir()) else []
    print([link for link in links if link.startswith("socket:")])
"""


def test_a_run_leaves_nothing_in_the_home_folder_and_no_socket(
    tmp_path: Path, bundle: Bundle
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # Telemetry stays off, whatever the environment says.
    for environment in ({}, {"ORT_DISABLE_TELEMETRY": "0"}):
        assert _python(home, RUN, BUNDLE=str(bundle.folder), **environment) == "[]\n"
        assert list(home.rglob("*")) == []


EARLY = """
    import logging, sys
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    import onnxruntime
    from rcc_onnx.runtime.session import runtime_version
    runtime_version()
    runtime_version()
"""


def test_an_early_import_of_onnxruntime_is_logged_once(tmp_path: Path) -> None:
    output = _python(tmp_path, EARLY)
    assert output.count("imported before rcc-onnx could turn its telemetry off") == 1
    assert _python(tmp_path, EARLY, ORT_DISABLE_TELEMETRY="1") == ""


BROKEN = """
    import sys, json
    sys.modules["onnxruntime"] = None
    from rcc_onnx.errors import RuntimeNotUsableError
    from rcc_onnx.runtime.session import runtime_version
    try:
        runtime_version()
    except RuntimeNotUsableError as error:
        print(json.dumps([error.code, str(error)]))
"""


def test_onnxruntime_that_cannot_be_imported(tmp_path: Path) -> None:
    code, message = json.loads(_python(tmp_path, BROKEN))
    assert code == "onnxruntime-not-usable"
    assert "Reinstall exactly one" in message


def test_choice_is_logged(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        open_networks(bundle, ProviderName.CPU)
    assert "provider cpu: cpu was requested" in caplog.text
