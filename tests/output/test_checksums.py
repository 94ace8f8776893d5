"""SHA256SUMS as coreutils writes and reads it."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcc_onnx.errors import SumsFormatError
from rcc_onnx.output.checksums import read_sums, sums_bytes
from rcc_onnx.system.files import size_and_sha256

HASH = "0123456789abcdef" * 4
ODD_NAMES = [
    "a.png",
    "two words.json",
    "back\\slash",
    "line\nfeed",
    "re\rturn",
    "M\udcfcller",
    "é*",
]
needs_coreutils = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("sha256sum") is None, reason="sha256sum of coreutils"
)


@needs_coreutils
@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_same_line_as_coreutils(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"abc")
    size, sha256 = size_and_sha256(tmp_path / name)
    assert (size, sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    run = subprocess.run(
        ["sha256sum", "--binary", "--", name], cwd=tmp_path, capture_output=True, check=True
    )
    assert sums_bytes({name: sha256}) == run.stdout
    assert read_sums(run.stdout) == {name: sha256}


def returned(command: list[str], where: Path) -> int:
    return subprocess.run(command, cwd=where, capture_output=True, check=False).returncode


@needs_coreutils
def test_coreutils_checks_it(tmp_path: Path) -> None:
    (tmp_path / ".report").mkdir()
    names = [*ODD_NAMES, ".report/a.json"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    sums = {name: size_and_sha256(tmp_path / name)[1] for name in names}
    (tmp_path / "SHA256SUMS").write_bytes(sums_bytes(sums))
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert returned(command, tmp_path) == 0
    (tmp_path / "line\nfeed").write_bytes(b"x")
    assert returned(command, tmp_path) == 1


@given(st.dictionaries(st.binary(min_size=1), st.just(HASH)))
def test_what_is_written_is_read(sums: dict[bytes, str]) -> None:
    named = {b"x" + name.replace(b"\0", b"").replace(b"/", b"") for name in sums}
    texts = {name.decode("utf-8", "surrogateescape"): HASH for name in named}
    assert read_sums(sums_bytes(texts)) == texts


def test_lines_of_other_programs() -> None:
    text = f"{HASH}  text mode.png\r\n\n{HASH} *binary.png\n".encode()
    assert read_sums(text) == {"text mode.png": HASH, "binary.png": HASH}


@pytest.mark.parametrize(
    "data",
    [
        f"{HASH} *a.png".encode(),
        f"{HASH} *a.p".encode() + b"\n" + HASH[:30].encode(),
        f"{HASH[:-1]} *a.png\n".encode(),
        f"{HASH.upper()} *a.png\n".encode(),
        f"{HASH} *\n".encode(),
        f"{HASH} a.png\n".encode(),
        f"{HASH} */etc/passwd\n".encode(),
        f"{HASH} *../../x\n".encode(),
        f"{HASH} *.report/../../x\n".encode(),
        f"{HASH} *a//b\n".encode(),
        f"{HASH} *a\0b\n".encode(),
        f"\\{HASH} *a\\xb\n".encode(),
        f"{HASH} *a\n{HASH} *a\n".encode(),
        b"<html>not found</html>\n",
    ],
)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(SumsFormatError):
        read_sums(data)
