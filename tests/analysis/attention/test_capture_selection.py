"""What is kept of all that a model attends to: layers, heads, frames, joints, means and reductions of one's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded import ATTENDING, recorded
from zoo import keypoints, small

from graphpose.analysis import capture
from graphpose.errors import ConfigError


def test_numbers_of_numpy_are_numbers() -> None:
    model = small("mixste")
    record = recorded(
        model, keypoints(model), layers=np.arange(1), heads=np.int64(2), frames=np.array([1, 3]), joints=np.int32(4)
    )
    joints, frames = record.attention
    assert (joints.layer, joints.heads, joints.across, frames.across) == (0, (2,), (1, 3), (4,))
    assert all(type(number) is int for one in record.attention for number in (*one.heads, *(one.across or ())))


def test_choosing_layers_heads_frames_and_joints() -> None:
    model = small("mixste")
    x = keypoints(model)
    whole, some = recorded(model, x), recorded(model, x, layers=[1], heads=[0, 3], frames=[1, 4], joints=["l_foot", 0])
    joints, frames = some.attention
    assert [(one.layer, one.heads) for one in some.attention] == [(1, (0, 3))] * 2
    assert (joints.across, frames.across) == ((1, 4), (0, 2))
    torch.testing.assert_close(joints.weights, whole.find("joints", 1)[0].weights[:, [1, 4]][:, :, [0, 3]])
    torch.testing.assert_close(frames.weights, whole.find("frames", 1)[0].weights[:, [0, 2]][:, :, [0, 3]])
    assert {one.axis for one in recorded(model, x, axes="frames").attention} == {"frames"}
    assert not recorded(small("ktpformer"), x, priors=False).priors


def test_what_a_model_does_not_have_is_refused_at_once() -> None:
    model = small("mixste")
    for options, message in (
        ({"layers": [2]}, r"layers: expected numbers in 0 \.\.\. 1 \(got 2\)"),
        ({"heads": [4]}, r"heads: expected numbers in 0 \.\.\. 3"),
        ({"frames": [6]}, r"frames: expected numbers in 0 \.\.\. 5"),
        ({"frames": [-1]}, "whole numbers from 0"),
        ({"frames": []}, "one or more"),
        ({"joints": ["l_foott"]}, "did you mean 'l_foot'"),
        ({"joints": [5]}, r"0 \.\.\. 4"),
        ({"axes": ["time"]}, "unknown axis"),
        ({"axes": []}, "axes: expected"),
        ({"layers": 0.5}, "whole numbers from 0"),
        ({"layers": np.arange(0.0, 1.0)}, "whole numbers from 0"),
        ({"heads": [True]}, "whole numbers from 0"),
        ({"reduce": "sum"}, "reduce: expected"),
        ({"skeleton": "h36m17"}, "expected that one"),
        ({"sites": {"nowhere": "joints"}}, "unknown site 'nowhere'"),
    ):
        with pytest.raises(ConfigError, match=message), capture(model, **options):  # type: ignore[arg-type]
            model.lift(keypoints(model))


def test_the_mean_is_taken_as_windows_come() -> None:
    model = small("ktpformer")
    x = keypoints(model, clips=5)
    whole = recorded(model, x)
    with capture(model, reduce="mean") as record:
        for part in x.split(2):
            model.lift(part)
    for one, mean in zip(whole.attention, record.attention, strict=True):
        assert mean.weights.shape == (1, 1, *one.weights.shape[2:]) and mean.across is None
        torch.testing.assert_close(mean.weights[0, 0], one.mean())
    for name, tokens in whole.priors.items():
        torch.testing.assert_close(record.priors[name], tokens.mean(0, keepdim=True))


def test_a_reduction_of_ones_own() -> None:
    model = small("mixste")
    with capture(model, reduce=lambda weights: weights.amax(dim=(-1, -2))) as record:
        for _ in range(2):
            model.lift(keypoints(model))
    assert not record.attention
    assert {name: [one.shape for one in parts] for name, parts in record.reduced.items()}[
        "spatial_blocks.0.attention"
    ] == [(2, 6, 4)] * 2


@pytest.mark.parametrize("name", ATTENDING)
def test_weights_are_ordinary_tensors_that_hold_nothing_else(name: str) -> None:
    model = small(name)
    x = keypoints(model)[:1]
    for options in ({}, {"heads": [0]}, {"reduce": "mean"}):
        with torch.inference_mode(), capture(model, **options) as record:
            model.lift(x)
        for one in record.attention:
            assert not one.weights.is_inference()
            assert one.weights.untyped_storage().nbytes() == one.weights.nbytes
