"""ASF (Acclaim skeleton file): bones with direction, length, axis frame and degrees of freedom, and their hierarchy."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._text import Lines, load_text, parse_number

__all__ = ["Asf", "Bone", "parse_asf"]

_ROTATIONS = {"rx": "X", "ry": "Y", "rz": "Z"}
_TRANSLATIONS = {"tx": "X", "ty": "Y", "tz": "Z"}


@dataclass
class Bone:
    """One bone, or the root; vectors in world axes and file units, angles in radians."""

    name: str
    line: int
    vector: np.ndarray = field(default_factory=lambda: np.zeros(3))  # direction x length; root: position
    axis: np.ndarray = field(default_factory=lambda: np.zeros(3))  # angles in the order of `order`
    order: str = "XYZ"  # axes in the order in which they turn, first one first
    dof: tuple[str, ...] = ()
    parent: str | None = None


@dataclass
class Asf:
    """The root and the bones, in the order in which the hierarchy names them."""

    path: Path
    bones: dict[str, Bone]
    length: float
    degrees: bool

    @property
    def parents(self) -> list[int]:
        """Index of each bone's parent, -1 for the root."""
        names = list(self.bones)
        return [-1 if bone.parent is None else names.index(bone.parent) for bone in self.bones.values()]


def parse_asf(path: Path) -> Asf:
    """The skeleton in an ASF file; raises `FormatError` naming the line at fault."""
    return _Parser(path).run(load_text(path))


