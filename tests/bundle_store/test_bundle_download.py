"""Downloads from a server on loopback: continued, limited, and counted only with the right hash."""

import hashlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from rcc_onnx.bundle_store import download
from rcc_onnx.bundle_store.download import fetch
from rcc_onnx.errors import (
    DownloadError,
    DownloadInterruptedError,
    DownloadStatusError,
    DownloadTooLargeError,
    DownloadUnreachableError,
    DownloadUrlError,
)
from tests.support.errors import raises_code
from tests.support.loopback import Handler, Site, serving

DATA = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(DATA).hexdigest()
HALF = len(DATA) // 2
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads"


def part(folder: Path) -> Path:
    return folder / f"{SHA256}.part"


def ranged(handler: Handler, tag: str = '"v1"', data: bytes = DATA) -> None:
    """A server that knows ranges: the rest of the file if it is still the same version."""
    asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
    if asked is None or condition != tag:
        handler.whole(data, ETag=tag)
        return
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    if start >= len(data):
        handler.say(416, Content_Range=f"bytes */{len(data)}", Content_Length=0)
        return
    where = f"bytes {start}-{len(data) - 1}/{len(data)}"
    rest = data[start:]
    handler.say(206, rest, ETag=tag, Content_Range=where, Content_Length=len(rest))


def cut(handler: Handler, tag: str = '"v1"') -> None:
    """The whole is promised, half of it comes."""
    handler.say(200, DATA[:HALF], ETag=tag, Content_Length=len(DATA))


def interrupted(site: Site, folder: Path, tag: str = '"v1"', path: str = "/tiny.zip") -> None:
    site.answers[path] = lambda handler: cut(handler, tag)
    with pytest.raises(DownloadInterruptedError):
        fetch(site.url(path), SHA256, folder)
    site.requests.clear()


