"""All windows of a clip at once: what windows share is computed once, what their borders touch is kept for each window.

A pyramid of convolutions that pads each *window* with zeros is no dilated convolution over the clip: a value near a border of its
window is another one in every window. But away from the borders it depends on its frame alone. So a level of the pyramid with n
positions a window, one every d frames of the clip, is kept as

    shared [B, M, J, C]       by frame f of the clip, for the positions that no border has reached yet
    left   [B, W, a, J, C]    the first a positions of each of the W windows
    right  [B, W, b, J, C]    the last b positions

Position p of window w stands on frame w + p d. A convolution of kernel size K on it is a convolution of dilation d on `shared`, and
reaches `a' = ceil((a + left) / s)` positions on the left, `b' = ceil((b + K - left - s) / s)` on the right; once a' + b' >= n / s all
positions are explicit, and `left` holds them. The numbers are those of the windows lifted one by one, to float precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["WindowedSequence"]


class _Convolution(Protocol):
    """What `convolve` needs of a temporal convolution; see `TemporalConvolution`."""

    kernel_size: int
    stride: int
    left: int

    def convolve(self, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor: ...


@dataclass(frozen=True)
class WindowedSequence:
    """One level of a pyramid for all W windows of a clip; see the module.

    Attributes:
        shared: `[B, M, J, C]`; frames near the ends of the clip, which no window reads from here, hold arbitrary numbers.
            Empty along M when all positions are explicit.
        left: `[B, W, a, J, C]`.
        right: `[B, W, b, J, C]`.
        positions: n, positions of a window.
        step: d, frames of the clip from one position to the next.
    """

    shared: Tensor
    left: Tensor
    right: Tensor
    positions: int
    step: int

    @classmethod
    def of(cls, clip: Tensor, frames: int) -> WindowedSequence:
        """The windows of `frames` frames, one from each frame on: clip [B, M, J, C] -> W = M - frames + 1 windows."""
        b, m, j, c = clip.shape
        none = clip.new_empty(b, m - frames + 1, 0, j, c)
        return cls(clip, none, none, frames, 1)

    @property
    def windows(self) -> int:
        """W."""
        return self.left.shape[1]

    def map(self, function: Callable[[Tensor], Tensor]) -> WindowedSequence:
        """Applies a function of single frames, `[N, T, J, C] -> [N, T, J, C']`, to all of them."""
        shared = function(self.shared) if self.shared.shape[1] else None
        edges: list[Tensor | None] = []
        for edge in (self.left, self.right):
            edges.append(function(edge.flatten(0, 1)).unflatten(0, edge.shape[:2]) if edge.shape[2] else None)
        channels = next(part.shape[-1] for part in (shared, *edges) if part is not None)
        parts = [
            old.new_empty(*old.shape[:-1], channels) if new is None else new
            for old, new in zip((self.shared, self.left, self.right), (shared, *edges), strict=True)
        ]
        return WindowedSequence(parts[0], parts[1], parts[2], self.positions, self.step)

    def take(self, first: int, count: int, stride: int = 1) -> Tensor:
        """Positions first, first + stride, ... of every window [B, W, count, J, C]; outside of the window they are zero."""
        wanted = range(first, first + count * stride, stride)
        n, a, b = self.positions, self.left.shape[2], self.right.shape[2]
        parts = []
        if on_left := [p for p in wanted if 0 <= p < a]:
            parts.append(self.left[:, :, on_left[0] : on_left[-1] + 1 : stride])
        if between := [p for p in wanted if a <= p < n - b]:
            starts = (p * self.step for p in between)
            parts.append(torch.stack([self.shared[:, start : start + self.windows] for start in starts], dim=2))
        if on_right := [p - (n - b) for p in wanted if n - b <= p < n]:
            parts.append(self.right[:, :, on_right[0] : on_right[-1] + 1 : stride])
        before, after = sum(p < 0 for p in wanted), sum(p >= n for p in wanted)
        inside = torch.cat(parts, dim=2) if parts else self.left[:, :, :0]
        return F.pad(inside, (0, 0, 0, 0, before, after)) if before or after else inside

    def explicit(self, a: int, b: int) -> WindowedSequence:
        """The same values with at least a positions on the left and b on the right kept for each window."""
        a, b = max(a, self.left.shape[2]), max(b, self.right.shape[2])
        if a + b >= self.positions:
            return WindowedSequence(
                self.shared[:, :0], self.take(0, self.positions), self.right[:, :, :0], self.positions, self.step
            )
        return WindowedSequence(
            self.shared, self.take(0, a), self.take(self.positions - b, b), self.positions, self.step
        )

    def convolve(self, convolution: _Convolution) -> WindowedSequence:
        """The convolution over the frames of each window, n divisible by its stride s -> n / s positions, d s frames apart."""
        k, s, left = convolution.kernel_size, convolution.stride, convolution.left
        n = self.positions // s
        a = min(n, max(0, -((-left - self.left.shape[2]) // s)))
        b = min(n, max(0, -((left + s - k - self.right.shape[2]) // s)))
        if a + b >= n:
            a, b = n, 0

        def windowed(first: int, count: int) -> Tensor:
            """Outputs first, first + 1, ... of each window, from the frames that they read."""
            if not count:
                return self.left[:, :, :0]
            read = self.take(first * s - left, (count - 1) * s + k)
            return convolution.convolve(read.flatten(0, 1), stride=s).unflatten(0, read.shape[:2])

        shared = self.shared[:, :0]
        if a < n:
            padded = F.pad(self.shared, (0, 0, 0, 0, left * self.step, (k - 1 - left) * self.step))
            shared = convolution.convolve(padded, dilation=self.step)
        return WindowedSequence(shared, windowed(0, a), windowed(n - b, b), n, self.step * s)

    def plus(self, other: WindowedSequence, stride: int = 1, offset: int = 0) -> WindowedSequence:
        """Adds to each position q position `q * stride + offset` of `other`, a level below (or this one: stride 1)."""
        a = max(0, -((offset - other.left.shape[2]) // stride))
        b = max(0, -((stride - 1 - offset - other.right.shape[2]) // stride))
        mine = self.explicit(a, b)
        a, b, n = mine.left.shape[2], mine.right.shape[2], self.positions
        shared = mine.shared
        if shared.shape[1]:
            ahead = offset * other.step
            shared = shared + F.pad(other.shared[:, ahead:], (0, 0, 0, 0, 0, ahead))
        left = mine.left + other.take(offset, a, stride)
        right = mine.right + other.take((n - b) * stride + offset, b, stride)
        return WindowedSequence(shared, left, right, n, self.step)
