"""Local pose augmentation: a generator that gives every source pose a change of its own, so that the lifter sees new poses.

    h  = [ (p_middle - p_root) / size ; n ]              n ~ N(0, I), size = root mean square distance of the joints
    a        = ( f_a(p, n) - f_a(p, -n) ) / 2
    turns    = angle_max  a / sqrt(1 + |a|^2)            one rotation vector a bone, its length below angle_max
    e_j      = exp( z log high )  or  exp( -z log low )  z = tanh(f_l(h)), mean of both sides; by the sign of z
    ratios   = e (sum of |b_j|) / (sum of e_j |b_j|)     b: bones of the middle frame; the sum of their lengths stays
    rotation = rotation_max tanh( f_r(h) + spread * n_1..3 )
    pose     = transform_pose(pose, turns, ratios, rotation)

f_a, f_l and f_r are residual networks. One change for a whole window: its middle frame is what the generators see.

From PoseAug and PoseDA: three generators (bone angle, bone length, rigid motion) on pose and noise, trained against the lifter and
discriminators (`adversarial_losses.py`, `pose_discriminators.py`). Our reading: LayerNorm where published code has BatchNorm (no
statistics that mix poses, nothing to freeze, batches of one); last layers that start near zero, so that training begins close to
the source poses (not at zero: two noises would give one change and the diversity loss would have no gradient); the rotation gets
noise directly, so that it is spread from the first step on; turns are odd in the noise, so that opposite noise undoes them and
the mean pose stays that of the source: otherwise the tilt of the target's cameras is learned as people who lean; the sum of all bone
lengths stays, because no discriminator can see size in an image and a generator that is free to change it drifts, which the lifter
learns as the size of people; mirror partners that leave one joint (both hips, both shoulders) share a turn, the mean of both, since
pelvis and shoulder girdle hardly bend.

Shapes: pose `[B, T, J, 3]` in camera space, metres; turns `[B, J, 3]`, ratios `[B, J]`, rotation `[B, 3]`.

PoseAug: Gong, Zhang and Feng, CVPR 2021, arXiv 2105.02465. PoseDA: Chai et al., ICCV 2023, arXiv 2303.16456.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from graphpose.adaptation.pose_transform import allowed_ratios, symmetric, transform_pose
from graphpose.errors import ConfigError, DataError
from graphpose.nn.linear import Linear
from graphpose.skeleton import Limits, Skeleton

__all__ = ["Augmented", "LocalPoseAugmentation"]

_START = 0.1  # of the usual size of the last layers
_SPREAD = 0.5
_ROUNDS = 5


class Augmented(NamedTuple):
    """An augmented window and the change that made it."""

    pose: Tensor  # [B, T, J, 3] metres, camera space
    turns: Tensor  # [B, J, 3] radians
    ratios: Tensor  # [B, J]
    rotation: Tensor  # [B, 3] (pitch, yaw, roll), radians


class LocalPoseAugmentation(nn.Module):
    """The generator.

    Args:
        skeleton: of the poses; its `limits` hold.
        channels: hidden width.
        depth: residual blocks of each of the three networks.
        noise: numbers of noise a pose, at least 3.
        angle: degrees that a bone turns at most, before limits.
        rotation: degrees of (pitch, yaw, roll) that the whole pose turns at most.

    Attributes:
        free: which of "turns", "ratios" and "rotation" can change at all.

    Raises:
        ConfigError: values outside the ranges that the message names.
    """

    bones: Tensor
    girdle: Tensor
    low: Tensor
    high: Tensor
    largest: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        channels: int = 256,
        depth: int = 2,
        noise: int = 48,
        angle: float = 20.0,
        rotation: tuple[float, float, float] = (30.0, 180.0, 10.0),
    ) -> None:
        super().__init__()
        _check_options(channels, depth, noise, angle, rotation)
        self.skeleton, self.noise, self.angle = skeleton, noise, math.radians(angle)
        joints = len(skeleton)
        inputs = 3 * joints + noise
        self.turning = _generator(inputs, channels, depth, 3 * joints, bias=False)  # a bias would cancel
        self.scaling = _generator(inputs, channels, depth, joints)
        self.spinning = _generator(inputs, channels, depth, 3)
        self.spread = nn.Parameter(torch.full((3,), _SPREAD))
        bounds = torch.from_numpy((skeleton.limits or Limits()).length_bounds(skeleton.joints)).float().log()
        bones = torch.tensor([parent >= 0 for parent in skeleton.parents])
        self.register_buffer("bones", bones, persistent=False)  # the root has none, so nothing of it changes
        self.free = [
            name
            for name, able in (("turns", angle > 0), ("ratios", bool(bounds[bones].any())), ("rotation", any(rotation)))
            if able
        ]
        self.register_buffer("girdle", torch.tensor(_girdle(skeleton)), persistent=False)
        self.register_buffer("low", bounds[:, 0].contiguous(), persistent=False)
        self.register_buffer("high", bounds[:, 1].contiguous(), persistent=False)
        self.register_buffer("largest", torch.tensor(rotation).float().deg2rad(), persistent=False)

    @torch.no_grad()
    def zero_(self) -> LocalPoseAugmentation:
        """Makes it the identity: every change is none, whatever the noise."""
        for network in (self.turning, self.scaling, self.spinning):
            last = network[-1]
            assert isinstance(last, nn.Linear)
            last.weight.zero_()
            if last.bias is not None:
                last.bias.zero_()
        self.spread.zero_()
        return self

    def draw_noise(self, count: int) -> Tensor:
        """`[count, noise]` standard normal, from torch's default generator of the module's device."""
        return torch.randn(count, self.noise, device=self.spread.device, dtype=self.spread.dtype)

    def forward(self, pose: Tensor, noise: Tensor | None = None) -> Augmented:
        """Windows `pose [B, T, J, 3]` changed; `noise [B, noise]` is drawn when None.

        Raises:
            DataError: shapes that do not fit.
        """
        joints = len(self.skeleton)
        if pose.ndim != 4 or pose.shape[1] == 0 or pose.shape[2:] != (joints, 3):
            raise DataError(f"expected a pose [B, T, {joints}, 3] with T >= 1 (got {list(pose.shape)})")
        batch = len(pose)
        if noise is None:
            noise = self.draw_noise(batch)
        if noise.shape != (batch, self.noise):
            raise DataError(f"noise: expected the shape {[batch, self.noise]} (got {list(noise.shape)})")
        posture = self._posture(pose)
        h, opposite = (torch.cat([posture, values], -1) for values in (noise, -noise))
        turns = 0.5 * (self.turning(h) - self.turning(opposite)).view(batch, joints, 3)
        turns = 0.5 * (turns + turns.index_select(1, self.girdle))
        turns = self.angle * turns / (1 + turns.square().sum(-1, keepdim=True)).sqrt() * self.bones[:, None]
        z = symmetric(self.scaling(h), self.skeleton).tanh() * self.bones
        ratios = self._same_size(pose, torch.where(z > 0, z * self.high, -z * self.low).exp())
        rotation = self.largest * (self.spinning(h) + self.spread * noise[:, :3]).tanh()
        return Augmented(transform_pose(pose, self.skeleton, turns, ratios, rotation), turns, ratios, rotation)

    def _same_size(self, pose: Tensor, ratios: Tensor) -> Tensor:
        """Ratios `[B, J]` by one factor a pose, so that its bones (`pose [B, T, J, 3]`) keep the sum of their lengths; within limits."""
        middle = pose[:, pose.shape[1] // 2]
        parents = [p if p >= 0 else j for j, p in enumerate(self.skeleton.parents)]
        lengths = torch.linalg.vector_norm((middle - middle[:, parents]).detach(), dim=-1)
        lengths = lengths + 1e-6  # a pose that is one point keeps its size whatever the ratios
        for _ in range(_ROUNDS):  # those at their limits leave the rest to the others
            factor = lengths.sum(-1) / (ratios * lengths).sum(-1)
            ratios = allowed_ratios(ratios * factor[:, None], self.skeleton)
        return torch.where(self.bones, ratios, 1.0)

    def _posture(self, pose: Tensor) -> Tensor:
        """`[B, 3 J]`: the middle frame relative to the root, without its size."""
        middle = pose[:, pose.shape[1] // 2]
        local = middle - middle[:, self.skeleton.root, None]
        size = local.square().sum(-1).mean(-1).clamp(min=1e-12).sqrt()
        return (local / size[:, None, None]).flatten(1)


class _Residual(nn.Module):
    """x + W LeakyReLU(V LayerNorm(x))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.unit = nn.Sequential(
            nn.LayerNorm(channels), Linear(channels, channels), nn.LeakyReLU(0.2), Linear(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.unit(x)


def _generator(inputs: int, channels: int, depth: int, outputs: int, *, bias: bool = True) -> nn.Sequential:
    last = Linear(channels, outputs, bias=bias)
    with torch.no_grad():
        last.weight.mul_(_START)
        if last.bias is not None:
            last.bias.zero_()
    blocks = [_Residual(channels) for _ in range(depth)]
    return nn.Sequential(Linear(inputs, channels), *blocks, nn.LayerNorm(channels), nn.LeakyReLU(0.2), last)


def _girdle(skeleton: Skeleton) -> list[int]:
    """The mirror partner of each joint that hangs on the same parent as its partner, else the joint itself."""
    partners = [int(m) for m in skeleton.mirror]
    parents = skeleton.parents
    return [m if parents[m] == parents[j] else j for j, m in enumerate(partners)]


def _check_options(channels: int, depth: int, noise: int, angle: float, rotation: tuple[float, float, float]) -> None:
    for name, value, least in (("channels", channels, 1), ("depth", depth, 0), ("noise", noise, 3)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{name}: expected a whole number of at least {least} (got {value!r})")
    if not (isinstance(angle, (int, float)) and 0 <= angle <= 180):
        raise ConfigError(f"angle: expected degrees from 0 to 180 (got {angle!r})")
    degrees = isinstance(rotation, (tuple, list)) and all(isinstance(v, (int, float)) for v in rotation)
    if not degrees or len(rotation) != 3 or not all(0 <= v <= 180 for v in rotation):
        raise ConfigError(f"rotation: expected (pitch, yaw, roll) in degrees from 0 to 180 (got {rotation!r})")
