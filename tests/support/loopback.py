"""A web server on this machine's loopback that answers as badly as a test wants."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the test's answer for its path."""

    server: "_Server"

    def do_GET(self) -> None:
        self.server.site.requests.append((self.path, dict(self.headers)))
        answer = self.server.site.answers.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(404)
        else:
            answer(self)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def say(self, code: int, body: bytes = b"", **headers: str | int) -> None:
        """A whole answer; header names with _ for -."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def whole(self, body: bytes, **headers: str | int) -> None:
        self.say(200, body, Content_Length=len(body), **headers)


@dataclass
class Site:
    """What the server answers by path, and what it was asked."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def serving() -> Iterator[Site]:
    """A server, until the block ends; `end` is set then, for answers that wait."""
    site = Site()
    with _Server(("127.0.0.1", 0), Handler) as server:
        server.site, site.port = site, server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.end.set()
            server.shutdown()
            thread.join()
