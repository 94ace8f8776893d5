"""Check the wheel and the source archive: `python packaging/check_dist.py [OUT]`.

Builds in two clones in different places, with another umask, time zone, language and user name,
then once more from the unpacked source archive, and compares byte for byte. Then checks what is
inside. With OUT, the two files are left there. The Python that runs it needs the package `build`.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SURROUNDINGS = (
    (0o022, {"TZ": "Pacific/Chatham", "LC_ALL": "C", "USER": "one", "LOGNAME": "one"}),
    (0o077, {"TZ": "UTC", "LC_ALL": "C.UTF-8", "USER": "other", "LOGNAME": "other"}),
)

BUNDLE = ("manifest.json", "kidney.onnx", "lesion.onnx", "MODEL_CARD.md")
IN_WHEEL = (*(f"rcc_onnx/models/phantom/{name}" for name in BUNDLE), "/licenses/LICENSE")
IN_SDIST = ("/pyproject.toml", "/docs/installing.md", "/convert/__main__.py", "/CHANGELOG.md")


def wheel_faults(names: list[str], sources: list[str]) -> list[str]:
    """Return what is wrong with a wheel of these members; `sources` are the package's files."""
    missing = [end for end in (*IN_WHEEL, *sources) if not any(n.endswith(end) for n in names)]
    strange = {
        name.split("/")[0] for name in names if not name.startswith(("rcc_onnx/", "rcc_onnx-"))
    }
    bundles = {n.split("/")[2] for n in names if n.startswith("rcc_onnx/models/")} - {"phantom"}
    return [
        *(f"the wheel lacks {end}" for end in missing),
        *(f"the wheel brings {top}" for top in sorted(strange)),
        *(f"the wheel brings the bundle {bundle}" for bundle in sorted(bundles)),
    ]


def sdist_faults(names: list[str], sources: list[str]) -> list[str]:
    """Return what is wrong with a source archive of these members."""
    missing = [end for end in (*IN_SDIST, *sources) if not any(n.endswith(end) for n in names)]
    unwanted = [n for n in names if n.split("/")[1:2] in (["tests"], ["benchmarks"])]
    return [
        *(f"the sdist lacks {end}" for end in missing),
        *(f"the sdist brings {name}" for name in unwanted[:3]),
    ]


def package_sources(root: Path) -> list[str]:
    """Return the files of the package in a checkout, as both archives must hold them."""
    command = ["git", "-C", str(root), "ls-files", "rcc_onnx"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def _build(root: Path, out: Path, umask: int, settings: dict[str, str]) -> list[Path]:
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(root)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **settings},
        umask=umask,
    )
    return sorted(out.iterdir())


def _build_three_times(scratch: Path) -> list[list[Path]]:
    built = []
    for number, (umask, settings) in enumerate(SURROUNDINGS):
        clone = scratch / f"{'far/' * number}clone{number}"
        clone.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, umask=umask)
        built.append(_build(clone, scratch / f"out{number}", umask, settings))
    with tarfile.open(built[0][-1]) as sdist:
        sdist.extractall(scratch / "unpacked", filter="data")
    (folder,) = (scratch / "unpacked").iterdir()
    built.append(_build(folder, scratch / "out_of_sdist", *SURROUNDINGS[1]))
    return built


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rcc-onnx-check-dist-") as scratch:
        first, *others = _build_three_times(Path(scratch))
        faults = [
            f"{mine.name} differs between {mine.parent} and {theirs.parent}"
            for other in others
            for mine, theirs in zip(first, other, strict=True)
            if _digest(mine) != _digest(theirs)
        ]
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
            print(
                f"{path.name}: {path.stat().st_size} bytes, the same three times, {_digest(path)}"
            )


if __name__ == "__main__":
    main()
