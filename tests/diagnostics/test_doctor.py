"""`rcc-onnx doctor`: things broken on purpose, each of which must become its line."""

import getpass
import json
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from rcc_onnx.diagnostics.doctor import (
    Line,
    Report,
    Verdict,
    decoding,
    doctor_report,
    hardware,
    places,
    report,
    report_json,
    running,
    software,
)
from rcc_onnx.diagnostics.doctor.apart import CrashedError, apart
from rcc_onnx.dicom import codec_check as decoders
from rcc_onnx.dicom.codec_check import SAMPLES
from rcc_onnx.errors import (
    BundleError,
    NetworkError,
    ProviderDisagreesError,
    ProviderError,
    RuntimeNotUsableError,
)
from rcc_onnx.output.schema_checker import SchemaName, schema_text
from rcc_onnx.runtime.providers import AUTO_ORDER, SPECS, SelfTestRecord
from rcc_onnx.system.host import Memory, memory
from rcc_onnx.types import ProviderName
from tests.diagnostics.tried import dies, doubled, never_ends, refuses
from tests.support.errors import raises_code
from tests.support.stored_answers import bundle_with_answers
from tests.support.tiny_networks import add_variant, tiny_model, write_bundle

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
SCHEMA = json.loads(schema_text(SchemaName.DOCTOR))

OK, WARNING, PROBLEM, ABSENT = Verdict.OK, Verdict.WARNING, Verdict.PROBLEM, Verdict.ABSENT