def test_whole_file(site: Site, folder: Path) -> None:
    site.answers["/tiny.zip"] = lambda handler: handler.whole(DATA)
    heard: list[tuple[int, int | None]] = []
    path = fetch(site.url("/tiny.zip"), SHA256, folder, lambda *now: heard.append(now))
    assert path.read_bytes() == DATA
    assert heard[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    ((_, headers),) = site.requests
    assert headers["Accept-Encoding"] == "identity"
    assert "Range" not in headers


def test_length_that_the_server_does_not_say(site: Site, folder: Path) -> None:
    def chunked(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.say(200, Transfer_Encoding="chunked")
        for start in range(0, len(DATA), 100_000):
            piece = DATA[start : start + 100_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    site.answers["/chunked"] = chunked
    site.answers["/until-closed"] = lambda handler: handler.say(200, DATA)
    for path in site.answers:
        found = fetch(site.url(path), SHA256, folder)
        assert found.read_bytes() == DATA
        found.unlink()


def test_goes_on_after_a_cut(site: Site, folder: Path) -> None:
    interrupted(site, folder)
    assert part(folder).read_bytes() == DATA[:HALF]
    site.answers["/tiny.zip"] = ranged
    heard: list[int] = []
    path = fetch(site.url("/tiny.zip"), SHA256, folder, lambda done, total: heard.append(done))
    assert path.read_bytes() == DATA
    ((_, headers),) = site.requests
    assert headers["Range"] == f"bytes={HALF}-"
    assert headers["If-Range"] == '"v1"'
    assert heard[0] > HALF


def test_goes_on_by_date_where_there_is_no_strong_tag(site: Site, folder: Path) -> None:
    date = "Mon, 05 Jan 2026 10:00:00 GMT"

    def dated(handler: Handler) -> None:
        handler.say(200, DATA[:HALF], ETag='W/"x"', Last_Modified=date, Content_Length=len(DATA))

    site.answers["/tiny.zip"] = dated
    with pytest.raises(DownloadInterruptedError, match=f"{HALF} of {len(DATA)} bytes"):
        fetch(site.url("/tiny.zip"), SHA256, folder)
    site.answers["/tiny.zip"] = lambda handler: ranged(handler, date)
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA
    assert site.requests[-1][1]["If-Range"] == date


def test_from_the_start_without_a_tag_or_date(site: Site, folder: Path) -> None:
    site.answers["/tiny.zip"] = lambda handler: handler.say(
        200, DATA[:HALF], Content_Length=len(DATA)
    )
    with pytest.raises(DownloadInterruptedError):
        fetch(site.url("/tiny.zip"), SHA256, folder)
    site.answers["/tiny.zip"] = ranged
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA
    assert "Range" not in site.requests[-1][1]


def test_cut_again_and_again(site: Site, folder: Path) -> None:
    def a_tenth(handler: Handler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=")[:-1])
        piece, rest = DATA[start : start + len(DATA) // 10], len(DATA) - start
        where = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        code = 206 if start else 200
        handler.say(code, piece, ETag='"v1"', Content_Range=where, Content_Length=rest)

    site.answers["/tiny.zip"] = a_tenth
    for _ in range(9):
        with pytest.raises(DownloadInterruptedError):
            fetch(site.url("/tiny.zip"), SHA256, folder)
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA


def test_server_that_knows_no_ranges(site: Site, folder: Path) -> None:
    interrupted(site, folder)
    site.answers["/tiny.zip"] = lambda handler: handler.whole(DATA, ETag='"v1"')
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "where",
    [f"bytes 0-{len(DATA) - 1}/{len(DATA)}", f"bytes {HALF}-{HALF + 9}/{len(DATA)}", "", "pages 1"],
)
def test_server_that_sends_another_range_than_asked(site: Site, folder: Path, where: str) -> None:
    interrupted(site, folder)

    def wrong(handler: Handler) -> None:
        if "Range" in handler.headers:
            handler.say(206, DATA[HALF:], Content_Range=where, Content_Length=len(DATA) - HALF)
        else:
            handler.whole(DATA)

    site.answers["/tiny.zip"] = wrong
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA
    assert len(site.requests) == 2


def test_file_that_changed_meanwhile(site: Site, folder: Path) -> None:
    """A server that continues another version than it began: the hash tells, and all is fetched."""
    interrupted(site, folder, tag='"v1"')
    part(folder).write_bytes(b"another version" * 10)
    site.answers["/tiny.zip"] = ranged
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA
    assert [("Range" in headers) for _, headers in site.requests] == [True, False]


def test_nothing_left_to_send(site: Site, folder: Path) -> None:
    interrupted(site, folder)
    part(folder).write_bytes(b"x" * len(DATA))
    site.answers["/tiny.zip"] = ranged
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA


def test_complete_file_is_not_fetched_again(site: Site, folder: Path) -> None:
    part(folder).write_bytes(DATA)
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA
    assert site.requests == []


def test_part_of_another_url_or_with_a_broken_note_starts_anew(site: Site, folder: Path) -> None:
    interrupted(site, folder, path="/old.zip")
    site.answers["/tiny.zip"] = ranged
    assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA
    for note in ("", "[]", "{}", '{"origin": 1, "validator": 2}'):
        part(folder).write_bytes(DATA[:HALF])
        (folder / f"{SHA256}.json").write_text(note)
        assert fetch(site.url("/tiny.zip"), SHA256, folder).read_bytes() == DATA
    assert all("Range" not in headers for _, headers in site.requests)


def test_only_one_unfinished_download_is_kept(site: Site, folder: Path) -> None:
    interrupted(site, folder)
    with pytest.raises(DownloadError):
        fetch(site.url("/other"), "ab" * 32, folder)
    assert list(folder.iterdir()) == []


def test_no_key_of_a_url_is_written_or_told(site: Site, folder: Path) -> None:
    site.answers["/tiny.zip"] = cut
    with pytest.raises(DownloadInterruptedError) as caught:
        fetch(site.url("/tiny.zip?key=secret"), SHA256, folder)
    assert "secret" not in str(caught.value)
    assert "secret" not in (folder / f"{SHA256}.json").read_text()
    assert json.loads((folder / f"{SHA256}.json").read_text())["validator"] == '"v1"'


def test_another_file_than_the_one_asked_for(site: Site, folder: Path) -> None:
    site.answers["/tiny.zip"] = lambda handler: handler.whole(DATA[:-1] + b"x")
    with raises_code("bundle-sha256", match=SHA256):
        fetch(site.url("/tiny.zip"), SHA256, folder)
    assert list(folder.iterdir()) == []


def test_larger_than_a_bundle(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LARGEST_DOWNLOAD", 10**5)
    site.answers["/says-so"] = lambda handler: handler.whole(DATA)
    site.answers["/does-not"] = lambda handler: handler.say(200, DATA)
    site.answers["/endless"] = endless
    for path in site.answers:
        with pytest.raises(DownloadTooLargeError) as caught:
            fetch(site.url(path), SHA256, folder)
        assert caught.value.code == "download-too-large"
        assert list(folder.iterdir()) == []


def endless(handler: Handler) -> None:
    handler.say(200)
    while not handler.server.site.end.is_set():
        handler.wfile.write(b"x" * 10_000)


@pytest.mark.parametrize(
    ("code", "words"),
    [(404, "the right one"), (403, "login"), (401, "login"), (407, "proxy"), (500, "later")],
)
def test_refusals_of_the_server(site: Site, folder: Path, code: int, words: str) -> None:
    site.answers["/tiny.zip"] = lambda handler: handler.say(code, b"<html>", Content_Length=6)
    with pytest.raises(DownloadStatusError, match=f"answers {code}.*{words}"):
        fetch(site.url("/tiny.zip"), SHA256, folder)
    assert not part(folder).exists()


def test_answers_that_hold_no_file(site: Site, folder: Path) -> None:
    site.answers["/accepted"] = lambda handler: handler.say(202, b"come back later")
    site.answers["/nothing"] = lambda handler: handler.say(204)
    site.answers["/part"] = lambda handler: handler.say(
        206, DATA[9:], Content_Range="bytes 9-10/11"
    )
    for path, code in (("/accepted", 202), ("/nothing", 204), ("/part", 206)):
        with pytest.raises(DownloadStatusError, match=f"answers {code}"):
            fetch(site.url(path), SHA256, folder)
        assert list(folder.iterdir()) == []


def test_a_refusal_keeps_what_came(site: Site, folder: Path) -> None:
    interrupted(site, folder)
    site.answers["/tiny.zip"] = lambda handler: handler.say(503)
    with pytest.raises(DownloadStatusError):
        fetch(site.url("/tiny.zip"), SHA256, folder)
    assert part(folder).read_bytes() == DATA[:HALF]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site: Site, folder: Path, code: int) -> None:
    site.answers["/old"] = lambda handler: handler.say(code, Location="/new")
    site.answers["/new"] = lambda handler: handler.whole(DATA)
    assert fetch(site.url("/old"), SHA256, folder).read_bytes() == DATA


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/tiny.zip",
        "data:text/plain,x",
        "http://name:password@127.0.0.1/",
        "http://",
        "/tiny.zip",
    ],
)
def test_redirects_that_are_not_followed(site: Site, folder: Path, target: str) -> None:
    site.answers["/tiny.zip"] = lambda handler: handler.say(302, Location=target)
    with pytest.raises(DownloadUrlError) as caught:
        fetch(site.url("/tiny.zip"), SHA256, folder)
    assert caught.value.code == "download-url"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://",
        "http:///x",
        "http:/127.0.0.1/x",
        "http://127.0.0.1:port/x",
        "http://127.0.0.1:99999/x",
        "http://[::1/x",
        "http://name:password@127.0.0.1/x",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nHost: other",
        "http://127.0.0.1/\u00e9",
    ],
)
def test_urls_that_are_none(url: str, folder: Path) -> None:
    with pytest.raises(DownloadUrlError) as caught:
        fetch(url, SHA256, folder)
    assert "password" not in str(caught.value).replace("name and password", "")


