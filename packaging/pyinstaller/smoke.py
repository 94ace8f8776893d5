"""Test the single folder that build.py wrote: `python packaging/pyinstaller/smoke.py FOLDER`.

The folder is copied to a path with blanks and non-ASCII letters, and run with an empty environment:
no PATH, no PYTHONPATH, a data folder, and a HOME that must stay empty. Its results are compared
with those of the package that is installed for the Python that runs this script.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gdcm  # type: ignore[import-untyped]
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, RLELossless

from rcc_onnx import __version__
from rcc_onnx.phantom import make_study

SEED = 1
BY_PYDICOM = {"jpeg-2000": JPEG2000Lossless, "rle": RLELossless}
BY_GDCM = {
    "jpeg-lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "jpeg-ls": gdcm.TransferSyntax.JPEGLSLossless,
}
SAVED = ("_mask.nii.gz", "_lesion_probability.nii.gz", "_seg.dcm", "_sr.dcm")
DOCUMENTED = ("self_tests.json",)
"""Files that may appear in the data folder (docs/doctor.md)."""
LIMIT_S = 300.0
"""For each command, on a busy machine."""


class Smoke:
    """The copied program, a working folder, and an empty home."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.work, self.home = scratch / "elsewhere", scratch / "home"
        self.data = scratch / "data"
        self.work.mkdir()
        self.home.mkdir()
        self.folder = scratch / "Program Files" / "rcc onnx \u00e4\u540d"
        shutil.copytree(folder, self.folder, symlinks=True)
        self._program = self.folder / ("rcc-onnx.exe" if os.name == "nt" else "rcc-onnx")

    def run(self, *arguments: object, expect: int = 0) -> str:
        """Return what the program prints. Raises SystemExit on another exit code than expected."""
        environ = {"HOME": str(self.home), "USERPROFILE": str(self.home)}
        environ["RCC_ONNX_HOME"] = str(self.data)
        if os.name == "nt":
            # Windows programs do not start without it.
            environ["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
        return _run([str(self._program), *map(str, arguments)], self.work, environ, expect)

    def files(self) -> list[str]:
        return sorted(str(path) for path in self.folder.rglob("*"))


def _run(command: list[str], folder: Path, environ: dict[str, str], expect: int = 0) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode != expect:
        raise SystemExit(
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done.stdout


def normal(folder: Path, *arguments: object) -> None:
    """Run the same command with the installed package."""
    environ = {**os.environ, "RCC_ONNX_HOME": str(folder / "none")}
    _run([sys.executable, "-m", "rcc_onnx", *map(str, arguments)], folder, environ)


def compressed_studies(plain: Path, out: Path) -> list[str]:
    """Write the study in each lossless encoding, as folders in `out`; return their names."""
    for name in (*BY_PYDICOM, *BY_GDCM):
        (out / name).mkdir(parents=True)
        for file in sorted(path for path in plain.rglob("*") if path.is_file()):
            _compress(file, out / name / file.name, name)
    return [*BY_PYDICOM, *BY_GDCM]


def _compress(file: Path, to: Path, name: str) -> None:
    if name in BY_PYDICOM:
        dataset = dcmread(file)
        dataset.compress(BY_PYDICOM[name], generate_instance_uid=False)
        dataset.save_as(to)
        return
    reader = gdcm.ImageReader()
    reader.SetFileName(str(file))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(BY_GDCM[name]))
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(to))
    if not reader.Read():
        raise SystemExit(f"gdcm cannot read {file}")
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise SystemExit(f"gdcm cannot write {name}")
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise SystemExit(f"gdcm cannot write {to}")


