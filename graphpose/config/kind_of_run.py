"""Telling the run folder of a training from that of an adaptation, by the settings that it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from graphpose.errors import ConfigError
from graphpose.recipe_files import load_settings

__all__ = ["check_kind"]


def check_kind(resume: str | Path, kept: Path, own: Literal["adapt", "train"]) -> None:
    """Raises where `kept`, the `config.yaml` of the run to `resume`, is of the other command, and names that command.

    Raises:
        ConfigError: a run of the other command, or settings that cannot be read.
    """
    values = load_settings(kept)
    found = "adapt" if "alignment" in values else "train" if "model" in values else None
    if found not in (None, own):
        what = "an adaptation" if found == "adapt" else "a training"
        raise ConfigError(
            f"{resume}: expected the run of graphpose {own}; this is {what}: graphpose {found} --resume {resume}"
        )
