"""Unknown names: which one is suggested."""

from __future__ import annotations

import pytest

from graphpose.errors import SkeletonError, nearest
from graphpose.skeleton import Skeleton


@pytest.fixture(scope="module")
def h36m() -> Skeleton:
    return Skeleton.load("h36m17")


@pytest.mark.parametrize(
    ("name", "choices", "expected"),
    [
        ("lwrist", ["Rwrist", "Lwrist"], "Lwrist"),
        ("LWRIST", ["Rwrist", "Lwrist", "Lhip"], "Lwrist"),
        ("lwrits", ["Rwrist", "Lwrist"], "Lwrist"),
        ("leftHand", ["RightHand", "LeftHand"], "LeftHand"),
        ("aBx", ["abx", "ABX", "aBx"], "aBx"),  # of several that differ in case alone the one spelled most alike
        ("KTP", ["mpjpe", "ktpformer"], "ktpformer"),
        ("colour", ["source", "joints"], None),
        ("x", [], None),
    ],
)
def test_the_nearest_name_is_told_without_regard_to_case(name: str, choices: list[str], expected: str | None) -> None:
    assert nearest(name, choices) == expected


def test_joints_are_suggested_by_their_letters(h36m: Skeleton) -> None:
    for joint in h36m.joints:
        with pytest.raises(SkeletonError, match=f"did you mean '{joint}'"):
            h36m.index(joint.swapcase())
