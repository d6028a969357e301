"""Clips in batches: windows, virtual cameras, augmentation, splits without leaks, samplers, loaders and a data module."""

from __future__ import annotations

from graphpose.datasets.augmentation import Augmentation, flip_points
from graphpose.datasets.clips import absolute_places, content_of, prepare_clips
from graphpose.datasets.datamodule import PoseDataModule
from graphpose.datasets.loader import PoseLoader
from graphpose.datasets.sampler import WindowSampler
from graphpose.datasets.splits import Split, check_leaks, split_clips
from graphpose.datasets.store import ClipStore, StoredClip, is_store
from graphpose.datasets.store_prepare import Prepared, SourceFaults, prepare_store
from graphpose.datasets.views import ClipView, Views, view_clip
from graphpose.datasets.window_dataset import PoseWindows
from graphpose.datasets.windows import counted_frames, published_train_bounds, window_bounds

__all__ = [
    "Augmentation",
    "ClipStore",
    "ClipView",
    "PoseDataModule",
    "PoseLoader",
    "PoseWindows",
    "Prepared",
    "SourceFaults",
    "Split",
    "StoredClip",
    "Views",
    "WindowSampler",
    "absolute_places",
    "check_leaks",
    "content_of",
    "counted_frames",
    "flip_points",
    "is_store",
    "prepare_clips",
    "prepare_store",
    "published_train_bounds",
    "split_clips",
    "view_clip",
    "window_bounds",
]
