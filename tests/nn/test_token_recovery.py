"""From kept frames back to all: what interpolation says between them, and what the learned queries look at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphpose.errors import ConfigError
from graphpose.nn.token_recovery import CrossAttentionRecovery, InterpolationRecovery, create_recovery


def test_interpolation_is_that_of_numpy() -> None:
    tokens = torch.randn(3, 4, 2, 3, dtype=torch.float64)
    kept = torch.tensor([[0, 1, 5, 9], [2, 3, 4, 6], [0, 3, 6, 9]])
    found = InterpolationRecovery()(tokens, kept, 10, lambda z: 2 * z)
    assert found.shape == (3, 10, 2, 3)
    for b in range(3):
        for j in range(2):
            for c in range(3):
                expected = np.interp(np.arange(10), kept[b].numpy(), 2 * tokens[b, :, j, c].numpy())
                np.testing.assert_allclose(found[b, :, j, c].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kept", "frames"), [([0], 1), ([3], 7), (list(range(6)), 6)])
def test_interpolation_of_one_frame_and_of_all(kept: list[int], frames: int) -> None:
    tokens = torch.randn(2, len(kept), 5, 3)
    found = InterpolationRecovery()(tokens, torch.tensor([kept, kept]), frames, lambda z: z)
    assert torch.equal(found, tokens if len(kept) == frames else tokens.expand(2, frames, 5, 3))


def test_queries_look_at_the_tokens_of_their_joint() -> None:
    torch.manual_seed(0)
    recovery = CrossAttentionRecovery(8, 2, frames=7).double()
    torch.nn.init.normal_(recovery.queries)
    tokens = torch.randn(2, 3, 4, 8, dtype=torch.float64)
    kept = torch.tensor([[0, 2, 5]] * 2)
    found = recovery(tokens, kept, 7, lambda z: z)
    assert found.shape == (2, 7, 4, 8)
    one = recovery.queries + recovery.cross_attention(recovery.queries, tokens[1, :, 2])
    torch.testing.assert_close(found[1, :, 2], one)
    changed = tokens.clone()
    changed[1, :, 2] += 1
    moved = (recovery(changed, kept, 7, lambda z: z) - found).abs().amax(dim=(1, 3))
    assert moved[1, 2] > 0 and moved.count_nonzero() == 1


def test_unknown_way() -> None:
    with pytest.raises(ConfigError, match="did you mean 'interpolation'"):
        create_recovery("interpolate", 8, 2, 5)