def only(lines: Any) -> Line:
    (line,) = lines
    assert isinstance(line, Line)
    return line


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home" / "somebody"
    home.mkdir(parents=True)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RCC_ONNX_HOME", str(home / "data"))
    return home


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried elsewhere is tried here, where tests can break it."""
    monkeypatch.setattr(running, "apart", lambda function, given, seconds: function(given))
    monkeypatch.setattr(decoding, "apart", lambda function, given, seconds: function(given))


@pytest.fixture
def bundle(tmp_path: Path) -> Any:
    return places.find_bundle(str(bundle_with_answers(tmp_path / "tiny")))


# --- The whole -----------------------------------------------------------------------------------


def test_the_whole_report_on_this_machine(bundle: Any, at_home: Path) -> None:
    """Nothing is replaced here: processes, decoders and sessions are real."""
    rooms: list[str] = []
    found = doctor_report(str(bundle.folder), at_home / "results", rooms.append)
    assert found.verdict is not PROBLEM, [line for line in found.lines if line.verdict is PROBLEM]
    by_subject = {(line.room, line.subject): line for line in found.lines}
    cpu = by_subject["providers", "cpu"]
    assert cpu.verdict is OK
    assert "answers as tiny was certified" in cpu.said
    assert by_subject["providers", "auto"].said == "would take cpu"
    decoded = [line for line in found.lines if line.room == "decoding"]
    assert [line.verdict for line in decoded] == [OK] * len(SAMPLES)
    assert by_subject["telemetry", "onnxruntime"].said == "off; it has left nothing here"
    assert list(dict.fromkeys(rooms)) == list(dict.fromkeys(line.room for line in found.lines))
    # Looking changes nothing.
    assert list(at_home.iterdir()) == []
    document = report_json(found)
    assert list(Draft202012Validator(SCHEMA).iter_errors(document)) == []


def test_a_report_can_be_given_away(
    tmp_path: Path, at_home: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "hsmith")
    bundle_with_answers(at_home / "models" / "tiny")
    write_bundle(at_home / "models" / "broken")
    (at_home / "models" / "broken" / "kidney.onnx").write_bytes(b"x")
    elsewhere = tmp_path / "media" / "hsmith" / "out"
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(at_home / "models"))
    text = json.dumps(report_json(doctor_report(out=elsewhere)))
    assert "~/models/tiny" in text.replace("\\\\", "/")
    assert "media/USER/out" in text.replace("\\\\", "/")
    for secret in (str(at_home), "somebody", "hsmith", platform.node()):
        assert secret not in text


def test_a_home_that_only_begins_alike_is_left_alone(
    at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    hide = report._hider()
    assert hide(f"{at_home}x and {at_home}/y") == f"{at_home}x and ~/y"
    assert hide("the root of it") == "the root of it"


def test_a_check_that_breaks_is_a_line_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, in_this_process: None, bundle: Any
) -> None:
    def broken(*_: Any) -> Any:
        yield Line("machine", "CPUs", OK, "2")
        raise ZeroDivisionError("oh no")

    for module, name in (
        (software, "package_lines"),
        (hardware, "cpu_lines"),
        (places, "bundle_lines"),
        (places, "folder_lines"),
    ):
        monkeypatch.setattr(module, name, broken)
    found = doctor_report(str(bundle.folder))
    failed = [line for line in found.lines if line.subject == "check"]
    assert [line.room for line in failed] == ["software", "machine", "bundles", "folders"]
    assert {line.verdict for line in failed} == {PROBLEM}
    assert "ZeroDivisionError: oh no" in failed[1].said
    # What a check said before it broke is kept, and later ones are made.
    assert Line("machine", "CPUs", OK, "2") in found.lines
    assert found.lines[-1].room == "telemetry"


def test_verdicts_add_up() -> None:
    lines = [Line("x", "y", verdict, "") for verdict in (OK, ABSENT)]
    assert Report(()).verdict is OK
    assert Report(tuple(lines)).verdict is OK
    lines.append(Line("x", "y", WARNING, ""))
    assert Report(tuple(lines)).verdict is WARNING
    lines.append(Line("x", "y", PROBLEM, ""))
    assert Report(tuple(lines)).verdict is PROBLEM


def test_the_page_explains_every_field_and_room() -> None:
    fields = set(SCHEMA["properties"]) - {"lines"}
    line = SCHEMA["properties"]["lines"]["items"]["properties"]
    for field in fields | {f"lines[].{name}" for name in line}:
        assert f"`{field}`" in PAGE, field
    for room in line["room"]["enum"]:
        assert f"| `{room}` |" in PAGE
    assert set(line["verdict"]["enum"]) == {str(one) for one in Verdict}


# --- The command ---------------------------------------------------------------------------------


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["doctor", *arguments])


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(*lines: Line) -> None:
        monkeypatch.setattr("rcc_onnx.diagnostics.doctor.doctor_report", lambda *_: Report(lines))

    return install


def test_the_command_says_each_line_with_its_mend(made_up: Callable[..., None]) -> None:
    made_up(
        Line("software", "Python", OK, "3.11"),
        Line("bundles", "[b]", WARNING, "no answers [/b]", "Convert it again."),
        Line("bundles", "other", ABSENT, "none"),
    )
    result = invoke()
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "software",
        "  ok         Python: 3.11",
        "bundles",
        "  warning    [b]: no answers [/b]",
        "             -> Convert it again.",
        "  not there  other: none",
        "Verdict: warning (no problems, 1 warning)",
        "Research software, not for diagnosis. A suspected lesion is not a diagnosis.",
    ]


def test_a_problem_ends_with_exit_code_1(made_up: Callable[..., None]) -> None:
    made_up(Line("software", "Python", PROBLEM, "3.8", "Install another."))
    result = invoke("--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["verdict"] == "problem"
    assert document["lines"][0]["mend"] == "Install another."


@pytest.mark.parametrize("wrong", [["--nonsense"], ["extra"], ["--out"]])
def test_a_wrong_command_line_ends_with_exit_code_2(wrong: list[str]) -> None:
    assert invoke(*wrong).exit_code == 2


# --- Software ------------------------------------------------------------------------------------


def test_python_that_is_too_old_or_small(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(software.python_lines()).verdict is OK
    monkeypatch.setattr(software, "OLDEST_PYTHON", (4, 0))
    assert only(software.python_lines()).verdict is PROBLEM
    monkeypatch.setattr("struct.calcsize", lambda _: 4)
    assert "32 bits" in only(software.python_lines()).said
    assert "64-bit" in only(software.python_lines()).mend


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(software.NEEDED, "no-such-package", "no_such_module")
    _, packages, missing = software.package_lines()
    assert "numpy " in packages.said
    assert "no-such" not in packages.said
    assert (missing.subject, missing.verdict) == ("no-such-package", PROBLEM)
    assert missing.mend == "pip install no-such-package"


def test_a_package_whose_metadata_did_not_come_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a program was frozen."""
    monkeypatch.setitem(software.NEEDED, "no-such-package", "json")
    _, packages = software.package_lines()
    assert "no-such-package of unknown version" in packages.said


