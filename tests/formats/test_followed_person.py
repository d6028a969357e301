"""Which of several people a clip of detections is."""

from __future__ import annotations

import numpy as np
from formats.detections import walk
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpose.formats._followed_person import Person, follow


def people(*persons: np.ndarray) -> dict[int, list[Person]]:
    """Frame -> one detection of each person."""
    return {frame: [Person(one) for one in frames] for frame, frames in enumerate(zip(*persons, strict=True))}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_largest_is_followed_whatever_the_order_in_each_frame(seed: int, others: int) -> None:
    large = walk(10, 17, x=100, size=200, seed=seed)
    small = [walk(10, 17, x=400 + 150 * i, size=60, seed=seed + i + 1) for i in range(others)]
    random = np.random.default_rng(seed)
    frames, truth = {}, {}
    for frame in range(10):
        order = random.permutation(others + 1)
        frames[frame] = [Person([large, *small][i][frame]) for i in order]
        truth[frame] = int(np.flatnonzero(order == 0)[0])
    assert follow(frames) == truth


def test_the_largest_of_all_frames_is_followed_back_to_where_somebody_else_was_larger() -> None:
    coming = np.stack([walk(1, 17, x=100, size=40 + 20 * i)[0] for i in range(8)])
    standing = np.stack([walk(1, 17, x=500, size=90)[0]] * 8)
    assert set(follow(people(standing, coming)).values()) == {1}


def test_confidence_weighs() -> None:
    a, b = walk(5, 17, x=100, size=120), walk(5, 17, x=400, size=120)
    b[..., 2] *= 0.2
    assert set(follow(people(b, a)).values()) == {1}
    scored = {
        f: [Person(p.keypoints, s) for p, s in zip(both, (9.0, 0.1), strict=True)] for f, both in people(b, a).items()
    }
    assert set(follow(scored).values()) == {0}


def test_the_same_person_found_twice_is_the_surer_one() -> None:
    person = walk(6, 17)
    double = person + np.array([3.0, 2.0, 0.0])
    double[..., 2] *= 0.3
    assert set(follow(people(double, person)).values()) == {1}


def test_a_gap_stays_empty_though_somebody_else_is_there() -> None:
    frames = people(walk(9, 17, x=50, size=100), walk(9, 17, x=450, size=60))
    for frame in (4, 5):
        frames[frame] = frames[frame][1:]  # only the other one
    assert follow(frames) == {frame: 0 for frame in range(9) if frame not in (4, 5)}


def test_one_who_jumps_between_frames_is_found_by_the_nearest_centre() -> None:
    far = walk(6, 17, x=0, size=120, step=100) * (0.3, 1, 1)  # upright and narrow: boxes do not overlap
    still = walk(6, 17, x=500, size=30, step=0)
    assert follow(people(still, far)) == dict.fromkeys(range(6), 1)


def test_after_a_long_time_the_reach_is_large() -> None:
    frames = {frame: [] for frame in range(40)}
    frames[0] = [Person(walk(1, 17, x=0, size=100)[0])]
    frames[39] = [Person(walk(1, 17, x=500, size=60)[0])]
    assert follow(frames) == {0: 0, 39: 0}
    assert follow({0: frames[0], 1: frames[39]}) == {0: 0}


def test_nobody_visible_is_nobody() -> None:
    hidden = Person(np.zeros((17, 3)))
    assert follow({0: [hidden], 1: []}) == {}
    assert follow({}) == {}
    assert follow({0: [hidden, Person(walk(1, 17)[0])], 1: [hidden]}) == {0: 1}


def test_a_single_keypoint_does_not_lose_the_person() -> None:
    person = walk(5, 17)
    person[2, 1:, 2] = 0
    assert follow(people(person)) == dict.fromkeys(range(5), 0)
