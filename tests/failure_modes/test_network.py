"""No network, and no file outside OUT and the documented folders: the kernel's own word for it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.failure_modes.namespaces import needs, run_there, unshared
from tests.failure_modes.outputs import contents
from tests.failure_modes.traces import network_calls, strace, written_outside
from tests.project.test_isolation import BLOCKED

ROOT = Path(__file__).parent.parent.parent

COMMANDS: Mapping[str, Sequence[str]] = {
    "infer": ("infer", "STUDIES", "--out", "OUT", "--models", "BUNDLE"),
    # No other process analyses it.
    "infer, one study": ("infer", "STUDIES/case0", "--out", "OUT", "--models", "BUNDLE"),
    "demo": ("demo", "OUT"),
    "models verify": ("models", "verify"),
    "doctor": ("doctor",),
}
"""Everything that runs where there is no network."""

DATA_FOLDER = ".local/share/rcc-onnx"
"""Of the home folder: docs/models.md."""
ALSO_WRITTEN = (Path("/dev/null"),)


class Place:
    """A home, a temporary folder and a working folder, all empty, and what is written there."""

    def __init__(self, folder: Path, studies: Path, bundle: Path) -> None:
        self.folder = folder
        self.home, self.temporary, self.work = (folder / one for one in ("home", "tmp", "work"))
        for one in (self.home, self.temporary, self.work):
            one.mkdir(parents=True)
        # Programs that rcc-onnx does without are not there for it; pydicom, for one, imports
        # `requests` where it is, and that probes for IPv6. The name makes Python import it first.
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(BLOCKED)
        self.names = {"STUDIES": str(studies), "BUNDLE": str(bundle), "OUT": "out"}

    def run(self, command: Sequence[str], *before: str) -> subprocess.CompletedProcess[str]:
        words = []
        for word in command:
            first, slash, rest = word.partition("/")
            words.append(self.names.get(first, first) + slash + rest)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            # As every session has it; without, `doctor` would ask the system for the name.
            "USER": "somebody",
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": f"{self.folder / 'site'}{os.pathsep}{ROOT}",
            # Where it is installed, pip has compiled it.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        program = (*before, sys.executable, "-m", "rcc_onnx", *words)
        return run_there(program, self.work, environment)

    @property
    def allowed(self) -> tuple[Path, ...]:
        return (self.work / "out", self.temporary, self.home / DATA_FOLDER, *ALSO_WRITTEN)

    def strays(self) -> list[str]:
        """Files that were not requested and are not documented."""
        kept = self.work / "out", self.home / DATA_FOLDER
        files = [
            path
            for top in (self.home, self.temporary, self.work)
            for path in top.rglob("*")
            if not path.is_dir()
        ]
        return [str(path) for path in files if not any(path.is_relative_to(one) for one in kept)]


@pytest.fixture
def places(tmp_path: Path, quick_studies: Path, quick_bundle: Path) -> tuple[Place, Place]:
    """Two of them, alike; one more study is there, which will be refused."""
    studies = tmp_path / "studies"
    shutil.copytree(quick_studies, studies)
    (studies / "none").mkdir()
    (studies / "none" / "letter.txt").write_text("no DICOM")
    return (
        Place(tmp_path / "outside", studies, quick_bundle),
        Place(tmp_path / "inside", studies, quick_bundle),
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_it_runs_without_a_network_and_asks_for_none(
    name: str, places: tuple[Place, Place], tmp_path: Path
) -> None:
    command = COMMANDS[name]
    needs("strace")
    alone = unshared("--net")
    outside, inside = places
    trace = tmp_path / "trace"
    expected = outside.run(command)
    done = inside.run(command, *alone, *strace(trace))
    assert expected.returncode == (1 if name == "infer" else 0), expected.stderr
    assert done.returncode == expected.returncode, done.stderr
    if name != "doctor":  # it tells of the machine's state
        assert contents(inside.work) == contents(outside.work)
    assert "rcc_onnx" in trace.read_text(), "nothing was traced"
    assert network_calls(trace) == []
    assert written_outside(trace, inside.work, inside.allowed) == []
    assert inside.strays() == outside.strays() == []


def test_the_namespace_has_no_way_out() -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 5)"
    done = run_there((*unshared("--net"), sys.executable, "-c", code), ROOT, dict(os.environ))
    assert "Network is unreachable" in done.stderr


def test_what_is_written_or_asked_is_seen(
    places: tuple[Place, Place], quick_bundle: Path, tmp_path: Path
) -> None:
    """ONNX Runtime's own report home among it, which rcc-onnx switches off."""
    needs("strace")
    _, place = places
    code = (
        "import onnxruntime, pathlib, socket, sys, os\n"
        f"onnxruntime.InferenceSession({str(quick_bundle / 'kidney.onnx')!r})\n"
        "socket.socket().close()\n"
        "socket.socketpair()\n"
        "pathlib.Path('stray.txt').write_text('')\n"
        "os.rename('stray.txt', 'other.txt')\n"
    )
    trace = tmp_path / "trace"
    environment = {"PATH": os.environ["PATH"], "HOME": str(place.home)}
    program = (*strace(trace), sys.executable, "-c", code)
    done = run_there(program, place.work, environment)
    assert done.returncode == 0, done.stderr
    calls = network_calls(trace)
    assert any("socket(AF_INET" in one for one in calls)
    assert not any("socketpair" in one for one in calls)
    strays = written_outside(trace, place.work, place.allowed)
    for name in ("stray.txt", "other.txt", "deviceid"):
        assert any(name in one for one in strays), name
    assert any(one.endswith("other.txt") for one in place.strays())
    assert any("deviceid" in one for one in place.strays())
