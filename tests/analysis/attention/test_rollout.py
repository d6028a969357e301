"""Rollout gives what can be worked out by hand, equals the product of the whole matrices, and follows pruning and streams."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hand_made_records import attention, chain, drawn, space_time, uniform
from hypothesis import given
from hypothesis import strategies as st
from zoo import FIVE, keypoints, small

from graphpose.analysis.attention.measures.rollout import joint_rollout, rollout, rollout_table
from graphpose.analysis.attention.measures.source_table import source_table
from graphpose.analysis.attention.measures.space_time_steps import space_time_steps
from graphpose.analysis.attention.record import Attention, Record, Window
from graphpose.analysis.attention.recording.capture import capture
from graphpose.errors import ConfigError, DataError, SkeletonError

T, J = 4, 5


def identity(axis: str, layer: int = 0, order: int = 0) -> Attention:
    r, n = (T, J) if axis == "joints" else (J, T)
    return attention(axis, torch.eye(n).expand(1, r, 3, n, n), layer, order)  # type: ignore[arg-type]


def one_hot(frame: int, joint: int) -> np.ndarray:
    shares = np.zeros((T, J))
    shares[frame, joint] = 1.0
    return shares


def test_attention_to_oneself_leaves_the_one_hot() -> None:
    record = chain(identity("joints"), identity("frames", order=1), identity("joints", 1, 2))
    np.testing.assert_array_equal(rollout(record, "l_foot", 1), one_hot(1, 2))


def test_uniform_attention_gives_the_known_mix() -> None:
    """Half stays; a step over joints gives 1/10 to each joint and 1/2 more to its own, one over frames 1/8 and 1/2."""
    record = chain(uniform("joints", T, J), uniform("frames", T, J, order=1))
    joints = np.full(J, 0.1) + 0.5 * np.eye(J)[3]
    frames = np.full(T, 0.125) + 0.5 * np.eye(T)[0]
    np.testing.assert_allclose(rollout(record, 3, 0), np.outer(frames, joints), atol=1e-7)


@pytest.mark.parametrize("residual, expected", [(1.0, one_hot(2, 4)), (0.0, np.full((T, J), 1 / (T * J)))])
def test_the_residual_is_the_share_that_stays(residual: float, expected: np.ndarray) -> None:
    record = chain(uniform("frames", T, J), uniform("joints", T, J, order=1))
    np.testing.assert_allclose(rollout(record, 4, 2, residual=residual), expected, atol=1e-7)


def whole_matrices(record: Record, residual: float = 0.5) -> list[np.ndarray]:
    """M of each module as [T J, T J]."""
    matrices = []
    for one in record.attention:
        weights = one.weights[0].double().mean(dim=1).numpy()
        n = weights.shape[-1]
        mixed = residual * np.eye(n) + (1 - residual) * weights
        whole = np.zeros((T, J, T, J))
        for r in range(len(mixed)):
            if one.axis == "joints":
                whole[r, :, r, :] = mixed[r]
            else:
                whole[:, r, :, r] = mixed[r]
        matrices.append(whole.reshape(T * J, T * J))
    return matrices


@given(seed=st.integers(0, 100), layers=st.integers(1, 3), residual=st.sampled_from([0.0, 0.3, 0.5]))
def test_it_is_the_product_of_the_whole_matrices(seed: int, layers: int, residual: float) -> None:
    torch.manual_seed(seed)
    record = space_time(T, layers)
    expected = one_hot(1, 3).reshape(-1)
    for matrix in reversed(whole_matrices(record, residual)):
        expected = expected @ matrix
    found = rollout(record, 3, 1, residual=residual)
    np.testing.assert_allclose(found.reshape(-1), expected, atol=1e-6)  # rows of float32
    assert found.sum() == pytest.approx(1.0, abs=1e-6) and (found >= 0).all()


def test_renumbered_joints_give_renumbered_shares() -> None:
    record = space_time(T)
    order = [3, 0, 4, 2, 1]  # joint i of the new skeleton is joint order[i] of the old
    names = [FIVE.joints[i] for i in order]
    turned = []
    for one in record.attention:
        weights = one.weights[..., order, :][..., order] if one.axis == "joints" else one.weights[:, order]
        turned.append(attention(one.axis, weights, one.layer, one.order))
    other = chain(*turned, skeleton=FIVE.reordered(names))
    np.testing.assert_allclose(rollout(other, "r_foot", 2), rollout(record, "r_foot", 2)[:, order], atol=1e-12)


def test_order_of_use_counts_not_the_order_of_the_list() -> None:
    record = space_time(T)
    mixed = chain(*reversed(record.attention))
    np.testing.assert_array_equal(rollout(mixed, 0), rollout(record, 0))


def test_parallel_streams_count_alike() -> None:
    """Stream 0 looks at the root alone, stream 1 at itself: half of the attention's half goes to the root."""
    root = torch.zeros(1, T, 1, J, J)
    root[..., 0] = 1.0
    record = chain(
        attention("joints", root, name="streams.0.0.0.attention"),
        attention("joints", torch.eye(J).expand(1, T, 1, J, J), order=1, name="streams.0.1.0.attention"),
    )
    np.testing.assert_allclose(rollout(record, 2, 1), 0.75 * one_hot(1, 2) + 0.25 * one_hot(1, 0), atol=1e-12)


