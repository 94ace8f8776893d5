"""Reads and writes the files of a bundle folder; a folder is written whole, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from convert.errors import ConvertError, OutputError, OutputExistsError
from rcc_onnx.bundles.bundle import Bundle, load_bundle, network_entries, read_bundle_file
from rcc_onnx.bundles.data_folder import is_file
from rcc_onnx.bundles.manifest import DOCUMENTS, MANIFEST_FILE, REFERENCE_OUTPUTS_FILE, ExtraVariant

KIDNEY_FILE = "kidney.onnx"
LESION_FILE = "lesion.onnx"
CARD_FILE = "MODEL_CARD.md"
BUNDLE_FILES = frozenset(
    {KIDNEY_FILE, LESION_FILE, CARD_FILE, MANIFEST_FILE, REFERENCE_OUTPUTS_FILE}
    | {
        file.replace(".onnx", f".{variant}.onnx")
        for file in (KIDNEY_FILE, LESION_FILE)
        for variant in get_args(ExtraVariant)
    }
)


def bundle_files(bundle: Bundle) -> dict[str, bytes]:
    """Return the content of every file of a bundle, its manifest apart, by name.

    Raises a BundleError.
    """
    files = [entry.file for entry in network_entries(bundle.manifest)]
    others = (REFERENCE_OUTPUTS_FILE, *DOCUMENTS)
    files += [file for file in others if is_file(bundle.folder / file)]
    return {file: read_bundle_file(bundle.folder, file) for file in files}


def check_target(out: Path, overwrite: bool, written: Iterable[str] = ()) -> None:
    """Check, before any work is done, that a bundle may be written at `out`.

    An existing folder is replaced only on request, and only if it holds nothing but a bundle, so
    that a mistyped path cannot destroy anything else; `written` names files that are kept.

    Raises OutputExistsError, or OutputError where no folder can be made.
    """
    if not os.path.lexists(out):
        parent = next(folder for folder in (out.absolute().parents) if os.path.lexists(folder))
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise OutputError(
                f"{out} cannot be written: {parent} is not a folder that you may write to"
            )
        return
    if not overwrite:
        raise OutputExistsError(f"{out} exists; give another --out, or --overwrite to replace it")
    if out.is_symlink() or not out.is_dir():
        raise OutputExistsError(f"{out} is not a folder, or is a link, so it is not replaced")
    known = BUNDLE_FILES.union(written)
    foreign = sorted(path.name for path in out.iterdir() if path.name not in known)
    if foreign:
        raise OutputExistsError(
            f"{out} holds {foreign[0]!r}, which is not a file of a bundle, so it is not replaced; "
            "give another --out"
        )


def write_folder(out: Path, files: Mapping[str, bytes], overwrite: bool) -> None:
    """Write `files` (content by name) as the folder `out`, which appears complete or not at all.

    Before it appears it is read back as the engine reads a bundle.

    Raises OutputError, OutputExistsError or a BundleError; then, and on Ctrl-C, `out` is unchanged.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _scratch_folder(out) as scratch:
            fresh = scratch / "new"
            fresh.mkdir()
            for name, content in files.items():
                (fresh / name).write_bytes(content)
            load_bundle(fresh).check()
            check_target(out, overwrite, files)
            _put_in_place(fresh, out, scratch / "old")
    except OSError as problem:
        if isinstance(problem, ConvertError):
            raise
        raise OutputError(f"{out} cannot be written: {problem.strerror or problem}") from problem


@contextmanager
def _scratch_folder(out: Path) -> Iterator[Path]:
    """Yield a folder on the same file system, so that renaming is one step; it is removed."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put_in_place(fresh: Path, out: Path, old: Path) -> None:
    if not out.exists():
        fresh.rename(out)
        return
    out.rename(old)
    try:
        fresh.rename(out)
    except BaseException:
        old.rename(out)
        raise
