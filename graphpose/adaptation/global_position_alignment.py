"""Global position alignment (GPA): a source pose takes the place, and so the size in the image, of a target 2D pose.

With the boxes of a paired source pose (extents `dx`, `dy` in metres) and target pose (width `w`, height `h` on the screen), and
the target's root keypoint `(u, v)`:

    s = (w + h) / 2                              size of the target's box
    z = (fx dx + fy dy) / (2 s)                  depth at which a flat pose has that size
    root = z ((u - cx) / fx, (v - cy) / fy, 1)   on the ray of the target's root

and the pose is moved, not turned or scaled, until its root lies there. Projected with the target's camera it is a new training
pair whose place and size are the target's. This is exact for a pose without extent along z; otherwise the nearer half of
the body looks larger and the box differs by a few percent.

`align` is the published computation, one placement a frame. (The published code takes fx and fy of the first row for all
poses in `z`; here each row has its own. They agree wherever one camera sees all targets of a batch.)

`align_windows` is our extension to clips. Frames placed one by one would tear the path of a moving person, because the target's
box breathes with its own limbs. One placement a window keeps it: `z` comes from the means of `fx dx + fy dy` and of `s` over the
frames that the target shows, and the source's whole path is moved so that its mean over these frames lies on the mean
ray of the target's root at depth `z`. Limbs, path and their timing stay those of the source; T = 1 is `align`.

Symbols: N poses, B windows, T frames, J joints. Source `[N, J, 3]` metres, camera space (x right, y down, z away); target
`[N, J, 2]` and intrinsics `[N, 4]` = (fx, fy, cx, cy) in normalised screen units. Everything is differentiable in the source.

Chai et al., "Global adaptation meets local generalization: unsupervised domain adaptation for 3D human pose estimation",
ICCV 2023. `visible` and `align_windows` are ours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphpose.errors import DataError

__all__ = ["align", "align_windows", "box_size", "project"]


def align(
    source: Tensor, target: Tensor, intrinsics: Tensor, *, root: int = 0, visible: Tensor | None = None
) -> Tensor:
    """Source poses `[N, J, 3]` at the place and size of the target poses they are paired with, `[N, J, 3]` metres.

    Args:
        source: `[N, J, 3]` metres, camera axes; where it stands does not matter.
        target: `[N, J, 2]` normalised screen units.
        intrinsics: `[N, 4]` of the cameras that see the targets.
        root: index of the root joint.
        visible: `[N, J]` bool, joints that the target shows; both boxes are then those of these joints. None: all.

    Raises:
        DataError: shapes that do not fit, or a pair without a size: a target whose root is not visible or whose visible joints
            coincide, a source without extent.
    """
    _check_shapes(source, target, intrinsics, visible, ("N",))
    seen = None if visible is None else visible[:, None]
    return align_windows(source[:, None], target[:, None], intrinsics, root=root, visible=seen)[:, 0]


def align_windows(
    source: Tensor, target: Tensor, intrinsics: Tensor, *, root: int = 0, visible: Tensor | None = None
) -> Tensor:
    """Source windows `[B, T, J, 3]`, each moved as a whole to the place and size of its target window, `[B, T, J, 3]` metres.

    Args:
        source: `[B, T, J, 3]` metres, camera axes, with the motion of the root; where the window stands does not matter.
        target: `[B, T, J, 2]` normalised screen units.
        intrinsics: `[B, 4]`.
        root: index of the root joint.
        visible: `[B, T, J]` bool. A frame counts when its root is visible and its visible joints do not coincide; the size of both
            is that of the visible joints. None: all are visible.

    Returns:
        Windows whose distances within and between frames are those of the source. A path that comes nearer than the depth it is
        placed at may pass the camera; `project` gives NaN there.

    Raises:
        DataError: shapes that do not fit, a window in which no frame counts, a source without extent.
    """
    _check_shapes(source, target, intrinsics, visible, ("B", "T"))
    if not 0 <= root < source.shape[-2]:
        raise DataError(f"expected a root below {source.shape[-2]} joints (got {root})")
    target, intrinsics = target.to(source.dtype), intrinsics.to(source.dtype)
    if visible is None:
        visible = torch.ones(target.shape[:-1], dtype=torch.bool, device=target.device)
    size = box_size(target, visible).mean(-1)  # [B, T]
    counts = visible[..., root] & (size > 0) & torch.isfinite(size)
    share = counts.to(source.dtype) / counts.sum(-1, keepdim=True)  # weights of the means, [B, T]
    focal, centre = intrinsics[:, None, :2], intrinsics[:, None, 2:]
    extent = (focal * box_size(source[..., :2], visible)).sum(-1)

    def mean(values: Tensor) -> Tensor:
        """Over the frames that count: `[B, T, C]` to `[B, C]`."""
        return (torch.where(counts[..., None], values, 0.0) * share[..., None]).sum(1)

    depth = mean(extent[..., None]) / (2 * mean(size[..., None]))  # [B, 1]
    _check_placed(counts, depth)
    ray = mean((target[:, :, root] - centre) / focal)
    place = torch.cat([ray * depth, depth], dim=-1)  # of the path's mean
    return source + (place - mean(source[:, :, root]))[:, None, None]


def box_size(points: Tensor, visible: Tensor | None = None) -> Tensor:
    """Width and height `[..., 2]` of the box around the visible ones of points `[..., J, 2]`; 0 around nothing."""
    shown = torch.ones_like(points[..., 0], dtype=torch.bool) if visible is None else visible
    sides = [  # one axis at a time lies close together in memory: twice as fast as both at once
        axis.masked_fill(~shown, -math.inf).amax(-1) - axis.masked_fill(~shown, math.inf).amin(-1)
        for axis in points.unbind(-1)
    ]
    return torch.where(shown.any(-1)[..., None], torch.stack(sides, dim=-1), 0.0)


def project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Points `[..., J, 3]` in camera space on the screen, `[..., J, 2]`; NaN for what is at or behind the camera.

    `u = fx X / Z + cx`, `v = fy Y / Z + cy`; intrinsics `[..., 4]` line up from the right with the dimensions before J, so windows
    `[B, T, J, 3]` take `intrinsics[:, None]`.
    """
    if points.shape[-1:] != (3,) or intrinsics.shape[-1:] != (4,):
        raise DataError(
            f"expected points [..., J, 3] and intrinsics [..., 4] (got {list(points.shape)} and {list(intrinsics.shape)})"
        )
    camera = intrinsics.to(points.dtype)[..., None, :]
    depth = points[..., 2:]
    front = depth > 0
    plane = points[..., :2] / torch.where(front, depth, 1.0)
    return torch.where(front, camera[..., :2] * plane + camera[..., 2:], math.nan)


