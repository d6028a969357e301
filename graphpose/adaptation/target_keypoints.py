"""The target as adaptation sees it: 2D keypoints, which of them can be trusted, and the camera's focal length and centre.

    visible = not NaN  and  confidence >= min_confidence
    usable  = root visible  and  at least min(4, J) joints visible  and  their box has a size        (per frame)

Nothing else is taken from the clips: positions are left out before anything is computed, so no 3D of the target can reach
the training. Keypoints are in normalised screen units without lens distortion.

Window of T frames at `fps` out of a clip at another rate: place i takes the clip's frame nearest to the time
`(i - m) / fps` from frame `a`, which is at place m. Frames are picked and never interpolated. Past the ends of a clip that is
shorter than the window its first or last frame is repeated.

Symbols: n windows, T frames, J joints, F frames of all clips together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from graphpose.adaptation.global_position_alignment import box_size
from graphpose.adaptation.intrinsics import estimate_focal
from graphpose.datasets.views import Views, view_clip
from graphpose.errors import ConfigError, DataError, SkeletonError
from graphpose.geometry import Camera
from graphpose.motion import MotionClip
from graphpose.skeleton import JointMapping, Skeleton

__all__ = ["TargetKeypoints", "TargetWindows"]

_JOINTS = 4
"""Joints that a usable frame shows at least: of fewer the box says little of the person's size."""


class TargetWindows(NamedTuple):
    """n windows of the target: what `align_windows` and the discriminators need."""

    keypoints: Tensor
    """`[n, T, J, 2]` normalised screen units, 0 where missing."""
    visible: Tensor
    """`[n, T, J]` bool."""
    intrinsics: Tensor
    """`[n, 4]` (fx, fy, cx, cy), those of the middle frame where they change."""

    def to(self, device: torch.device | str) -> TargetWindows:
        """The windows on another device."""
        return TargetWindows(*(values.to(device) for values in self))


