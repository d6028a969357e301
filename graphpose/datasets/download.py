"""Files from the net, whole or not at all: `download` resumes, tries again, checks, and only then names the file.

    bytes -> NAME.part -> length, SHA-256 and content checked -> NAME

What ends well is complete. What is stopped leaves `NAME.part`, from which the same call goes on (HTTP `Range` with
`If-Range`, RFC 9110): a file that has changed on the server is fetched anew, never spliced.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from tqdm import tqdm

from graphpose import __version__
from graphpose.datasets._part_file import PartFile, Remote
from graphpose.errors import DataError, GraphposeError

__all__ = ["NotThereError", "Patience", "UnreachableError", "download", "sha256_of"]

_CHUNK = 1 << 16
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # states of a server that may be over soon
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_WEB_PAGE = (b"<!doctype html", b"<html")


class NotThereError(DataError):
    """The server answers, and has no such file (404 or 410)."""


class UnreachableError(DataError):
    """No connection to the server: no network, no such host, or nobody listens."""


class _AgainError(Exception):
    """This try failed, the next one may not; `pause` is what the server asks for, in seconds."""

    def __init__(self, reason: str, pause: float | None = None, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        self.unreachable = unreachable


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


@dataclass(frozen=True)
class Patience:
    """How long a download keeps trying.

    Args:
        attempts: tries in a row that bring no new byte; a try that brings some starts the count again. A server
            that cannot be reached at all is given up after two.
        first_pause: seconds before the second try; doubled for each further one.
        longest_pause: seconds; also the most that a server's `Retry-After` is given.
        timeout: seconds without an answer or a byte.
        sleep: waits that many seconds.
    """

    attempts: int = 5
    first_pause: float = 1.0
    longest_pause: float = 60.0
    timeout: float = 30.0
    sleep: Callable[[float], None] = _sleep


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    check: Callable[[Path], None] | None = None,
    patience: Patience | None = None,
    show: bool | None = None,
) -> str:
    """Fetch `url` to `target`, in place of a file of that name, and return its SHA-256.

    Args:
        url: http or https.
        target: the file; its folder is made.
        sha256: what its SHA-256 has to be.
        check: raises a `GraphposeError` when the content of the (still unnamed) file is not what it has to be.
        patience: how often and how long to try.
        show: draw a progress bar; None: on a terminal.

    Raises:
        NotThereError: the server has no such file.
        UnreachableError: no connection.
        DataError: any other answer than the file, or a file that is not the right one; the message says what to do.
        KeyboardInterrupt: with a message that says what is kept.
    """
    patience = patience or Patience()
    _require_web_address(url)
    part = PartFile(target)
    try:
        return _insist(url, part, sha256, check, patience, show)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_stopped(url, part)) from None


def _insist(
    url: str,
    part: PartFile,
    sha256: str | None,
    check: Callable[[Path], None] | None,
    patience: Patience,
    show: bool | None,
) -> str:
    """Tries until the file is whole and right, or patience ends."""
    failures, most = 0, part.size
    while True:
        try:
            resumed = _transfer(url, part, patience.timeout, show)
            try:
                digest = _examine(url, part, sha256, check)
            except DataError:
                part.discard()
                if not resumed:
                    raise
                raise _AgainError("the parts of the file do not fit together", 0.0) from None
            part.finish()
            return digest
        except _AgainError as fault:
            failures = 1 if part.size > most else failures + 1
            most = max(most, part.size)
            if failures >= (min(2, patience.attempts) if fault.unreachable else patience.attempts):
                raise _give_up(url, part, fault, failures) from None
            pause = patience.first_pause * 2 ** (failures - 1) if fault.pause is None else fault.pause
            patience.sleep(min(pause, patience.longest_pause))


def _require_web_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or not url.isascii() or any(c.isspace() for c in url):
        raise DataError(f"expected an address that begins with http:// or https:// (got {url!r})")


def _give_up(url: str, part: PartFile, fault: _AgainError, failures: int) -> DataError:
    if fault.unreachable:
        return UnreachableError(
            f"{urlsplit(url).netloc} cannot be reached ({fault}); check the network, or the proxy in the environment "
            f"variables http_proxy and https_proxy, or name a mirror"
        )
    kept = f"; {part.path} keeps {part.size:,} bytes, from which the next run goes on" if part.resumable(url) else ""
    return DataError(f"{url}: given up after {failures} tries without progress: {fault}{kept}")


def _stopped(url: str, part: PartFile) -> str:
    if part.resumable(url) is None:
        return f"stopped while fetching {url}; the same command starts this file again"
    return f"stopped; {part.path} keeps {part.size:,} bytes of {url}, the same command goes on from there"


def _transfer(url: str, part: PartFile, timeout: float, show: bool | None) -> bool:
    """One try: brings the part to its full length, or raises; returns whether bytes of an earlier try were kept."""
    known = part.resumable(url)
    headers = {"User-Agent": f"graphpose/{__version__}", "Accept-Encoding": "identity"}
    if known is not None:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": known.validator}
    with _ask(urllib.request.Request(url, headers=headers), part, timeout) as answer:
        fields = answer.headers
        if fields.get("Content-Encoding", "identity").lower() != "identity":
            raise DataError(f"{url}: expected the file as it is (got Content-Encoding {fields['Content-Encoding']!r})")
        if fields.get_content_type() == "text/html":
            raise _web_page(url, answer.read(1 << 12))
        if answer.status == 206 and known is not None:
            _require_continuation(fields, known, part)
            remote = known
        elif answer.status == 200:
            remote = _describe(url, fields)
            part.begin(remote)
        else:
            part.discard()
            raise _AgainError(f"expected the file (got status {answer.status})")
        resumed = part.size > 0
        with (
            _opened(part) as stream,
            tqdm(
                total=remote.length,
                initial=part.size,
                unit="B",
                unit_scale=True,
                desc=part.target.name,
                leave=False,
                disable=None if show is None else not show,
            ) as bar,
        ):
            while piece := _piece(answer):
                _write(stream, piece, part)
                bar.update(len(piece))
    if remote.length is not None and part.size != remote.length:
        if part.size > remote.length:
            part.discard()
        raise _AgainError(f"the connection ended after {part.size:,} of {remote.length:,} bytes")
    return resumed


def _ask(request: urllib.request.Request, part: PartFile, timeout: float) -> Any:
    """The server's answer, open for reading."""
    url = request.full_url
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as fault:
        with fault:
            state = f"{fault.code} {fault.reason}".strip()
            if fault.code == 416:  # the file is not longer than the part, so the part is of another one
                part.discard()
                raise _AgainError(f"the server answers {state}") from None
            if fault.code in _PASSING:
                raise _AgainError(f"the server answers {state}", _retry_after(fault.headers)) from None
            if fault.code in (404, 410):
                raise NotThereError(f"{url}: not on the server (it answers {state})") from None
            raise DataError(f"{url}: refused by the server (it answers {state})") from None
    except urllib.error.URLError as fault:
        reason = fault.reason
        raise _AgainError(_words(reason), unreachable=_is_unreachable(reason)) from None
    except (OSError, http.client.HTTPException) as fault:
        raise _AgainError(_words(fault), unreachable=_is_unreachable(fault)) from None


