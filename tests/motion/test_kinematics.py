"""Forward kinematics against the naive loop, Euler angles against products of elementary rotations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpose.errors import DataError
from graphpose.motion import euler_matrices, forward_kinematics
from graphpose.motion.kinematics import euler_angles, euler_components, pose_arrays, pose_tree

ORDERS = ["".join(order) for order in itertools.permutations("XYZ")]


def elementary(axis: str, angle: torch.Tensor) -> torch.Tensor:
    vector = torch.zeros(*angle.shape, 3, dtype=angle.dtype)
    vector[..., "XYZ".index(axis)] = angle
    return roma.rotvec_to_rotmat(vector)


@pytest.mark.parametrize("order", ORDERS)
def test_euler_matrices_are_the_product(order: str) -> None:
    angles = torch.randn(50, 3, dtype=torch.float64) * 3
    product = (
        elementary(order[0], angles[:, 0]) @ elementary(order[1], angles[:, 1]) @ elementary(order[2], angles[:, 2])
    )
    assert torch.allclose(euler_matrices(angles, order), product, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_are_the_inverse(order: str) -> None:
    rotations = roma.random_rotmat(200).double()
    assert torch.allclose(euler_matrices(euler_angles(rotations, order), order), rotations, atol=1e-6)
    for middle in (math.pi / 2, -math.pi / 2):  # gimbal lock
        locked = euler_matrices(torch.tensor([0.7, middle, -0.4], dtype=torch.float64), order)
        assert torch.allclose(euler_matrices(euler_angles(locked, order), order), locked, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), joints=st.integers(1, 12), frames=st.integers(1, 4))
def test_forward_kinematics_equals_the_loop(data: st.DataObject, joints: int, frames: int) -> None:
    order = data.draw(st.permutations(range(joints)))  # a parent may come after its child
    parents = [-1] * joints
    for place in range(1, joints):
        parents[order[place]] = order[data.draw(st.integers(0, place - 1))]
    local = roma.random_rotmat((frames, joints)).double()
    offsets = torch.randn(joints, 3, dtype=torch.float64)
    positions, rotations = forward_kinematics(local, offsets, parents)
    for joint in order:
        parent = parents[joint]
        turn = torch.eye(3, dtype=torch.float64) if parent < 0 else rotations[:, parent]
        start = torch.zeros(3, dtype=torch.float64) if parent < 0 else positions[:, parent]
        assert torch.allclose(rotations[:, joint], turn @ local[:, joint])
        assert torch.allclose(positions[:, joint], start + (turn @ offsets[joint, :, None])[..., 0])


def test_gradients_reach_angles_and_offsets() -> None:
    angles = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    offsets = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)

    def positions(angles: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return forward_kinematics(euler_matrices(angles, "ZXY"), offsets, [1, -1, 1, 0, 3])[0]

    assert torch.autograd.gradcheck(positions, (angles, offsets))


@pytest.mark.parametrize("order", ORDERS)
def test_arrays_and_tensors_give_the_same(order: str) -> None:
    angles, offsets, parents = torch.randn(7, 5, 3, dtype=torch.float64), torch.randn(5, 3).double(), [1, -1, 1, 0, 3]
    positions, rotations = forward_kinematics(euler_matrices(angles, order), offsets, parents)
    local = np.empty((3, 4, 5, 7))
    local[:, :3] = euler_components(angles.permute(2, 1, 0).numpy(), order)
    local[:, 3] = offsets.T.numpy()[..., None]
    placed, turned = pose_arrays(pose_tree(local, parents), 0.01)
    assert placed.dtype == turned.dtype == torch.float32
    assert torch.allclose(placed, (0.01 * positions).float(), atol=1e-6)
    assert torch.allclose(turned, rotations.float(), atol=1e-6)


def test_bad_trees_and_shapes_are_refused() -> None:
    eye, zero = torch.eye(3).repeat(2, 3, 1, 1), torch.zeros(3, 3)
    for parents in ([-1, 2, 1], [0, 0, 1], [-1, 0, 7]):
        with pytest.raises(DataError, match="tree"):
            forward_kinematics(eye, zero, parents)
    with pytest.raises(DataError, match=r"expected rotations"):
        forward_kinematics(eye, zero, [-1, 0])
    with pytest.raises(DataError, match="order"):
        euler_matrices(torch.zeros(3), "XXY")
    with pytest.raises(DataError, match=r"angles \[..., 3\]"):
        euler_matrices(torch.zeros(2), "XYZ")