class TargetKeypoints:
    """The 2D keypoints of all target clips, out of which training windows are drawn; see `from_clips`.

    Attributes:
        skeleton, fps: of the windows.
        keypoints: `[F, J, 2]`, 0 where missing; visible: `[F, J]`; usable: `[F]`; intrinsics: `[F, 4]`.
        lengths: frames of each clip.
        rates: frames a second of each clip.
        given, estimated: the focal length of clips without a camera, where it was given and where it was estimated; else None.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        fps: float,
        keypoints: Tensor,
        visible: Tensor,
        intrinsics: Tensor,
        lengths: Sequence[int],
        rates: Sequence[float],
        *,
        given: float | None = None,
        estimated: float | None = None,
    ) -> None:
        self.skeleton, self.fps, self.given, self.estimated = skeleton, float(fps), given, estimated
        self.keypoints = torch.where(visible[..., None], keypoints, 0.0)
        self.visible, self.intrinsics = visible, intrinsics
        self.lengths, self.rates = tuple(lengths), tuple(rates)
        self.usable = _usable(self.keypoints, visible, skeleton.root)
        self._anchors = self.usable.nonzero()[:, 0]
        self._stand_in = _nearest_usable(self.usable, self.lengths)
        # of the clip that each frame is from: first frame, last frame, clip frames a window frame
        length = torch.tensor(self.lengths)
        end = length.cumsum(0)
        steps = torch.tensor(self.rates, dtype=torch.float64) / self.fps
        self._first = (end - length).repeat_interleave(length)
        self._last = (end - 1).repeat_interleave(length)
        self._step = steps.repeat_interleave(length)

    @classmethod
    def from_clips(
        cls,
        clips: Sequence[MotionClip],
        skeleton: Skeleton,
        *,
        fps: float,
        min_confidence: float = 0.3,
        focal: float | str | None = None,
        mapping: JointMapping | str | Path | None = None,
    ) -> TargetKeypoints:
        """The keypoints of clips, on `skeleton`.

        Args:
            clips: with keypoints; pixels where the clip's camera has a width and height. Positions are not read.
            skeleton: of the lifter. Clips on another are mapped; one whose joints are some of these by name, and that has no
                bundled mapping, gives those, and the others are missing.
            fps: rate of the lifter's windows.
            min_confidence: keypoints below it are missing.
            focal: of clips without a camera, normalised screen units (see `focal_of_view`) with the centre in the middle of the
                picture; "estimate": from the keypoints of all these clips together, which one camera at rest has to
                have seen (see `estimate_focal`).
            mapping: to `skeleton`, for clips on another; None looks for a bundled one.

        Raises:
            DataError: no clip, a clip without keypoints, keypoints in pixels without an image size, a focal length that is not
                known and not asked to be estimated (or cannot be), or no usable frame at all, with the reasons counted.
            ConfigError: an fps, min_confidence or focal out of range; SkeletonError: no mapping to `skeleton`.
        """
        _check_settings(fps, min_confidence, focal)
        if not clips:
            raise DataError("target: expected at least one clip (got none)")
        points, shown, cameras, known = [], [], [], []
        doubtful = 0
        for clip in clips:
            bare = _keypoints_only(clip)
            [view] = view_clip(_on_skeleton(bare, skeleton, mapping), Views("clip"))
            plane, there = view.x[..., :2], view.visible
            if view.camera is not None:
                plane = _undistorted(plane, view.camera.normalized())
                there = there & ~plane.isnan().any(-1)
            sure = view.x[..., 2] >= min_confidence
            doubtful += int((there & ~sure).sum())
            points.append(plane)
            shown.append(there & sure)
            cameras.append(_intrinsics(bare, view.camera, len(plane)))
            known.append(view.camera is not None)
        _check_usable(points, shown, skeleton, doubtful, min_confidence)
        given = estimated = None
        if not all(known):
            of_view = given = _known_focal(clips, known, focal)
            if of_view is None:
                unknown = [i for i, is_known in enumerate(known) if not is_known]
                of_view = estimated = estimate_focal(
                    torch.cat([points[i] for i in unknown]), torch.cat([shown[i] for i in unknown]), skeleton
                )
            fill = torch.tensor([of_view, of_view, 0.0, 0.0])
            cameras = [rows if there else fill.expand(len(rows), 4) for rows, there in zip(cameras, known, strict=True)]
        return cls(
            skeleton,
            fps,
            torch.cat(points),
            torch.cat(shown),
            torch.cat(cameras),
            [len(rows) for rows in points],
            [clip.fps for clip in clips],
            given=given,
            estimated=estimated,
        )

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        focal = "" if self.estimated is None else f", focal length {self.estimated:.3g} estimated"
        return f"TargetKeypoints({self.content()}{focal})"

    def content(self) -> str:
        """How much there is, on which skeleton and at which rate, and which joints are missing throughout, in words."""
        absent = [
            name for name, seen in zip(self.skeleton.joints, self.visible.any(0).tolist(), strict=True) if not seen
        ]
        missing = f", missing throughout: {', '.join(absent)}" if absent else ""
        return (
            f"{_clips(len(self.lengths))}, {len(self)} frames, {len(self._anchors)} usable, "
            f"{self.skeleton.name} at {self.fps:g} fps{missing}"
        )

    def focal_length(self) -> str:
        """The focal length, in normalised screen units, and where it comes from, in words."""
        seen, told = self.intrinsics[:, 0], []
        for value, origin in ((self.given, "given"), (self.estimated, "estimated")):
            if value is not None:
                told.append(f"{value:.3g} ({origin})")
                seen = seen[(seen - value).abs() > 1e-5]
        if len(seen):
            low, high = float(seen.min()), float(seen.max())
            told.append((f"{low:.3g}" if high - low < 5e-4 * high else f"{low:.3g} to {high:.3g}") + " (of the files)")
        return f"focal length {' and '.join(told)}"

    def draw(
        self, count: int, frames: int, generator: torch.Generator | None = None, *, usable: bool = False
    ) -> TargetWindows:
        """`count` random windows of `frames` frames, each with a usable frame.

        A usable frame is drawn from all of the target, each as likely as another, and put in the middle of its window; near the
        ends of a clip the window is moved so that it lies within the clip and still holds that frame.

        Args:
            count, frames: n and T.
            generator: on the CPU; None takes PyTorch's own.
            usable: put the nearest usable frame of the clip in the place of each that is not, so that each can be aligned by itself.
        """
        if count < 0 or frames < 1:
            raise DataError(f"expected 0 or more windows of 1 or more frames (got {count} of {frames})")
        chosen = torch.randint(len(self._anchors), (count,), generator=generator)
        anchor = self._anchors[chosen]
        first, last, step = self._first[anchor], self._last[anchor], self._step[anchor]
        # places before and after the anchor that the clip has frames for
        before = ((anchor - first) / step + 1e-6).floor().long()
        after = ((last - anchor) / step + 1e-6).floor().long()
        middle = torch.full_like(anchor, frames // 2)
        fits = before + after >= frames - 1
        place = torch.where(fits, torch.maximum(torch.minimum(middle, before), frames - 1 - after), middle)
        offset = (torch.arange(frames) - place[:, None]) * step[:, None]
        index = anchor[:, None] + (offset + 0.5).floor().long()  # [n, T]
        index = torch.minimum(torch.maximum(index, first[:, None]), last[:, None])
        if usable:
            index = self._stand_in[index]
        return TargetWindows(self.keypoints[index], self.visible[index], self.intrinsics[index[:, frames // 2]])


def _clips(count: int) -> str:
    return f"{count} clip" if count == 1 else f"{count} clips"


def _check_settings(fps: float, min_confidence: float, focal: float | str | None) -> None:
    if not (math.isfinite(fps) and fps > 0):
        raise ConfigError(f"target.fps: expected a rate above 0 (got {fps!r})")
    if not 0 <= min_confidence <= 1:
        raise ConfigError(f"target.min_confidence: expected 0 to 1 (got {min_confidence!r})")
    plain = focal is None or focal == "estimate"
    if not (plain or (isinstance(focal, (int, float)) and math.isfinite(focal) and focal > 0)):
        raise ConfigError(f"target.focal: expected a number above 0, 'estimate' or None (got {focal!r})")


def _keypoints_only(clip: MotionClip) -> MotionClip:
    """The clip's 2D, a new clip that never held the positions."""
    keypoints = clip.keypoints
    if keypoints is None:
        file = f" ({clip.source})" if clip.source else ""
        raise DataError(
            f"target clip {clip.name!r}{file}: expected keypoints (got positions only); adaptation uses the target's 2D: detect it, let "
            "a camera see the clip (clip.seen_by), or take it out of the target"
        )
    return MotionClip(
        clip.skeleton,
        clip.fps,
        keypoints=keypoints,
        confidence=clip.confidence,
        camera=clip.camera,
        name=clip.name,
        source=clip.source,
    )


