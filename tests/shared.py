"""Finds the reference numbers and real recordings that are too large, or too restricted, to ship with the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("GRAPHPOSE_SHARED", Path(__file__).parents[1] / ".." / "shared"))


def shared_path(relative: str) -> Path:
    """The path of a shared file or folder; the calling test is skipped, with the reason, when it is absent."""
    path = ROOT / relative
    if not path.exists():
        pytest.skip(f"{relative} is not at hand: set GRAPHPOSE_SHARED to the folder that holds it")
    return path
