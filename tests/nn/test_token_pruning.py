"""Which frames are kept: deterministic, rising, clip by clip, and by each rule the frames that it speaks of."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpose.errors import ConfigError, DataError
from graphpose.nn import TransformerBlock
from graphpose.nn.token_pruning import (
    TokenPruning,
    available_prunings,
    create_pruning,
    keep_frame,
    pairwise_distance,
    register_pruning,
)

rules = pytest.mark.parametrize("name", ["attention", "density-peak", "motion", "uniform"])


def block() -> TransformerBlock:
    torch.manual_seed(0)
    return TransformerBlock(8, 2).eval()


@rules
@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 99), still=st.booleans())
def test_kept_frames_are_distinct_rising_and_the_same_every_time(
    name: str, frames: int, share: float, seed: int, still: bool
) -> None:
    kept = 1 + round(share * (frames - 1))
    tokens = torch.randn(3, frames, 5, 8, generator=torch.Generator().manual_seed(seed))
    if still:
        tokens[:, frames // 3 :] = 0.5  # equal frames, as in a padded window
    found = create_pruning(name, kept)(tokens, block())
    assert found.shape == (3, kept) and found.dtype == torch.int64
    assert (found.diff(dim=1) > 0).all() and found.min() >= 0 and found.max() < frames
    assert torch.equal(found, create_pruning(name, kept)(tokens.clone(), block()))


@rules
def test_clips_do_not_see_each_other(name: str) -> None:
    tokens = torch.randn(6, 27, 5, 8)
    rule, order = create_pruning(name, 9), torch.randperm(6)
    found = rule(tokens, block())
    assert torch.equal(rule(tokens[order], block()), found[order])
    assert torch.equal(torch.cat([rule(clip[None], block()) for clip in tokens]), found)


@rules
def test_all_frames_are_kept_when_asked(name: str) -> None:
    assert create_pruning(name, 12)(torch.randn(2, 12, 5, 8), block()).tolist() == [list(range(12))] * 2


def test_features_are_the_mean_of_tokens() -> None:
    tokens = torch.randn(2, 27, 5, 8, dtype=torch.float64)
    rule = create_pruning("density-peak", 9)
    assert torch.equal(rule(tokens), rule(tokens.mean(dim=2)))


@pytest.mark.parametrize("neighbours", [1, 2, 3, 5])
def test_density_peaks_by_their_definition(neighbours: int) -> None:
    """Frame by frame, as the formula says."""
    features = torch.randn(1, 20, 6, dtype=torch.float64)
    points = features[0].tolist()
    d = [[math.dist(a, b) / math.sqrt(6) for b in points] for a in points]
    rho = [math.exp(-sum(x * x for x in sorted(row)[:neighbours]) / neighbours) for row in d]
    score = []
    for i in range(20):
        denser = [j for j in range(20) if rho[j] > rho[i] or (rho[j] == rho[i] and j < i)]
        score.append(rho[i] * (min(d[i][j] for j in denser) if denser else max(map(max, d))))
    best = sorted(range(20), key=lambda i: -score[i])[:7]
    assert create_pruning("density-peak", 7, neighbours)(features).tolist() == [sorted(best)]


def test_of_two_nearest_frames_the_earlier_is_the_denser() -> None:
    features = torch.tensor([[0.0], [0.5], [0.51], [1.0]])[None]
    assert create_pruning("density-peak", 3)(features).tolist() == [[0, 1, 3]]


def test_uniform_is_evenly_spaced() -> None:
    assert create_pruning("uniform", 3)(torch.zeros(1, 9, 2)).tolist() == [[1, 4, 7]]
    assert create_pruning("uniform", 1)(torch.zeros(1, 9, 2)).tolist() == [[4]]
    gaps = create_pruning("uniform", 81)(torch.zeros(1, 243, 2)).diff()
    assert (gaps == 3).all()


def test_motion_keeps_frames_where_much_moves() -> None:
    features = torch.zeros(1, 30, 1)
    features[:, 10:20, 0] = torch.arange(10.0)  # still, moving, still
    features[:, 20:] = 9
    found = create_pruning("motion", 9)(features)
    assert ((found >= 9) & (found <= 20)).all()
    still = create_pruning("motion", 3)(torch.ones(1, 9, 4))
    assert still.tolist() == create_pruning("uniform", 3)(torch.ones(1, 9, 4)).tolist()


def test_attention_keeps_the_frames_that_are_looked_at() -> None:
    looking = block().double()
    tokens = torch.randn(2, 10, 3, 8, dtype=torch.float64)
    normed = looking.attention_norm(tokens)
    _, weights = looking.attention.forward_with_weights(normed, axis=1)  # [B * J, H, T, T]
    received = weights.view(2, 3, 2, 10, 10).mean(dim=(1, 2, 3))
    expected = received.topk(4).indices.sort().values
    assert torch.equal(create_pruning("attention", 4)(tokens, looking), expected)
    with pytest.raises(ConfigError, match="temporal block"):
        create_pruning("attention", 4)(tokens)


def test_a_frame_can_be_kept_in_any_case() -> None:
    kept = torch.tensor([[0, 3, 8], [1, 4, 5], [5, 6, 7], [0, 2, 6]])
    assert keep_frame(kept, 4).tolist() == [[0, 4, 8], [1, 4, 5], [4, 6, 7], [0, 4, 6]]


def test_distances_are_symmetric_and_exact_for_close_frames() -> None:
    features = 100 + 1e-3 * torch.randn(2, 40, 16)  # products would lose everything here
    d = pairwise_distance(features)
    assert torch.equal(d, d.mT) and not d.diagonal(dim1=1, dim2=2).any()
    exact = torch.cdist(features.double(), features.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(d.double(), exact, rtol=1e-5, atol=0)


def test_no_gradient_goes_through_the_choice() -> None:
    tokens = torch.randn(1, 9, 5, 8, requires_grad=True)
    assert not create_pruning("density-peak", 3)(tokens).requires_grad


def test_bad_requests_are_named() -> None:
    with pytest.raises(ConfigError, match="tokens=9, frames=4"):
        create_pruning("uniform", 9)(torch.zeros(1, 4, 2))
    with pytest.raises(ConfigError, match=r"expected tokens >= 1 \(got 0\)"):
        create_pruning("uniform", 0)
    with pytest.raises(ConfigError, match=r"expected neighbours >= 1 \(got 0\)"):
        create_pruning("density-peak", 3, 0)
    with pytest.raises(ConfigError, match="did you mean 'uniform'"):
        create_pruning("unifrom", 3)
    with pytest.raises(DataError, match=r"\(got \[4, 2\]\)"):
        create_pruning("uniform", 2)(torch.zeros(4, 2))


def test_a_rule_of_ones_own() -> None:
    @register_pruning("loudest")
    class Loudest(TokenPruning):
        def score(self, tokens: torch.Tensor, block: TransformerBlock | None) -> torch.Tensor:
            return tokens.abs().amax(dim=(2, 3))

    tokens = torch.zeros(1, 6, 2, 2)
    tokens[0, 4], tokens[0, 1] = 3, -4
    assert create_pruning("loudest", 2)(tokens).tolist() == [[1, 4]]
    assert create_pruning("loudest", 3)(tokens).tolist() == [[0, 1, 4]]  # equal ones: the earlier
    assert "loudest" in available_prunings()
    with pytest.raises(ConfigError, match="expected a new name"):
        register_pruning("uniform")(Loudest)