def _on_skeleton(clip: MotionClip, skeleton: Skeleton, mapping: JointMapping | str | Path | None) -> MotionClip:
    if clip.skeleton == skeleton:
        return clip
    try:
        return clip.to(skeleton, mapping)
    except SkeletonError:
        names = clip.skeleton.joints
        if mapping is not None or not set(names) < set(skeleton.joints):
            raise
    # joints of the same names: what the clip does not have is missing
    assert clip.keypoints is not None
    places = [skeleton.index(name) for name in names]
    keypoints = torch.full((len(clip), len(skeleton), 2), math.nan)
    keypoints[:, places] = clip.keypoints
    confidence = None
    if clip.confidence is not None:
        confidence = torch.zeros(len(clip), len(skeleton))
        confidence[:, places] = clip.confidence
    return clip.replace(skeleton=skeleton, keypoints=keypoints, confidence=confidence)


def _undistorted(points: Tensor, camera: Camera) -> Tensor:
    """Keypoints `[F, J, 2]` without the lens distortion; NaN where no direction is seen so."""
    if not (bool(camera.radial.any()) or bool(camera.tangential.any())):
        return points
    return camera.undistort(points.to(camera.focal.dtype)).to(points.dtype)


def _intrinsics(clip: MotionClip, camera: Camera | None, frames: int) -> Tensor:
    """`[F, 4]` of a clip's camera in normalised screen units; NaN where it has none."""
    if camera is None:
        return torch.full((frames, 4), math.nan)
    if tuple(camera.shape) not in ((), (frames,)):
        raise DataError(
            f"target clip {clip.name!r}: expected one camera, or one a frame for {frames} frames (got {list(camera.shape)})"
        )
    camera = camera.normalized()
    return torch.cat([camera.focal, camera.center], dim=-1).float().expand(frames, 4)


