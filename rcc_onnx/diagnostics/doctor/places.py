"""Bundles that are found, and folders that must be written to."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rcc_onnx.bundles.bundle import (
    GET_PUBLISHED,
    BrokenBundle,
    Bundle,
    Installed,
    find_bundle,
    hidden_bundles,
    installed_bundles,
)
from rcc_onnx.bundles.data_folder import HOME_VARIABLE, data_folder
from rcc_onnx.diagnostics.doctor.lines import Line, Verdict
from rcc_onnx.errors import BundleError, DataFolderError

BUNDLES, FOLDERS = "bundles", "folders"

LITTLE_SPACE = 1 << 30
"""Bytes. A case takes some MB; with --save all, some hundred."""


def bundle_lines(models: str | None) -> tuple[list[Line], Bundle | None]:
    """A line for each bundle, and the bundle whose networks are to be tried.

    That is the one named; else the first that may be used on patients; else the first.
    """
    try:
        found = _found(models)
        lines = [_bundle_line(one) for one in found]
        if models is None:
            lines += [
                Line(
                    BUNDLES,
                    one.name,
                    Verdict.WARNING,
                    f"{one.folder} is hidden by {by}, which has the same name",
                    "Remove or rename one of them, so that nobody takes one for the other.",
                )
                for one, by in hidden_bundles()
            ]
    except BundleError as error:
        mend = "Correct the variable or the path, or install a bundle."
        return [Line(BUNDLES, models or "all", Verdict.PROBLEM, str(error), mend)], None
    good = [one for one in found if isinstance(one, Bundle)]
    for_patients = [one for one in good if "patient" in one.manifest.use_on]
    if models is None and not for_patients:
        said = "none that may be used on patients"
        lines.append(Line(BUNDLES, "for patients", Verdict.ABSENT, said, f"{GET_PUBLISHED}."))
    if models is None and len(for_patients) > 1:
        names = ", ".join(one.name for one in for_patients)
        said = f"several may be used on patients: {names}"
        mend = "Name one each time with --models, or remove the others."
        lines.append(Line(BUNDLES, "for patients", Verdict.WARNING, said, mend))
    return lines, next(iter([*for_patients, *good]), None)


def _found(models: str | None) -> tuple[Installed, ...]:
    """Bundles, every byte of them checked. Raises BundleError where nothing can be found."""
    if models is None:
        return installed_bundles(check=True)
    bundle = find_bundle(models)
    try:
        bundle.check()
    except BundleError as error:
        return (BrokenBundle(bundle.folder, bundle.name, error),)
    return (bundle,)


def _bundle_line(one: Installed) -> Line:
    if isinstance(one, BrokenBundle):
        mend = "Get the bundle again and install it with --replace, or remove it."
        return Line(
            BUNDLES, one.name, Verdict.PROBLEM, f"broken [{one.error.code}]: {one.error}", mend
        )
    manifest = one.manifest
    said = (
        f"{manifest.version} in {one.folder}, for {' and '.join(manifest.use_on)} studies; every "
        "file has its hash"
    )
    if manifest.provenance is not None and not manifest.provenance.certificate.holds:
        mend = "Convert it again: its networks do not compute what its sources do."
        return Line(
            BUNDLES, one.name, Verdict.PROBLEM, f"{said}; its certificate does not hold", mend
        )
    if manifest.reference_outputs is None:
        mend = "Convert it again, or add answers to it: python -m convert reference-outputs."
        said += "; no stored answers, so no machine can be compared with them"
        return Line(BUNDLES, one.name, Verdict.WARNING, said, mend)
    return Line(BUNDLES, one.name, Verdict.OK, said)


# --- Folders -------------------------------------------------------------------------------------


def folder_lines(out: Path | None) -> Iterator[Line]:
    """Whether files can be written where they must be."""
    yield _temporary_line()
    yield _data_line()
    if out is not None:
        yield _out_line(out)


def _temporary_line() -> Line:
    mend = "Make room there, or name another folder in TMPDIR (Windows: TEMP)."
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        said = error.strerror or "no folder for temporary files"
        return Line(FOLDERS, "temporary files", Verdict.PROBLEM, said, mend)
    problem = _why_not(folder)
    if problem:
        said = f"{folder} cannot be written: {problem}"
        return Line(FOLDERS, "temporary files", Verdict.PROBLEM, said, mend)
    return Line(FOLDERS, "temporary files", Verdict.OK, f"{folder} can be written")


def _data_line() -> Line:
    subject = "data folder"
    try:
        home = data_folder()
    except DataFolderError as error:
        mend = f"Give {HOME_VARIABLE} a whole path, or unset it."
        return Line(FOLDERS, subject, Verdict.PROBLEM, str(error), mend)
    if home is None:
        mend = f"Set {HOME_VARIABLE} to the whole path of a folder, to install bundles."
        return Line(FOLDERS, subject, Verdict.WARNING, "this user has no home folder", mend)
    problem = _why_not(home)
    if problem:
        said = f"{home} cannot be written: {problem}"
        mend = (
            "Bundles cannot be installed by this user, and answers are compared at each start; "
            f"give the right to write there, or set {HOME_VARIABLE}."
        )
        return Line(FOLDERS, subject, Verdict.WARNING, said, mend)
    said = f"{home} can be written" if home.is_dir() else f"{home} is not there, and can be made"
    return Line(FOLDERS, subject, Verdict.OK, said)


def _out_line(out: Path) -> Line:
    mend = "Give another --out, or the right to write there."
    problem = _why_not(out)
    if problem:
        said = f"{out} cannot be written: {problem}"
        return Line(FOLDERS, "results", Verdict.PROBLEM, said, mend)
    free = shutil.disk_usage(_nearest(out)).free
    said = f"{out} can be written, {free / (1 << 30):.1f} GiB free"
    if free < LITTLE_SPACE:
        return Line(FOLDERS, "results", Verdict.WARNING, said, "Make room there.")
    return Line(FOLDERS, "results", Verdict.OK, said)


def _why_not(folder: Path) -> str:
    """Why no file can be written in a folder, or in the nearest one above where it is to be made;
    "" if one can. Nothing stays."""
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)) as file:
            file.write(b"x")
            file.flush()
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ""


def _nearest(folder: Path) -> Path:
    """The folder itself, or what there is of the way to it."""
    folder = folder.absolute()
    return next((one for one in (folder, *folder.parents) if one.exists()), folder)
