"""Collect all wheels for machines without a network: `python packaging/wheelhouse.py OUT`.

    python packaging/wheelhouse.py OUT [--for windows|linux|linux-arm|macos] [--python 3.12]
        [--extra results] [--wheel FILE]

Without --for, for this machine and this Python. Writes the wheels, requirements.txt (every version
with its hash), SHA256SUMS and install.txt (the commands) into OUT. --wheel is the wheel of
rcc-onnx; by default the one that `make dist` wrote. The Python that runs it needs pip and the
package `packaging`, which `build` brings.
"""

import argparse
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OLDEST_GLIBC, WANTED_GLIBC = 5, 28
"""glibc 2.28 (Debian 10, RHEL 8) is the oldest that onnxruntime and numpy are built for."""


@dataclass(frozen=True)
class Target:
    """A kind of machine.

    Attributes:
        platforms: tags of wheels that run there.
        environment: its values of the markers in requirements.
    """

    platforms: tuple[str, ...]
    environment: dict[str, str]


def _linux(machine: str) -> Target:
    glibcs = range(WANTED_GLIBC, OLDEST_GLIBC - 1, -1)
    return Target(
        (*(f"manylinux_2_{minor}_{machine}" for minor in glibcs), f"manylinux2014_{machine}"),
        {
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "platform_machine": machine,
        },
    )


TARGETS = {
    "windows": Target(
        ("win_amd64",),
        {
            "sys_platform": "win32",
            "platform_system": "Windows",
            "os_name": "nt",
            "platform_machine": "AMD64",
        },
    ),
    "linux": _linux("x86_64"),
    "linux-arm": _linux("aarch64"),
    "macos": Target(
        ("macosx_14_0_arm64",),
        {
            "sys_platform": "darwin",
            "platform_system": "Darwin",
            "os_name": "posix",
            "platform_machine": "arm64",
        },
    ),
}

INSTALL = """\
rcc-onnx {version} for {target}, Python {python}. No network is needed. In this folder:

Check that the files are undamaged:
    {check}

Install into a new folder:
    {venv}
    {pip} install --no-index --find-links . --require-hashes -r requirements.txt

Try it:
    {program} demo

To remove it, delete the folder. Model bundles are elsewhere: {program} models list
"""


@dataclass(frozen=True)
class Wheel:
    """The metadata of a wheel."""

    file: Path
    name: str
    version: str
    requires: tuple[Requirement, ...]

    @classmethod
    def read(cls, file: Path) -> "Wheel":
        with zipfile.ZipFile(file) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
        requires = tuple(map(Requirement, metadata.get_all("Requires-Dist") or ()))
        return cls(file, canonicalize_name(metadata["Name"]), metadata["Version"], requires)


def missing(
    wheels: list[Wheel], wanted: dict[str, set[str]], environment: dict[str, str]
) -> list[str]:
    """Return the requirements that no wheel meets on a machine with these markers.

    pip evaluates markers for the machine it runs on, so it omits what only the other one needs.

    Args:
        wheels: those that were found.
        wanted: extras by name of the distribution; extras of requirements are added.
        environment: values of the markers.
    """
    names = {wheel.name: wheel for wheel in wheels}
    lacking: dict[str, str] = {}
    before = None
    while before != wanted:
        before = {name: set(extras) for name, extras in wanted.items()}
        for wheel in wheels:
            for required in wheel.requires:
                if not _applies(required, before.get(wheel.name, set()), environment):
                    continue
                name = canonicalize_name(required.name)
                wanted.setdefault(name, set()).update(required.extras)
                if name not in names:
                    lacking[name] = f"{required.name}{required.specifier}"
    return sorted(lacking.values())


