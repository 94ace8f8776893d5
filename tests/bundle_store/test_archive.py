"""Tampered bundles: each is refused with its code, whatever reads zip files otherwise let through.

That a refused bundle changes nothing on the machine is in test_install.py.
"""

import hashlib
import json
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from rcc_onnx.bundle_store import archive
from rcc_onnx.bundle_store.archive import BundleContent, read_folder, read_zip
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE
from rcc_onnx.errors import BundleError
from tests.support.bundle_zips import (
    Member,
    bundle_files,
    member,
    renamed,
    with_end,
    with_entry,
    zip_of,
)
from tests.support.errors import raises_code

Files = dict[str, bytes]
DEFLATED = {"compression": zipfile.ZIP_DEFLATED}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a bundle named tiny that can be read if left alone."""
    return bundle_files(tmp_path_factory.mktemp("good") / "tiny")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.zip"


def within(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}": data for name, data in files.items()}


def without(files: Files, name: str) -> Files:
    return {other: data for other, data in files.items() if other != name}


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("folder", ["", "tiny", "other-name"])
def test_the_bundle_that_all_attacks_are_made_of_is_read(
    folder: str, good: Files, path: Path
) -> None:
    """Without this, all that follows could be refused for another reason than the one meant."""
    members = [(f"{folder}/", b""), *within(folder, good).items()] if folder else good
    path.write_bytes(zip_of(members))
    content = read_zip(path)
    assert content.files == good
    assert content.others == ()
    assert content.manifest.name == "tiny"


# --- What is in the files ------------------------------------------------------------------------


def changed_manifest(good: Files, **changes: object) -> Files:
    manifest = json.loads(good["manifest.json"]) | changes
    return {**good, "manifest.json": json.dumps(manifest).encode()}


FILES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a bit of the weights flipped": (
        lambda good: good | {"kidney.onnx": flipped(good["kidney.onnx"], -30)},
        "bundle-hash",
    ),
    "a bit of the reference outputs flipped": (
        lambda good: good | {REFERENCE_OUTPUTS_FILE: flipped(good[REFERENCE_OUTPUTS_FILE], -999)},
        "bundle-hash",
    ),
    "networks swapped": (
        lambda good: (
            good | {"kidney.onnx": good["lesion.onnx"], "lesion.onnx": good["kidney.onnx"]}
        ),
        "bundle-hash",
    ),
    "network cut short": (
        lambda good: good | {"lesion.onnx": good["lesion.onnx"][:-1]},
        "bundle-hash",
    ),
    "network missing": (lambda good: without(good, "lesion.onnx"), "bundle-file"),
    "reference outputs missing": (
        lambda good: without(good, REFERENCE_OUTPUTS_FILE),
        "bundle-file",
    ),
    "manifest missing": (lambda good: without(good, "manifest.json"), "bundle-file"),
    "network by its name in capitals": (
        lambda good: without(good, "kidney.onnx") | {"Kidney.onnx": good["kidney.onnx"]},
        "bundle-file",
    ),
    "reference outputs that are not declared": (
        lambda good: changed_manifest(good, reference_outputs=None),
        "bundle-undeclared-file",
    ),
    "a network more": (lambda good: good | {"extra.onnx": b"x"}, "bundle-undeclared-file"),
    "a program more": (lambda good: good | {"setup.py": b"x"}, "bundle-undeclared-file"),
    "schema of the future": (
        lambda good: changed_manifest(good, schema_version=2),
        "bundle-manifest",
    ),
    "name that leads outside": (
        lambda good: changed_manifest(good, name="../../evil"),
        "bundle-manifest",
    ),
    "manifest nested 100,000 deep": (
        lambda good: good | {"manifest.json": b"[" * 100_000},
        "bundle-manifest",
    ),
    "manifest too large": (
        lambda good: good | {"manifest.json": b" " * (2**20 + 1)},
        "bundle-archive-too-large",
    ),
    "model card too large": (
        lambda good: good | {"MODEL_CARD.md": b" " * (2**20 + 1)},
        "bundle-archive-too-large",
    ),
    "reference outputs too large": (
        lambda good: good | {REFERENCE_OUTPUTS_FILE: b" " * (2**20 + 1)},
        "bundle-archive-too-large",
    ),
}


@pytest.mark.parametrize("attack", FILES)
def test_files(attack: str, good: Files, path: Path) -> None:
    tamper, code = FILES[attack]
    path.write_bytes(zip_of(tamper(dict(good))))
    with raises_code(code):
        read_zip(path)


# --- Names in the archive ------------------------------------------------------------------------

NAMES = [
    "../evil.txt",
    "../../../models/tiny/kidney.onnx",
    "tiny/../../evil.txt",
    "tiny/./evil.txt",
    "./evil.txt",
    "/evil.txt",
    "//server/share/evil.txt",
    "C:/evil.txt",
    "C:evil.txt",
    "..\\evil.txt",
    "\\\\server\\share\\evil.txt",
    "~/evil.txt",
    "a/b/evil.txt",
    "evil.txt:stream",
    "evil.txt.",
    "evil.txt ",
    " evil.txt",
    "con",
    "NUL.txt",
    "com1/evil.txt",
    ".hidden",
    "..",
    "ev\nil.txt",
    "ev\x1b[2Jil.txt",
    "\u2025/evil.txt",
    "\uff0e\uff0e/evil.txt",
    "manifest.json\u200b",
    "e" * 200,
]
EVIL = b"evil"


def members(good: Files, *more: Member) -> list[Member]:
    return [*good.items(), *more]


MEMBERS: dict[str, Callable[[Files], Sequence[Member] | Mapping[str, bytes]]] = {
    **{f"file {name!a}": lambda good, name=name: members(good, (name, EVIL)) for name in NAMES},
    **{
        f"all files in {top}": lambda good, top=top: within(top, good)
        for top in ("..", "../..", "tiny/tiny", "/tmp", "C:", ".", "/")
    },
    "a folder beside the files": lambda good: members(good, ("tiny/", b"")),
    "two folders": lambda good: [("tiny/", b""), ("other/", b""), *within("tiny", good).items()],
    "two folders of bundles": lambda good: [
        *within("a", good).items(),
        *within("b", good).items(),
    ],
    "a name twice": lambda good: members(good, ("kidney.onnx", EVIL)),
    "a name twice, the other first": lambda good: [("kidney.onnx", EVIL), *good.items()],
    "a name twice where case is ignored": lambda good: members(good, ("Kidney.ONNX", EVIL)),
    "a file in a folder and beside it": lambda good: members(good, ("tiny/kidney.onnx", EVIL)),
    "a file beside the folder": lambda good: [("kidney.onnx", EVIL), *within("tiny", good).items()],
}


@pytest.mark.parametrize("attack", MEMBERS)
def test_names(attack: str, good: Files, path: Path) -> None:
    path.write_bytes(zip_of(MEMBERS[attack](good)))
    with raises_code("bundle-archive-name"):
        read_zip(path)


@pytest.mark.parametrize("tail", [b"evil", b"../evil"])
def test_name_cut_by_a_zero_byte(tail: bytes, good: Files, path: Path) -> None:
    name = f"NOTICE@{tail.decode()}"
    path.write_bytes(renamed(zip_of(members(good, (name, EVIL))), name, b"NOTICE\0" + tail))
    with raises_code("bundle-archive-name"):
        read_zip(path)


# --- The archive itself --------------------------------------------------------------------------


def with_kidney(good: Files, **fields: int) -> bytes:
    return with_entry(zip_of(good), "kidney.onnx", **fields)


def bomb(good: Files) -> bytes:
    small = without(good, REFERENCE_OUTPUTS_FILE)
    data = zip_of(small | {"kidney.onnx": bytes(2**25)}, **DEFLATED)
    assert len(data) < 10**5
    return data


def shared_bytes(good: Files) -> bytes:
    """The overlapping kind of bomb: many entries, all of them the same packed bytes."""
    data = zip_of(members(good, *((f"{number}.onnx", b"") for number in range(40))))
    for number in range(40):
        data = with_entry(data, f"{number}.onnx", offset=0, packed=812, size=2**26)
    return data


def extended(good: Files) -> bytes:
    """64-bit extensions that say something else than the plain record, which counts them in."""
    data, count = zip_of(good), len(good)
    offset = data.find(b"PK\x01\x02")
    length = len(data) - 22 - offset
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, offset
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + length, 1)
    whole = data[:-22] + record + locator + data[-22:]
    return with_end(whole, length=length + len(record) + len(locator))


def with_comment(good: Files, comment: bytes) -> bytes:
    data = zip_of(good)
    return data[:-2] + struct.pack("<H", len(comment)) + comment


def linked_folder(good: Files) -> bytes:
    link = member("tiny", stat.S_IFLNK | 0o777)
    return zip_of([(link, b"/"), *within("tiny", good).items()])


def of_kind(good: Files, kind: int) -> bytes:
    other = member("kidney.onnx", kind | 0o777)
    return zip_of(members(without(good, "kidney.onnx"), (other, b"/etc/passwd")))


KINDS = ("S_IFLNK", "S_IFCHR", "S_IFBLK", "S_IFIFO", "S_IFSOCK", "S_IFDIR")
JUNK = b"MZ" + b"\0" * 500


def archives() -> Iterator[tuple[str, str, Callable[[Files], bytes]]]:
    """Yield name, code without its beginning, and the archive."""
    for length in (0, 1, 4, 21, 22, 23, 1000, -23, -1):
        yield f"cut to {length}", "damaged", lambda good, n=length: zip_of(good)[:n]
    yield "something before", "damaged", lambda good: JUNK + zip_of(good)
    for tail in (JUNK, b"\n", zip_of({"a": b""})):
        yield f"{len(tail)} bytes behind", "damaged", lambda good, tail=tail: zip_of(good) + tail
    yield "twice", "damaged", lambda good: zip_of(good) * 2
    yield "comment that is not there", "damaged", lambda good: zip_of(good)[:-2] + b"\x05\0"
    hidden = zip_of({"manifest.json": b"{}"})
    yield "archive in a comment", "damaged", lambda good: with_comment(good, hidden)
    yield "fewer entries than listed", "damaged", lambda good: with_end(zip_of(good), entries=2)
    yield "shorter directory", "damaged", lambda good: with_end(zip_of(good), length=20)
    yield "64-bit extensions", "damaged", extended
    for offset in (1, 2**31):
        yield f"offset {offset}", "damaged", lambda good, o=offset: with_kidney(good, offset=o)
    for size in (0, 1, 400, 2**20):
        yield f"size {size}", "damaged", lambda good, size=size: with_kidney(good, size=size)
        yield (
            f"size {size}, packed",
            "damaged",
            lambda good, size=size: with_entry(zip_of(good, **DEFLATED), "kidney.onnx", size=size),
        )
    yield "other checksum", "damaged", lambda good: with_kidney(good, crc=1)
    yield (
        "bomb of another size",
        "damaged",
        lambda good: with_entry(bomb(good), "kidney.onnx", size=len(good["kidney.onnx"])),
    )
    yield "web page", "damaged", lambda _: b"<html>Please log in</html>"
    yield "Keras file", "damaged", lambda _: b"\x89HDF\r\n\x1a\n" + b"\0" * 100
    yield "other archive", "damaged", lambda _: b"\x1f\x8b\x08" * 10
    yield "bomb", "too-large", bomb
    yield "members that share their bytes", "too-large", shared_bytes
    many = {f"{number}.txt": b"" for number in range(70)}
    yield "many members", "too-large", lambda good: zip_of(good | many)
    yield "says many members", "too-large", lambda good: with_end(zip_of(good), entries=0xFFFF)
    for kind in KINDS:
        yield kind, "member", lambda good, kind=kind: of_kind(good, getattr(stat, kind))
    yield "link in place of the folder", "member", linked_folder
    yield (
        "folder with content",
        "member",
        lambda good: zip_of([("tiny/", EVIL), *within("tiny", good).items()]),
    )
    for flag in (0x1, 0x40, 0x2000):
        yield (
            f"encrypted {flag:#x}",
            "member",
            lambda good, flag=flag: with_kidney(good, flags=flag),
        )
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 99):
        yield f"method {method}", "member", lambda good, m=method: with_kidney(good, method=m)


ARCHIVES = {name: (code, make) for name, code, make in archives()}


@pytest.mark.parametrize("attack", ARCHIVES)
def test_archives(attack: str, good: Files, path: Path) -> None:
    code, make = ARCHIVES[attack]
    path.write_bytes(make(good))
    with raises_code(f"bundle-archive-{code}"):
        read_zip(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"<html>", "a web page"), (b"\x89HDF" + b"\0" * 40, "python -m convert")],
)
def test_what_was_given_in_place_of_a_zip_file_is_named(
    content: bytes, words: str, path: Path
) -> None:
    path.write_bytes(content)
    with raises_code("bundle-archive-damaged", match=words):
        read_zip(path)


@pytest.mark.parametrize("options", [{}, DEFLATED])
def test_an_archive_larger_than_a_bundle_can_be(
    options: dict[str, int], good: Files, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(zip_of(good | {"NOTICE": b"x" * 10**6}, **options))
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 10**6)
    words = "unpacks to" if options else "is larger than 1000000 bytes"
    with raises_code("bundle-archive-too-large", match=words):
        read_zip(path)


def test_every_damaged_byte_is_refused_or_harmless(good: Files, path: Path) -> None:
    """A flipped bit is noticed, or lies where it changes nothing that is read."""
    small = without(good, REFERENCE_OUTPUTS_FILE)
    manifest = json.loads(good["manifest.json"]) | {"reference_outputs": None}
    small["manifest.json"] = json.dumps(manifest).encode()
    data, harmless = zip_of(small), 0
    for place in range(0, len(data), 37):
        path.write_bytes(flipped(data, place))
        with suppress(BundleError):
            assert read_zip(path).files == small
            harmless += 1
    assert harmless < len(data) / 37 / 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with raises_code("bundle-source"):
        read_zip(tmp_path)


def test_the_hash_is_compared_before_the_file_is_read(good: Files, path: Path) -> None:
    path.write_bytes(zip_of(good))
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_zip(path, right).files == good
    wrong = hashlib.sha256(b"").hexdigest()
    path.write_bytes(path.read_bytes()[:-1])
    with raises_code("bundle-sha256", match=f"not {wrong}"):
        read_zip(path, wrong)


# --- Folders, and zip files that are written -----------------------------------------------------


def test_a_folder_is_read_as_its_zip_file_is(good: Files, path: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    for name, data in good.items():
        (tmp_path / "tiny" / name).write_bytes(data)
    (tmp_path / "tiny" / "NOTICE").write_bytes(b"notice")
    content = read_folder(tmp_path / "tiny")
    assert content.files == {**good, "NOTICE": b"notice"}
    path.write_bytes(content.as_zip())
    assert read_zip(path) == content
    assert hashlib.sha256(path.read_bytes()).hexdigest() == content.sha256()
    (tmp_path / "tiny" / "notes.txt").write_bytes(b"")
    assert read_folder(tmp_path / "tiny").others == ("notes.txt",)
    assert read_folder(tmp_path / "tiny").sha256() == content.sha256()
    with raises_code("bundle-folder"):
        read_folder(tmp_path / "nothing")


def test_the_same_bytes_on_every_machine(good: Files, path: Path) -> None:
    """The hash is part of what users write down, so no release may change it."""
    path.write_bytes(zip_of(good))
    content = read_zip(path)
    files = {"manifest.json": b"{}", "a.onnx": bytes(300), "NOTICE": b"x"}
    assert (
        BundleContent(content.manifest, files, ()).sha256()
        == "b6ba0f2e257dd5eef3850b6a06f39193bca412135cb94fbc87f53968ef477d1e"
    )


def test_bundle_too_large_for_a_zip(
    good: Files, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(zip_of(good))
    content = replace(read_zip(path), files={"a": bytes(101)})
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 2**16 + 100)
    with raises_code("bundle-archive-too-large"):
        content.as_zip()
