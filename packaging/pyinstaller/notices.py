"""The licences of all files in the single-folder build.

Every file that PyInstaller collects belongs to an installed distribution, to Python, or to the
system. A file of unknown origin, or under the GPL, stops the build.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

LICENCE_FILE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE)[^/]*$", re.IGNORECASE)
GPL = re.compile(r"(?<!L)(?<!Lesser )(A?GPL|General Public Licen[cs]e)", re.IGNORECASE)
"""The GPL and the AGPL. The LGPL allows what is done here: libraries in files of their own."""

BUILD_TOOLS = ("pyinstaller", "pyinstaller-hooks-contrib")
"""Their bootloader is under the GPL with an exception for programs that are built with it."""
OURS = "rcc-onnx"

SYSTEM_LIBRARIES = {
    "libbz2": "bzip2 licence",
    "libcrypto": "Apache-2.0 (OpenSSL 3)",
    "libssl": "Apache-2.0 (OpenSSL 3)",
    "libexpat": "MIT",
    "libffi": "MIT",
    "libgcc_s": "GPL with the GCC Runtime Library Exception",
    "libsqlite3": "public domain",
    "libstdc++": "GPL with the GCC Runtime Library Exception",
    "liblzma": "0BSD",
    "libncursesw": "MIT (X11)",
    "libpython": "PSF-2.0",
    "libtinfo": "MIT (X11)",
    "libuuid": "BSD-3-Clause",
    "libz": "Zlib",
    "libzstd": "BSD-3-Clause",
    # Windows: parts of Visual C++ that its licence lets every program hand on.
    "vcruntime": "Microsoft Visual C++ Redistributable",
    "msvcp": "Microsoft Visual C++ Redistributable",
    "concrt": "Microsoft Visual C++ Redistributable",
    "ucrtbase": "Microsoft Universal C Runtime, redistributable",
    "api-ms-win": "Microsoft Universal C Runtime, redistributable",
}
"""Licences by the beginning of the file name. A library that is not listed stops the build."""
MISSING_TEXTS = Path(__file__).resolve().parent / "licences"
"""Licence texts that wheels lack, by name of the distribution."""
SYSTEM_DOCUMENTS = Path("/usr/share/doc")
"""Where Debian keeps each package's licence."""


class LicenceError(Exception):
    """A file may not be redistributed, or its licence is unknown."""


@dataclass(frozen=True)
class Owners:
    """The owners of the collected files: distributions, sorted by name, and system libraries."""

    packages: tuple[Distribution, ...]
    libraries: tuple[Path, ...]


def owners(sources: Iterable[Path], checkout: Path) -> Owners:
    """Return the owners of the source files.

    Raises:
        LicenceError: a file belongs to no distribution, not to Python or the checkout, and is not
            one of `SYSTEM_LIBRARIES`.
    """
    owned = dict(_owned_files())
    packages, libraries, strange = {}, set(), []
    for source in map(_real, sources):
        if source in owned:
            packages[_name(owned[source])] = owned[source]
        elif any(source.name.lower().startswith(known) for known in SYSTEM_LIBRARIES):
            libraries.add(source)
        elif not source.is_relative_to(_real(checkout)) and not _of_python(source):
            strange.append(str(source))
    if strange:
        raise LicenceError(f"unknown licence: {', '.join(sorted(strange))}")
    return Owners(tuple(packages[name] for name in sorted(packages)), tuple(sorted(libraries)))


def page(found: Owners) -> str:
    """Return the text of THIRD_PARTY.txt.

    Raises:
        LicenceError: a distribution is under the GPL, or brings no licence text.
    """
    refused = [_name(package) for package in found.packages if _under_gpl(package)]
    if refused:
        raise LicenceError(f"under the GPL: {', '.join(refused)}")
    blocks = ["Software in this folder beside rcc-onnx, and its licences.\n"]
    blocks += [_python_block()]
    blocks += [_package_block(package) for package in found.packages if _name(package) != OURS]
    blocks += [_library_block(library) for library in found.libraries]
    blocks += [
        "The program that starts rcc-onnx is PyInstaller's bootloader: GPL-2.0-or-later with an "
        "exception\nthat lets programs built with it be under any licence.\n"
    ]
    line = "\n" + "=" * 100 + "\n\n"
    return line.join(blocks)


def _owned_files() -> Iterator[tuple[Path, Distribution]]:
    for distribution in distributions():
        for file in distribution.files or ():
            yield _real(Path(str(distribution.locate_file(file)))), distribution


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _name(distribution: Distribution) -> str:
    return distribution.metadata["Name"]


def _of_python(source: Path) -> bool:
    """Return whether a file is the standard library's, or PyInstaller's archive of it."""
    if "site-packages" in source.parts:
        return False
    base = _real(Path(sys.base_prefix))
    inside = (_real(Path(os.__file__)).parent, base / "DLLs")
    return (
        any(source.is_relative_to(folder) for folder in inside)
        or source.name == "base_library.zip"
        or (sys.platform == "win32" and source.parent == base)
    )


def _licence(distribution: Distribution) -> str:
    """Return the licence that the distribution's metadata name."""
    metadata: Any = distribution.metadata
    classifiers = metadata.get_all("Classifier") or []
    named = [text.split("::")[-1].strip() for text in classifiers if text.startswith("License ::")]
    plain = (metadata.get("License") or "").strip()
    # Some put the whole text into that field.
    short = [plain] if plain and "\n" not in plain else []
    expression = metadata.get("License-Expression")
    return "; ".join([expression] if expression else [*short, *named]) or "see below"


def _under_gpl(distribution: Distribution) -> bool:
    return _name(distribution).lower() not in BUILD_TOOLS and bool(
        GPL.search(_licence(distribution))
    )


def _package_block(distribution: Distribution) -> str:
    texts = [
        Path(str(distribution.locate_file(file))).read_text(encoding="utf-8", errors="replace")
        for file in distribution.files or ()
        if LICENCE_FILE.search(str(file)) and not str(file).endswith((".py", ".pyc"))
    ]
    ours = MISSING_TEXTS / f"{_name(distribution).lower()}.txt"
    if ours.is_file():
        texts.append(ours.read_text(encoding="utf-8"))
    if not texts:
        raise LicenceError(f"{_name(distribution)} brings no licence text; write it to {ours}")
    head = f"{_name(distribution)} {distribution.version}: {_licence(distribution)}\n"
    return "\n".join([head, *dict.fromkeys(texts)])


def _python_block() -> str:
    lib = Path(sys.base_prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    paths = (lib / "LICENSE.txt", Path(sys.base_prefix, "LICENSE.txt"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()]
    head = f"Python {sys.version.split()[0]}: PSF-2.0\n"
    return "\n".join([head, *(texts[:1] or ["https://docs.python.org/3/license.html\n"])])


def _library_block(library: Path) -> str:
    (licence,) = [
        licence
        for known, licence in SYSTEM_LIBRARIES.items()
        if library.name.lower().startswith(known)
    ][:1]
    stem = library.name.split(".so")[0].removeprefix("lib")
    documents = sorted(SYSTEM_DOCUMENTS.glob(f"lib{stem.replace('_', '-')}*/copyright"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in documents[:1]]
    return "\n".join([f"{library.name}: {licence}\n", *texts])