def _check_shapes(
    source: Tensor, target: Tensor, intrinsics: Tensor, visible: Tensor | None, lead: tuple[str, ...]
) -> None:
    fits = source.ndim == len(lead) + 2 and source.shape[-1] == 3 and source.shape[-2] > 0
    if not (fits and target.shape == (*source.shape[:-1], 2) and intrinsics.shape == (source.shape[0], 4)):
        shape = ", ".join((*lead, "J"))
        raise DataError(
            f"expected source [{shape}, 3], target [{shape}, 2] and intrinsics [{lead[0]}, 4] "
            f"(got {list(source.shape)}, {list(target.shape)} and {list(intrinsics.shape)})"
        )
    if visible is not None and (visible.shape != source.shape[:-1] or visible.dtype != torch.bool):
        raise DataError(f"expected visible {list(source.shape[:-1])} bool (got {list(visible.shape)} {visible.dtype})")


def _check_placed(counts: Tensor, depth: Tensor) -> None:
    """Refuses windows that have no place: `counts [B, T]`, `depth [B, 1]`."""
    placed = (depth[:, 0] > 0) & torch.isfinite(depth[:, 0])  # a row without any frame that counts is 0 / 0
    if bool(placed.all()):
        return
    row = int((~placed).nonzero()[0, 0])
    if not bool(counts[row].any()):
        raise DataError(
            f"target {row}: expected its root and another joint apart from it to be visible in some frame (got none); "
            "draw targets with TargetKeypoints, which leaves such frames out"
        )
    raise DataError(f"source {row}: expected a pose of some extent in x or y (got depth {float(depth[row, 0]):g})")
