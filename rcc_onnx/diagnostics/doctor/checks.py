"""Checks of the doctor beside networks: software, machine, decoders, folders, telemetry."""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from rcc_onnx._version import __version__
from rcc_onnx.batch.worker_pool import Handler, Limits, TaskProcess
from rcc_onnx.bundles.data_folder import HOME_VARIABLE, data_folder
from rcc_onnx.errors import (
    CaseMemoryError,
    CaseProcessError,
    CaseTimeoutError,
    DataFolderError,
    RuntimeNotUsableError,
)
from rcc_onnx.runtime.providers import installed_runtimes
from rcc_onnx.runtime.session import TELEMETRY_SWITCH, runtime_version
from rcc_onnx.system.host import memory, packages, processor, processor_flags, usable_cpus

Input = TypeVar("Input")
Output = TypeVar("Output")


class Verdict(StrEnum):
    """The result of a check. `missing`: not installed, and optional."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    MISSING = "missing"


class Category(StrEnum):
    """The part of the system that a check is about; makes checks of it."""

    SOFTWARE = "software"
    MACHINE = "machine"
    BUNDLES = "bundles"
    PROVIDERS = "providers"
    DECODING = "decoding"
    EXTRAS = "extras"
    FOLDERS = "folders"
    TELEMETRY = "telemetry"

    def ok(self, subject: str, message: str) -> "Check":
        return Check(self, subject, Verdict.OK, message, None)

    def warning(self, subject: str, message: str, remedy: str) -> "Check":
        return Check(self, subject, Verdict.WARNING, message, remedy)

    def problem(self, subject: str, message: str, remedy: str | None) -> "Check":
        return Check(self, subject, Verdict.PROBLEM, message, remedy)

    def missing(self, subject: str, message: str, remedy: str) -> "Check":
        return Check(self, subject, Verdict.MISSING, message, remedy)


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        subject: what was checked, such as `cpu` or `JPEG 2000`.
        message: what was found.
        remedy: what to do about it; None where nothing needs to be done.
    """

    category: Category
    subject: str
    verdict: Verdict
    message: str
    remedy: str | None


class ProbeError(Exception):
    """A probe crashed its process, ran out of memory or of time."""


def probe(function: Callable[[Input], Output], value: Input, seconds: float) -> Output:
    """Return `function(value)`, computed in another process; all three must be picklable.

    Raises:
        RccOnnxError: the function raised it.
        ProbeError: the process died, ran out of memory or took longer than `seconds`.
    """
    process: TaskProcess[Input, Output] = TaskProcess(partial(_handler, function), Limits(seconds))
    try:
        return process.do(value, lambda stage, done: None)
    except CaseProcessError as error:
        reasons: dict[type, str] = {
            CaseTimeoutError: f"not finished after {seconds:.0f} s",
            CaseMemoryError: "not enough memory",
        }
        raise ProbeError(reasons.get(type(error), "the process that tried it crashed")) from error
    finally:
        process.close()


def _handler(function: Callable[[Input], Output]) -> Handler[Input, Output]:
    return lambda value, on_progress: function(value)


# --- Software ------------------------------------------------------------------------------------

EXTRAS = {
    "nifti": (("nibabel",), "masks as NIfTI (--save nifti)"),
    "dicom": (("highdicom",), "masks and measurements as DICOM (--save seg, sr)"),
    "evaluate": (("matplotlib", "scipy"), "plots and masks of rcc-onnx evaluate"),
}
"""Optional features: the packages of each, and what it is for."""


def check_packages() -> Iterator[Check]:
    """Check the packages that results depend on."""
    versions = {"Python": platform.python_version(), "rcc-onnx": __version__, **packages()}
    missing = " ".join(name for name, number in versions.items() if not number)
    message = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    if missing:
        remedy = f"pip install {missing}"
        yield Category.SOFTWARE.problem("packages", f"{message}; not installed: {missing}", remedy)
    else:
        yield Category.SOFTWARE.ok("packages", message)


