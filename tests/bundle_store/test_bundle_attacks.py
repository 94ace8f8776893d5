"""Tampered bundles: each is refused with its code, and nothing anywhere is touched.

Every attack is made with `--replace`, so that one that came through would replace the good bundle.
"""

import hashlib
import json
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper
from typer.testing import CliRunner

from rcc_onnx.bundle_store import archive
from rcc_onnx.bundles.bundle import load_bundle
from rcc_onnx.cli.app import app
from tests.support.bundle_zips import bundle_files, member, renamed, with_end, with_entry, zip_of
from tests.support.tiny_networks import manifest_of, tiny_model, write_bundle

Files = dict[str, bytes]
needs_links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a bundle named tiny, version 2.0.0, that would install if left alone."""
    return bundle_files(tmp_path_factory.mktemp("good") / "tiny", version="2.0.0")


class World:
    """A user's machine: a data folder with tiny 1.0.0 installed, and things beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "user" / "data" / "rcc-onnx"
        self.mail = root / "mail"
        self.mail.mkdir()
        for name in ("outside.txt", "user/.bashrc", "user/data/other-app.txt", "work/mine.txt"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("leave me alone")
        write_bundle(self.home / "models" / "tiny")

    def listing(self) -> dict[str, object]:
        """Everything, with content, mode and time; of the data folder, the installed bundles."""
        found: dict[str, object] = {}
        for path in sorted(self.root.rglob("*")):
            if path == self.home or (
                self.home in path.parents and self.home / "models" not in (path, *path.parents)
            ):
                continue
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
            found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, content)
        return found

    def leftovers(self) -> list[str]:
        """What lies in the data folder beside the installed bundles and the lock."""
        kept = {self.home / "lock"}
        return [
            str(path)
            for path in self.home.rglob("*")
            if path not in kept
            and self.home / "models" not in (path, *path.parents)
            and not (path.parent == self.home and path.is_dir())
        ]

    def put(self, data: bytes) -> Path:
        path = self.mail / "bundle.zip"
        path.write_bytes(data)
        return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setenv("RCC_ONNX_HOME", str(world.home))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path / "work")
    return world


def refused(world: World, source: object, code: str, *options: str) -> str:
    """Try to install; give back what was said."""
    before = world.listing()
    command = ["models", "install", str(source), "--replace", *options]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, SystemExit), "a traceback, or no refusal"
    assert f"error [{code}]: " in result.output, result.output
    assert result.exit_code == 2
    assert "no installed bundle was changed" in result.output
    assert world.listing() == before
    assert world.leftovers() == []
    load_bundle(world.home / "models" / "tiny").check()
    return result.output


def test_the_bundle_that_all_others_are_made_of_installs(world: World, good: Files) -> None:
    """Without this, all that follows could be refused for another reason than the one meant."""
    result = CliRunner().invoke(app, ["models", "install", str(world.put(zip_of(good)))])
    assert result.exit_code == 2
    assert "[bundle-installed]" in result.output
    for data in (zip_of(good), zip_of({f"tiny/{name}": good[name] for name in good})):
        shutil.rmtree(world.home / "models" / "tiny")
        result = CliRunner().invoke(app, ["models", "install", str(world.put(data))])
        assert result.exit_code == 0, result.output
        assert load_bundle(world.home / "models" / "tiny").manifest.version == "2.0.0"
        assert world.leftovers() == []


# --- What is in the files ------------------------------------------------------------------------


def with_manifest(good: Files, text: str | bytes) -> Files:
    data = text if isinstance(text, bytes) else text.encode()
    return {**good, "manifest.json": data}


def changed(good: Files, **changes: object) -> Files:
    return with_manifest(good, json.dumps(json.loads(good["manifest.json"]) | changes))


def fitted(networks: Mapping[str, bytes], **changes: object) -> Files:
    """A bundle with these networks, whose manifest has their hashes."""
    data = {name: tiny_model(name).SerializeToString() for name in ("kidney", "lesion")}
    data |= networks
    files = {f"{name}.onnx": content for name, content in data.items()}
    return with_manifest(files, json.dumps(manifest_of(data, **changes)))


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def external() -> bytes:
    model = tiny_model()
    model.graph.initializer[0].external_data.add(key="location", value="../../outside.txt")
    return model.SerializeToString()


def foreign() -> bytes:
    model = tiny_model()
    model.graph.node[1].domain = "com.microsoft"
    return model.SerializeToString()


def not_a_number() -> bytes:
    model: ModelProto = tiny_model()
    weights = model.graph.initializer[0]
    shape = numpy_helper.to_array(weights).shape
    weights.CopyFrom(numpy_helper.from_array(np.full(shape, np.nan, np.float32), weights.name))
    return model.SerializeToString()


