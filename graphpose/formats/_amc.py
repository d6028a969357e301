"""AMC (Acclaim motion capture): per frame a number and one line of values for each bone that moves.

All frames of a file nearly always have the same layout: then one split and one conversion read it. Anything else goes
line by line, which either reads it too (another bone order, comments) or finds the line at fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError, unknown_name
from graphpose.formats._text import Lines, load_text, parse_block, parse_number, whole_frames_hint

__all__ = ["Amc", "parse_amc"]


@dataclass
class Amc:
    """Values `[T, sum of dof]` with the bones one after the other in the order asked for; header statements."""

    values: np.ndarray
    degrees: bool | None
    fps: float | None


def parse_amc(path: Path, dof: dict[str, int], skeleton: str, allow_truncated: bool) -> Amc:
    """The motion of the bones in `dof` (name -> number of values); raises `FormatError` naming the line at fault."""
    text = load_text(path)
    degrees: bool | None = None
    fps: float | None = None
    at, start = 0, 1
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if words and words[0].startswith(":"):
            keyword = words[0].lower()
            if keyword in (":degrees", ":radians"):
                degrees = keyword == ":degrees"
            elif keyword == ":samples-per-second":
                fps = parse_number(path, words[1] if len(words) > 1 else "", number, "the frame rate")
                if fps <= 0:
                    raise FormatError(path, f"expected a frame rate above 0 (got {fps:g})", line=number)
        elif words and not words[0].startswith("#"):
            start = number
            break
        at += len(line) + 1
    body = text[at:]
    if not body.strip():
        raise FormatError(path, "holds no frame (the file ends after its header)", line=text.rstrip().count("\n") + 1)
    values = _fast(body, dof)
    if values is None:
        values = _Careful(path, dof, skeleton).run(body, start, allow_truncated)
    return Amc(values, degrees, fps)


def _fast(body: str, dof: dict[str, int]) -> np.ndarray | None:
    """Values in the order of `dof`, or None when the frames are not all laid out like the first one."""
    width = 1 + len(dof) + sum(dof.values())
    words = body.split()
    if len(words) % width:
        return None
    frames, place, columns = len(words) // width, 1, {}
    while place < width:
        name = words[place]
        if name not in dof or name in columns or words[place::width] != [name] * frames:
            return None
        columns[name] = range(place + 1, place + 1 + dof[name])
        place += 1 + dof[name]
    first = words[0]
    if not first.isdecimal() or words[::width] != [str(n) for n in range(int(first), int(first) + frames)]:
        return None
    # a name where a number should be is no number; a number too many would have moved the names
    chosen = [column for name in dof for column in columns[name]]
    numbers = np.array(words, dtype=object).reshape(frames, width)[:, chosen]
    values = parse_block("\n".join([" ".join(row) for row in numbers.tolist()]))
    return None if values is None or values.size != numbers.size else values.reshape(numbers.shape)


class _Careful:
    """Line by line, with the frame being read."""

    def __init__(self, path: Path, dof: dict[str, int], skeleton: str) -> None:
        self.path = path
        self.dof = dof
        self.skeleton = skeleton
        self.rows: list[np.ndarray] = []
        self.frame: dict[str, list[float]] | None = None
        self.number = 0
        self.line = 0
        self.short = (
            ""  # what a bone line with too few values lacks; only the last line of a file that was cut may have one
        )

    def fail(self, message: str, line: int | None = None) -> FormatError:
        return FormatError(self.path, message, line=self.line if line is None else line)

    def run(self, body: str, start: int, allow_truncated: bool) -> np.ndarray:
        last = start
        for self.line, words in Lines(body, start):
            if words[0].startswith("#"):
                continue
            if self.short:
                raise self.fail(self.short, last)
            if len(words) == 1 and words[0].isdecimal() and words[0].isascii():
                self.begin(words[0])
            else:
                self.bone(words)
            last = self.line
        lacking = [name for name in self.dof if name not in (self.frame or {})]
        if lacking or self.short:
            if not (allow_truncated and self.rows):
                done = len(self.dof) - len(lacking)
                raise self.fail(
                    f"cut short: frame {self.number} ends after {done} of {len(self.dof)} bones, "
                    f"{len(self.rows)} frames before it are whole{whole_frames_hint(len(self.rows))}",
                    last,
                )
        else:
            self.finish()
        return np.array(self.rows)

    def begin(self, word: str) -> None:
        if self.frame is not None:
            lacking = [name for name in self.dof if name not in self.frame]
            if lacking:
                raise self.fail(f"frame {self.number} has no line for {', '.join(lacking)}")
            self.finish()
            if int(word) != self.number + 1:
                raise self.fail(f"expected frame {self.number + 1} (got {word[:20]})")
        self.number = int(word[:18])
        self.frame = {}

    def finish(self) -> None:
        assert self.frame is not None
        self.rows.append(np.array([value for name in self.dof for value in self.frame[name]]))

    def bone(self, words: list[str]) -> None:
        name, values = words[0], words[1:]
        if self.frame is None:
            raise self.fail(f"expected the number of the first frame (got {' '.join(words)[:40]!r})")
        if name not in self.dof:
            # a name cut in its last line is the end of a truncated file, which `run` reports; elsewhere it is unknown
            if any(known.startswith(name) for known in self.dof) and not values:
                self.short = self.unknown(name)
                return
            raise self.fail(self.unknown(name))
        if name in self.frame:
            raise self.fail(f"a second line for {name!r} in frame {self.number}")
        numbers = [parse_number(self.path, word, self.line, f"{name!r} in frame {self.number}") for word in values]
        if len(numbers) != self.dof[name]:
            message = f"expected {self.dof[name]} values for {name!r} (got {len(numbers)}) in frame {self.number}"
            if len(numbers) > self.dof[name]:
                raise self.fail(message)
            self.short = message
            return
        self.frame[name] = numbers

    def unknown(self, name: str) -> str:
        return f"{unknown_name('bone', name[:40], self.dof)} (the bones that move in {self.skeleton})"
