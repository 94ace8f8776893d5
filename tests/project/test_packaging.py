"""The scripts of packaging/ on small inputs; .ci/run builds and tests the real ones."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"


def load(path: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script as a module; it may import the scripts beside it."""
    file = PACKAGING / path
    monkeypatch.syspath_prepend(file.parent)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, module)
    spec.loader.exec_module(module)
    return module


def test_what_a_wheel_must_and_must_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = load("check_dist.py", monkeypatch)
    good = [f"rcc_onnx-1.dist-info{end}" if end[0] == "/" else end for end in checks.IN_WHEEL]
    assert checks.wheel_faults(good, []) == []
    assert checks.wheel_faults([*good, "tests/cli/test_app.py"], []) == ["the wheel brings tests"]
    bundle = "rcc_onnx/models/published/kidney.onnx"
    assert checks.wheel_faults([*good, bundle], []) == ["the wheel brings the bundle published"]
    assert checks.wheel_faults(good[1:], []) == [f"the wheel lacks {checks.IN_WHEEL[0]}"]
    assert checks.wheel_faults(good, ["rcc_onnx/new.py"]) == ["the wheel lacks rcc_onnx/new.py"]
    sdist = [f"rcc_onnx-1{end}" for end in checks.IN_SDIST]
    assert checks.sdist_faults(sdist, []) == []
    assert checks.sdist_faults([*sdist, "rcc_onnx-1/tests/x.py"], []) != []


def wheel(folder: Path, name: str, *requires: str) -> None:
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0"]
    lines += [f"Requires-Dist: {text}" for text in requires]
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", "\n".join(lines))


def test_a_wheelhouse_lacks_what_only_the_other_machine_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = load("wheelhouse.py", monkeypatch)
    wheel(tmp_path, "rcc-onnx", "Core>=2", 'extra-one[fast]; extra == "results"')
    wheel(tmp_path, "core", 'colorama>=0.4; sys_platform == "win32"', 'plots; extra == "plots"')
    wheel(tmp_path, "extra_one", 'quick; extra == "fast"', 'slow; extra == "slow"')
    wheels = [maker.Wheel.read(file) for file in tmp_path.glob("*.whl")]
    environment = {str(key): str(value) for key, value in maker.default_environment().items()}
    here = environment | maker.TARGETS["linux"].environment
    there = environment | maker.TARGETS["windows"].environment
    assert maker.missing(wheels, {"rcc-onnx": {"results"}}, here) == ["quick"]
    assert maker.missing(wheels, {"rcc-onnx": {"results"}}, there) == ["colorama>=0.4", "quick"]
    assert maker.missing(wheels, {"rcc-onnx": {""}}, here) == []


def test_a_wheelhouse_lists_hashes_and_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = load("wheelhouse.py", monkeypatch)
    wheel(tmp_path, "rcc-onnx")
    wheels = [maker.Wheel.read(file) for file in tmp_path.glob("*.whl")]
    maker.describe(wheels, tmp_path, "windows", "3.12", "results")
    requirements = (tmp_path / "requirements.txt").read_text()
    assert re.fullmatch(r"rcc-onnx\[results\]==1\.0 --hash=sha256:[0-9a-f]{64}\n", requirements)
    assert b"py -3.12 -m venv rcc-onnx\r\n" in (tmp_path / "install.txt").read_bytes()
    sums = (tmp_path / "SHA256SUMS").read_text().splitlines()
    listed = {line.split("  ")[1] for line in sums}
    assert listed == {path.name for path in tmp_path.iterdir()} - {"SHA256SUMS"}


class Installed(Distribution):
    """A distribution without files."""

    def __init__(self, metadata: str) -> None:
        self._metadata = metadata

    def read_text(self, filename: str) -> str | None:
        return self._metadata if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        return Path(str(path))


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("License-Expression: GPL-3.0-or-later", True),
        ("License: GPLv3", True),
        ("License: AGPL-3.0", True),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("License-Expression: LGPL-2.1-or-later", False),
        ("Classifier: License :: OSI Approved :: GNU Lesser General Public License v3", False),
        ("License-Expression: MIT", False),
    ],
)
def test_packages_under_the_gpl_are_refused(
    line: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices = load("pyinstaller/notices.py", monkeypatch)
    monkeypatch.setattr(notices, "MISSING_TEXTS", tmp_path)
    (tmp_path / "one.txt").write_text("Do as you like.")
    found = notices.Owners((Installed(f"Name: one\nVersion: 1\n{line}\n"),), ())
    if refused:
        with pytest.raises(notices.LicenceError, match="under the GPL: one"):
            notices.page(found)
    else:
        assert "one 1: " in notices.page(found)
        assert "Do as you like." in notices.page(found)


def test_a_package_without_a_licence_text_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notices = load("pyinstaller/notices.py", monkeypatch)
    found = notices.Owners((Installed("Name: two\nVersion: 1\nLicense: MIT\n"),), ())
    with pytest.raises(notices.LicenceError, match="two brings no licence text"):
        notices.page(found)


def test_every_file_of_the_folder_has_an_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices = load("pyinstaller/notices.py", monkeypatch)
    known = [Path(pytest.__file__), Path(json.__file__), ROOT / "rcc_onnx" / "engine.py"]
    found = notices.owners([*known, tmp_path / "libz.so.1"], ROOT)
    # An editable install owns the checkout's files too.
    assert {package.metadata["Name"] for package in found.packages} - {"rcc-onnx"} == {"pytest"}
    assert [library.name for library in found.libraries] == ["libz.so.1"]
    # GNU readline, which Python would bring, is under the GPL.
    with pytest.raises(notices.LicenceError, match=r"libreadline\.so\.8"):
        notices.owners([tmp_path / "libreadline.so.8"], ROOT)


def test_the_frozen_program_is_the_command() -> None:
    command = [sys.executable, str(PACKAGING / "pyinstaller" / "entry.py"), "--version"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("rcc-onnx ")


DOCKERFILE = (PACKAGING / "docker" / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in DOCKERFILE.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


def instructions(name: str) -> list[str]:
    return [rest for found, rest in INSTRUCTIONS if found == name]


def copied_files() -> set[str]:
    lines = [line for line in instructions("COPY") if "--from" not in line]
    return {file for line in lines for file in shlex.split(line)[:-1]}


def test_the_dockerfile_copies_existing_files_and_no_others_are_sent() -> None:
    assert "rcc_onnx" in copied_files()
    assert [file for file in copied_files() if not (ROOT / file).exists()] == []
    ignored = PACKAGING / "docker" / "Dockerfile.dockerignore"
    sent = {line[1:] for line in ignored.read_text().splitlines() if line.startswith("!")}
    assert copied_files() == sent
    assert ignored.read_text().splitlines()[1] == "*"


def test_the_wheel_of_the_image_can_be_built_from_what_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert needed | set(wheel["packages"]) | set(wheel["force-include"]) <= copied_files()


def test_the_image_runs_as_an_unprivileged_user() -> None:
    (user,) = instructions("USER")
    assert int(user.split(":")[0]) > 0
    names = [name for name, _ in INSTRUCTIONS]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")
    assert instructions("ENTRYPOINT") == ['["rcc-onnx"]']
    assert json.loads(instructions("VOLUME")[0]) == ["/in", "/out", "/data"]
    assert "RCC_ONNX_HOME=/data" in instructions("ENV")[0]
    assert not instructions("ADD")
    assert all(re.search(r":\d+\.\d+", image) for image in instructions("ARG"))