def test_streams_of_two_steps_are_rolled_out_apart() -> None:
    record = space_time(T, 1)
    first, second = record.attention
    streams = chain(
        attention("joints", first.weights, name="host.streams.0.0.0.attention"),
        attention("frames", second.weights, order=1, name="host.streams.0.0.1.attention"),
        attention("frames", second.weights, order=2, name="host.streams.0.1.0.attention"),
        attention("joints", first.weights, order=3, name="host.streams.0.1.1.attention"),
    )
    turned = chain(attention("frames", second.weights), attention("joints", first.weights, order=1))
    expected = 0.5 * (rollout(record, 1, 3) + rollout(turned, 1, 3))
    np.testing.assert_allclose(rollout(streams, 1, 3), expected, atol=1e-12)


KEPT = torch.tensor([[0, 2]])


def pruned(**options: str) -> Record:
    """One layer over all frames, one over frames 0 and 2."""
    return chain(
        identity("joints"),
        identity("frames", order=1),
        attention("joints", torch.eye(J).expand(1, 2, 1, J, J), 1, 2, frames=KEPT),
        attention("frames", torch.full((1, J, 1, 2, 2), 0.5), 1, 3, frames=KEPT),
        kept=KEPT,
        options=options,
    )


def test_pruned_frames_come_back_by_interpolation() -> None:
    """Frame 1 is the mean of the poses of 0 and 2, frame 3 that of frame 2; each has 3/4 of itself and 1/4 of the other."""
    record = pruned(recover="interpolation")
    np.testing.assert_allclose(rollout(record, 2, 0), 0.75 * one_hot(0, 2) + 0.25 * one_hot(2, 2), atol=1e-12)
    np.testing.assert_allclose(rollout(record, 2, 1), 0.5 * one_hot(0, 2) + 0.5 * one_hot(2, 2), atol=1e-12)
    np.testing.assert_allclose(rollout(record, 2, 3), 0.25 * one_hot(0, 2) + 0.75 * one_hot(2, 2), atol=1e-12)


def test_pruned_frames_come_back_by_cross_attention() -> None:
    """Every frame reads frame 2 alone, without a residual."""
    record = pruned(recover="cross-attention")
    weights = torch.tensor([0.0, 1.0]).expand(1, J, 2, T, 2)
    record.attention.append(attention("frames", weights, 2, 4, name="recovery", key_frames=KEPT))
    for frame in range(T):
        expected = 0.25 * one_hot(0, 1) + 0.75 * one_hot(2, 1)
        np.testing.assert_allclose(rollout(record, 1, frame), expected, atol=1e-12)


