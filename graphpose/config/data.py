"""Which clips, seen by which cameras, in which windows, on which side of the split."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from graphpose.config.checks import positive, require, share
from graphpose.errors import ConfigError

__all__ = ["DataConfig", "SplitConfig", "ViewsConfig"]

LONGEST = 1_000_000  # frames of a window, beyond which nothing fits into memory


@dataclass(frozen=True)
class ViewsConfig:
    """The cameras that see a clip which has 3D positions.

    Attributes:
        kind: "static" stands still around the mean root of the clip; "orbit" walks around it; "random" draws cameras;
            "clip" takes the camera (or the keypoints) of the file.
        azimuths: degrees around +Y of the static cameras, one view each; the starting angles of the orbits.
        distance: metres from the target.
        height: metres of the camera above y = 0.
        focal: focal length in normalised screen units.
        count: how many random cameras see a clip.
    """

    kind: Literal["static", "orbit", "random", "clip"] = "static"
    azimuths: tuple[float, ...] = (45.0, 135.0, 225.0, 315.0)
    distance: float = 5.0
    height: float = 1.5
    focal: float = 2.29
    count: int = 4

    def __post_init__(self) -> None:
        require(len(self.azimuths) > 0, "azimuths", "at least one angle", list(self.azimuths))
        require(all(map(math.isfinite, self.azimuths)), "azimuths", "finite degrees", list(self.azimuths))
        positive("distance", self.distance)
        require(math.isfinite(self.height), "height", "finite metres", self.height)
        positive("focal", self.focal)
        require(self.count >= 1, "count", "at least 1 camera", self.count)


@dataclass(frozen=True)
class SplitConfig:
    """Which clips test, validate and train.

    Attributes:
        by: what a group is: the clip's subject, action, file name without suffix, or its tag `split`.
        test: the groups to test on; never trained on. Empty: nothing is held back.
        val: the groups to validate on, or the share of the training clips drawn for it; 0 validates on nothing.
        seed: of the draw of validation clips.
    """

    by: Literal["subject", "action", "file", "tag"] = "subject"
    test: list[str] = field(default_factory=list)
    val: float | list[str] = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.val, (int, float)):
            share("val", self.val)
        else:
            both = sorted(set(self.val) & set(self.test))
            require(not both, "val", "no group that is in test too", both)


@dataclass(frozen=True)
class DataConfig:
    """Which clips, on which skeleton, seen by which cameras, in which windows.

    Attributes:
        paths: files, archives or folders (searched through) with clips; or one store (`graphpose data prepare`).
        skeleton: name or YAML file of the skeleton to train on; null takes the clips' own.
        mapping: YAML file of a joint mapping from the clips' skeleton to it; null looks among the bundled ones.
        scale: metres per unit of the files; null takes each format's own.
        recorded_fps: frames per second of the files, in place of what they say; null believes them.
        fps: frames per second to resample to; null keeps each clip's.
        frames: frames T of a window.
        stride: frames between the starts of training windows; null is `frames` (no overlap).
        sampling: where training windows lie: "random" anywhere in the clip, anew each epoch; "grid" from frame 0; "published" as
            the published training scripts place them.
        views: the cameras.
        noise: standard deviation of the Gaussian noise on training keypoints, in normalised screen units.
        missing: share of the training keypoints that are dropped (set to 0, marked invisible).
        confidence: give the model each keypoint's confidence as a third input.
        flip: mirror each training window with probability 1/2, through the skeleton's left/right pairs; without pairs, never.
        split: the split.
        batch_size: windows in a training step of each process; `run.devices` times as many in all.
        workers: loader processes; 0 loads in the training process.
        name_pattern: regular expression with the named groups `subject` and `action`, searched in each file's path.
        reader_options: options of the file format, such as `{allow_truncated: true}` for files that were cut short, or
            `{annotation: annot3}` for MPI-INF-3DHP.
    """

    paths: list[str] = field(default_factory=list)
    skeleton: str | None = None
    mapping: str | None = None
    scale: float | None = None
    recorded_fps: float | None = None
    fps: float | None = 30.0
    frames: int = 27
    stride: int | None = None
    sampling: Literal["random", "grid", "published"] = "random"
    views: ViewsConfig = field(default_factory=ViewsConfig)
    noise: float = 0.0
    missing: float = 0.0
    confidence: bool = False
    flip: bool = True
    split: SplitConfig = field(default_factory=SplitConfig)
    batch_size: int = 16
    workers: int = 0
    name_pattern: str | None = None
    reader_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {"scale", "fps", "skeleton", "nameless", "name_pattern", "progress"} & set(self.reader_options)
        require(not known, "reader_options", "options of a format; these have a setting of their own", sorted(known))
        positive("recorded_fps", self.recorded_fps, optional=True)
        positive("scale", self.scale, optional=True)
        positive("fps", self.fps, optional=True)
        require(self.frames >= 1, "frames", "at least 1", self.frames)
        require(self.frames <= LONGEST, "frames", f"at most {LONGEST}", self.frames)
        require(self.stride is None or self.stride >= 1, "stride", "at least 1, or null", self.stride)
        require(math.isfinite(self.noise) and self.noise >= 0, "noise", "at least 0", self.noise)
        share("missing", self.missing)
        require(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        require(self.workers >= 0, "workers", "at least 0", self.workers)
        try:
            re.compile(self.name_pattern or "")
        except re.error as error:
            raise ConfigError(
                f"name_pattern: expected a regular expression (got {self.name_pattern!r}: {error})"
            ) from None