def raw_thresholds(good: Files, word: str) -> Files:
    text = good["manifest.json"].decode().replace("1000.0", word)
    assert word in text
    return with_manifest(good, text)


CONTENT: dict[str, tuple[Callable[[Files], Files], str]] = {
    "one bit of the weights flipped": (
        lambda good: {**good, "kidney.onnx": flipped(good["kidney.onnx"], -30 % 300)},
        "bundle-hash",
    ),
    "networks swapped": (
        lambda good: {
            **good,
            "kidney.onnx": good["lesion.onnx"],
            "lesion.onnx": good["kidney.onnx"],
        },
        "bundle-hash",
    ),
    "networks swapped, hashes to fit": (
        lambda good: fitted(
            {
                "kidney": tiny_model("lesion").SerializeToString(),
                "lesion": tiny_model("kidney").SerializeToString(),
            }
        ),
        "bundle-network",
    ),
    "network of another bundle": (
        lambda good: {**good, "kidney.onnx": tiny_model(seed=7).SerializeToString()},
        "bundle-hash",
    ),
    "network cut short": (
        lambda good: {**good, "lesion.onnx": good["lesion.onnx"][:-1]},
        "bundle-hash",
    ),
    "network empty": (lambda good: {**good, "lesion.onnx": b""}, "bundle-hash"),
    "network empty, hash to fit": (lambda good: fitted({"lesion": b""}), "onnx-format"),
    "weights outside the file": (lambda good: fitted({"kidney": external()}), "external-data"),
    "operators of somebody else": (lambda good: fitted({"kidney": foreign()}), "custom-operator"),
    "weights that are no numbers": (
        lambda good: fitted({"kidney": not_a_number()}),
        "network-output",
    ),
    "operator that does not exist": (
        lambda good: fitted({"kidney": tiny_model(last="Sygmoid").SerializeToString()}),
        "network-load",
    ),
    "shape of another pipeline": (
        lambda good: fitted({"kidney": tiny_model(shape=(128, 128, 1)).SerializeToString()}),
        "bundle-network",
    ),
    "pickle in place of a network": (
        lambda good: fitted({"kidney": b"cos\nsystem\n(S'touch owned'\ntR."}),
        "onnx-format",
    ),
    "schema of the future": (lambda good: changed(good, schema_version=2), "bundle-manifest"),
    "schema of the past": (lambda good: changed(good, schema_version=0), "bundle-manifest"),
    "schema version as text": (lambda good: changed(good, schema_version="1"), "bundle-manifest"),
    "manifest that is no JSON": (
        lambda good: with_manifest(good, "name: tiny"),
        "bundle-manifest",
    ),
    "manifest with a byte order mark": (
        lambda good: with_manifest(good, b"\xef\xbb\xbf" + good["manifest.json"]),
        "bundle-manifest",
    ),
    "manifest in Latin-1": (
        lambda good: with_manifest(good, b'{"name": "\xe9"}'),
        "bundle-manifest",
    ),
    "manifest in UTF-16": (
        lambda good: with_manifest(good, good["manifest.json"].decode().encode("utf-16")),
        "bundle-manifest",
    ),
    "manifest nested 100,000 deep": (
        lambda good: with_manifest(good, "[" * 100_000 + "]" * 100_000),
        "bundle-manifest",
    ),
    "manifest with a key twice": (
        lambda good: with_manifest(good, b'{"name": "a", ' + good["manifest.json"][1:]),
        "bundle-manifest",
    ),
    "manifest with a number of 10,000 digits": (
        lambda good: raw_thresholds(good, "9" * 10_000),
        "bundle-manifest",
    ),
    "threshold NaN": (lambda good: raw_thresholds(good, "NaN"), "bundle-manifest"),
    "threshold infinite": (lambda good: raw_thresholds(good, "1e999"), "bundle-manifest"),
    "threshold below 0": (lambda good: raw_thresholds(good, "-1"), "bundle-manifest"),
    "name that leads outside": (lambda good: changed(good, name="../../evil"), "bundle-manifest"),
    "name with a backslash": (lambda good: changed(good, name="..\\evil"), "bundle-manifest"),
    "name that is a path": (lambda good: changed(good, name="/evil"), "bundle-manifest"),
    "name of a device": (lambda good: changed(good, name="aux"), "bundle-manifest"),
    "name of a device with an ending": (
        lambda good: changed(good, name="com1.x"),
        "bundle-manifest",
    ),
    "name of a shipped bundle": (lambda good: changed(good, name="phantom"), "bundle-name-taken"),
    "name in capitals": (lambda good: changed(good, name="TINY"), "bundle-manifest"),
    "control characters in a text": (
        lambda good: changed(good, licence="\x1b[2Jall is well"),
        "bundle-manifest",
    ),
    "network missing": (
        lambda good: {name: good[name] for name in good if name != "lesion.onnx"},
        "bundle-file",
    ),
    "manifest missing": (
        lambda good: {name: good[name] for name in good if name != "manifest.json"},
        "bundle-file",
    ),
    "a file more": (lambda good: {**good, "extra.onnx": b"x"}, "bundle-undeclared-file"),
    "a program more": (lambda good: {**good, "setup.py": b"x"}, "bundle-undeclared-file"),
    "a network of another case": (
        lambda good: {
            **{name: good[name] for name in good if name != "kidney.onnx"},
            "Kidney.onnx": good["kidney.onnx"],
        },
        "bundle-file",
    ),
}


