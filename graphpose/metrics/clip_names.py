"""Names of the clips of a table by which they can be told apart: two recordings of one name stay two.

A row is of the clip that its name, its subject and its recording say; so the views of a clip are one, and "walk" of S1
and "walk" of S2 are two. Where a name alone does not tell, the subject stands before it, then a number behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

__all__ = ["clip_names"]


class _Labelled(Protocol):
    name: str
    subject: str
    recording: str


def clip_names(rows: Sequence[_Labelled], none: str) -> list[str]:
    """A name for each row, the same for rows of one clip and for no other; `none` stands for a missing label."""
    keys = [(row.name or none, row.subject, row.recording) for row in rows]
    clips = list(dict.fromkeys(keys))
    by_name = Counter(name for name, _, _ in clips)
    found: dict[tuple[str, str, str], str] = {}
    given: Counter[str] = Counter()
    taken = {name for name, count in by_name.items() if count == 1}
    for key in clips:
        name, subject, _ = key
        if by_name[name] > 1:
            stem = name if subject == none else f"{subject}/{name}"
            given[stem] += 1
            name = stem if given[stem] == 1 else f"{stem} ({given[stem]})"
            while name in taken:
                given[stem] += 1
                name = f"{stem} ({given[stem]})"
            taken.add(name)
        found[key] = name
    return [found[key] for key in keys]
