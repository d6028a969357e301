"""Judging 2D poses: by their shape, wherever and however large they are, with joints missing."""

from __future__ import annotations

import pytest
import torch

from graphpose.adaptation.keypoint_discriminator import KeypointDiscriminator, shape_of_keypoints
from graphpose.errors import ConfigError, DataError
from graphpose.skeleton import Skeleton

SKELETON = Skeleton.load("h36m17")


def test_scores_do_not_see_place_and_size() -> None:
    judge = KeypointDiscriminator(SKELETON, channels=16)
    keypoints, visible = torch.randn(5, 17, 2), torch.rand(5, 17) > 0.3
    visible[:, SKELETON.root] = True
    scores = judge(keypoints, visible)
    assert scores.shape == (5, 1)
    moved = 0.3 * keypoints + torch.randn(5, 1, 2)
    torch.testing.assert_close(judge(moved, visible), scores, rtol=0, atol=1e-5)
    assert not torch.allclose(judge(keypoints * torch.tensor([1.0, 0.5]), visible), scores, atol=1e-4)


def test_missing_joints_may_hold_anything() -> None:
    judge = KeypointDiscriminator(SKELETON, channels=16)
    keypoints, visible = torch.randn(4, 17, 2), torch.ones(4, 17, dtype=torch.bool)
    visible[:, [3, 6, 10]] = False
    filled = torch.where(visible[..., None], keypoints, torch.tensor(float("nan")))
    keypoints.requires_grad_(True)
    filled.requires_grad_(True)
    torch.testing.assert_close(judge(filled, visible), judge(keypoints, visible))
    judge(filled, visible).sum().backward()
    assert filled.grad is not None and bool(filled.grad.isfinite().all())
    assert not bool(filled.grad[:, [3, 6, 10]].any()) and bool(filled.grad[:, 4].any())


def test_a_pose_without_its_root_or_without_a_size_says_nothing() -> None:
    keypoints, visible = torch.randn(3, 17, 2), torch.ones(3, 17, dtype=torch.bool)
    visible[0, SKELETON.root] = False
    visible[1] = False
    keypoints[2] = keypoints[2, :1]
    keypoints.requires_grad_(True)
    shape = shape_of_keypoints(keypoints, visible, SKELETON.root)
    assert not bool(shape.any())
    shape.sum().backward()
    assert keypoints.grad is not None and bool(keypoints.grad.isfinite().all())
    scores = KeypointDiscriminator(SKELETON, channels=16)(keypoints, visible)
    torch.testing.assert_close(scores[0], scores[1])


def test_the_box_is_divided_out() -> None:
    keypoints = torch.tensor([[[1.0, 1.0], [3.0, 1.0], [1.0, 7.0], [100.0, 100.0]]])
    visible = torch.tensor([[True, True, True, False]])
    shape = shape_of_keypoints(keypoints, visible, 0)
    assert shape[0].tolist() == [[0, 0], [0.5, 0], [0, 1.5], [0, 0]]  # the mean of 2 and 6 is 4


def test_shapes_and_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="depth: expected a whole number of at least 1"):
        KeypointDiscriminator(SKELETON, depth=0)
    judge = KeypointDiscriminator(SKELETON, channels=8)
    with pytest.raises(DataError, match=r"expected keypoints \[N, 17, 2\] \(got \[2, 17, 3\]\)"):
        judge(torch.zeros(2, 17, 3))
    with pytest.raises(DataError, match=r"visible: expected the shape \[2, 17\]"):
        judge(torch.zeros(2, 17, 2), torch.ones(2, 16, dtype=torch.bool))