@pytest.mark.parametrize("attack", CONTENT)
def test_content(attack: str, world: World, good: Files) -> None:
    tamper, code = CONTENT[attack]
    refused(world, world.put(zip_of(tamper(dict(good)))), code)


def test_schema_of_another_version_says_what_to_do(world: World, good: Files) -> None:
    newer = world.put(zip_of(changed(good, schema_version=2, spleen={})))
    assert "install a newer rcc-onnx" in refused(world, newer, "bundle-manifest")
    older = world.put(zip_of(changed(good, schema_version=0)))
    assert "convert the bundle again" in refused(world, older, "bundle-manifest")


# --- What is in the archive ----------------------------------------------------------------------

NAMES = [
    "../evil.txt",
    "../../../../evil.txt",
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
    "tiny\\evil.txt",
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
    "tiny/",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_that_lead_elsewhere(name: str, world: World, good: Files) -> None:
    data = zip_of([*good.items(), (name, b"evil")])
    if name.endswith("/"):
        data = zip_of([(name, b""), ("other/", b""), *good.items()])
    refused(world, world.put(data), "bundle-archive-name")


def test_absolute_path_that_exists(world: World, good: Files) -> None:
    members = [*good.items(), (str(world.root / "outside.txt"), b"evil")]
    refused(world, world.put(zip_of(members)), "bundle-archive-name")


def test_all_files_in_a_folder_above(world: World, good: Files) -> None:
    for top in ("..", "../..", "tiny/tiny", "/tmp", "C:", "."):
        data = zip_of({f"{top}/{name}": good[name] for name in good})
        refused(world, world.put(data), "bundle-archive-name")


@pytest.mark.parametrize("tail", ["evil", "../evil"])
def test_name_cut_by_a_zero_byte(tail: str, world: World, good: Files) -> None:
    data = zip_of([*good.items(), (f"NOTICE@{tail}", b"evil")])
    cut = renamed(data, f"NOTICE@{tail}", b"NOTICE\0" + tail.encode())
    refused(world, world.put(cut), "bundle-archive-name")


def test_names_twice(world: World, good: Files) -> None:
    evil = tiny_model(seed=3).SerializeToString()
    for again in ("kidney.onnx", "Kidney.ONNX"):
        for members in ([*good.items(), (again, evil)], [(again, evil), *good.items()]):
            refused(world, world.put(zip_of(members)), "bundle-archive-name")


def test_one_file_in_a_folder_and_beside_it(world: World, good: Files) -> None:
    evil = tiny_model(seed=3).SerializeToString()
    for members in (
        [*good.items(), ("tiny/kidney.onnx", evil)],
        [("kidney.onnx", evil), *((f"tiny/{name}", good[name]) for name in good)],
    ):
        refused(world, world.put(zip_of(members)), "bundle-archive-name")


def test_two_folders_of_bundles(world: World, good: Files) -> None:
    members = [(f"{top}/{name}", good[name]) for top in ("a", "b") for name in good]
    refused(world, world.put(zip_of(members)), "bundle-archive-name")


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR]
)
def test_links_and_devices(kind: int, world: World, good: Files) -> None:
    del (files := dict(good))["kidney.onnx"]
    members = [*files.items(), (member("kidney.onnx", kind | 0o777), b"/etc/passwd")]
    refused(world, world.put(zip_of(members)), "bundle-archive-member")


def test_link_for_the_folder_and_files_behind_it(world: World, good: Files) -> None:
    link = member("tiny", stat.S_IFLNK | 0o777)
    members = [(link, str(world.root).encode()), *((f"tiny/{name}", good[name]) for name in good)]
    refused(world, world.put(zip_of(members)), "bundle-archive-member")