def test_a_model_of_the_centre_frame_is_asked_for_no_other() -> None:
    record = pruned(output="centre")
    expected = 0.25 * one_hot(0, 1) + 0.75 * one_hot(2, 1)
    np.testing.assert_allclose(rollout(record, 1), expected, atol=1e-12)
    np.testing.assert_allclose(rollout(record, 1, 2), expected, atol=1e-12)
    with pytest.raises(DataError, match="expected frame 2, the only one"):
        rollout(record, 1, 0)


def test_recovery_that_was_not_recorded_is_asked_for() -> None:
    with pytest.raises(DataError, match="expected the cross-attention"):
        rollout(pruned(recover="cross-attention"), 0)


def test_joints_to_joints_is_the_mean_over_output_frames() -> None:
    record = space_time(T)
    expected = [np.mean([rollout(record, j, t).sum(axis=0) for t in range(T)], axis=0) for j in range(J)]
    np.testing.assert_allclose(joint_rollout(record), expected, atol=1e-12)


def test_table_names_joints_and_clips() -> None:
    record = space_time(T)
    record.windows = [Window("walk_1", "S1", "walk", 0, 8, T)]
    table = rollout_table(record)
    assert len(table) == J * J
    row = table[(table.joint == "l_foot") & (table.from_joint == "hip")].iloc[0]
    assert tuple(row[["clip", "subject", "action", "start", "hops", "relation"]]) == (
        "walk_1",
        "S1",
        "walk",
        8,
        2,
        "distant",
    )
    assert row.share == pytest.approx(joint_rollout(record)[2, 0])
    assert table.groupby("joint").share.sum().to_numpy() == pytest.approx(1.0, abs=1e-6)


def test_one_frame_and_one_joint() -> None:
    from graphpose.skeleton import Skeleton

    record = chain(uniform("joints", 1, 1), uniform("frames", 1, 1, order=1), skeleton=Skeleton.from_parents([-1]))
    np.testing.assert_allclose(rollout(record, 0), [[1.0]])


def test_undefined_weights_give_undefined_shares() -> None:
    record = space_time(T)
    record.attention[0].weights[:] = torch.nan
    assert np.isnan(rollout(record, 0)).all()


def test_what_cannot_be_rolled_out_is_refused() -> None:
    record = space_time(T)
    with pytest.raises(DataError, match=r"expected window in 0 \.\.\. 0"):
        rollout(record, 0, window=1)
    with pytest.raises(DataError, match=r"expected frame in 0 \.\.\. 3"):
        rollout(record, 0, 4)
    with pytest.raises(DataError, match=r"expected joint in 0 \.\.\. 4"):
        rollout(record, -1)
    with pytest.raises(SkeletonError, match="did you mean 'l_foot'"):
        rollout(record, "l_fot")
    with pytest.raises(ConfigError, match="expected residual"):
        rollout(record, 0, residual=1.5)
    with pytest.raises(DataError, match="no attention at all"):
        rollout(Record(FIVE), 0)
    with pytest.raises(DataError, match="without reduce"):
        rollout(chain(attention("joints", torch.eye(J).expand(1, 1, 1, J, J), across=None)), 0)
    with pytest.raises(DataError, match="weights of all frames"):
        rollout(chain(attention("joints", torch.eye(J).expand(1, 2, 1, J, J), across=(0, 2))), 0)
    with pytest.raises(DataError, match="rows sum to 1"):
        rollout(chain(attention("joints", torch.ones(1, T, 1, J, J))), 0)
    with pytest.raises(DataError, match="every layer"):
        rollout(chain(drawn("joints", T, J, 1)), 0)
    with pytest.raises(DataError, match="mixes frames by convolution"):
        rollout(chain(uniform("joints", T, J), uniform("joints", 1, J, 1, 1)), 0)