def check_extras() -> Iterator[Check]:
    for extra, (names, purpose) in EXTRAS.items():
        try:
            installed = ", ".join(f"{name} {version(name)}" for name in names)
        except PackageNotFoundError as error:
            remedy = f"pip install 'rcc-onnx[{extra}]' if you want that."
            yield Category.EXTRAS.missing(extra, f"{error.name} not installed: {purpose}", remedy)
        else:
            yield Category.EXTRAS.ok(extra, f"{installed}: {purpose}")


def check_runtime() -> Iterator[Check]:
    """Check that onnxruntime can be imported, and that only one package brings it."""
    names = installed_runtimes()
    try:
        message = f"{runtime_version()}, from {' and '.join(names) or 'an unknown package'}"
    except RuntimeNotUsableError as error:
        yield Category.SOFTWARE.problem("onnxruntime", error.problem, error.advice or None)
        return
    if len(names) > 1:
        message += ", which overwrite each other's files"
        remedy = f"pip uninstall -y {' '.join(names)}, then pip install the one that you want "
        yield Category.SOFTWARE.problem("onnxruntime", message, f"{remedy}(docs/providers.md).")
    else:
        yield Category.SOFTWARE.ok("onnxruntime", message)


# --- Machine -------------------------------------------------------------------------------------

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "asimddp")
"""Instructions that make networks faster, as Linux names them."""

ENOUGH_MEMORY = 1 << 30
"""Bytes. An analysis with networks of the published size holds 300 to 500 MB, and files besides."""


def check_machine() -> Iterator[Check]:
    """Check the processor, and the CPUs and memory that this process may use."""
    flags = processor_flags()
    features = ", ".join(name for name in FEATURES if name in flags) or "features unknown"
    usable = f"{usable_cpus()} of {os.cpu_count() or 1} CPUs may be used"
    name = processor() or "unknown"
    if flags and not {"avx2", "asimd"}.intersection(flags):
        remedy = "Networks run, but slowly: a processor from 2014 or later is several times faster."
        yield Category.MACHINE.warning("processor", f"{name}, no AVX2, {usable}", remedy)
    else:
        yield Category.MACHINE.ok("processor", f"{name}, {features}, {usable}")
    found = memory()
    if found.total is None or found.free is None:
        yield Category.MACHINE.ok("memory", "unknown on this system")
        return
    message = f"{_gib(found.free)} free of {_gib(found.total)}"
    message += ", the limit of this process" if found.limited else ""
    if found.free < ENOUGH_MEMORY:
        remedy = "Close other programs, or raise the limit: an analysis takes up to 1 GiB."
        yield Category.MACHINE.warning("memory", message, remedy)
    else:
        yield Category.MACHINE.ok("memory", message)


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"


# --- Decoders ------------------------------------------------------------------------------------

DECODING_S = 60.0

REINSTALL = "pip install --force-reinstall python-gdcm pylibjpeg pylibjpeg-openjpeg pydicom"


def check_decoders() -> Iterator[Check]:
    """Decode a small image of every transfer syntax that the intake reads."""
    try:
        decodings = probe(_try_decoders, None, DECODING_S)
    except ProbeError as error:
        yield Category.DECODING.problem("decoders", f"cannot be tried: {error}", f"{REINSTALL}.")
        return
    for name, uid, problem in decodings:
        if problem:
            remedy = f"{REINSTALL}, or export series uncompressed."
            yield Category.DECODING.warning(name, f"{uid} cannot be decoded: {problem}", remedy)
        else:
            yield Category.DECODING.ok(name, f"{uid} is decoded")


def _try_decoders(_: None) -> list[tuple[str, str, str]]:
    from rcc_onnx.dicom.codec_check import try_decoders  # noqa: PLC0415  it may crash the process

    return [(decoding.name, decoding.uid, decoding.problem) for decoding in try_decoders()]