def test_two_runtimes_over_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ("onnxruntime", "onnxruntime-gpu")
    monkeypatch.setattr(software, "installed_runtimes", lambda: both)
    line = only(software.runtime_lines())
    assert line.verdict is PROBLEM
    assert "onnxruntime and onnxruntime-gpu are installed over one another" in line.said
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in line.mend


def test_a_runtime_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, bundle: Any) -> None:
    def broken() -> Any:
        raise RuntimeNotUsableError("onnxruntime cannot be imported: no", "Reinstall it.")

    monkeypatch.setattr(software, "runtime_version", broken)
    monkeypatch.setattr(running, "listed_providers", broken)
    line = only(software.runtime_lines())
    assert (line.verdict, line.mend) == (PROBLEM, "Reinstall it.")
    assert only(running.provider_lines(bundle)).verdict is PROBLEM


def test_extras_that_are_not_there_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(software.EXTRAS, "nifti", {"no-such-package": "no_such_module"})
    first, *others = software.extra_lines()
    assert first.verdict is ABSENT
    assert "rcc-onnx[nifti]" in first.mend
    assert {line.verdict for line in others} == {OK}


def test_telemetry_that_leaves_something(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(software.TELEMETRY_SWITCH, "1")
    assert only(software.telemetry_lines(software.device_ids())).verdict is OK
    left = at_home / ".cache" / "Microsoft" / "DeveloperTools" / ".onnxruntime" / "deviceid"
    left.parent.mkdir(parents=True)
    left.write_text("0")
    fresh = only(software.telemetry_lines(()))
    assert fresh.verdict is PROBLEM
    assert "has just appeared" in fresh.said
    old = only(software.telemetry_lines(software.device_ids()))
    assert old.verdict is WARNING
    assert "another program" in old.said


def test_telemetry_that_is_not_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(software.TELEMETRY_SWITCH, "0")
    assert only(software.telemetry_lines(())).verdict is PROBLEM


# --- Machine -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "verdict", "words"),
    [
        (("avx2", "avx512f", "sse"), OK, "has AVX2, AVX-512; not AVX-512 VNNI, AVX-VNNI"),
        (("asimd", "asimddp"), OK, "has NEON, NEON dot products"),
        (("sse2",), WARNING, "no AVX2"),
        ((), OK, "unknown on "),
    ],
)
def test_what_the_processor_can_do(
    flags: tuple[str, ...], verdict: Verdict, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "processor_flags", lambda: flags)
    model, features = hardware.processor_lines()
    assert model.subject == "processor"
    assert features.verdict is verdict
    assert features.said.startswith(words)


def test_fewer_cpus_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(hardware, "usable_cpus", lambda: 3)
    assert only(hardware.cpu_lines()).said == "3 of 64 may be used"


