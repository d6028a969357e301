"""Text of a file with a fault that names the line, and the slow search for the number at fault."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._decimals import parse_decimals

__all__ = ["Lines", "load_text", "parse_block", "parse_number", "whole_frames_hint"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def load_text(path: Path) -> str:
    """The file as text with plain line ends; raises `FormatError` when it is empty, binary, unreadable or not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise FormatError(path, f"cannot be opened: {fault.strerror or fault}") from None
    if not data.strip():
        raise FormatError(path, "the file is empty")
    zero = data.find(0)
    if zero >= 0:
        raise FormatError(path, "expected text (got a zero byte)", line=data.count(b"\n", 0, zero) + 1)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise FormatError(path, f"expected UTF-8 text (got byte 0x{data[fault.start]:02x})", line=line) from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def parse_number(path: Path, word: str, line: int, what: str) -> float:
    """A finite decimal number; raises `FormatError` naming the line and `what` it is."""
    if not _NUMBER.fullmatch(word):
        raise FormatError(path, f"expected a number for {what} (got {word[:40]!r})", line=line)
    value = float(word)
    if not math.isfinite(value):
        raise FormatError(path, f"expected a finite number for {what} (got {word[:40]!r})", line=line)
    return value


def parse_block(text: str) -> np.ndarray | None:
    """All blank-separated numbers of `text` as float64 `[N]`, or None when something in it is not a finite number."""
    with warnings.catch_warnings():
        # numpy reports text that it cannot finish as a DeprecationWarning (an error in later versions)
        warnings.simplefilter("error", DeprecationWarning)
        try:
            parts = []
            for piece in _pieces(text):
                values = parse_decimals(piece)
                parts.append(np.fromstring(piece, dtype=np.float64, sep=" ") if values is None else values)
        except (DeprecationWarning, ValueError):
            return None
    values = np.concatenate([np.empty(0), *parts])
    return values if bool(np.isfinite(values).all()) else None


def _pieces(text: str, size: int = 1 << 16) -> Iterator[str]:
    """The text cut at line ends into pieces that fit into a processor's cache; pieces of blanks only are left out."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + size) if len(text) - start > size else -1
        end = len(text) if end < 0 else end
        piece = text[start:end]
        if not piece.isspace():  # of blanks only, numpy makes the number -1
            yield piece
        start = end


class Lines:
    """The non-blank lines of a text from 1-based `start` on, with their numbers: `for number, words in Lines(...)`."""

    def __init__(self, text: str, start: int = 1) -> None:
        self._lines = text.split("\n")
        self._start = start

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(self._lines, self._start):
            words = line.split()
            if words:
                yield number, words


def whole_frames_hint(frames: int) -> str:
    """How a file that was cut short after `frames` whole frames can be read all the same; nothing where there is none."""
    option = (
        "allow_truncated=True (data info, data check: --allow_truncated; "
        "train, evaluate: --data.reader_options '{allow_truncated: true}')"
    )
    return f"; {option} reads the {frames} whole frames" if frames else ""