# --- Folders -------------------------------------------------------------------------------------

ENOUGH_SPACE = 1 << 30
"""Bytes. A case takes some MB; with --save all, some hundred."""


def check_folders(out: Path | None) -> Iterator[Check]:
    """Check that files can be written where they must be; `out`: the folder for results, if any."""
    remedy = "Free some space there, or set TMPDIR (Windows: TEMP)."
    try:
        yield _check_writable("temporary files", Path(tempfile.gettempdir()), remedy)
    except FileNotFoundError as error:
        yield Category.FOLDERS.problem("temporary files", str(error.strerror), remedy)
    yield _check_data_folder()
    if out is not None:
        check = _check_writable("results", out, "Give another --out, or the right to write there.")
        if check.verdict is Verdict.OK:
            free = shutil.disk_usage(_nearest_existing(out)).free
            message = f"{_gib(free)} free, {check.message}"
            check = Category.FOLDERS.ok("results", message)
            if free < ENOUGH_SPACE:
                check = Category.FOLDERS.warning("results", message, "Free some space there.")
        yield check


def _check_data_folder() -> Check:
    subject, remedy = "data folder", f"Set {HOME_VARIABLE} to the absolute path of a folder."
    try:
        folder = data_folder()
    except DataFolderError as error:
        return Category.FOLDERS.problem(subject, str(error), remedy)
    if folder is None:
        return Category.FOLDERS.warning(subject, "this user has no home folder", remedy)
    remedy = (
        "This user cannot install bundles, and the self-test runs at every start; give the right "
        f"to write there, or set {HOME_VARIABLE}."
    )
    return _check_writable(subject, folder, remedy, Verdict.WARNING)


def _check_writable(
    subject: str, folder: Path, remedy: str, otherwise: Verdict = Verdict.PROBLEM
) -> Check:
    """Write a file in a folder, or where it is to be created. The file is gone at once."""
    try:
        with tempfile.TemporaryFile(dir=_nearest_existing(folder)) as file:
            file.write(b"x")
            file.flush()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        message = f"cannot be written ({reason}): {folder}"
        return Check(Category.FOLDERS, subject, otherwise, message, remedy)
    state = "can be written" if folder.is_dir() else "can be created"
    return Category.FOLDERS.ok(subject, f"{state}: {folder}")


def _nearest_existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next((path for path in (folder, *folder.parents) if path.exists()), folder)


# --- Telemetry -----------------------------------------------------------------------------------


def device_ids() -> tuple[Path, ...]:
    """Return the files in which onnxruntime's telemetry has left an identifier of this machine."""
    try:
        home = Path.home()
    except RuntimeError:
        return ()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    bases = dict.fromkeys((home / ".cache", home / "Library" / "Application Support", cache))
    below = Path("Microsoft", "DeveloperTools", ".onnxruntime", "deviceid")
    # Unlike `Path.exists`, this is false too where looking is forbidden.
    return tuple(base / below for base in bases if os.path.exists(base / below))  # noqa: PTH110


def check_telemetry(before: tuple[Path, ...]) -> Iterator[Check]:
    """Check that onnxruntime, whose telemetry is off, has left nothing.

    Args:
        before: `device_ids` before anything was run.
    """
    subject, new = "onnxruntime", set(device_ids()).difference(before)
    if new:
        message = f"an identifier of this machine has just appeared: {min(new)}"
        remedy = "Delete it and please report this: rcc-onnx turns telemetry off."
        yield Category.TELEMETRY.problem(subject, message, remedy)
    elif before:
        message = f"off; but another program left an identifier of this machine: {before[0]}"
        remedy = f"Delete it, and set {TELEMETRY_SWITCH}=1 for other programs too."
        yield Category.TELEMETRY.warning(subject, message, remedy)
    else:
        yield Category.TELEMETRY.ok(subject, "off; it has left nothing here")
