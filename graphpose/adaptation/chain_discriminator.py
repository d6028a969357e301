"""Does this part of the body bend as real ones do? A small judge for each part, blind to where the pose looks and how long it is.

For part P with the unit bones u_i = b_i / |b_i|, those of the part and those that it hangs on or hangs on it (i = 1..n):

    K = U^T U                                       [n, n], entry (i, j) is the cosine between bones i and j
    a_i = l . u_i                                   l: unit lateral axis, right to left partner nearest to the root
    c_ij = l . (u_i x u_j),  i < j                  the sense in which j bends against i
    score_P = W LeakyReLU(... (V [K_i<j ; a ; c]))  one number a part

K is the matrix of the kinematic chain space with unit bones (Wandt and Rosenhahn, "RepNet", CVPR 2019, use it to judge poses
whatever the camera; PoseAug judges each part of the body by its own matrix). A Gram matrix does not change when the pose is
mirrored, so a knee bent backwards has the same one as a knee bent forwards: the triple products with the lateral axis, our
addition, tell them apart. Skeletons without pairs have no lateral axis and only K. All features stay the same when the pose turns,
moves or its bones change length along their direction.

Shapes: pose `[N, J, 3]`, scores `[N, P]` without a squashing function (least-squares losses, `adversarial_losses.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError, DataError
from graphpose.skeleton import Skeleton

__all__ = ["ChainDiscriminator", "body_parts", "lateral_axis"]

_TINY = 1e-8


class ChainDiscriminator(nn.Module):
    """Scores `[N, P]` of poses `[N, J, 3]`, one a part of the body.

    Args:
        skeleton: of the poses.
        channels: hidden width of the judge of each part.
        depth: hidden layers.

    Attributes:
        parts: name of each part -> indices of the joints whose bones (to their parents) are its own.

    Raises:
        ConfigError: a skeleton without two bones that meet, or a width or depth below 1.
    """

    def __init__(self, skeleton: Skeleton, *, channels: int = 100, depth: int = 2) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("depth", depth)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name}: expected a whole number of at least 1 (got {value!r})")
        self.skeleton = skeleton
        self.parts = body_parts(skeleton)
        chains = [_chain(skeleton, members) for members in self.parts.values()]
        kept = [number for number, chain in enumerate(chains) if len(chain) > 1]
        if not kept:
            raise ConfigError(f"skeleton {skeleton.name!r}: expected at least two bones that meet (got none)")
        self.parts = {name: self.parts[name] for number, name in enumerate(list(self.parts)) if number in kept}
        self.chains = [_pairs(chains[number]) for number in kept]
        lateral = bool(skeleton.pairs)
        self.judges = nn.ModuleList(_judge(chain.features(lateral), channels, depth) for chain in self.chains)

    def forward(self, pose: Tensor) -> Tensor:
        """Scores of poses `[N, J, 3]`, in any unit and axes."""
        return torch.cat(
            [judge(features) for judge, features in zip(self.judges, self.features(pose), strict=True)], dim=-1
        )

    def features(self, pose: Tensor) -> list[Tensor]:
        """What the judge of each part sees: `[N, F_P]`.

        Raises:
            DataError: another shape than `[N, J, 3]`.
        """
        joints = len(self.skeleton)
        if pose.ndim != 3 or pose.shape[1:] != (joints, 3):
            raise DataError(f"expected poses [N, {joints}, 3] (got {list(pose.shape)})")
        parents = [p if p >= 0 else j for j, p in enumerate(self.skeleton.parents)]
        bones = _unit(pose - pose[:, parents])
        axis = lateral_axis(pose, self.skeleton) if self.skeleton.pairs else None
        found = []
        for chain in self.chains:
            first, second = bones[:, chain.first], bones[:, chain.second]
            rows = [(first * second).sum(-1)]
            if axis is not None:
                rows.append((bones[:, chain.joints] * axis[:, None]).sum(-1))
                rows.append((torch.linalg.cross(first, second) * axis[:, None]).sum(-1))
            found.append(torch.cat(rows, -1))
        return found


def body_parts(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Name of each part -> its joints: the skeleton's groups where it has them, else the branches at the root.

    Joints that no group holds make up the part `(other joints)`. A skeleton without branches is one part.
    """
    if skeleton.groups:
        parts = {name: tuple(skeleton.index(joint) for joint in group) for name, group in skeleton.groups.items()}
        left = tuple(j for j in range(len(skeleton)) if not any(j in members for members in parts.values()))
        left = tuple(j for j in left if j != skeleton.root)
        return {**parts, "(other joints)": left} if left else parts
    branch: dict[int, int] = {}
    for joint in skeleton.order[1:]:
        branch[joint] = branch.get(skeleton.parents[joint], joint)
    return {
        skeleton.joints[start]: tuple(j for j in skeleton.order[1:] if branch[j] == start)
        for start in skeleton.children[skeleton.root]
    }


def lateral_axis(pose: Tensor, skeleton: Skeleton) -> Tensor:
    """`[N, 3]`: the unit vector from right to left of `[N, J, 3]`, the mean over the pairs nearest to the root; 0 if none."""
    nearest = min(skeleton.depths[j] for j in skeleton.left)
    pairs = [(a, b) for a, b in zip(skeleton.left, skeleton.right, strict=True) if skeleton.depths[a] == nearest]
    left, right = zip(*pairs, strict=True)
    return _unit((pose[:, list(left)] - pose[:, list(right)]).mean(1))


class _Chain(NamedTuple):
    joints: list[int]  # bones, by the joint at their end
    first: list[int]  # of every pair of bones
    second: list[int]

    def features(self, lateral: bool) -> int:
        return (2 if lateral else 1) * len(self.first) + (len(self.joints) if lateral else 0)


def _chain(skeleton: Skeleton, members: tuple[int, ...]) -> list[int]:
    """The bones of a part and those it is attached to: bones that end at a member, at its parent, or start at it."""
    root, parents = skeleton.root, skeleton.parents
    own = [j for j in members if j != root]
    # a part that hangs on the root has no bone above: the other bones of the root tell how it is attached
    above = {parents[j] for j in own if parents[j] != root}
    around = {c for j in own if parents[j] == root for c in skeleton.children[root]}
    around |= {c for j in members for c in skeleton.children[j]}
    return sorted({*own, *above, *around})


def _pairs(joints: list[int]) -> _Chain:
    pairs = [(a, b) for place, a in enumerate(joints) for b in joints[place + 1 :]]
    return _Chain(joints, [a for a, _ in pairs], [b for _, b in pairs])


def _judge(inputs: int, channels: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(inputs, channels), nn.LeakyReLU(0.2)]
    for _ in range(depth - 1):
        layers += [nn.Linear(channels, channels), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(channels, 1))


def _unit(vectors: Tensor) -> Tensor:
    """Of length 1, or 0 for a bone without a length; with a finite gradient."""
    size = (vectors.square().sum(-1, keepdim=True) + _TINY**2).sqrt()
    return torch.where(size > 1e-6, vectors / size, torch.zeros_like(vectors))