def _applies(required: Requirement, extras: set[str], environment: dict[str, str]) -> bool:
    if required.marker is None:
        return True
    return any(required.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


def markers_for(target: str | None, python: str) -> dict[str, str]:
    """Return what markers of requirements are compared with; without a target, for this machine."""
    markers = {str(key): str(value) for key, value in default_environment().items()}
    if target is not None:
        markers |= TARGETS[target].environment
        markers |= {"python_version": python, "python_full_version": f"{python}.0"}
    return markers


def flags_for(target: str | None, python: str) -> list[str]:
    """Return pip's flags for wheels of another machine."""
    if target is None:
        return []
    platforms = [flag for tag in TARGETS[target].platforms for flag in ("--platform", tag)]
    return ["--implementation", "cp", "--python-version", python, *platforms]


def gather(wheel: Path, out: Path, target: str | None, python: str, extra: str) -> list[Wheel]:
    """Fetch the wheel's requirements into `out`, beside a copy of the wheel.

    Raises:
        subprocess.CalledProcessError: pip found no wheel for something; it has printed for what.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    command += ["--dest", str(out), *flags_for(target, python)]
    wants = [f"{wheel}[{extra}]" if extra else str(wheel)]
    while wants:
        subprocess.run([*command, *wants], check=True)
        wheels = [Wheel.read(file) for file in sorted(out.glob("*.whl"))]
        wants = missing(wheels, {"rcc-onnx": {extra}}, markers_for(target, python))
    return wheels


def describe(wheels: list[Wheel], out: Path, target: str, python: str, extra: str) -> None:
    """Write requirements.txt, install.txt and SHA256SUMS."""
    lines = []
    for wheel in wheels:
        extras = f"[{extra}]" if wheel.name == "rcc-onnx" and extra else ""
        digest = hashlib.sha256(wheel.file.read_bytes()).hexdigest()
        lines.append(f"{wheel.name}{extras}=={wheel.version} --hash=sha256:{digest}\n")
    (ours,) = (wheel for wheel in wheels if wheel.name == "rcc-onnx")
    windows = target == "windows"
    folder = "rcc-onnx\\Scripts\\" if windows else "rcc-onnx/bin/"
    text = INSTALL.format(
        version=ours.version,
        target=target,
        python=python,
        check="certutil -hashfile FILE SHA256   (compare with SHA256SUMS)"
        if windows
        else "sha256sum -c SHA256SUMS",
        venv=f"{f'py -{python}' if windows else f'python{python}'} -m venv rcc-onnx",
        pip=f"{folder}python -m pip",
        program=f"{folder}rcc-onnx",
    )
    (out / "requirements.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
    (out / "install.txt").write_text(text, encoding="utf-8", newline="\r\n" if windows else "\n")
    files = sorted(path for path in out.iterdir() if path.name != "SHA256SUMS")
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (out / "SHA256SUMS").write_text("".join(sums), encoding="utf-8", newline="\n")


def main() -> None:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    parser = argparse.ArgumentParser(
        description="Collect all wheels for machines without a network."
    )
    parser.add_argument("out", type=Path, help="an empty or new folder")
    parser.add_argument("--for", dest="target", choices=TARGETS, help="default: like this machine")
    parser.add_argument("--python", default=here, help=f"such as 3.12; default: {here}")
    parser.add_argument("--extra", default="results", help='default: results; "" for none')
    parser.add_argument("--wheel", type=Path, help="default: the one in dist/")
    given = parser.parse_args()
    if given.target is None and given.python != here:
        parser.error("--python needs --for")
    built = sorted((ROOT / "dist").glob("rcc_onnx-*.whl"))
    if given.wheel is None and len(built) != 1:
        parser.error("dist/ does not hold exactly one wheel: run `make dist`, or give --wheel")
    given.out.mkdir(parents=True, exist_ok=True)
    if any(given.out.iterdir()):
        parser.error(f"{given.out} is not empty")
    wheel = given.wheel or built[0]
    wheels = gather(wheel, given.out, given.target, given.python, given.extra)
    describe(wheels, given.out, given.target or "machines like this one", given.python, given.extra)
    size = sum(wheel.file.stat().st_size for wheel in wheels)
    print(f"{given.out}: {len(wheels)} wheels, {size / 1e6:.0f} MB; see install.txt")


if __name__ == "__main__":
    main()