class _Parser:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self.length = 1.0
        self.degrees = True
        self.root: Bone | None = None
        self.bones: dict[str, Bone] = {}
        self.edges: list[tuple[str, str, int]] = []
        self.block: dict[str, tuple[int, list[str]]] | None = None  # a bone between begin and end
        self.block_line = 0

    def fail(self, message: str, line: int | None = None) -> FormatError:
        return FormatError(self.path, message, line=self.line if line is None else line)

    def numbers(self, words: list[str], count: int, what: str) -> np.ndarray:
        if len(words) < count:
            raise self.fail(f"expected {count} numbers for {what} (got {len(words)})")
        return np.array([parse_number(self.path, word, self.line, what) for word in words[:count]])

    def run(self, text: str) -> Asf:
        section = ""
        for self.line, words in Lines(text):
            if words[0].startswith("#"):
                continue
            if words[0].startswith(":"):
                self.leave(section)
                section = words[0][1:].lower()
                if section == "root":
                    self.root = Bone("root", self.line)
                continue
            words = [words[0].lower(), *words[1:]]
            if section == "units":
                self.units(words)
            elif section == "root":
                self.root_field(words)
            elif section == "bonedata":
                self.bone_line(words)
            elif section == "hierarchy" and words[0] not in ("begin", "end"):
                self.edges += [(words[0], child, self.line) for child in words[1:]]
            elif not section:
                raise self.fail(f"expected a section such as ':version' (got {' '.join(words)[:40]!r})")
        self.leave(section)
        return self.assemble()

    def leave(self, section: str) -> None:
        if section == "bonedata" and self.block is not None:
            raise self.fail("expected 'end' of a bone", self.block_line)

    def units(self, words: list[str]) -> None:
        if words[0] == "length":
            self.length = float(self.numbers(words[1:], 1, "the length unit")[0])
            if self.length <= 0:
                raise self.fail(f"expected a length unit above 0 (got {self.length:g})")
        elif words[0] == "angle":
            kind = words[1].lower() if len(words) > 1 else ""
            if kind not in ("deg", "rad"):
                raise self.fail(f"expected angle deg or rad (got {kind!r})")
            self.degrees = kind == "deg"

    def root_field(self, words: list[str]) -> None:
        assert self.root is not None
        if words[0] == "order":
            self.root.dof = self.dof(words[1:], "root", {**_TRANSLATIONS, **_ROTATIONS})
        elif words[0] == "axis":
            self.root.order = self.turns(words[1:], "root")
        elif words[0] == "position":
            self.root.vector = self.numbers(words[1:], 3, "the root position")
        elif words[0] == "orientation":
            self.root.axis = self.numbers(words[1:], 3, "the root orientation")

    def turns(self, words: list[str], name: str) -> str:
        order = words[0].upper() if words else ""
        if sorted(order) != ["X", "Y", "Z"]:
            raise self.fail(f"expected an axis order of X, Y and Z for {name!r} (got {order!r})")
        return order

    def dof(self, words: list[str], name: str, known: dict[str, str]) -> tuple[str, ...]:
        found = tuple(word.lower() for word in words)
        strange = [word for word in found if word not in known]
        if strange:
            raise self.fail(f"degree of freedom {strange[0]!r} of {name!r} is not supported; known: {', '.join(known)}")
        if len(set(found)) < len(found):
            raise self.fail(f"a degree of freedom of {name!r} comes twice ({' '.join(found)})")
        return found

    def bone_line(self, words: list[str]) -> None:
        if words[0] == "begin":
            if self.block is not None:
                raise self.fail("expected 'end' before the next 'begin'", self.block_line)
            self.block, self.block_line = {}, self.line
        elif words[0] == "end":
            if self.block is None:
                raise self.fail("'end' without 'begin'")
            self.add_bone(self.block)
            self.block = None
        elif self.block is None:
            raise self.fail(f"expected 'begin' of a bone (got {words[0][:40]!r})")
        elif not words[0].startswith("("):  # further lines of the limits, which are ignored
            self.block[words[0]] = (self.line, words[1:])

    def add_bone(self, block: dict[str, tuple[int, list[str]]]) -> None:
        end = self.line
        for key in ("name", "direction", "length", "axis"):
            if key not in block or not block[key][1]:
                raise self.fail(f"a bone without {key}", self.block_line)
        name = block["name"][1][0]
        if name in self.bones or name == "root":
            raise self.fail(f"a second bone named {name!r}", block["name"][0])
        bone = Bone(name, self.block_line)
        self.line, words = block["direction"]
        direction = self.numbers(words, 3, f"the direction of {name!r}")
        self.line, words = block["length"]
        bone.vector = direction / (np.linalg.norm(direction) or 1.0) * self.numbers(words, 1, f"the length of {name!r}")
        self.line, words = block["axis"]
        bone.axis, bone.order = self.numbers(words, 3, f"the axis of {name!r}"), self.turns(words[3:], name)
        if "dof" in block:
            self.line, words = block["dof"]
            bone.dof = self.dof(words, name, _ROTATIONS)
        self.bones[name] = bone
        self.line = end

    def assemble(self) -> Asf:
        if self.root is None:
            raise FormatError(self.path, "no :root section")
        if not self.bones:
            raise FormatError(self.path, "no bones (section :bonedata)")
        if not self.edges:
            raise FormatError(self.path, "no :hierarchy section, or an empty one")
        placed = {"root": self.root}
        for parent, child, line in self.edges:
            # names of bones keep their case; the first word of a line was lowered to recognise keywords
            parent = next((name for name in placed if name.lower() == parent), parent)
            if parent not in placed:
                raise self.fail(f"{parent!r} has no parent yet: expected the hierarchy from the root outwards", line)
            if child in placed:
                raise self.fail(f"{child!r} has two places in the hierarchy", line)
            if child not in self.bones:
                raise self.fail(f"bone {child!r} is not described in :bonedata", line)
            self.bones[child].parent = parent
            placed[child] = self.bones[child]
        loose = [name for name in self.bones if name not in placed]
        if loose:
            raise self.fail(f"bone {loose[0]!r} is not in the :hierarchy", self.bones[loose[0]].line)
        twins = [name for name, count in Counter(n.lower() for n in placed).items() if count > 1]
        if twins:
            raise FormatError(self.path, f"two bones named {twins[0]!r} up to case")
        if self.degrees:
            for bone in placed.values():
                bone.axis = bone.axis * (math.pi / 180)
        return Asf(self.path, placed, self.length, self.degrees)
