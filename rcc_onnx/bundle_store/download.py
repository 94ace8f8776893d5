"""Fetches one file over http or https, goes on where it was cut, and proves that it is the one.

The only module that opens a connection. `rcc-onnx models install URL` is the only command that
leads here; nothing that analyses imports it.

The file grows under a name that ends in .part, beside a note of which version of it the server was
sending. What is there counts only once its hash is the one that was asked for.
"""

import hashlib
import json
import logging
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from rcc_onnx._version import __version__
from rcc_onnx.bundle_store.archive import LARGEST_ARCHIVE
from rcc_onnx.bundle_store.sources import PIECE, same_hash, stream_sha256
from rcc_onnx.errors import (
    DownloadInterruptedError,
    DownloadStatusError,
    DownloadTooLargeError,
    DownloadUnreachableError,
    DownloadUrlError,
)

_log = logging.getLogger(__name__)

LARGEST_DOWNLOAD = LARGEST_ARCHIVE
SILENCE_S = 30.0
"""So long a server may say nothing. Proxies that scan for viruses hold files back for a while."""
OTHER_WAY = "Or fetch the file by other means and install it by its path."

Listener = Callable[[int, int | None], None]
"""Told how many bytes there are, and of how many, if the server says."""


def fetch(url: str, sha256: str, folder: Path, listen: Listener = lambda done, total: None) -> Path:
    """The file at `url`, complete and with this hash, somewhere in `folder`.

    Other unfinished files in the folder are deleted, so that no rubbish gathers.

    Raises:
        DownloadError: one of its leaves. What came so far is kept where it can be continued.
        BundleError (bundle-sha256): the server sends another file.
    """
    _check_url(url)
    part = _Part(folder / f"{sha256}.part", folder / f"{sha256}.json", _digest(url))
    for other in set(folder.iterdir()) - {part.path, part.note}:
        other.unlink()
    if part.size() and part.sha256() == sha256:
        return part.path
    if part.validator() is not None:
        _log.info("going on after %d bytes", part.size())
        if _receive(url, part, listen) and part.sha256() == sha256:
            return part.path
        _log.info("the server sends another file by now: from the start")
    part.delete()
    if not _receive(url, part, listen):
        raise _refusal(206, _shown(url))
    found = part.sha256()
    if found != sha256:
        part.delete()
    same_hash(found, sha256, _shown(url))
    return part.path


