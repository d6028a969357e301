"""From settings to batches: clips are read, put on one skeleton, resampled, split, seen by cameras and cut into windows."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule

from graphpose.config import DataConfig
from graphpose.datasets.augmentation import Augmentation
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
        windows: part name -> `PoseWindows` (parts without clips are absent).
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
            if of_part
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
        if part not in self.windows:
            raise DataError(f"the split has no {part} clips; name groups in split.{part}")
        return self.windows[part]

    def data_statement(self) -> dict[str, Any]:
        """What the data were, for the checkpoint: paths, skeleton, rate, and the clips and frames of each part."""
        self.setup()
        assert self.split is not None
        return {
            "paths": list(self.config.paths),
            "skeleton": self.skeleton.name,
            "fps": sorted({clip.fps for clips in self.split.parts().values() for clip in clips}),
            **{
                part: {
                    "clips": [clip.name for clip in clips],
                    "frames": sum(len(clip) for clip in clips),
                    "subjects": sorted({clip.subject for clip in clips if clip.subject is not None}),
                }
                for part, clips in self.split.parts().items()
            },
        }


def prepare_clips(
    config: DataConfig, clips: Sequence[MotionClip] | None = None, *, skeleton: Skeleton | None = None
) -> list[MotionClip]:
    """The clips of `config.paths` (or those given) on the configured skeleton and at the configured rate.

    Args:
        config: paths, reader options, skeleton, mapping and rate.
        clips: clips to use in place of `config.paths`.
        skeleton: the target skeleton itself, in place of `config.skeleton` (a trained model brings its own).

    Raises:
        DataError: no clip, or a clip slower than `config.fps` (frames are never invented).
        FormatError: files that cannot be read; SkeletonError: no mapping to the configured skeleton.
    """
    target = skeleton
    if target is None and config.skeleton is not None:
        target = Skeleton.load(config.skeleton)
    if clips is None:
        clips = _read(config, target)
    if not clips:
        raise DataError("expected at least one clip (got none)")
    return [_at_rate(clip if target is None else clip.to(target, config.mapping), config.fps) for clip in clips]


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


def _read(config: DataConfig, skeleton: Skeleton | None) -> list[MotionClip]:
    from graphpose.formats import read_all

    if not config.paths:
        raise DataError("data.paths: expected files or folders with clips (got none)")
    options: dict[str, Any] = {"scale": config.scale, "name_pattern": config.name_pattern}
    nameless = [path for path in config.paths if skeleton is not None and _is_nameless(path, len(skeleton))]
    named = [path for path in config.paths if path not in nameless]
    clips = read_all(named, **options) if named else []
    return clips + (read_all(nameless, skeleton=skeleton, **options) if nameless else [])


def _is_nameless(path: str, joints: int) -> bool:
    """Whether an npz file says nothing about its joints, so that they are those of the skeleton asked for.

    The reader takes 17 nameless joints for those of Human3.6M; they are mapped when a skeleton with another number is asked for.
    """
    if not (path.endswith(".npz") and zipfile.is_zipfile(path)):
        return False
    with np.load(path, allow_pickle=False) as file:
        key = next((key for key in ("positions", "keypoints") if key in file.files), None)
        if key is None or {"joints", "skeleton"} & set(file.files):
            return False
        shape = file[key].shape
        return len(shape) > 1 and (shape[1] == joints or shape[1] != 17)


def _at_rate(clip: MotionClip, fps: float | None) -> MotionClip:
    if fps is None or abs(clip.fps - fps) <= 1e-6 * fps:
        return clip
    if clip.fps < fps:
        raise DataError(
            f"clip {clip.name!r} has {clip.fps:g} frames/s, data.fps asks for {fps:g}: set data.fps to {clip.fps:g} or lower, "
            "or null to keep each clip's own rate"
        )
    return clip.resample(fps)
