"""What an evaluation gives: the lifted clips, their errors in tables, and files of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.formats._atomic import replacing
from graphpose.metrics import ErrorTable
from graphpose.skeleton import Skeleton

__all__ = ["Evaluation", "LiftedClip"]


@dataclass(frozen=True)
class LiftedClip:
    """One clip as one camera saw it, and what the model made of it.

    Attributes:
        name, subject, action: of the clip.
        view: number of the camera.
        fps: frames per second.
        x: `[L, J, 2 or 3]` normalised 2D, the model's input.
        predicted: `[L, J, 3]` metres, camera axes, relative to the true root; as predicted, before any scaling. Of
            several hypotheses, their aggregate.
        target: `[L, J, 3]` metres.
        up: `[3]` the world's up in camera axes, None when the camera is not known.
    """

    name: str
    subject: str | None
    action: str | None
    view: int
    fps: float
    x: Tensor
    predicted: Tensor
    target: Tensor
    up: Tensor | None = None

    @property
    def error(self) -> Tensor:
        """Distance of each joint in each frame `[L, J]`, metres."""
        return (self.predicted - self.target).norm(dim=-1)


@dataclass
class Evaluation:
    """The outcome of an evaluation: tables and the lifted clips themselves.

    Attributes:
        skeleton: of the model.
        errors: the tables; they name how they were measured.
        protocol, flip: as asked for.
        clips: each view of each clip.
        info: checkpoint, data, settings and versions, as the result file keeps them.
        measured: how: protocol, flip, 2D input, alignment, joints, annotation.
        dataset: fingerprint, clips and frames of what was evaluated.
    """

    skeleton: Skeleton
    errors: ErrorTable
    protocol: str
    flip: bool
    clips: list[LiftedClip] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)

    def table(self) -> ErrorTable:
        """The errors: `overall()`, by action, subject, joint and clip; `text()`, CSV and JSON."""
        return self.errors

    def save(self, folder: str | Path) -> Path:
        """Writes `errors.txt`, `errors.csv`, `errors.json`, `evaluation.json` and `predictions.npz`.

        `evaluation.json` is the whole result (`result_file.py`), which `read_result` and `graphpose compare` read. The
        last is an archive that `graphpose.read_all` reads: `positions [sum L, J, 3]` in camera space relative to the
        root, `lengths`, names and rates, and besides `targets [sum L, J, 3]` and the number of the camera, `views`.
        """
        from graphpose.engine.result_file import write_result

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in (".txt", ".csv", ".json"):
            self.errors.save(folder / f"errors{suffix}")
        write_result(self, folder / "evaluation.json")
        with replacing(folder / "predictions.npz") as draft, draft.open("wb") as file:
            np.savez_compressed(file, **self._arrays())
        return folder

    def _arrays(self) -> dict[str, Any]:
        arrays: dict[str, Any] = {
            "positions": torch.cat([clip.predicted for clip in self.clips]).numpy(),
            "targets": torch.cat([clip.target for clip in self.clips]).numpy(),
            "space": np.array("camera"),
            "lengths": np.array([len(clip.predicted) for clip in self.clips]),
            "fps": np.array([clip.fps for clip in self.clips]),
            "clip_names": np.array([clip.name for clip in self.clips]),
            "views": np.array([clip.view for clip in self.clips]),
            "joints": np.array(self.skeleton.joints),
            "parents": np.array(self.skeleton.parents),
            "skeleton": np.array(json.dumps(self.skeleton.to_dict())),
        }
        for key, labels in (
            ("subjects", [clip.subject for clip in self.clips]),
            ("actions", [clip.action for clip in self.clips]),
        ):
            if None not in labels:
                arrays[key] = np.array(labels)
        return arrays