def _known_focal(clips: Sequence[MotionClip], known: Sequence[bool], focal: float | str | None) -> float | None:
    """The focal length that was given for clips without a camera; None when it is to be estimated."""
    if focal is None:
        without = [clip.name for clip, is_known in zip(clips, known, strict=True) if not is_known]
        raise DataError(
            f"target clip {without[0]!r} ({len(without)} of {_clips(len(clips))}) has no camera: expected target.focal in normalised "
            "screen units, 1 / tan(field of view / 2) (got none); give it, or 'estimate' to compute it from the keypoints"
        )
    return None if isinstance(focal, str) else float(focal)


def _reasons(keypoints: Tensor, visible: Tensor, root: int) -> dict[str, Tensor]:
    """What keeps frames from being used: `[F]` bool each, one reason a frame."""
    needed = min(_JOINTS, visible.shape[-1])
    rootless = ~visible[..., root]
    few = ~rootless & (visible.sum(-1) < needed)
    flat = ~rootless & ~few & ~(box_size(keypoints, visible).sum(-1) > 0)
    return {"without the root": rootless, f"with fewer than {needed} joints": few, "with all joints in one place": flat}


def _usable(keypoints: Tensor, visible: Tensor, root: int) -> Tensor:
    return ~torch.stack(list(_reasons(keypoints, visible, root).values())).any(0)


def _nearest_usable(usable: Tensor, lengths: Sequence[int]) -> Tensor:
    """`[F]`: the usable frame of the same clip that is nearest to each; the frame itself in clips without any."""
    found = torch.arange(len(usable))
    begin = 0
    for length in lengths:
        places = usable[begin : begin + length].nonzero()[:, 0]
        if len(places):
            after = torch.searchsorted(places, torch.arange(length)).clamp(max=len(places) - 1)
            before = (after - 1).clamp(min=0)
            here = torch.arange(length)
            nearer = (here - places[before]).abs() <= (places[after] - here).abs()
            found[begin : begin + length] = begin + torch.where(nearer, places[before], places[after])
        begin += length
    return found


def _check_usable(
    points: Sequence[Tensor], shown: Sequence[Tensor], skeleton: Skeleton, doubtful: int, min_confidence: float
) -> None:
    keypoints, visible = torch.cat(list(points)), torch.cat(list(shown))
    reasons = _reasons(keypoints, visible, skeleton.root)
    counts = {reason: int(frames.sum()) for reason, frames in reasons.items()}
    if sum(counts.values()) < len(visible):
        return
    told = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    absent = visible.numel() - int(visible.sum()) - doubtful
    lower = "lower target.min_confidence, " if doubtful else ""
    raise DataError(
        f"target: expected frames that show the root {skeleton.joints[skeleton.root]!r} and at least {min(_JOINTS, len(skeleton))} "
        f"joints of {skeleton.name!r} (got none: of {len(visible)} frames in {_clips(len(points))} {told}; of {visible.numel()} "
        f"keypoints {absent} missing, {doubtful} below confidence {min_confidence:g}); {lower}give a "
        "mapping to the skeleton, or detect the keypoints again"
    )
