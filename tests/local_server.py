"""A web server on this machine that serves bytes from memory, well or as badly as a test asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file on the server."""

    body: bytes
    etag: str = '"one"'
    modified: str = "Mon, 01 Jan 2024 00:00:00 GMT"
    kind: str = "application/octet-stream"


Fault = Callable[["Handler", Served], None]


@dataclass
class LocalServer:
    """`files` by path; `faults` by path are used up, one a request, and answer it in place of the server."""

    address: str = ""
    files: dict[str, Served] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return self.address + path

    def serve(self, path: str, body: bytes, *faults: Fault, **more: str) -> str:
        """Puts a file there; returns its address."""
        self.files[path] = Served(body, **more)
        self.faults[path] = list(faults)
        return self.url(path)

    def asked(self, path: str) -> list[dict[str, str]]:
        """The headers of every request of a path, names in lower case."""
        return [headers for asked, headers in self.requests if asked == path]


class Handler(BaseHTTPRequestHandler):
    """Answers GET as a good server does: Range, If-Range, 206, 404, 416."""

    server: _Server

    def do_GET(self) -> None:
        local = self.server.local
        local.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        file = local.files.get(self.path, Served(b""))
        waiting = local.faults.get(self.path, [])
        if waiting:
            waiting.pop(0)(self, file)
        elif self.path not in local.files:
            self.send_error(404)
        else:
            self.answer(file)

    def start(self, file: Served) -> int:
        """Where the answer begins, by Range and If-Range."""
        span = self.headers.get("Range", "")
        wanted = self.headers.get("If-Range")
        if not span or (wanted is not None and wanted not in (file.etag, file.modified)):
            return 0
        return int(span.removeprefix("bytes=").rstrip("-"))

    def answer(
        self,
        file: Served,
        *,
        send: int | None = None,
        claim: int | None = None,
        start: int | None = None,
        **headers: str,
    ) -> None:
        """The file from `start` on; `send` so many bytes at most, and `claim` another length of the whole file."""
        start = self.start(file) if start is None else start
        total = len(file.body) if claim is None else claim
        if start >= total and start > 0:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        fields = {
            "Content-Length": str(total - start),
            "Content-Type": file.kind,
            "ETag": file.etag,
            "Last-Modified": file.modified,
            "Content-Range": f"bytes {start}-{total - 1}/{total}" if start else "",
        } | headers
        for name, value in fields.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        body = file.body[start:]
        self.wfile.write(body if send is None else body[:send])

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    local: LocalServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests are about."""


@contextmanager
def serving() -> Iterator[LocalServer]:
    """A server that runs until the block ends."""
    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    local = server.local = LocalServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield local
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def breaks_off(after: int) -> Fault:
    """Promises everything and sends `after` bytes of what was asked for."""
    return lambda handler, file: handler.answer(file, send=after)


def claims(length: int) -> Fault:
    """Says that the file has `length` bytes, and sends it from where it was asked for."""
    return lambda handler, file: handler.answer(file, claim=length, send=max(0, length - handler.start(file)))


def fails(code: int, **headers: str) -> Fault:
    """An error state."""

    def fault(handler: Handler, file: Served) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def ignores_range(handler: Handler, file: Served) -> None:
    """The whole file, whatever part of it was asked for."""
    handler.answer(file, start=0)


def continues_with(other: Served, **headers: str) -> Fault:
    """Goes on from where it was asked to, with another file, without a look at If-Range."""

    def fault(handler: Handler, file: Served) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        handler.answer(other, start=start, **headers)

    return fault


def becomes(path: str, other: Served, then: Fault) -> Fault:
    """Replaces the file by another one after this answer."""

    def fault(handler: Handler, file: Served) -> None:
        then(handler, file)
        handler.server.local.files[path] = other

    return fault
