"""The installed wheel: no TensorFlow at run time, no network, no files outside the results."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rcc_onnx.phantom import make_study
from rcc_onnx.runtime.self_test import SELF_TESTS_FILE

ROOT = Path(__file__).parents[2]

BLOCKED = """
import sys

BLOCKED = {"tensorflow", "tf_keras", "keras", "tf2onnx", "onnx", "h5py", "convert", "requests"}
BLOCKED |= {"highdicom", "nibabel"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
"""
"""Run first, this hides packages that the base install does not bring. `requests` comes with
TensorFlow; where it is installed, pydicom imports it, and it probes for IPv6 with a socket."""

MAIN = "from rcc_onnx.cli.app import main\nmain()"

NO_NETWORK = """
import sys

def audit(event, args):
    if event.startswith("socket.") or event in {"urllib.Request", "http.client.connect"}:
        # Libraries swallow exceptions here, so it is printed, not raised.
        print("NETWORK", event, file=sys.stderr)

sys.addaudithook(audit)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files in a folder of their own, as pip would lay them out."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys, hatchling.build as b; b.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "study", quick=True).folder


def run(code: str, site: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code from outside the checkout, with the wheel's files and an empty home."""
    home.mkdir(exist_ok=True)
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("RCC_ONNX", "XDG", "PYTHON", "ORT"))
    }
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_wheel_contains_the_package_and_its_data(installed: Path) -> None:
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*")}
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "rcc_onnx").rglob("*")
        if path.is_file() and path.suffix in (".py", ".typed", ".json", ".html", ".css", ".js")
    }
    bundle = ("manifest.json", "kidney.onnx", "lesion.onnx", "reference_outputs.npz")
    assert source | {f"rcc_onnx/models/phantom/{name}" for name in bundle} <= files
    tops = {path.split("/")[0] for path in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"rcc_onnx"}


def test_the_wheel_prints_its_schemas(installed: Path, tmp_path: Path) -> None:
    for name in ("case", "results"):
        done = run(MAIN, installed, tmp_path / "home", "schema", name)
        assert json.loads(done.stdout)["$id"] == f"urn:rcc-onnx:schema:{name}:1"


def test_importing_pulls_in_nothing_heavy(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys, rcc_onnx, rcc_onnx.cli.app\n"
        "heavy = {'tensorflow', 'onnx', 'onnxruntime', 'numpy', 'scipy', 'pydicom', 'h5py'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "rcc_onnx.Engine\n"
        "print(sorted({'tensorflow', 'onnx', 'h5py'} & set(sys.modules)))\n"
    )
    done = run(code, installed, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "tensorflow" not in done.stdout
    assert "onnxruntime" not in done.stdout


def files_at(home: Path) -> set[str]:
    """Return the files in a home folder; those in its data folder by their names there."""
    data = home / ".local" / "share" / "rcc-onnx"
    files = {path for path in home.rglob("*") if not path.is_dir()}
    return {path.relative_to(data if data in path.parents else home).as_posix() for path in files}


def test_a_run_needs_the_base_packages_only_no_socket_and_leaves_one_file_at_home(
    installed: Path, phantom: Path, tmp_path: Path
) -> None:
    code = BLOCKED + NO_NETWORK + "import rcc_onnx; print(rcc_onnx.__file__)\n" + MAIN
    home, out = tmp_path / "home", tmp_path / "out"
    done = run(code, installed, home, "infer", str(phantom), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert str(installed) in done.stdout
    assert (out / "study.json").is_file()
    assert "NETWORK" not in done.stderr
    assert files_at(home) == {SELF_TESTS_FILE}
    assert {path.name for path in tmp_path.iterdir()} == {"home", "out"}


def test_the_network_guard_works(installed: Path, tmp_path: Path) -> None:
    """The guard of the test above must see a socket where there is one."""
    code = NO_NETWORK + "import socket\nsocket.socket().close()"
    assert "NETWORK socket" in run(code, installed, tmp_path / "home").stderr
