"""How much memory there is, for layers whose size grows with the square of an option."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["gibibytes", "machine_memory"]

_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def machine_memory() -> int | None:
    """Bytes of main memory of this machine, or of its share that this container may use; None where nobody says."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
    try:
        limit = _CONTROL_GROUP.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def gibibytes(count: float) -> str:
    """`count` bytes in words, e.g. "1.5 GiB"."""
    return f"{count / 2**30:.3g} GiB"