def test_folder_with_content_of_its_own(world: World, good: Files) -> None:
    members = [("tiny/", b"evil"), *((f"tiny/{name}", good[name]) for name in good)]
    refused(world, world.put(zip_of(members)), "bundle-archive-member")


def test_encrypted(world: World, good: Files) -> None:
    for flag in (0x1, 0x40, 0x2000):
        data = with_entry(zip_of(good), "kidney.onnx", flags=flag)
        refused(world, world.put(data), "bundle-archive-member")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 99])
def test_packed_in_unusual_ways(method: int, world: World, good: Files) -> None:
    data = with_entry(zip_of(good), "kidney.onnx", method=method)
    refused(world, world.put(data), "bundle-archive-member")


def test_cut_short_anywhere(world: World, good: Files) -> None:
    data = zip_of(good)
    for length in (0, 1, 4, 21, 22, 23, len(data) // 2, len(data) - 23, len(data) - 1):
        refused(world, world.put(data[:length]), "bundle-archive-damaged")


def test_something_before_or_behind(world: World, good: Files) -> None:
    data = zip_of(good)
    junk = b"MZ" + b"\0" * 500
    promised = data[:-2] + b"\x05\0"  # a comment of five bytes, which are not there
    for whole in (
        promised,
        junk + data,
        data + junk,
        data + b"\n",
        data + data,
        data + zip_of({"a": b""}),
    ):
        refused(world, world.put(whole), "bundle-archive-damaged")


def test_comment_that_hides_a_second_archive(world: World, good: Files) -> None:
    path = world.put(zip_of(good))
    with zipfile.ZipFile(path, "a") as file:
        file.comment = zip_of({"manifest.json": b"{}"})
    refused(world, path, "bundle-archive-damaged")


def test_every_damaged_byte_is_refused_or_harmless(world: World, good: Files) -> None:
    """A flipped bit is noticed, or lies where it changes nothing that is installed."""
    data = zip_of(good)
    for place in range(0, len(data), 37):
        path = world.put(flipped(data, place))
        shutil.rmtree(world.home, ignore_errors=True)
        result = CliRunner().invoke(app, ["models", "install", str(path)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        installed = world.home / "models" / "tiny"
        if result.exit_code == 0:
            assert {one.name: one.read_bytes() for one in installed.iterdir()} == good
        else:
            assert not installed.exists()


def test_no_zip_at_all(world: World) -> None:
    for content, words in (
        (b"<html>Please log in</html>", "web page"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "python -m convert"),
        (b"\x1f\x8b\x08", "no zip file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "no zip file"),
    ):
        assert words in refused(world, world.put(content), "bundle-archive-damaged")


def test_directory_somewhere_else(world: World, good: Files) -> None:
    for data in (
        with_end(zip_of(good), entries=2),
        with_end(zip_of(good), length=20),
        with_entry(zip_of(good), "kidney.onnx", offset=2**31),
        with_entry(zip_of(good), "kidney.onnx", offset=1),
    ):
        refused(world, world.put(data), "bundle-archive-damaged")


# --- Sizes ---------------------------------------------------------------------------------------


def test_declared_sizes_that_lie(world: World, good: Files) -> None:
    for options in ({}, {"compression": zipfile.ZIP_DEFLATED}):
        data = zip_of(good, **options)
        for size in (0, 1, len(good["kidney.onnx"]) - 1, len(good["kidney.onnx"]) + 1, 2**20):
            lie = with_entry(data, "kidney.onnx", size=size)
            refused(world, world.put(lie), "bundle-archive-damaged")


def test_bomb_that_says_its_size(world: World, good: Files) -> None:
    bomb = zip_of({**good, "kidney.onnx": bytes(2**25)}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 10**5
    assert "bombs" in refused(world, world.put(bomb), "bundle-archive-too-large")


def test_bomb_that_says_another_size(world: World, good: Files) -> None:
    bomb = zip_of({**good, "kidney.onnx": bytes(2**25)}, compression=zipfile.ZIP_DEFLATED)
    lie = with_entry(bomb, "kidney.onnx", size=len(good["kidney.onnx"]))
    refused(world, world.put(lie), "bundle-archive-damaged")


def test_members_that_share_their_bytes(world: World, good: Files) -> None:
    """The overlapping kind of bomb: many entries, all of them the same packed bytes."""
    members = [*good.items(), *((f"{number}.onnx", b"") for number in range(40))]
    data = zip_of(members)
    for number in range(40):
        data = with_entry(data, f"{number}.onnx", offset=0, packed=812, size=2**26)
    refused(world, world.put(data), "bundle-archive-too-large")


def test_manifest_or_model_card_too_large(world: World, good: Files) -> None:
    huge = b" " * (2**20 + 1)
    for files in (with_manifest(good, huge), {**good, "MODEL_CARD.md": huge}):
        refused(world, world.put(zip_of(files)), "bundle-archive-too-large")


def test_too_many_members(world: World, good: Files) -> None:
    data = zip_of({**good, **{f"{number}.txt": b"" for number in range(70)}})
    refused(world, world.put(data), "bundle-archive-too-large")
    refused(world, world.put(with_end(zip_of(good), entries=0xFFFF)), "bundle-archive-too-large")


def test_archive_too_large(world: World, good: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip_of({**good, "NOTICE": b"x" * 9000})
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 5000)
    said = refused(world, world.put(data), "bundle-archive-too-large")
    assert "is larger than 5000 bytes" in said, "refused before it is read"


def test_more_than_a_bundle_can_have_when_unpacked(
    world: World, good: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = zip_of({**good, "NOTICE": b"x" * 9000}, compression=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 5000)
    assert len(data) < 5000
    refused(world, world.put(data), "bundle-archive-too-large")


def test_64_bit_extensions_that_say_something_else(world: World, good: Files) -> None:
    data, count = zip_of(good), len(good)
    offset = data.find(b"PK\x01\x02")
    length = len(data) - 22 - offset
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, offset
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + length, 1)
    # The plain record counts the 64-bit ones in, so that all its own figures fit.
    extended = data[:-22] + record + locator + data[-22:]
    lie = with_end(extended, length=length + len(record) + len(locator))
    refused(world, world.put(lie), "bundle-archive-damaged")


# --- Hashes that a user asked for ----------------------------------------------------------------


def test_wrong_sha256(world: World, good: Files) -> None:
    path = world.put(zip_of(good))
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    wrong = hashlib.sha256(b"").hexdigest()
    said = refused(world, path, "bundle-sha256", "--sha256", wrong)
    assert right in said
    assert wrong in said
    for text in (right[:-1], right + "0", "g" * 64, "", "sha256:" + right, "\u0661" * 64):
        refused(world, path, "option", "--sha256", text)


# --- Folders -------------------------------------------------------------------------------------


def folder_of(world: World, files: Mapping[str, bytes]) -> Path:
    folder = world.mail / "tiny"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_half_copied_folder(kept: float, world: World, good: Files) -> None:
    data = good["lesion.onnx"]
    folder = folder_of(world, {**good, "lesion.onnx": data[: int(len(data) * kept)]})
    refused(world, folder, "bundle-hash")
    (folder / "lesion.onnx").unlink()
    refused(world, folder, "bundle-file")
    (folder / "manifest.json").write_bytes(good["manifest.json"][:100])
    refused(world, folder, "bundle-manifest")
    (folder / "manifest.json").unlink()
    refused(world, folder, "bundle-folder")


@needs_links
@pytest.mark.parametrize("file", ["kidney.onnx", "manifest.json", "MODEL_CARD.md"])
def test_links_out_of_a_folder(file: str, world: World, good: Files) -> None:
    folder = folder_of(world, {**good, "MODEL_CARD.md": b"card"})
    (folder / file).replace(world.root / "outside")
    (folder / file).symlink_to(world.root / "outside")
    assert "leads out of" in refused(world, folder, "bundle-file")


@needs_links
@pytest.mark.parametrize("file", ["kidney.onnx", "manifest.json", "NOTICE"])
def test_pipes_loops_and_folders_in_a_folder(file: str, world: World, good: Files) -> None:
    def loop(path: Path) -> None:
        path.symlink_to(path.name)

    folder = folder_of(world, {**good, "NOTICE": b""})
    for make, undo in ((os.mkfifo, Path.unlink), (loop, Path.unlink), (Path.mkdir, Path.rmdir)):
        (folder / file).unlink(missing_ok=True)
        make(folder / file)
        refused(world, folder, "bundle-file")
        undo(folder / file)


def test_things_that_are_no_source(world: World) -> None:
    (world.mail / "empty").mkdir()
    refused(world, world.mail / "empty", "bundle-folder")
    for source, code in (
        (world.mail / "nothing.zip", "bundle-source"),
        ("", "bundle-source"),
        ("n" * 5000, "bundle-source"),
        ("tiny", "bundle-source"),
        ("file:///etc/passwd", "download-url"),
        ("ftp://example.org/tiny.zip", "download-url"),
        ("data://text/plain,x", "download-url"),
    ):
        refused(world, source, code)
