"""Hold sdist and wheel to what docs/installing.md says of them.

    python packaging/check_dist.py [OUT]

Builds in two clones in different places, with another umask, time zone, language and user name,
then once more from the unpacked sdist, and compares byte for byte. Then looks at what is inside.
With OUT, the two files are left there.
The Python that runs it needs the package `build`.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from build_dist import ROOT, sha256

UMASKS = (0o022, 0o077)
SETTINGS = (
    {"TZ": "Pacific/Chatham", "LC_ALL": "C", "USER": "one", "LOGNAME": "one"},
    {"TZ": "UTC", "LC_ALL": "C.UTF-8", "USER": "other", "LOGNAME": "other"},
)

IN_WHEEL = (
    "rcc_onnx/py.typed",
    "rcc_onnx/cli/app.py",
    "rcc_onnx/output/html/templates/report.html.j2",
    "rcc_onnx/output/html/templates/report.js",
    "rcc_onnx/output/html/templates/report.css",
    "rcc_onnx/output/schemas/case.json",
    "rcc_onnx/output/schemas/results.json",
    "rcc_onnx/models/phantom/manifest.json",
    "rcc_onnx/models/phantom/kidney.onnx",
    "rcc_onnx/models/phantom/lesion.onnx",
    "rcc_onnx/models/phantom/MODEL_CARD.md",
    "licenses/LICENSE",
    "licenses/NOTICE",
    "share/man/man1/rcc-onnx.1",
)
"""Ends of names that must be there; the source archive has the same modules."""
IN_SDIST = ("/pyproject.toml", "/docs/installing.md", "/convert/__main__.py", "/CHANGELOG.md")
WHEEL_TOPS = ("rcc_onnx", "rcc_onnx-")
"""What the first parts of the wheel's names begin with: nothing else goes into site-packages."""


def wheel_faults(names: list[str], sources: list[str]) -> list[str]:
    """What is wrong with a wheel of these members; `sources` are modules of the checkout."""
    missing = [one for one in (*IN_WHEEL, *sources) if not any(n.endswith(one) for n in names)]
    tops = {name.split("/")[0] for name in names}
    strange = [one for one in tops if one != WHEEL_TOPS[0] and not one.startswith(WHEEL_TOPS[1])]
    bundles = {n.split("/")[2] for n in names if n.startswith("rcc_onnx/models/")} - {"phantom"}
    return [
        *(f"the wheel lacks {one}" for one in missing),
        *(f"the wheel brings {one}" for one in sorted(strange)),
        *(f"the wheel brings the bundle {one}" for one in sorted(bundles)),
    ]


def sdist_faults(names: list[str], sources: list[str]) -> list[str]:
    """What is wrong with a source archive of these members."""
    missing = [one for one in (*IN_SDIST, *sources) if not any(n.endswith(one) for n in names)]
    unwanted = [n for n in names if n.split("/")[1:2] in (["tests"], ["benchmarks"])]
    return [
        *(f"the sdist lacks {one}" for one in missing),
        *(f"the sdist brings {one}" for one in unwanted[:3]),
    ]


def package_sources(root: Path) -> list[str]:
    """The files of the package in a checkout, as both archives must hold them."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "rcc_onnx"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return listed.stdout.split()


def _build(root: Path, out: Path, umask: int, settings: dict[str, str]) -> list[Path]:
    subprocess.run(
        [sys.executable, str(root / "packaging" / "build_dist.py"), str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **settings},
        umask=umask,
    )
    return sorted(out.iterdir())


def _built_three_ways(scratch: Path) -> list[list[Path]]:
    built = []
    for number, (umask, settings) in enumerate(zip(UMASKS, SETTINGS, strict=True)):
        clone = scratch / f"{'far/' * number}clone{number}"
        clone.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["git", "clone", "--quiet", str(ROOT), str(clone)],
            check=True,
            umask=umask,
        )
        built.append(_build(clone, scratch / f"out{number}", umask, settings))
    unpacked = scratch / "unpacked"
    with tarfile.open(built[0][-1]) as sdist:
        sdist.extractall(unpacked, filter="data")
    (folder,) = unpacked.iterdir()
    built.append(_build(folder, scratch / "out_of_sdist", UMASKS[1], SETTINGS[0]))
    return built


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rcc-onnx-check-dist-") as scratch:
        first, *others = _built_three_ways(Path(scratch))
        faults = []
        for other in others:
            for one, two in zip(first, other, strict=True):
                if sha256(one) != sha256(two):
                    faults.append(f"{one.name} differs between {one.parent} and {two.parent}")
        wheel, sdist = first
        sources = package_sources(ROOT)
        with zipfile.ZipFile(wheel) as archive:
            faults += wheel_faults(archive.namelist(), sources)
        with tarfile.open(sdist) as packed:
            faults += sdist_faults(packed.getnames(), sources)
        if faults:
            raise SystemExit("\n".join(faults))
        if len(sys.argv) > 1:
            out = Path(sys.argv[1])
            out.mkdir(parents=True, exist_ok=True)
            for path in first:
                shutil.copy2(path, out)
        for path in first:
            print(f"{path.name}: three times the same {path.stat().st_size} bytes, {sha256(path)}")


if __name__ == "__main__":
    main()