def test_nobody_there(folder: Path) -> None:
    with serving() as site:
        url = site.url("/tiny.zip")
    with pytest.raises(DownloadUnreachableError, match="cannot be reached") as caught:
        fetch(url, SHA256, folder)
    assert "HTTPS_PROXY" in str(caught.value)


def test_https_to_a_server_that_speaks_http(site: Site, folder: Path) -> None:
    url = site.url("/tiny.zip").replace("http:", "https:")
    with pytest.raises(DownloadUnreachableError):
        fetch(url, SHA256, folder)


def test_a_certificate_that_nobody_vouches_for_is_said_with_what_to_do() -> None:
    error = download.URLError(ssl.SSLCertVerificationError(1, "self-signed certificate"))
    assert "SSL_CERT_FILE" in download._advice(error)


def test_silence(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE_S", 0.2)

    def silent(handler: Handler) -> None:
        site.end.wait()

    def falls_silent(handler: Handler) -> None:
        handler.say(200, DATA[:HALF], ETag='"v1"', Content_Length=len(DATA))
        site.end.wait()

    site.answers["/at-once"] = silent
    with pytest.raises(DownloadUnreachableError, match=r"no answer within 0\.2 s"):
        fetch(site.url("/at-once"), SHA256, folder)
    site.answers["/later"] = falls_silent
    with pytest.raises(DownloadInterruptedError, match=r"said nothing for 0\.2 s"):
        fetch(site.url("/later"), SHA256, folder)
    assert part(folder).read_bytes() == DATA[:HALF]


def test_nonsense_in_place_of_http(site: Site, folder: Path) -> None:
    site.answers["/line"] = lambda handler: handler.wfile.write(b"\0\1\2 no http\r\n\r\n")
    site.answers["/nothing"] = lambda handler: None
    site.answers["/header"] = lambda handler: handler.wfile.write(
        b"HTTP/1.0 200 OK\r\n" + b"x" * 10**5
    )
    for path in site.answers:
        with pytest.raises(DownloadError):
            fetch(site.url(path), SHA256, folder)
    site.answers["/length"] = lambda handler: handler.say(200, DATA, Content_Length="-5")
    assert fetch(site.url("/length"), SHA256, folder).read_bytes() == DATA


def test_chunks_that_break_off(site: Site, folder: Path) -> None:
    def broken(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.say(200, b"fffff\r\n" + DATA[:1000], Transfer_Encoding="chunked", ETag='"v1"')

    site.answers["/tiny.zip"] = broken
    with pytest.raises(DownloadInterruptedError):
        fetch(site.url("/tiny.zip"), SHA256, folder)
    assert part(folder).stat().st_size <= 1000


def test_proxy_of_the_environment_is_used(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.url(""))
    site.answers["http://models.invalid/tiny.zip"] = lambda handler: handler.whole(DATA)
    assert fetch("http://models.invalid/tiny.zip", SHA256, folder).read_bytes() == DATA
    monkeypatch.setenv("no_proxy", "models.invalid")
    part(folder).unlink()
    with pytest.raises(DownloadUnreachableError):
        fetch("http://models.invalid/tiny.zip", SHA256, folder)
