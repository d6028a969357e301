"""Checkpoints of a training that are whole or not there: a kill while one is written leaves the former one.

Lightning writes into the system's folder for temporary files and moves the file to its place. Where that folder is another file
system than the run's, as on many clusters, the move is a copy, and a process that is killed in it leaves half a file in the place
of the former checkpoint. Here the file is written beside its place, which only a rename within one folder then gives it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

__all__ = ["WholeCheckpoint"]


class WholeCheckpoint(TorchCheckpointIO):
    """Writes `.last.ckpt.part`, then renames it to `last.ckpt`.

    One process writes a run, so the draft has one name, and the next save takes the place of one that a kill left behind.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        assert storage_options is None, "of remote storage; the folder of a run is local"
        target = Path(path)
        draft = target.with_name(f".{target.name}.part")
        try:
            torch.save(checkpoint, draft)
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