def same(results: Path, case: str, expected: Path, expected_case: str) -> None:
    """Raise SystemExit unless decisions and pictures are the expected ones."""
    ours, theirs = (
        _sides(folder, name) for folder, name in ((results, case), (expected, expected_case))
    )
    if ours != theirs:
        raise SystemExit(f"{case}: other decisions than the normal install: {ours}, {theirs}")
    for side in ("r", "l"):
        picture, other = results / f"{case}_{side}.png", expected / f"{expected_case}_{side}.png"
        if _bytes(picture) != _bytes(other):
            raise SystemExit(f"{picture.name}: not the picture of the normal install")


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _sides(results: Path, case: str) -> object:
    document = json.loads((results / f"{case}.json").read_text(encoding="utf-8"))
    return {side: document["sides"][side]["outcome"] for side in ("right", "left")}


def check_small_commands(smoke: Smoke) -> None:
    if smoke.run("--version").strip() != f"rcc-onnx {__version__}":
        raise SystemExit("--version prints another version")
    for lines, words in (
        (smoke.run("models", "list"), "phantom"),
        (smoke.run("models", "verify"), "both networks ran on cpu"),
        (smoke.run("schema"), "json-schema.org"),
        (smoke.run("completion", "bash"), "_RCC_ONNX_COMPLETE"),
    ):
        _need(words, lines)


def check_demo(smoke: Smoke) -> None:
    smoke.run("demo", "demo")
    normal(smoke.work, "demo", "demo_normal")
    (case,) = (path.stem for path in (smoke.work / "demo" / "results").glob("phantom-*.json"))
    same(smoke.work / "demo/results", case, smoke.work / "demo_normal/results", case)
    overviews = [
        smoke.work / demo / "results" / f"{case}_overview.png" for demo in ("demo", "demo_normal")
    ]
    if overviews[0].read_bytes() != overviews[1].read_bytes():
        raise SystemExit("the overview is not that of the normal install")


def check_encodings(smoke: Smoke) -> None:
    """Compare a study in each encoding, analysed by two workers, with the uncompressed study."""
    plain = make_study(SEED, smoke.work / "plain", quick=True).folder
    cases = compressed_studies(plain, smoke.work / "studies")
    _need(
        "jpeg-ls",
        smoke.run("infer", "studies", "--out", "results", "--workers", 2, "--save", "all"),
    )
    normal(smoke.work, "infer", "plain", "--out", "expected")
    # SHA256SUMS of the run.
    smoke.run("verify", "results")
    for case in cases:
        same(smoke.work / "results", case, smoke.work / "expected", "plain")
        for ending in SAVED:
            if not (smoke.work / "results" / f"{case}{ending}").is_file():
                raise SystemExit(f"{case}{ending} is missing")
        listed = json.loads(smoke.run("series", f"studies/{case}", "--json"))
        if len(listed) != 1:
            raise SystemExit(f"{case}: series lists {listed}")


def check_bench(smoke: Smoke) -> None:
    """Run `bench`, which starts the program in other processes."""
    few = ("--provider", "cpu", "--precision", "float32", "--repeats", 1)
    _need("Recommended here", smoke.run("bench", "plain", *few))


def check_doctor(smoke: Smoke) -> None:
    if "doctor" in smoke.run("--help"):
        smoke.run("doctor")


def check_errors(smoke: Smoke) -> None:
    smoke.run("infer", "nothing-here", expect=2)
    smoke.run("infer", "plain", "--provider", "cuda", "--out", "none", expect=2)


def _need(words: str, output: str) -> None:
    if words not in output:
        raise SystemExit(f"{words!r} is not in:\n{output}")


CHECKS: tuple[Callable[[Smoke], None], ...] = (
    check_small_commands,
    check_demo,
    check_encodings,
    check_bench,
    check_doctor,
    check_errors,
)


def main() -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rcc-onnx-smoke-") as scratch:
        smoke = Smoke(Path(sys.argv[1]).resolve(), Path(scratch))
        before = smoke.files()
        for check in CHECKS:
            check(smoke)
        left = [str(path) for path in smoke.home.rglob("*")]
        left += [path.name for path in smoke.data.glob("*") if path.name not in DOCUMENTED]
        if left or smoke.files() != before:
            raise SystemExit(f"files outside the results: {left or 'in the program folder'}")
    print(f"the single folder works without Python ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