def test_half_a_model_of_the_zoo_is_refused() -> None:
    half = chain(uniform("joints", T, J), model="mixste", options={"depth": 1, "frames": T})
    with pytest.raises(DataError, match="capture both axes"):
        rollout(half, 0)
    first = space_time(T, 1)
    first.model, first.options = "hourglass", {"host_options": {"depth": 2}}
    with pytest.raises(DataError, match="expected attention of 2 layers"):
        rollout(first, 0)
    model = small("ktpformer", frames=T)
    with torch.no_grad(), capture(model, layers=(0, 1)) as record:
        model.lift(keypoints(model))
    with pytest.raises(DataError, match="expected attention of 3 layers"):
        rollout(record, 0)


ZOO = {
    "mixste": {},
    "ktpformer": {},
    "convformer": {},
    "ktpformer_index_free": {},
    "dstformer": {},
    "d3dp": {},
    "hourglass": {},
    "hourglass/interpolation": {"recover": "interpolation"},
    "hourglass/centre": {"output": "centre"},
    "hourglass/dstformer": {"host": "dstformer", "host_options": {"channels": 16, "depth": 2, "heads": 4}, "layer": 0},
}


@pytest.mark.parametrize("case", ZOO)
def test_every_model_that_attends_is_rolled_out(case: str) -> None:
    """Shares sum to 1, none is negative, and input that no pruned frame can have passed on counts nothing."""
    model = small(case.partition("/")[0], frames=6, **ZOO[case])
    with torch.no_grad(), capture(model) as record:
        model.lift(keypoints(model))
    for window in range(2):
        shares = rollout(record, "r_foot", window=window)
        assert shares.shape == (6, 5) and (shares >= 0).all()
        assert shares.sum() == pytest.approx(1.0, abs=1e-9)
    assert (shares > 0).any(axis=1).sum() == (3 if case == "hourglass/dstformer" else 6)
    np.testing.assert_allclose(joint_rollout(record).sum(axis=1), 1.0)


def test_models_that_mix_frames_otherwise_have_no_rollout() -> None:
    for options in ({}, {"data_graph": "frame"}):
        model = small("gla_gcn", frames=9, **options)
        with torch.no_grad(), capture(model) as record:
            model.lift(keypoints(model))
        with pytest.raises(DataError, match="mixes frames by convolution"):
            rollout(record, 0)


def test_steps_tell_the_length_of_a_window() -> None:
    record = pruned()
    record.attention = [attention(a.axis, a.weights, 0, a.order, frames=KEPT) for a in record.attention[2:]]
    with pytest.raises(DataError, match="length of a window"):
        space_time_steps(record)
    record.options = {"frames": T}
    assert space_time_steps(record).frames == T


def test_sources_as_a_table() -> None:
    record = space_time(T)
    shares = rollout(record, "l_foot", 1)
    table = source_table(record, shares, "l_foot", 1)
    assert len(table) == T * J and table["share"].is_monotonic_decreasing and table["seconds"].isna().all()
    record.windows = [Window("walk_1", "S1", "walk", 0, 8, T, fps=50.0)]
    record.visible = torch.ones(1, T, J, dtype=torch.bool)
    record.visible[0, 3, 4] = False
    table = source_table(record, shares, 2, 1, measure="mine").set_index(["from_joint", "from_frame"])
    row = table.loc[("r_foot", 3)]
    assert tuple(row[["clip", "measure", "joint", "frame", "offset"]]) == ("walk_1", "mine", "l_foot", 1, 2)
    assert tuple(row[["visible", "hops", "relation"]]) == (False, 4, "mirror")
    assert (row["seconds"], row["share"]) == (0.04, shares[3, 4])
    with pytest.raises(DataError, match=r"expected shares \[T, 5\]"):
        source_table(record, shares[:, :4], 2, 1)
    with pytest.raises(DataError, match="expected window"):
        source_table(record, shares, 2, 1, 1)


def test_frames_that_fill_up_a_window_are_no_output() -> None:
    record = space_time(T)
    record.windows = [Window(frames=2)]
    expected = np.mean([[rollout(record, j, t).sum(axis=0) for j in range(J)] for t in range(2)], axis=0)
    np.testing.assert_allclose(joint_rollout(record), expected)
