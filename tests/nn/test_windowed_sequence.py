"""All windows of a clip at once give the numbers of the windows one by one."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphpose.nn.graph_temporal_unit import TemporalConvolution
from graphpose.nn.windowed_sequence import WindowedSequence


def unfolded(clip: Tensor, frames: int) -> Tensor:
    """[B, M, J, C] -> [B, W, T, J, C]"""
    return clip.unfold(1, frames, 1).permute(0, 1, 4, 2, 3)


def everything(windows: WindowedSequence) -> Tensor:
    return windows.take(0, windows.positions)


def apart(windows: Tensor, convolution: TemporalConvolution) -> Tensor:
    return convolution(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])


@given(
    strides=st.lists(st.sampled_from([1, 2, 3, 5]), min_size=1, max_size=3),
    left_over=st.integers(1, 4),
    kernel_size=st.sampled_from([1, 3, 5, 9]),
    causal=st.booleans(),
    count=st.integers(1, 9),
)
def test_convolutions_in_a_row(strides: list[int], left_over: int, kernel_size: int, causal: bool, count: int) -> None:
    frames = left_over * int(torch.tensor(strides).prod())
    clip = torch.randn(2, frames + count - 1, 2, 3, dtype=torch.float64)
    together, one_by_one = WindowedSequence.of(clip, frames), unfolded(clip, frames)
    assert together.windows == count
    torch.testing.assert_close(everything(together), one_by_one)
    for stride in strides:
        convolution = TemporalConvolution(3, kernel_size, stride, causal).double().eval()
        offset = stride // 2
        before, earlier = together, one_by_one
        together = together.convolve(convolution).plus(before, stride, offset).map(torch.relu)
        one_by_one = torch.relu(apart(one_by_one, convolution) + earlier[:, :, offset::stride])
        torch.testing.assert_close(everything(together), one_by_one)


def test_what_windows_share_is_kept_once() -> None:
    clip = torch.randn(1, 81 + 49, 2, 3)
    windows = WindowedSequence.of(clip, 81)
    one = windows.convolve(TemporalConvolution(3).eval())
    assert one.left.shape[1:3] == (50, 4) and one.right.shape[1:3] == (50, 4) and one.shared.shape[1] == 130
    two = one.convolve(TemporalConvolution(3, stride=3).eval())
    assert (two.positions, two.step) == (27, 3)
    assert two.left.shape[2] == 3 and two.right.shape[2] == 2  # ceil((4 + 4) / 3), ceil((4 + 9 - 4 - 3) / 3)
    causal = windows.convolve(TemporalConvolution(3, causal=True).eval())
    assert causal.left.shape[2] == 8 and causal.right.shape[2] == 0
    assert one.explicit(60, 30).shared.shape[1] == 0
    torch.testing.assert_close(everything(one.explicit(60, 30)), everything(one))


def test_outside_of_a_window_is_zero() -> None:
    clip = torch.randn(1, 7, 2, 3)
    windows = WindowedSequence.of(clip, 5)
    for kept in (windows, windows.explicit(1, 2), windows.explicit(5, 0)):
        taken = kept.take(-2, 5, 2)  # positions -2, 0, 2, 4, 6
        assert not taken[:, :, [0, 4]].any()
        torch.testing.assert_close(taken[:, :, 1:4], unfolded(clip, 5)[:, :, ::2])
