"""Records for tests of pictures: a body that moves and heads of which it is known what they look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from graphpose.analysis.attention.record import Attention, Record, Topology, Window
from graphpose.skeleton import Skeleton

__all__ = ["made_record", "wholebody"]


def wholebody() -> Skeleton:
    """133 joints: h36m17 with feet (6), face (68) and hands (42), as whole-body detectors give them; with a rest pose."""
    body = Skeleton.load("h36m17")
    joints, parents = list(body.joints), list(body.parents)
    assert body.rest is not None
    rest = [tuple(row) for row in body.rest]
    pairs = list(body.pairs)

    def add(name: str, parent: str, offset: tuple[float, float, float]) -> None:
        parents.append(joints.index(parent))
        joints.append(name)
        rest.append(tuple(np.add(rest[parents[-1]], offset)))

    for side, sign in (("L", 1.0), ("R", -1.0)):
        for name, offset in (
            ("toe", (0.02, -0.06, 0.16)),
            ("small_toe", (0.06, -0.06, 0.13)),
            ("heel", (0.0, -0.07, -0.06)),
        ):
            add(f"{side}{name}", f"{side}ankle", (sign * offset[0], offset[1], offset[2]))
    for k in range(68):
        angle = 2 * np.pi * k / 68
        ring = 0.05 + 0.03 * (k % 3)
        add(f"face{k}", "nose", (ring * np.sin(angle), 0.02 + ring * np.cos(angle), 0.01 * (k % 3)))
    for side, sign in (("L", 1.0), ("R", -1.0)):
        add(f"{side}palm", f"{side}wrist", (sign * 0.03, 0.0, 0.0))
        for f, finger in enumerate(("thumb", "index", "middle", "ring", "little")):
            above = f"{side}palm"
            for k in range(4):
                add(
                    f"{side}{finger}{k}",
                    above,
                    (sign * (0.05 if k == 0 else 0.025), 0.0, 0.04 - 0.02 * f if k == 0 else 0.0),
                )
                above = f"{side}{finger}{k}"
    pairs += [(name, "R" + name[1:]) for name in joints[17:] if name.startswith("L")]
    return Skeleton("wholebody133", tuple(joints), tuple(parents), pairs=tuple(pairs), rest=np.array(rest))


def made_record(
    skeleton: Skeleton | None = None,
    *,
    windows: int = 2,
    frames: int = 9,
    layers: int = 2,
    heads: int = 3,
    **parts: Any,
) -> Record:
    """A record of a made-up model: head 0 looks at bones (over frames: at neighbours), head 1 mirrors, further heads are random.

    `parts` replace attributes of the record.
    """
    skeleton = skeleton or Skeleton.load("h36m17")
    joints = len(skeleton)
    generator = torch.Generator().manual_seed(1)
    rest = skeleton.rest if skeleton.rest is not None else np.random.default_rng(0).normal(size=(joints, 3))
    pose = torch.tensor(np.asarray(rest) - np.asarray(rest)[skeleton.root], dtype=torch.float32)
    pose = pose * torch.tensor([1.0, -1.0, -1.0])  # +Y up -> camera, y down
    sway = 0.03 * torch.randn(windows, frames, joints, 3, generator=generator).cumsum(1) / max(1, joints // 17)
    target = pose + sway
    target = target - target[:, :, [skeleton.root]]
    prediction = target + 0.03 * torch.randn(target.shape, generator=generator)
    depth = target[..., 2:] + 5
    keypoints = 2.29 * target[..., :2] / depth
    visible = torch.rand(windows, frames, joints, generator=generator) > 0.05

    def rows(raw: torch.Tensor) -> torch.Tensor:
        return (raw / raw.sum(-1, keepdim=True)).float()

    def over(axis: str, n: int, r: int, layer: int) -> torch.Tensor:
        weights = torch.softmax((1.5 + layer) * torch.randn(windows, r, heads, n, n, generator=generator), -1)
        if axis == "joints":
            near = torch.tensor(skeleton.adjacency()) + 0.2 * torch.eye(n)
            mirror = torch.eye(n)[torch.tensor(skeleton.mirror.tolist())]
        else:
            step = (torch.arange(n)[:, None] - torch.arange(n)).abs()
            near, mirror = (step <= 1).float(), torch.exp(-0.1 * step.float())
        weights[:, :, 0] = rows(near.double() + 0.002)
        if heads > 1:
            weights[:, :, 1] = rows(mirror.double() + 0.002)
        return weights.float()

    attention = []
    for layer in range(layers):
        for axis, n, r in (("joints", joints, frames), ("frames", frames, joints)):
            attention.append(
                Attention(
                    f"{axis}.{layer}.attention",
                    layer,
                    axis,
                    over(axis, n, r, layer),
                    tuple(range(heads)),
                    tuple(range(r)),
                    order=len(attention),
                )
            )
    local = torch.tensor(skeleton.normalized_adjacency(), dtype=torch.float32)
    total = local + 0.1 * torch.randn(local.shape, generator=generator)
    values: dict[str, Any] = {
        "attention": attention,
        "topologies": [Topology("embedding.prior", "joints", "kinematic", local, total)],
        "keypoints": keypoints,
        "prediction": prediction,
        "target": target,
        "visible": visible,
        "windows": [Window(f"clip{b}", "A", "walk", b, 0, frames, 30.0) for b in range(windows)],
        "model": "made-up",
        "versions": {"graphpose": "test"},
    }
    return Record(skeleton, **{**values, **parts})
