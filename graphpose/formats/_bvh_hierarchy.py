"""The HIERARCHY part of a BVH file: a tree of named joints, each with an OFFSET and its own list of CHANNELS."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from graphpose.errors import FormatError
from graphpose.formats._text import parse_number

__all__ = ["Channels", "Hierarchy", "parse_hierarchy"]

_CHANNELS = {f"{axis.lower()}{kind}": (axis, kind) for axis in "XYZ" for kind in ("position", "rotation")}


@dataclass
class Channels:
    """A joint's columns in a frame: column by axis for positions, (column, axis) in file order for rotations."""

    position: dict[str, int] = field(default_factory=dict)
    rotation: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Hierarchy:
    """Joints in file order (End Sites are none); `width` numbers make a frame; offsets in the unit of the file."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[Channels] = field(default_factory=list)
    width: int = 0


def parse_hierarchy(path: Path, lines: list[str]) -> tuple[Hierarchy, int]:
    """The tree in `lines` and the 1-based number of the MOTION line; raises `FormatError` naming the line at fault."""
    return _Parser(path).run(lines)


class _Parser:
    """One pass over the lines with the stack of open blocks; a block is a joint index, or `_END` for an End Site."""

    _END = -2

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self.tree = Hierarchy()
        self.open: list[int] = []
        self.pending: int | None = None  # declared, its brace not yet seen
        self.declared: dict[str, int] = {}  # joint name -> line
        self.seen: set[tuple[int, str]] = set()  # (joint, field) already given

    def fail(self, message: str) -> FormatError:
        return FormatError(self.path, message, line=self.line)

    def run(self, lines: list[str]) -> tuple[Hierarchy, int]:
        started = False
        for self.line, raw in enumerate(lines, 1):
            rest = raw.strip()
            while rest:
                if started and rest[0] in "{}":
                    rest = self.brace(rest)
                    continue
                head = rest.split(None, 1)[0].upper()
                if not started:
                    if head != "HIERARCHY":
                        raise self.fail(f"expected HIERARCHY, as a BVH file begins (got {rest[:40]!r})")
                    started, rest = True, rest[len("HIERARCHY") :].strip()
                elif head == "MOTION":
                    self.finish()
                    return self.tree, self.line
                else:
                    rest = self.statement(head, rest)
        raise self.fail(
            "expected MOTION (the file ends within the hierarchy)" if started else "no HIERARCHY in the file"
        )

    def finish(self) -> None:
        if self.open or self.pending is not None:
            raise self.fail(
                f"expected '}}' before MOTION ({len(self.open) + (self.pending is not None)} blocks are open)"
            )
        if not self.tree.names:
            raise self.fail("expected a ROOT joint before MOTION (got none)")

    def brace(self, rest: str) -> str:
        """Open or close a block and return what is left of the line."""
        if rest[0] == "{":
            if self.pending is None:
                raise self.fail("'{' without a joint before it")
            self.open.append(self.pending)
            self.pending = None
        else:
            if self.pending is not None:
                raise self.fail(f"expected '{{' (got {rest[:40]!r})")
            if not self.open:
                raise self.fail("'}' without an open block")
            self.close(self.open.pop())
        return rest[1:].lstrip()

    def statement(self, head: str, rest: str) -> str:
        """Consume one statement and return what is left of the line."""
        if self.pending is not None:
            raise self.fail(f"expected '{{' (got {rest[:40]!r})")
        if head in ("ROOT", "JOINT"):
            return self.joint(head, rest[len(head) :])
        if head == "END":
            if not self.open or self.open[-1] == self._END:
                raise self.fail("an End Site outside of a joint")
            self.pending = self._END
            return "{" if rest.endswith("{") else ""
        if head in ("OFFSET", "CHANNELS"):
            words, brace, after = rest.partition("}")
            self.offset(words.split()[1:]) if head == "OFFSET" else self.channels(words.split()[1:])
            return brace + after
        raise self.fail(f"expected JOINT, End Site, OFFSET, CHANNELS, a brace or MOTION (got {rest[:40]!r})")

    def joint(self, head: str, rest: str) -> str:
        name, brace, after = rest.partition("{")
        name = name.strip()
        if not name:
            raise self.fail(f"{head} without a name")
        if (head == "ROOT") == bool(self.open):
            raise self.fail(f"ROOT {name!r} inside another joint" if self.open else f"JOINT {name!r} outside of a ROOT")
        if self.open and self.open[-1] == self._END:
            raise self.fail(f"joint {name!r} inside an End Site")
        if head == "ROOT" and self.tree.names:
            raise self.fail(f"a second ROOT {name!r} (the first is {self.tree.names[0]!r}); give each skeleton a file")
        if name in self.declared:
            raise self.fail(f"a second joint named {name!r} (the first is in line {self.declared[name]})")
        self.declared[name] = self.line
        self.tree.parents.append(self.open[-1] if self.open else -1)
        self.tree.names.append(name)
        self.tree.offsets.append([0.0, 0.0, 0.0])
        self.tree.channels.append(Channels())
        self.pending = len(self.tree.names) - 1
        return brace + after

    def block(self, what: str) -> int:
        """The open block; each kind of statement comes once in it."""
        if not self.open:
            raise self.fail(f"{what} outside of a joint")
        joint = self.open[-1]
        if joint != self._END:
            if (joint, what) in self.seen:
                raise self.fail(f"a second {what} in joint {self.tree.names[joint]!r}")
            self.seen.add((joint, what))
        return joint

    def close(self, joint: int) -> None:
        if joint != self._END and (joint, "OFFSET") not in self.seen:
            raise self.fail(f"joint {self.tree.names[joint]!r} has no OFFSET")

    def offset(self, words: list[str]) -> None:
        joint = self.block("OFFSET")
        where = "an End Site" if joint == self._END else f"joint {self.tree.names[joint]!r}"
        if len(words) != 3:
            raise self.fail(f"expected 3 numbers in the OFFSET of {where} (got {len(words)})")
        values = [parse_number(self.path, word, self.line, f"the OFFSET of {where}") for word in words]
        if joint != self._END:
            self.tree.offsets[joint] = values

    def channels(self, words: list[str]) -> None:
        joint = self.block("CHANNELS")
        if joint == self._END:
            raise self.fail("CHANNELS in an End Site")
        name = self.tree.names[joint]
        if not words or not words[0].isdecimal() or int(words[0]) != len(words) - 1:
            raise self.fail(
                f"expected CHANNELS with their number before them in joint {name!r} (got {' '.join(words)[:60]!r})"
            )
        own = self.tree.channels[joint]
        for word in words[1:]:
            if word.lower() not in _CHANNELS:
                raise self.fail(f"unknown channel {word[:40]!r} of joint {name!r}; choose from: Xposition … Zrotation")
            axis, kind = _CHANNELS[word.lower()]
            if axis in (own.position if kind == "position" else [a for _, a in own.rotation]):
                raise self.fail(f"channel {word!r} comes twice in joint {name!r}")
            if kind == "position":
                own.position[axis] = self.tree.width
            else:
                own.rotation.append((self.tree.width, axis))
            self.tree.width += 1
