"""Where a result comes from: the versions of the packages and the state of the repository in whose folder it was made."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

from graphpose.models.checkpoint import versions

__all__ = ["package_versions", "repository_state"]

_SECONDS = 20


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = versions()
    kept = {name: found[name] for name in ("graphpose", "torch", "torch-geometric", "numpy")}
    return {**kept, "python": platform.python_version()}


def repository_state(folder: str | Path = ".") -> dict[str, Any] | None:
    """`{"revision": 40 digits, "dirty": whether tracked files differ from it}` of the git repository around `folder`.

    None outside a repository, before its first commit, where git refuses to read it (another owner) or is not installed.
    """
    revision = _git(folder, "rev-parse", "--verify", "HEAD")
    if revision is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "dirty": bool(changed)}


def _git(folder: str | Path, *words: str) -> str | None:
    """What git prints; None where it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
