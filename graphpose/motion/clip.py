"""A motion clip: joint positions `[T, J, 3]` in metres and/or 2D keypoints `[T, J, 2]` of one person on one skeleton.

World space is right-handed with +Y up; an actor facing +Z has the left side at +X. A joint that was not observed is NaN
in all of its coordinates. `rotations[t, j]` maps directions of joint `j`'s own frame to world directions (for ASF/AMC,
where a joint is the far end of a bone, it is the frame of that bone).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphpose.errors import DataError, unknown_name
from graphpose.motion.cameras import select_frames
from graphpose.motion.gaps import fill_gaps, fill_rotation_gaps
from graphpose.motion.mapping import map_channels
from graphpose.motion.resampling import frame_grid, resample, resample_camera, resample_rotations
from graphpose.motion.statistics import bone_lengths, facing, summarize
from graphpose.skeleton import JointMapping, Skeleton, find_mapping

if TYPE_CHECKING:
    from graphpose.geometry import Camera

__all__ = ["MotionClip"]

_ARRAYS = {"positions": (3,), "keypoints": (2,), "confidence": (), "rotations": (3, 3)}
_SPACES = ("world", "camera")


@dataclass(eq=False)
class MotionClip:
    """One recording of one person; every array has the same frames T and the skeleton's joints J.

    Args:
        skeleton: whose joints the arrays hold, in its order.
        fps: frames a second, above 0.
        positions: `[T, J, 3]` float32 metres; NaN = not observed.
        keypoints: `[T, J, 2]` float32, pixels when the camera has a width, normalised screen units otherwise.
        confidence: `[T, J]` float32 in [0, 1], of the keypoints.
        rotations: `[T, J, 3, 3]` float32 joint frame to world.
        camera: the camera that sees `keypoints`; its rotation and position may be given per frame.
        space: "world", or "camera" when `positions` are in the frame of a camera that is not known.
        tags: further labels, such as `{"split": "train"}` or the named groups of a file name pattern.

    NumPy arrays and other dtypes are converted. Raises `DataError` that lists every fault found.
    """

    skeleton: Skeleton
    fps: float
    positions: Tensor | None = None
    keypoints: Tensor | None = None
    confidence: Tensor | None = None
    rotations: Tensor | None = None
    camera: Camera | None = None
    subject: str | None = None
    action: str | None = None
    name: str = ""
    source: str = ""
    space: str = "world"
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in _ARRAYS:
            value = getattr(self, key)
            if value is not None:
                setattr(self, key, torch.as_tensor(value, dtype=torch.float32))
        self.source = str(self.source)
        self.tags = dict(self.tags)
        problems = list(self._problems())
        if problems:
            raise DataError(f"clip {self.name or self.source or '(unnamed)'!r}: {'; '.join(problems)}")
        self.fps = float(self.fps)

    def _problems(self) -> Iterator[str]:
        if not (isinstance(self.fps, (int, float)) and math.isfinite(self.fps) and self.fps > 0):
            yield f"expected fps above 0 (got {self.fps!r})"
        if self.space not in _SPACES:
            yield f"expected space 'world' or 'camera' (got {self.space!r})"
        if self.positions is None and self.keypoints is None:
            yield "expected positions or keypoints (got neither)"
        frames: int | None = None
        for key, tail in _ARRAYS.items():
            value = getattr(self, key)
            if value is None:
                continue
            shape, want = tuple(value.shape), ("T", len(self.skeleton), *tail)
            if len(shape) != len(want) or shape[1:] != want[1:]:
                yield (
                    f"expected {key} [{', '.join(map(str, want))}] for skeleton {self.skeleton.name!r} "
                    f"(got {list(shape)})"
                )
                continue
            if shape[0] == 0:
                yield f"expected at least one frame (got {key} {list(shape)})"
            if frames is not None and shape[0] != frames:
                yield f"expected {frames} frames (got {shape[0]} in {key})"
            frames = shape[0] if frames is None else frames
            # a finite sum has no infinite term; only otherwise (NaN for missing, say) is every number looked at
            if not math.isfinite(value.sum().item()) and (infinite := value.isinf()).any():
                frame, joint = (int(i) for i in infinite.nonzero()[0, :2])
                yield f"infinite {key} in frame {frame}, joint {self.skeleton.joints[joint]!r}"
        confidence = self.confidence
        if confidence is not None and not bool(((confidence >= 0) & (confidence <= 1)).all()):
            yield f"expected confidence in [0, 1] (got {float(confidence.min())} to {float(confidence.max())})"

    # ------------------------------------------------------------------ size
    @property
    def frames(self) -> int:
        """Number of frames T."""
        values = self.positions if self.positions is not None else self.keypoints
        assert values is not None
        return int(values.shape[0])

    def __len__(self) -> int:
        return self.frames

    @property
    def duration(self) -> float:
        """Seconds, each frame counted as 1/fps."""
        return self.frames / self.fps

    @property
    def missing(self) -> Tensor:
        """`[T, J]` bool: joints without a position, or without a keypoint where there are no positions."""
        values = self.positions if self.positions is not None else self.keypoints
        assert values is not None
        return values.isnan().any(-1)

    def __repr__(self) -> str:
        held = [f"{key}={list(getattr(self, key).shape)}" for key in _ARRAYS if getattr(self, key) is not None]
        return f"MotionClip({self.name!r}, {self.skeleton.name}, fps={self.fps:g}, {', '.join(held)})"

    # ------------------------------------------------------------------ new clips
    def replace(self, **changes: Any) -> MotionClip:
        """A copy with the given fields changed; validated again."""
        known = [f.name for f in fields(self)]
        for key in changes:
            if key not in known:
                raise DataError(unknown_name("clip field", key, known))
        return replace(self, **changes)

    def __getitem__(self, index: slice) -> MotionClip:
        """The frames of a slice; a step divides the frame rate. Raises `DataError` where no frame is left."""
        if not isinstance(index, slice):
            raise TypeError(f"expected a slice such as clip[10:20] (got {index!r})")
        start, stop, step = index.indices(self.frames)
        if step < 1:
            raise DataError(f"expected a step of 1 or more (got {step})")
        if stop <= start:
            raise DataError(
                f"clip {self.name!r} has {self.frames} frames, none of them in [{index.start}:{index.stop}]"
            )
        arrays: dict[str, Any] = {key: None if (v := getattr(self, key)) is None else v[index] for key in _ARRAYS}
        camera = select_frames(self.camera, index, self.frames)
        return replace(self, fps=self.fps / step, camera=camera, **arrays)

    def resample(self, fps: float) -> MotionClip:
        """The clip at another frame rate, first frame kept.

        The same rate changes nothing and a whole divisor of it (120 to 30) picks frames; else positions, keypoints and
        confidence are interpolated linearly and rotations along the shortest arc. A new frame between a known and a
        missing one is missing.
        """
        if not (math.isfinite(fps) and fps > 0):
            raise DataError(f"expected fps above 0 (got {fps!r})")
        stride = round(self.fps / fps)
        if stride >= 1 and math.isclose(self.fps, stride * fps, rel_tol=1e-6):
            return self.replace(fps=float(fps)) if stride == 1 else self[::stride].replace(fps=float(fps))
        grid = frame_grid(self.frames, self.fps, fps)
        arrays: dict[str, Any] = {
            key: None if (v := getattr(self, key)) is None else resample(v, grid)
            for key in ("positions", "keypoints", "confidence")
        }
        rotations = None if self.rotations is None else resample_rotations(self.rotations, grid)
        camera = resample_camera(self.camera, grid, self.frames)
        return replace(self, fps=float(fps), rotations=rotations, camera=camera, **arrays)

    def fill_gaps(self, max_gap: int | None = None) -> MotionClip:
        """Missing joints interpolated between the frames before and after, where the gap is at most `max_gap` frames.

        `None` fills gaps of any length. Gaps at the start or end stay missing: nothing is extrapolated. Filled
        keypoints get confidence 0, because nobody saw them.
        """
        positions = None if self.positions is None else fill_gaps(self.positions, max_gap)
        keypoints = None if self.keypoints is None else fill_gaps(self.keypoints, max_gap)
        rotations = None if self.rotations is None else fill_rotation_gaps(self.rotations, max_gap)
        confidence = self.confidence
        if confidence is not None and self.keypoints is not None:
            confidence = confidence.masked_fill(self.keypoints.isnan().any(-1), 0.0)
        return replace(self, positions=positions, keypoints=keypoints, rotations=rotations, confidence=confidence)

    def to(self, skeleton: Skeleton | str | Path, mapping: JointMapping | str | Path | None = None) -> MotionClip:
        """The same motion on the joints of another skeleton.

        Args:
            skeleton: the target, or its name or file.
            mapping: which joints make up each target joint; its file, or None to look for a bundled one.

        Rotations are used for target joints at an offset from a source joint and dropped afterwards. Raises
        `SkeletonError` when there is no mapping and `DataError` when one needs rotations that the clip does not have.
        """
        target = skeleton if isinstance(skeleton, Skeleton) else Skeleton.load(skeleton)
        if mapping is None:
            if target == self.skeleton:
                return self
            mapping = find_mapping(self.skeleton, target)
        elif not isinstance(mapping, JointMapping):
            mapping = JointMapping.load(mapping)
        return self.replace(skeleton=target, rotations=None, **map_channels(self, target, mapping))

    def seen_by(self, camera: Camera) -> MotionClip:
        """The clip with keypoints as the camera sees them (distortion included); positions stay in world space.

        Pixels when the camera has a width, normalised screen units otherwise. A joint behind the camera is missing.
        Raises `DataError` without world positions.
        """
        if self.positions is None or self.space != "world":
            raise DataError(f"clip {self.name!r}: expected world positions to look at (got none)")
        local = camera.world_to_camera(self.positions)
        keypoints = camera.project(local)
        keypoints = keypoints.masked_fill((local[..., 2:] <= 0).expand_as(keypoints), math.nan)
        return replace(self, keypoints=keypoints, confidence=None, camera=camera)

    # ------------------------------------------------------------------ statistics
    def facing(self) -> Tensor:
        """`[T, 3]` horizontal unit vectors, left x up; NaN where a hip is missing or they stand above each other."""
        return facing(self._need_positions(), self.skeleton)

    def bone_lengths(self) -> Tensor:
        """`[T, len(skeleton.bones)]` metres, in the order of `skeleton.bones`."""
        return bone_lengths(self._need_positions(), self.skeleton)

    def summary(self) -> dict[str, Any]:
        """Frames, rate, seconds, missing share, body size, travel and bone lengths (metres), as plain values."""
        return summarize(self)

    def _need_positions(self) -> Tensor:
        if self.positions is None:
            raise DataError(f"clip {self.name!r}: expected positions (got keypoints only)")
        return self.positions
