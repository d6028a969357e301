"""Splits by subject, action, file and tag: nothing of one part in another, draws that can be repeated."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphpose.datasets import Split, check_leaks, split_clips
from graphpose.errors import DataError


@pytest.fixture
def clips(make_clip) -> list:
    return [
        make_clip(
            20 + 3 * i,
            seed=i,
            name=f"c{i}",
            subject=f"S{i % 3}",
            action="walk" if i % 2 else "run",
            source=f"folder/file{i}.bvh",
            tags={"split": "test" if i > 6 else "train"},
        )
        for i in range(9)
    ]


def names(split: Split) -> dict[str, list[str]]:
    return {part: [clip.name for clip in of_part] for part, of_part in split.parts().items()}


def test_named_groups(clips) -> None:
    split = names(split_clips(clips, "subject", ["S0"], ["S1"]))
    assert split == {"train": ["c2", "c5", "c8"], "val": ["c1", "c4", "c7"], "test": ["c0", "c3", "c6"]}
    split = names(split_clips(clips, "action", ["run"], 0.0))
    assert split == {"train": ["c1", "c3", "c5", "c7"], "val": [], "test": ["c0", "c2", "c4", "c6", "c8"]}
    split = names(split_clips(clips, "file", ["file3"], ["file5"]))
    assert (split["test"], split["val"], len(split["train"])) == (["c3"], ["c5"], 7)
    assert names(split_clips(clips, "tag", val=0.0))["test"] == ["c7", "c8"]


def test_files_of_an_archive_are_its_clips(make_clip) -> None:
    archive = [make_clip(20, i, name=f"c{i}", source="all.npz") for i in range(4)]
    split = names(split_clips(archive, "file", ["c1"], ["c2"]))
    assert split == {"train": ["c0", "c3"], "val": ["c2"], "test": ["c1"]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.integers(5, 200), min_size=3, max_size=25), st.floats(0.05, 0.5), st.integers(0, 5), st.randoms())
def test_drawn_validation_clips(make_clip, lengths, share, seed, shuffler) -> None:
    clips = [make_clip(length, i, name=f"n{i}", subject=f"S{i % 4}") for i, length in enumerate(lengths)]
    held = ["S0"]
    split = split_clips(clips, "subject", held, share, seed)
    parts = names(split)
    assert sorted(name for of_part in parts.values() for name in of_part) == sorted(clip.name for clip in clips)
    assert {clip.subject for clip in split.test} == {"S0"}
    assert split.train
    assert split.val
    assert all(clip.subject != "S0" for clip in split.val)
    shuffled = list(clips)
    shuffler.shuffle(shuffled)
    again = names(split_clips(shuffled, "subject", held, share, seed))
    assert {part: set(of) for part, of in again.items()} == {part: set(of) for part, of in parts.items()}


def test_share_of_frames(make_clip) -> None:
    clips = [make_clip(30, i, name=f"c{i}") for i in range(100)]
    draws = [split_clips(clips, val=0.1, seed=seed) for seed in range(3)]
    assert [len(split.val) for split in draws] == [10, 10, 10]
    assert names(draws[0]) != names(draws[1])


def test_one_clip_is_cut_and_said_so(make_clip, caplog: pytest.LogCaptureFixture) -> None:
    clip = make_clip(40, name="only")
    with caplog.at_level(logging.WARNING, "graphpose"):
        split = split_clips([clip], val=0.25)
    assert "only one training clip: validation is its tail, frames 30 to 39 of 'only'" in caplog.text
    assert names(split) == {"train": ["only[:30]"], "val": ["only[30:]"], "test": []}
    assert [len(clips[0]) for clips in (split.train, split.val)] == [30, 10]
    with pytest.raises(DataError, match="too short to train and validate on"):
        split_clips([make_clip(1)], val=0.25)


def test_leaks_are_found(make_clip) -> None:
    one, two = make_clip(20, 1, name="a", source="x.bvh"), make_clip(20, 2, name="b", source="y.bvh")
    check_leaks(Split([one], [two]))
    with pytest.raises(DataError, match=r"leak: the same clip is in train \(a of x.bvh\) and in test"):
        check_leaks(Split([one], [two], [one[5:]]))
    copy = one.replace(name="copy", source="z.bvh", subject="S9")
    with pytest.raises(
        DataError, match=r"leak: the same motion is in train \(a of x.bvh\) and in val \(copy of z.bvh\)"
    ):
        check_leaks(Split([one], [copy]))
    with pytest.raises(DataError, match="leak: the same motion"):
        split_clips([one, copy, two], "file", test=["z"], val=0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "subjects"}, "did you mean 'subject'"),
        ({"test": ["S7"]}, "unknown subject in the split 'S7'"),
        ({"test": ["S1"], "val": ["S1"]}, "in test and in val"),
        ({"test": ["S0", "S1"], "val": ["S2"]}, "no clip is left to train on"),
        ({"val": 1.0}, r"share in \[0, 1\)"),
    ],
)
def test_bad_splits(clips, options, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_clips(clips, **options)


def test_clips_without_a_group(make_clip) -> None:
    clips = [make_clip(20, 1, subject="S1"), make_clip(20, 2, name="nobody")]
    with pytest.raises(DataError, match=r"'nobody' has no subject.*name_pattern"):
        split_clips(clips, test=["S1"])
    assert len(split_clips(clips, val=0.0).train) == 2
    with pytest.raises(DataError, match="expected clips to split"):
        split_clips([])
