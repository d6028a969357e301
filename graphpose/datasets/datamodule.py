"""From settings to batches: clips are read, put on one skeleton, resampled, split, seen by cameras and cut into windows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningDataModule

from graphpose.config import DataConfig
from graphpose.datasets.augmentation import Augmentation
from graphpose.datasets.clips import absolute_places, content_of, prepare_clips
from graphpose.datasets.loader import PoseLoader
from graphpose.datasets.splits import Split, split_clips
from graphpose.datasets.views import Views
from graphpose.datasets.window_dataset import PoseWindows
from graphpose.errors import DataError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["PoseDataModule", "part_windows", "prepare_clips"]

log = logging.getLogger(__name__)


class PoseDataModule(LightningDataModule):
    """Loaders for training, validation and test.

    Training windows start at random frames and are augmented; validation and test windows lie on a grid on which every frame
    counts once, are shared out among processes without repeats, and are never augmented.

    Args:
        config: which clips, how seen, how split.
        clips: clips to use in place of `config.paths`.
        seed: of the order of the batches and of every draw within windows.

    Attributes (after `setup`):
        skeleton: the one skeleton of all clips.
        split: the clips of each part.
        windows: part name -> `PoseWindows` (parts without clips are absent; test windows are made when first asked for,
            because test clips may have frames that nothing can be trained on).
    """

    def __init__(self, config: DataConfig, *, clips: Sequence[MotionClip] | None = None, seed: int = 0) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        self._given = clips
        self.split: Split | None = None
        self.windows: dict[str, PoseWindows] = {}
        self._loaders: dict[str, PoseLoader] = {}

    def setup(self, stage: str | None = None) -> None:
        """Reads, splits and builds every part, once; raises what the readers, the split and the windows raise."""
        if self.split is not None:
            return
        config = self.config
        clips = prepare_clips(config, self._given)
        chosen = config.split
        split = split_clips(clips, chosen.by, chosen.test, chosen.val, chosen.seed)
        self.windows = {
            part: part_windows(config, of_part, train=part == "train", seed=self.seed)
            for part, of_part in split.parts().items()
            if of_part and part != "test"
        }
        self.split = split
        for part, windows in self.windows.items():
            log.info("%s: %r", part, windows)

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the clips."""
        return self._part("train").skeleton

    def train_dataloader(self) -> PoseLoader:
        """Shuffled batches of augmented windows."""
        return self._loader("train")

    def val_dataloader(self) -> PoseLoader | list[PoseLoader]:
        """Each frame of the validation clips once; an empty list when nothing validates."""
        self.setup()
        return self._loader("val") if "val" in self.windows else []

    def test_dataloader(self) -> PoseLoader:
        """Each frame of the test clips once."""
        return self._loader("test")

    def _loader(self, part: str) -> PoseLoader:
        if part not in self._loaders:
            config = self.config
            self._loaders[part] = PoseLoader(
                self._part(part),
                config.batch_size,
                shuffle=part == "train",
                seed=self.seed,
                workers=config.workers,
            )
        return self._loaders[part]

    def _part(self, part: str) -> PoseWindows:
        self.setup()
        assert self.split is not None
        if part not in self.windows and part == "test" and self.split.test:
            self.windows[part] = part_windows(self.config, self.split.test, train=False, seed=self.seed)
        if part not in self.windows:
            raise DataError(f"the split has no {part} clips; name groups in split.{part}")
        return self.windows[part]

    def data_statement(self) -> dict[str, Any]:
        """What the data were, for the checkpoint: paths, skeleton, rate, and the clips and frames of each part.

        `content` is a hash of each recording (`content_of`), by which `evaluate` knows it again under any name.
        """
        self.setup()
        assert self.split is not None
        return {
            "paths": list(absolute_places(self.config).paths),
            "skeleton": self.skeleton.name,
            "fps": sorted({clip.fps for clips in self.split.parts().values() for clip in clips}),
            **{
                part: {
                    "clips": [clip.name for clip in clips],
                    "content": [content_of(clip) for clip in clips],
                    "frames": sum(len(clip) for clip in clips),
                    "subjects": sorted({clip.subject for clip in clips if clip.subject is not None}),
                }
                for part, clips in self.split.parts().items()
            },
        }


def part_windows(config: DataConfig, clips: Sequence[MotionClip], *, train: bool, seed: int = 0) -> PoseWindows:
    """Windows of `clips` as the configuration wants them for training (random starts, augmented) or evaluation (grid, plain)."""
    has_mirror_image = all(clip.skeleton.pairs for clip in clips)  # the mirror image of a left hand is none
    augmentation = Augmentation(0.5 if config.flip and has_mirror_image else 0.0, config.noise, config.missing)
    return PoseWindows(
        clips,
        config.frames,
        stride=config.stride if train else None,
        views=Views.from_config(config.views),
        confidence=config.confidence,
        sampling=config.sampling if train else "grid",
        augmentation=augmentation if train else None,
        seed=seed,
    )
