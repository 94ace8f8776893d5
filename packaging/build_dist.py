"""Build the sdist and the wheel so that anybody gets the same bytes: `make dist`.

    python packaging/build_dist.py [OUT]

Takes what is committed, not what lies about: `git archive HEAD` into a folder of its own. In an
unpacked sdist it takes the folder itself. Prints the SHA-256 of both files. The Python that runs it
needs the package `build`; setuptools is fetched in the version of build-constraints.txt.

What setuptools leaves open is set here: times are those of the last commit, owners are nobody,
modes do not hang on the umask, members are in order, and gzip's header holds no time and no name.
What is left is the compressor: another zlib may give other bytes for the same contents.
"""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "packaging" / "build-constraints.txt"
LEFT_OUT = shutil.ignore_patterns(
    ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", "setup.cfg"
)
"""Of an unpacked sdist: what is made from it, and what setuptools adds to it each time."""
FILE_MODE, FOLDER_MODE = 0o644, 0o755


def build(root: Path, out: Path) -> list[Path]:
    """Build both from the checkout or unpacked sdist `root` into `out`, an existing folder.

    Raises:
        subprocess.CalledProcessError: the build failed; what it said is on standard error.
    """
    with tempfile.TemporaryDirectory(prefix="rcc-onnx-dist-") as scratch:
        source, made = Path(scratch, "source"), Path(scratch, "made")
        source.mkdir()
        epoch = _take_sources(root, source)
        _set_modes(source)
        _run_build(source, made, epoch)
        (sdist,) = made.glob("*.tar.gz")
        (wheel,) = made.glob("*.whl")
        repack(sdist, out / sdist.name, epoch)
        shutil.copyfile(wheel, out / wheel.name)
        return [out / sdist.name, out / wheel.name]


def repack(sdist: Path, to: Path, epoch: int) -> None:
    """The same members in order, without a trace of who packed them, when, and under what umask."""
    with tarfile.open(sdist) as old, to.open("wb") as raw:
        members = sorted(old.getmembers(), key=lambda one: one.name)
        with (
            gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as new,
        ):
            for member in members:
                if not (member.isfile() or member.isdir()):
                    raise SystemExit(f"{member.name}: neither a file nor a folder")
                clean = tarfile.TarInfo(member.name)
                clean.type, clean.size, clean.mtime = member.type, member.size, epoch
                clean.mode = FOLDER_MODE if member.isdir() else FILE_MODE
                content = old.extractfile(member)
                new.addfile(clean, None if content is None else io.BytesIO(content.read()))


def _take_sources(root: Path, to: Path) -> int:
    """Copy what the build takes, and say of when it is, in seconds since 1970."""
    stamp = root / "PKG-INFO"
    if not (root / ".git").exists() and stamp.is_file():
        shutil.copytree(root, to, dirs_exist_ok=True, ignore=LEFT_OUT)
        return int(stamp.stat().st_mtime)
    archive = subprocess.run(
        ["git", "-C", str(root), "archive", "--format=tar", "HEAD"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        opened.extractall(to, filter="data")
    if _git(root, "status", "--porcelain"):
        print("note: what is not committed is not in it", file=sys.stderr)
    return int(_git(root, "log", "-1", "--format=%ct"))


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


def _set_modes(folder: Path) -> None:
    """The wheel takes modes from the files."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)


def _run_build(source: Path, made: Path, epoch: int) -> None:
    environ = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(epoch),
        "PIP_CONSTRAINT": str(CONSTRAINTS),
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }
    before = os.umask(0o022)
    try:
        command = [sys.executable, "-m", "build", "--outdir", str(made), str(source)]
        done = subprocess.run(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    finally:
        os.umask(before)
    if done.returncode:
        sys.stderr.buffer.write(done.stdout)
        raise SystemExit("the build failed, see above")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    out.mkdir(parents=True, exist_ok=True)
    for path in build(ROOT, out):
        print(f"{sha256(path)}  {path}")


if __name__ == "__main__":
    main()