GIB = 1 << 30


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Memory(16 * GIB, 8 * GIB)),
        (
            {
                "proc/self/cgroup": "0::/job/step\n",
                "sys/fs/cgroup/job/memory.max": str(4 * GIB),
                "sys/fs/cgroup/job/memory.current": str(3 * GIB),
                "sys/fs/cgroup/job/memory.stat": f"anon 1\ninactive_file {GIB}\n",
                "sys/fs/cgroup/job/step/memory.max": "max\n",
                "sys/fs/cgroup/job/step/memory.current": "1\n",
            },
            Memory(4 * GIB, 2 * GIB, limited=True),
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/a\n4:memory:/b\n",
                "sys/fs/cgroup/memory/b/memory.limit_in_bytes": str(2 * GIB),
                "sys/fs/cgroup/memory/b/memory.usage_in_bytes": str(2 * GIB + 5),
            },
            Memory(2 * GIB, 0, limited=True),
        ),
        (
            {  # what version 1 says where there is no limit
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000",
            },
            Memory(16 * GIB, 8 * GIB),
        ),
    ],
    ids=["no limit", "version 2", "version 1", "a limit beyond the machine"],
)
def test_memory_of_the_machine_and_of_its_groups(
    files: dict[str, str],
    expected: Memory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert memory(system(tmp_path / "root", MEMINFO | files)) == expected


def test_little_memory_is_a_warning_and_unknown_memory_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    little = {"proc/meminfo": "MemTotal: 4000000 kB\nMemAvailable: 300000 kB\n"}
    line = only(hardware.memory_lines(system(tmp_path / "little", little)))
    assert line.verdict is WARNING
    assert line.said == "0.3 GiB free of 3.8 GiB"
    assert "unknown" in only(hardware.memory_lines(tmp_path / "nothing")).said


# --- Bundles -------------------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which bundles are found."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(folder))
    monkeypatch.setattr("rcc_onnx.bundles.bundle.shipped_models_folder", lambda: None)
    return folder


def test_good_bundles_and_what_they_are_for(shelf: Path) -> None:
    bundle_with_answers(shelf / "tiny")
    (line, patients), bundle = places.bundle_lines(None)
    assert line.verdict is OK
    assert "digital-phantom" in line.said
    assert "every file has its hash" in line.said
    assert (patients.subject, patients.verdict) == ("for patients", ABSENT)
    assert "python -m convert" in patients.mend
    assert bundle is not None
    assert bundle.name == "tiny"


def test_bundles_without_answers_are_a_warning(shelf: Path) -> None:
    write_bundle(shelf / "tiny", use_on=["patient"])
    line = only(places.bundle_lines(None)[0])
    assert line.verdict is WARNING
    assert "no stored answers" in line.said
    assert "python -m convert reference-outputs" in line.mend


def test_the_bundle_for_patients_is_the_one_that_is_tried(shelf: Path) -> None:
    write_bundle(shelf / "a", name="a")
    write_bundle(shelf / "b", name="b", use_on=["patient"])
    lines, bundle = places.bundle_lines(None)
    assert bundle is not None
    assert bundle.name == "b"
    write_bundle(shelf / "c", name="c", use_on=["patient"])
    lines, bundle = places.bundle_lines(None)
    assert lines[-1].verdict is WARNING
    assert "b, c" in lines[-1].said


@pytest.mark.parametrize("file", ["kidney.onnx", "reference_outputs.npz", "manifest.json"])
def test_changed_bundles_are_a_problem(file: str, shelf: Path) -> None:
    folder = bundle_with_answers(shelf / "tiny")
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    lines, bundle = places.bundle_lines(None)
    assert lines[0].verdict is PROBLEM
    assert "broken [bundle-" in lines[0].said
    assert bundle is None
    named = only(places.bundle_lines(str(folder))[0])
    assert named.verdict is PROBLEM


def test_a_bundle_that_is_not_there_is_a_problem_and_the_report_goes_on(
    shelf: Path, in_this_process: None
) -> None:
    found = doctor_report("nowhere")
    (line,) = [one for one in found.lines if one.room == "bundles"]
    assert line.verdict is PROBLEM
    assert "no bundle named 'nowhere'" in line.said
    (provider,) = [one for one in found.lines if one.room == "providers"]
    assert "none can be tried without a bundle" in provider.said


def test_a_folder_of_bundles_that_is_none_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", "/nowhere/at/all")
    assert only(places.bundle_lines(None)[0]).verdict is PROBLEM


def test_bundles_that_hide_one_another(shelf: Path, at_home: Path) -> None:
    bundle_with_answers(shelf / "tiny")
    bundle_with_answers(at_home / "data" / "models" / "tiny")
    hidden = [one for one in places.bundle_lines(None)[0] if "hidden" in one.said]
    assert only(hidden).verdict is WARNING


# --- Providers -----------------------------------------------------------------------------------


def fails(monkeypatch: pytest.MonkeyPatch, by: dict[ProviderName, Exception]) -> None:
    """Every provider is listed; those named fail, the others agree."""
    monkeypatch.setattr(running, "listed_providers", lambda: tuple(SPECS))

    def tried(_: Any, trial: running.Trial, seconds: float) -> running.Ran:
        assert seconds == (600 if trial.provider is ProviderName.TENSORRT else 180)
        if trial.provider in by:
            raise by[trial.provider]
        return running.Ran(0.01, 0.1, 2, SelfTestRecord(True, 1.2e-5, 1e-4, 1e-7, None))

    monkeypatch.setattr(running, "apart", tried)


def test_how_a_provider_can_be(bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(
        monkeypatch,
        {
            ProviderName.CUDA: ProviderDisagreesError("cuda does not answer", "Take another"),
            ProviderName.OPENVINO: ProviderError(
                "openvino does not load", "It needs x.", code="provider-not-loaded"
            ),
            ProviderName.COREML: ProviderError(
                "coreml does not load", "It needs y.", code="provider-not-loaded"
            ),
            ProviderName.TENSORRT: CrashedError("it crashed the process that tried it"),
            ProviderName.DIRECTML: NetworkError("refused", code="network-load"),
        },
    )
    lines = {line.subject: line for line in running.provider_lines(bundle)}
    assert lines["cpu"].verdict is OK
    assert lines["cpu"].said == (
        "answers as tiny was certified: differs by 1.2e-05 at most (1e-04 accepted); "
        "0.010 s a slice, 0.100 s a crop, 2 threads"
    )
    assert (lines["cuda"].verdict, lines["cuda"].mend) == (PROBLEM, "Take another.")
    # Installed for nothing, as against a device that this machine lacks.
    assert (lines["openvino"].verdict, lines["coreml"].verdict) == (WARNING, ABSENT)
    assert lines["tensorrt"].said == "does not run: it crashed the process that tried it"
    assert (lines["tensorrt"].verdict, lines["directml"].verdict) == (PROBLEM, PROBLEM)
    assert lines["auto"].said == "would take cpu"
    assert "others" not in lines


def test_a_cpu_that_does_not_run_is_a_problem(bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (
        CrashedError("not done after 180 s"),
        ProviderError("cpu does not load", "", code="provider-not-loaded"),
        BundleError("gone", code="bundle-file"),
    ):
        fails(monkeypatch, dict.fromkeys(AUTO_ORDER, error))
        lines = {line.subject: line for line in running.provider_lines(bundle)}
        assert lines["cpu"].verdict is PROBLEM
        assert "auto" not in lines


def test_a_provider_that_is_off_by_a_hundredth(tmp_path: Path, in_this_process: None) -> None:
    folder = bundle_with_answers(tmp_path / "off", off_by=0.01)
    line, others = running.provider_lines(places.find_bundle(str(folder)))
    assert (line.subject, line.verdict) == ("cpu", PROBLEM)
    assert "probabilities differ by up to 0.01" in line.said
    assert others.verdict is ABSENT


def test_without_answers_a_provider_runs_and_nothing_is_claimed(
    tmp_path: Path, in_this_process: None
) -> None:
    line, auto, _ = running.provider_lines(
        places.find_bundle(str(write_bundle(tmp_path / "plain")))
    )
    assert line.verdict is WARNING
    assert "holds no stored answers to compare with" in line.said
    assert auto.said == "would take cpu"


def test_every_precision_that_the_bundle_has_is_tried(bundle: Any, in_this_process: None) -> None:
    for kind in ("int8", "float16"):
        data = tiny_model("lesion").SerializeToString()
        add_variant(bundle.folder, "lesion", kind, data)
    found = running.provider_lines(places.find_bundle(str(bundle.folder)))
    lines = {line.subject: line for line in found}
    assert lines["cpu, int8"].verdict is OK
    assert "in sums by" in lines["cpu, int8"].said
    assert "cpu, float16" not in lines


# --- In a process of its own ---------------------------------------------------------------------


def test_things_are_tried_apart() -> None:
    assert apart(doubled, 21, 60) == 42
    with pytest.raises(CrashedError, match="crashed the process"):
        apart(dies, 0, 60)
    with pytest.raises(CrashedError, match="not done after 0 s"):
        apart(never_ends, 0, 0.1)
    with raises_code("provider-not-loaded") as caught:
        apart(refuses, 0, 60)
    assert (caught.value.problem, caught.value.advice) == ("no", "yes")


# --- Decoders ------------------------------------------------------------------------------------


def test_a_plugin_that_is_missing(monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> None:
    real = decoders.get_decoder

    class Without:
        is_available = False
        missing_dependencies = ("pylibjpeg - requires pylibjpeg-openjpeg",)

    def none_for_jpeg_2000(uid: Any) -> Any:
        return Without() if ".4.90" in uid or ".4.91" in uid else real(uid)

    monkeypatch.setattr(decoders, "get_decoder", none_for_jpeg_2000)
    broken = [line for line in decoding.decoding_lines() if line.verdict is not OK]
    assert [line.subject for line in broken] == ["JPEG 2000", "JPEG 2000, lossy"]
    assert {line.verdict for line in broken} == {WARNING}
    assert "requires pylibjpeg-openjpeg" in broken[0].said
    assert "pip install --force-reinstall pylibjpeg pylibjpeg-openjpeg" in broken[0].mend


def test_a_plugin_that_decodes_wrongly_or_panics(
    monkeypatch: pytest.MonkeyPatch, in_this_process: None
) -> None:
    real = decoders.pixel_array

    class Panic(BaseException):
        pass

    def odd(dataset: Any) -> Any:
        uid = dataset.file_meta.TransferSyntaxUID
        if uid.endswith(".4.80"):
            return real(dataset) + np.uint16(1)
        if uid.endswith(".4.81"):
            return real(dataset)[:5]
        if uid.endswith(".4.90"):
            raise Panic("in Rust")
        return real(dataset)

    monkeypatch.setattr(decoders, "pixel_array", odd)
    broken = {line.subject: line for line in decoding.decoding_lines() if line.verdict is not OK}
    assert "wrong by up to 1" in broken["JPEG-LS"].said
    assert "shape (5, 32)" in broken["JPEG-LS, lossy"].said
    assert broken["JPEG 2000"].said.endswith("in Rust")
    assert len(broken) == 3


def test_a_decoder_that_crashes_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> Any:
        raise CrashedError("it crashed the process that tried it")

    monkeypatch.setattr(decoding, "apart", crash)
    line = only(decoding.decoding_lines())
    assert line.verdict is PROBLEM
    assert "python-gdcm" in line.mend


# --- Folders -------------------------------------------------------------------------------------


def test_folders_that_can_be_written(tmp_path: Path, at_home: Path) -> None:
    temporary, data, out = places.folder_lines(tmp_path / "not" / "yet")
    assert [line.verdict for line in (temporary, data, out)] == [OK, OK, OK]
    assert "is not there, and can be made" in data.said
    assert "GiB free" in out.said
    assert not (tmp_path / "not").exists()
    assert list(at_home.iterdir()) == []


def test_folders_that_cannot_be_written(
    tmp_path: Path, at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By files where folders should be: administrators may write anywhere else."""
    for name in ("temporary", "data", "out"):
        (at_home / name).write_text("a file")
    monkeypatch.setattr("tempfile.tempdir", str(at_home / "temporary"))
    temporary, data, out = places.folder_lines(at_home / "out" / "results")
    assert [line.verdict for line in (temporary, data, out)] == [PROBLEM, WARNING, PROBLEM]
    assert "TMPDIR" in temporary.mend
    assert "answers are compared at each start" in data.mend
    assert "--out" in out.mend


def test_a_data_folder_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCC_ONNX_HOME", "relative")
    _, data = places.folder_lines(None)
    assert data.verdict is PROBLEM
    monkeypatch.setattr(places, "data_folder", lambda: None)
    _, data = places.folder_lines(None)
    assert data.verdict is WARNING


def test_little_space_for_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "LITTLE_SPACE", 1 << 62)
    *_, out = places.folder_lines(tmp_path)
    assert out.verdict is WARNING


def test_made_up_lines_stay_as_they_are() -> None:
    line = Line("x", "y", OK, "said")
    assert report_json(Report((line,)))["lines"][0]["mend"] is None
    assert replace(line, mend="do").mend == "do"
