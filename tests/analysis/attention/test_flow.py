"""Flow through small layered graphs is what can be worked out by hand, lies between rollout and 1, and follows the numbering."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hand_made_records import attention, chain, space_time, uniform
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import FIVE

from graphpose.analysis.attention.measures import flow as flow_module
from graphpose.analysis.attention.measures.flow import flow
from graphpose.analysis.attention.measures.rollout import rollout
from graphpose.analysis.attention.record import Fusion
from graphpose.errors import ConfigError, DataError
from graphpose.skeleton import Skeleton

T, J = 3, 5
THREE = Skeleton.from_parents([-1, 0, 1], ["a", "b", "c"])


def joints(*matrices: list[list[float]]) -> torch.Tensor:
    """One frame, one head: weights [1, 1, 1, N, N]."""
    return torch.tensor(matrices[0])[None, None, None]


def test_one_step_flows_as_wide_as_its_edge() -> None:
    """0.5 I + 0.5 A: the query keeps 0.5 + 0.5 * 0.2, and 0.5 * 0.8 comes from b."""
    record = chain(attention("joints", joints([[0.2, 0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])), skeleton=THREE)
    np.testing.assert_allclose(flow(record, "a", progress=False), [0.6, 0.4, 0.0], atol=1e-7)


def test_two_steps_flow_as_the_narrowest_cut() -> None:
    """Without residual. a reads b (0.7) and c (0.3); b reads a (0.4) and c (0.6); c reads a alone.

    To a: 0.4 through b and 0.3 through c. To c: 0.6 through b, though rollout gives it 0.7 * 0.6 only.
    """
    last = joints([[0.0, 0.7, 0.3], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    first = joints([[1.0, 0.0, 0.0], [0.4, 0.0, 0.6], [1.0, 0.0, 0.0]])
    record = chain(attention("joints", first), attention("joints", last, 1, 1), skeleton=THREE)
    np.testing.assert_allclose(flow(record, "a", residual=0.0, progress=False), [0.7, 0.0, 0.6], atol=1e-7)
    np.testing.assert_allclose(rollout(record, "a", residual=0.0)[0], [0.58, 0.0, 0.42], atol=1e-7)


def test_streams_share_the_way_in() -> None:
    """Each stream takes a half: stream 0 reads b alone, stream 1 the joint itself."""
    first = attention("joints", joints([[0.0, 1.0, 0.0]] * 3), name="streams.0.0.0.attention")
    second = attention("joints", torch.eye(3)[None, None, None], order=1, name="streams.0.1.0.attention")
    record = chain(first, second, skeleton=THREE)
    np.testing.assert_allclose(flow(record, "a", residual=0.0, progress=False), [0.5, 0.5, 0.0], atol=1e-7)


def test_streams_take_what_the_fusion_gave_them() -> None:
    first = attention("joints", joints([[0.0, 1.0, 0.0]] * 3), name="streams.0.0.0.attention")
    second = attention("joints", torch.eye(3)[None, None, None], order=1, name="streams.0.1.0.attention")
    shares = torch.tensor([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])[None, None]  # of a, b and c
    record = chain(first, second, skeleton=THREE, fusions=[Fusion("fusions.0", 0, shares)])
    np.testing.assert_allclose(flow(record, "a", residual=0.0, progress=False), [0.75, 0.25, 0.0], atol=1e-7)
    np.testing.assert_allclose(flow(record, "c", residual=0.0, progress=False), [0.0, 1.0, 0.0], atol=1e-7)


def test_identity_attention_flows_nowhere_else() -> None:
    record = chain(
        attention("joints", torch.eye(J).expand(1, T, 1, J, J)),
        attention("frames", torch.eye(T).expand(1, J, 1, T, T), order=1),
    )
    tokens = flow(record, 2, 0, to="tokens", progress=False)
    expected = np.zeros((T, J))
    expected[0, 2] = 1.0
    np.testing.assert_allclose(tokens, expected, atol=1e-7)
    np.testing.assert_allclose(flow(record, 2, 0, to="frames", progress=False), expected.sum(axis=1), atol=1e-7)


@settings(max_examples=8)
@given(seed=st.integers(0, 100), residual=st.sampled_from([0.0, 0.5]))
def test_flow_lies_between_rollout_and_one(seed: int, residual: float) -> None:
    torch.manual_seed(seed)
    record = space_time(T, 2)
    shares = rollout(record, 1, 2, residual=residual)
    for to, least in (("joints", shares.sum(axis=0)), ("frames", shares.sum(axis=1)), ("tokens", shares)):
        found = flow(record, 1, 2, to=to, residual=residual, progress=False)  # type: ignore[arg-type]
        assert found.shape == least.shape
        assert (found >= least - 1e-6).all() and (found <= 1 + 1e-9).all()


def test_renumbered_joints_give_renumbered_flows() -> None:
    record = space_time(T, 1)
    order = [3, 0, 4, 2, 1]
    turned = [
        attention(
            one.axis,
            one.weights[..., order, :][..., order] if one.axis == "joints" else one.weights[:, order],
            one.layer,
            one.order,
        )
        for one in record.attention
    ]
    other = chain(*turned, skeleton=FIVE.reordered([FIVE.joints[i] for i in order]))
    expected = flow(record, "l_foot", progress=False)[order]
    np.testing.assert_allclose(flow(other, "l_foot", progress=False), expected, atol=1e-7)


def test_pruned_frames_and_their_recovery_are_pipes_too() -> None:
    """Frame 1 of the output reads the kept frames 0 and 2 by half each; nothing else is mixed."""
    kept = torch.tensor([[0, 2]])
    record = chain(
        attention("joints", torch.eye(J).expand(1, T, 1, J, J)),
        attention("joints", torch.eye(J).expand(1, 2, 1, J, J), 1, 1, frames=kept),
    )
    np.testing.assert_allclose(flow(record, 0, 1, to="frames", progress=False), [0.5, 0.0, 0.5], atol=1e-7)
    weights = torch.tensor([0.25, 0.75]).expand(1, J, 1, T, 2)
    record.attention.append(attention("frames", weights, 2, 2, name="recovery", key_frames=kept))
    np.testing.assert_allclose(flow(record, 0, 1, to="frames", progress=False), [0.25, 0.0, 0.75], atol=1e-7)


def test_a_threshold_leaves_narrow_pipes_out() -> None:
    record = chain(attention("joints", joints([[0.2, 0.7, 0.1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])), skeleton=THREE)
    found = flow(record, "a", residual=0.0, threshold=0.15, progress=False)
    np.testing.assert_allclose(found, [0.2, 0.7, 0.0], atol=1e-7)


def test_undefined_weights_give_undefined_flows() -> None:
    record = space_time(T, 1)
    record.attention[1].weights[0, 0, 0, 0, 0] = torch.nan
    assert np.isnan(flow(record, 0, progress=False)).all()


def test_what_is_no_flow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    record = chain(uniform("joints", T, J))
    with pytest.raises(ConfigError, match="did you mean 'joints'"):
        flow(record, 0, to="joint", progress=False)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected threshold"):
        flow(record, 0, threshold=-0.1, progress=False)
    monkeypatch.setattr(flow_module, "MOST_EDGES", 4)
    with pytest.raises(DataError, match=r"threshold=0\.01"):
        flow(record, 0, progress=False)
