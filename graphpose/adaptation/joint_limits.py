"""Poses whose bones were turned, brought back to what their joints can do: angles kept in their limits, hinges on their side.

At joint p with the unit bone u that arrives from its parent, and the unit bone v that leaves for a child:

    angle   th = angle(-u, v),  clamped to [low, high];  v turns back within the plane of the two bones
    hinge   w = v - (v.u) u,    the bend of the joint, seen along the arriving bone
            d = the side to which the given pose bends, carried along with u by the shortest turn
            w.d >= 0  and  |w.(u x d)| <= tan(30 deg) w.d

Each interval is widened to what the given pose itself has, so a pose whose bones were not turned stays as it is. Where the
given pose is nearly straight its side is not sure; there the bend of the skeleton's rest pose decides (`d` is the direction of
w_given + 0.1 d_rest, so from a bend of about 6 degrees on the given pose has the say). Our reading: PoseAug and PoseDA leave
plausibility to the discriminator alone.

Shapes: bones `[B, T, J, 3]`, the vector of each joint from its parent (that of the root is not used).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphpose.adaptation.body_frame import body_rotation
from graphpose.motion.kinematics import topological_levels
from graphpose.skeleton import Skeleton

__all__ = ["keep_limits"]

_SWING = math.tan(math.radians(30.0))  # how far the plane in which a hinge bends may turn about the arriving bone
_REST = 0.1  # sine of the bend from which on the given pose decides the side of a hinge
_TINY = 1e-8


def keep_limits(bones: Tensor, given: Tensor, pose: Tensor, skeleton: Skeleton) -> Tensor:
    """`bones [B, T, J, 3]` within the limits of the skeleton; `given` are the bones of `pose [B, T, J, 3]` before.

    Lengths stay. Joints are done from the root outwards, since a bone turned back decides about the next one. Bones without a
    length, and joints that arrive by one, are left alone.
    """
    limits = skeleton.limits
    if limits is None or not (limits.angles or limits.hinges):
        return bones
    parents, names = skeleton.parents, skeleton.joints
    sides = _sides(given, pose, skeleton) if limits.hinges else None
    out = list(bones.unbind(-2))
    for level in topological_levels(parents)[2:]:
        for joints, limit in (
            ([c for c in level if names[parents[c]] in limits.hinges], "hinge"),
            ([c for c in level if limits.angle_bounds(names[parents[c]], names[c])], "angle"),
        ):
            if not joints:
                continue
            above = [parents[c] for c in joints]
            arriving, leaving = (torch.stack([out[j] for j in chosen], -2) for chosen in (above, joints))
            before = given[..., above, :], given[..., joints, :]
            if limit == "hinge":
                assert sides is not None
                kept = _on_its_side(arriving, leaving, *before, sides[..., joints, :])
            else:
                ranges = [limits.angle_bounds(names[parents[c]], names[c]) for c in joints]
                bounds = torch.tensor(ranges, dtype=bones.dtype, device=bones.device)
                kept = _within_angles(arriving, leaving, *before, bounds.deg2rad())
            for place, joint in enumerate(joints):
                out[joint] = kept[..., place, :]
    return torch.stack(out, -2)


def _length(vectors: Tensor) -> Tensor:
    """`[..., 1]`, with a gradient at zero length too."""
    return (vectors.square().sum(-1, keepdim=True) + _TINY**2).sqrt()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def _angle(arriving: Tensor, leaving: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unit -u, unit v's part across it, their length and the angle between -u and v, `[..., 3 or 1]`."""
    back, v = -arriving / _length(arriving), leaving / _length(leaving)
    along = _dot(back, v)
    across = v - along * back
    size = _length(across)
    return back, across / size, size, torch.atan2(size, along)


def _within_angles(arriving: Tensor, leaving: Tensor, up: Tensor, down: Tensor, bounds: Tensor) -> Tensor:
    with torch.no_grad():
        *_, had = _angle(up, down)
        low, high = torch.minimum(bounds[:, :1], had), torch.maximum(bounds[:, 1:], had)
    back, across, size, angle = _angle(arriving, leaving)
    kept = torch.minimum(torch.maximum(angle, low), high)
    turned = _length(leaving) * (kept.cos() * back + kept.sin() * across)
    # two bones on one line have no plane to turn in
    changed = (kept != angle) & (size > 1e-6) & _both(arriving, leaving)
    return torch.where(changed, turned, leaving)


def _on_its_side(arriving: Tensor, leaving: Tensor, up: Tensor, down: Tensor, side: Tensor) -> Tensor:
    length = _length(leaving)
    u, v = arriving / _length(arriving), leaving / length
    with torch.no_grad():
        u_had, v_had = up / _length(up), down / _length(down)
        bend_had = v_had - _dot(v_had, u_had) * u_had
        forth_had, sway_had = _dot(bend_had, side), _dot(bend_had, torch.linalg.cross(u_had, side))
    # the shortest turn of u_had into u, applied to a vector across u_had
    d = side - _dot(u, side) / (1 + _dot(u, u_had)).clamp(min=1e-3) * (u + u_had)
    d = d / _length(d)
    s = torch.linalg.cross(u, d)
    along, forth, sway = _dot(v, u), _dot(v, d), _dot(v, s)
    forth_kept = torch.maximum(forth, forth_had.clamp(max=0))
    most = torch.maximum(_SWING * forth_kept, sway_had.abs())
    sway_kept = torch.minimum(torch.maximum(sway, -most), most)
    kept = along * u + forth_kept * d + sway_kept * s
    size = _length(kept)
    changed = ((forth_kept != forth) | (sway_kept != sway)) & (size > 1e-3)
    known = side.abs().sum(-1, keepdim=True) > 0  # a straight joint and no rest pose: no side to keep
    return torch.where(changed & known & _both(arriving, leaving), length * kept / size, leaving)


def _both(arriving: Tensor, leaving: Tensor) -> Tensor:
    return torch.minimum(_length(arriving), _length(leaving)) > 1e-6


@torch.no_grad()
def _sides(given: Tensor, pose: Tensor, skeleton: Skeleton) -> Tensor:
    """`[B, T, J, 3]`, for each bone: the unit direction, across the bone before it, to which the given pose bends."""
    above = torch.tensor([p if p >= 0 else j for j, p in enumerate(skeleton.parents)], device=given.device)
    u, v = given[..., above, :], given
    u, v = u / _length(u), v / _length(v)
    bend = v - _dot(v, u) * u
    if skeleton.rest is not None:
        rest = torch.as_tensor(skeleton.rest.copy(), dtype=given.dtype, device=given.device)
        rest_bones = rest - rest[above]
        turned = body_rotation(pose, rest, skeleton, tie=False) @ rest_bones.mT
        rest_bones = turned.mT  # [B, T, J, 3], the rest pose stood into the frame
        ru, rv = rest_bones[..., above, :], rest_bones
        ru, rv = ru / _length(ru), rv / _length(rv)
        rest_bend = rv - _dot(rv, ru) * ru
        carried = rest_bend - _dot(u, rest_bend) / (1 + _dot(u, ru)).clamp(min=1e-3) * (u + ru)
        size = _length(rest_bend)
        bend = bend + _REST * torch.where(size > 0.02, carried / size, torch.zeros(()))  # below, it is straight too
    size = _length(bend)
    return torch.where(size > 1e-4, bend / size, torch.zeros(()))
