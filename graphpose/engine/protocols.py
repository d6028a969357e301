"""Which frames of a lifted clip count, and how often: the exact protocol and that of the published scripts.

    exact      each frame of the clip once
    published  windows of T frames side by side; where L is no multiple of T, the last one moved back to end with the clip
               (its frames count twice); a clip shorter than T padded by its last frame (the padding counts); all windows
               put end to end, so that velocity is measured across their borders

Shapes: V views, L frames of the clip, n windows, H hypotheses (1 for a plain lifter). docs/PROTOCOLS.md has both line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["PROTOCOLS", "Lift", "Lifted", "lift_by"]

Lift = Callable[[Tensor], Tensor]
"""Keypoints `[V, L, J, C]` of any L (normalised) -> hypotheses `[H, V, L, J, 3]` (metres, relative to the root)."""


class Lifted(NamedTuple):
    """A clip as it was lifted, and what of it counts.

    whole `[H, V, L, J, 3]` is the clip with each frame once; counted `[H, V, F, J, 3]` is what is measured, in the order
    in which velocity is, and frames `[F]` says which frame of the clip each of it is.
    """

    whole: Tensor
    counted: Tensor
    frames: Tensor


def lift_by(protocol: str, lift: Lift, x: Tensor, frames: int) -> Lifted:
    """Lifts the views of a clip `x [V, L, J, C]` by `PROTOCOLS[protocol]`; `frames` is T."""
    return PROTOCOLS[protocol](lift, x, frames)


def _exact(lift: Lift, x: Tensor, frames: int) -> Lifted:
    whole = lift(x)
    return Lifted(whole, whole, torch.arange(x.shape[1]))


def _published(lift: Lift, x: Tensor, frames: int) -> Lifted:
    length = x.shape[1]
    starts = list(range(0, max(length - frames, 0) + 1, frames))
    if starts[-1] + frames < length:
        starts.append(length - frames)
    places = torch.as_tensor([[min(start + i, length - 1) for i in range(frames)] for start in starts])  # [n, T]
    windows = [lift(x[:, place]) for place in places]
    whole = torch.empty(*windows[0].shape[:2], length, *windows[0].shape[3:])
    for place, window in zip(places, windows, strict=True):
        whole[:, :, place] = window  # later windows win
    return Lifted(whole, torch.cat(windows, dim=2), places.flatten())


PROTOCOLS: dict[str, Callable[[Lift, Tensor, int], Lifted]] = {"exact": _exact, "published": _published}