def _is_unreachable(reason: object) -> bool:
    return isinstance(reason, (socket.gaierror, ConnectionRefusedError)) or (
        isinstance(reason, OSError) and "unreachable" in (reason.strerror or "").lower()
    )


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return (reason.strerror if isinstance(reason, OSError) else "") or str(reason) or type(reason).__name__


def _retry_after(fields: Message | None) -> float | None:
    """The seconds that the server asks to wait; a date, or anything else, counts as not said."""
    text = (fields.get("Retry-After") or "").strip() if fields is not None else ""
    return float(text) if text.isascii() and text.isdigit() else None


def _describe(url: str, fields: Message) -> Remote:
    length = (fields.get("Content-Length") or "").strip()
    return Remote(
        url=url,
        length=int(length) if length.isascii() and length.isdigit() else None,
        etag=fields.get("ETag") or "",
        modified=fields.get("Last-Modified") or "",
    )


def _require_continuation(fields: Message, known: Remote, part: PartFile) -> None:
    """Raise, and forget the part, unless the answer holds the bytes that follow it in the same file."""
    span = _CONTENT_RANGE.fullmatch((fields.get("Content-Range") or "").strip())
    same = span is not None and int(span[1]) == part.size and int(span[3]) == known.length
    for name, value in (("ETag", known.etag), ("Last-Modified", known.modified)):
        same = same and fields.get(name, value) == value
    if not same:
        part.discard()
        raise _AgainError("the file on the server has changed", 0.0)


def _opened(part: PartFile) -> BinaryIO:
    try:
        return part.path.open("ab")
    except OSError as fault:
        raise DataError(f"{part.path}: cannot be written ({fault.strerror})") from None


def _piece(answer: Any) -> bytes:
    try:
        piece: bytes = answer.read(_CHUNK)
    except (OSError, http.client.HTTPException) as fault:
        raise _AgainError(f"the connection broke off ({_words(fault)})") from None
    return piece


def _write(stream: BinaryIO, piece: bytes, part: PartFile) -> None:
    try:
        stream.write(piece)
    except OSError as fault:
        raise DataError(f"{part.path}: cannot be written ({fault.strerror}); make room and run this again") from None


def _web_page(url: str, beginning: bytes) -> DataError:
    title = re.search(rb"<title[^>]*>\s*(.*?)\s*</title", beginning, flags=re.IGNORECASE | re.DOTALL)
    name = f", titled {title[1].decode('utf-8', 'replace')[:80]!r}" if title else ""
    return DataError(
        f"{url}: expected the file (got a web page{name}); open the address in a browser: it may ask for a log-in, or "
        f"the file may have moved"
    )


def _examine(url: str, part: PartFile, sha256: str | None, check: Callable[[Path], None] | None) -> str:
    """The SHA-256 of the whole part; raises `DataError` when it is not the file that it has to be."""
    if not part.path.exists():
        part.path.touch()
    with part.path.open("rb") as stream:
        beginning = stream.read(1 << 12)
    if beginning.lstrip()[:20].lower().startswith(_WEB_PAGE):
        raise _web_page(url, beginning)
    digest = sha256_of(part.path)
    if sha256 is not None and digest != sha256.lower():
        raise DataError(
            f"{url}: expected SHA-256 {sha256.lower()} (got {digest}, {part.size:,} bytes); it is damaged or another "
            f"file, and nothing was kept: try again, or another mirror"
        )
    if check is not None:
        try:
            check(part.path)
        except GraphposeError as fault:
            raise DataError(f"{url}: not the file that was expected, and not kept: {fault}") from None
    return digest
