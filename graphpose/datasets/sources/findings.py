"""What a check of a folder found: one line a file or subject, and a table of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State", "faulty", "summarize", "table"]

State = Literal["ok", "note", "absent", "missing", "suspicious", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        state: "ok"; "note": as published, but to be used with care; "absent": not there, and not needed; "missing": not
            there, and needed by what is there; "suspicious": readable, but not what was published; "broken": cannot be
            read, or is not what it was.
        what: the file or subject.
        found: what is there.
        advice: what to do; empty when there is nothing to do.
    """

    state: State
    what: str
    found: str
    advice: str = ""


def faulty(findings: Sequence[Finding]) -> bool:
    """Whether something has to be mended before the data can be relied on."""
    return any(finding.state in ("missing", "suspicious", "broken") for finding in findings)


def table(findings: Sequence[Finding]) -> str:
    """One line a finding, the advice below it."""
    width = max((len(finding.what) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<10}  {finding.what:<{width}}  {finding.found}".rstrip())
        if finding.advice:
            lines.append(f"{'':<10}  {'':<{width}}  -> {finding.advice}")
    return "\n".join(lines)


def summarize(findings: Sequence[Finding]) -> str:
    """The numbers of findings by state, worst first, e.g. "1 broken, 5 ok"."""
    counts = Counter(finding.state for finding in findings)
    order: tuple[State, ...] = ("broken", "suspicious", "missing", "absent", "note", "ok")
    return ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
