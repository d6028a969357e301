"""The temporal joints profile sums over all frames and neighbouring features, and starts near the identity."""

from __future__ import annotations

import pytest
import torch

from graphpose.errors import ConfigError
from graphpose.nn import joints_profile
from graphpose.nn.joints_profile import JointsProfile


def layer(frames: int, size: int = 3) -> JointsProfile:
    made = JointsProfile(frames, size).double()
    torch.nn.init.normal_(made.bias)
    return made


@pytest.mark.parametrize(("frames", "size"), [(1, 1), (1, 3), (4, 5), (3, 9)])
def test_is_the_sum_of_its_formula(frames: int, size: int) -> None:
    profile, reach = layer(frames, size), size // 2
    x = torch.randn(2, frames, 3, 6, dtype=torch.float64)
    expected = x.clone()
    for t in range(frames):
        expected[:, t] += profile.bias[t]
        for s in range(frames):
            for c in range(6):
                for o in range(-reach, reach + 1):
                    if 0 <= c + o < 6:
                        expected[:, t, :, c] += profile.weight[t, s, o + reach] * x[:, s, :, c + o]
    torch.testing.assert_close(profile(x), expected)


def test_joints_and_clips_do_not_see_each_other() -> None:
    profile = layer(5)
    x = torch.randn(3, 5, 4, 6, dtype=torch.float64)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(profile(x[:, :, order]), profile(x)[:, :, order])
    torch.testing.assert_close(profile(x[1:2, :, 2:3]), profile(x)[1:2, :, 2:3])


def test_frames_that_were_not_kept_count_as_zeros() -> None:
    profile = layer(5)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    nodes = torch.tensor([[0, 2, 3], [1, 2, 4]])
    kept = torch.stack([x[i, chosen] for i, chosen in enumerate(nodes)])
    whole = torch.zeros_like(x)
    for i, chosen in enumerate(nodes):
        whole[i, chosen] = kept[i]
    expected = torch.stack([profile(whole)[i, chosen] for i, chosen in enumerate(nodes)])
    torch.testing.assert_close(profile(kept, nodes), expected)
    torch.testing.assert_close(profile(x, torch.arange(5).expand(2, 5)), profile(x))


def test_gradients_match_finite_differences() -> None:
    profile = layer(3)
    x = torch.randn(1, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: torch.func.functional_call(profile, {"weight": weight, "bias": bias}, (x,)),
        (x, profile.weight, profile.bias),
    )


@pytest.mark.parametrize("frames", [1, 27, 243])
def test_starts_small_beside_the_tokens(frames: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, frames, 17, 64)
    assert 0.1 < JointsProfile(frames).profile(x).std().item() < 0.3


def test_sizes_and_lengths_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (0, 2, -3):
        with pytest.raises(ConfigError, match=rf"profile_kernel as an odd size >= 1 \(got {size}\)"):
            JointsProfile(5, size)
    monkeypatch.setattr(joints_profile, "machine_memory", lambda: 10_000)
    JointsProfile(27)
    with pytest.raises(ConfigError, match=r"frames=81: .* joints_profile=False"):
        JointsProfile(81)
