"""Build the folder for machines without Python: `python packaging/pyinstaller/build.py [OUT]`.

Writes OUT/rcc-onnx (default: dist/rcc-onnx). The Python that runs it is the one that goes in, with
all packages that are installed for it, so give it an environment of its own:

    python3 -m venv env && env/bin/pip install '.[results,packaging]'
    env/bin/python packaging/pyinstaller/build.py
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from notices import LicenceError, owners, page

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def build(out: Path) -> Path:
    """Build out/rcc-onnx, replacing what is there, and return that folder.

    Raises:
        LicenceError: a file in it may not be redistributed.
        SystemExit: PyInstaller failed.
    """
    with tempfile.TemporaryDirectory(prefix="rcc-onnx-freeze-") as scratch:
        # Otherwise PyInstaller keeps a cache in the home folder.
        environ = {**os.environ, "PYINSTALLER_CONFIG_DIR": str(Path(scratch, "config"))}
        command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN"]
        command += ["--workpath", str(Path(scratch, "work")), "--distpath", str(out)]
        command += [str(HERE / "rcc-onnx.spec")]
        # Run elsewhere, or the checkout would be taken for the installed package.
        done = subprocess.run(command, env=environ, cwd=scratch, check=False)
        if done.returncode:
            raise SystemExit("PyInstaller failed, see above")
        (listed,) = Path(scratch, "work").rglob("sources.json")
        sources = [Path(file) for file in json.loads(listed.read_text(encoding="utf-8"))]
    folder = out / "rcc-onnx"
    try:
        notices = page(owners(sources, ROOT))
    except LicenceError:
        shutil.rmtree(folder)
        raise
    (folder / "THIRD_PARTY.txt").write_text(notices, encoding="utf-8")
    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(ROOT / name, folder / f"{name}.txt")
    shutil.copyfile(HERE / "README.txt", folder / "README.txt")
    return folder


def size_bytes(folder: Path) -> int:
    """Return the size of its files, without links."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )


def main() -> None:
    folder = build(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "dist")
    print(f"{folder}: {size_bytes(folder) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