@dataclass(frozen=True)
class _Part:
    """A file that is not complete yet, and the note beside it.

    `origin`: hash of the URL, which may hold a password and is not written down.
    """

    path: Path
    note: Path
    origin: str

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def sha256(self) -> str:
        with self.path.open("rb") as stream:
            return stream_sha256(stream, self.path)

    def validator(self) -> str | None:
        """What the server called this version, if the file can be continued from the same URL."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            origin, validator = note["origin"], note["validator"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        usable = isinstance(validator, str) and origin == self.origin and self.size() > 0
        return validator if usable else None

    def start(self, headers: HTTPMessage) -> None:
        """A new file of the version that these headers tell of."""
        etag = headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes.
        strong = etag if etag and not etag.startswith("W/") else None
        validator = strong or headers.get("Last-Modified")
        self.path.write_bytes(b"")
        note = {"origin": self.origin, "validator": validator}
        self.note.write_text(json.dumps(note), encoding="utf-8")

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


class _WebOnly(HTTPRedirectHandler):
    """Follows redirects to http and https only."""

    def redirect_request(  # noqa: PLR0913, PLR0917  urllib's signature
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        try:
            _check_url(newurl)
        except DownloadUrlError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(url: str, part: _Part, listen: Listener) -> bool:
    """Append what the server sends to `part`, or start it anew. False: it cannot be continued."""
    headers = {"User-Agent": f"rcc-onnx/{__version__}", "Accept-Encoding": "identity"}
    validator = part.validator()
    if validator is not None:
        headers |= {"Range": f"bytes={part.size()}-", "If-Range": validator}
    response = _open(Request(url, headers=headers), _shown(url))
    if response is None:
        return False
    with response:
        if response.status == 206:
            total = _continued_total(response, part)
            if total is None:
                return False
        elif response.status == 200:
            # Also from servers that know no ranges, or have another version by now.
            part.start(response.headers)
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        else:
            raise _refusal(response.status, _shown(url))
        _append(response, part, total, listen, _shown(url))
    return True


def _append(
    response: HTTPResponse, part: _Part, total: int | None, listen: Listener, shown: str
) -> None:
    done = part.size()
    with part.path.open("ab") as stream:
        for piece in _pieces(response, shown):
            done += len(piece)
            if max(done, total or 0) > LARGEST_DOWNLOAD:
                break
            stream.write(piece)
            listen(done, total)
    if max(done, total or 0) > LARGEST_DOWNLOAD:
        part.delete()
        raise DownloadTooLargeError(
            f"{shown} is larger than {LARGEST_DOWNLOAD} bytes, so it is no bundle; see that the "
            "URL is the right one"
        )
    if total is not None and done < total:
        raise _cut(shown, f"the connection ended after {done} of {total} bytes")


def _pieces(response: HTTPResponse, shown: str) -> Iterator[bytes]:
    while True:
        try:
            piece = response.read1(PIECE)
        except TimeoutError as error:
            raise _cut(shown, f"the server said nothing for {SILENCE_S:g} s") from error
        except (OSError, HTTPException) as error:
            raise _cut(shown, f"the connection broke ({_reason(error)})") from error
        if not piece:
            return
        yield piece


def _cut(shown: str, what: str) -> DownloadInterruptedError:
    return DownloadInterruptedError(
        f"{shown}: {what}. Run the same command again: it goes on from there if the server can. "
        f"{OTHER_WAY}"
    )


def _continued_total(response: HTTPResponse, part: _Part) -> int | None:
    """Length of the whole file, if what comes is the rest of what is there."""
    said = re.fullmatch(
        r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", "").strip()
    )
    if said is None or int(said[1]) != part.size() or int(said[2]) + 1 != int(said[3]):
        return None
    return int(said[3])


def _open(request: Request, shown: str) -> HTTPResponse | None:
    """A good answer. None: there is nothing from where we would go on (416)."""
    opener = OpenerDirector()  # build_opener would add ftp:, file: and data:
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        _WebOnly(),
        HTTPErrorProcessor(),
        HTTPDefaultErrorHandler(),
        UnknownHandler(),
    ):
        opener.add_handler(handler)
    try:
        response = opener.open(request, timeout=SILENCE_S)
    except HTTPError as error:
        error.close()
        if error.code == 416 and request.has_header("Range"):
            return None
        raise _refusal(error.code, shown) from error
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, DownloadUrlError):
            raise
        raise DownloadUnreachableError(
            f"{shown} cannot be reached: {_reason(error)}. {_advice(error)} {OTHER_WAY}"
        ) from error
    assert isinstance(response, HTTPResponse)  # no other handlers are there
    return response


def _refusal(code: int, shown: str) -> DownloadUrlError | DownloadStatusError:
    if 300 <= code < 400:
        return DownloadUrlError(
            f"{shown} leads to an address that is not http or https, or in circles. Give the "
            "address of the file itself."
        )
    if code == 407:
        what = "the proxy wants a name and password: put them into the variable HTTPS_PROXY."
    elif code in {401, 403}:
        what = "it wants a login, which this command does not do."
    else:
        what = "see that the URL is the right one, or try again later."
    return DownloadStatusError(f"{shown}: the server answers {code}; {what} {OTHER_WAY}")


def _reason(error: BaseException) -> str:
    """What went wrong, in the system's words."""
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, URLError):
        return str(error.reason)
    if isinstance(error, TimeoutError):
        return f"no answer within {SILENCE_S:g} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _advice(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "Where a proxy has a certificate of its own, name it in SSL_CERT_FILE."
    return "See that this machine is online; HTTP_PROXY and HTTPS_PROXY name a proxy."


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        login = parts.username is not None or parts.password is not None
    except ValueError:  # a port that is no number, half an IPv6 address
        good, login = False, False
    if not good or not re.fullmatch(r"[!-~]+", url):
        raise DownloadUrlError(
            f"{ascii(url.partition('?')[0])[:200]} is no URL of http or https that can be fetched. "
            "Letters beyond ASCII and spaces must be percent-encoded."
        )
    if login:
        raise DownloadUrlError(
            "a URL with a name and password in it is not fetched. Fetch the file by other means "
            "and install it by its path."
        )


def _shown(url: str) -> str:
    """For messages: without the query, which may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()
