"""What several cameras saw of one recording is trained on or validated on, never both."""

from __future__ import annotations

import logging

import pytest
import torch

from graphpose.config import DataConfig
from graphpose.datasets.clips import ResampledBenchmarkWarning, prepare_clips
from graphpose.datasets.splits import Split, check_leaks, split_clips
from graphpose.errors import DataError


def views_of(make_clip, number: int, tagged: bool) -> list:
    """Three cameras' clips of one recording: the same positions, or others (camera space) and a tag that says so."""
    clip = make_clip(20 + number, number, name=f"r{number}", source="x.npz", subject="S1")
    tags = {"recording": f"S1/{number}"} if tagged else {}
    moved = [clip.positions + (0.1 * camera if tagged else 0.0) for camera in range(3)]
    return [clip.replace(name=f"r{number}_{i}", positions=moved[i], tags=tags) for i in range(3)]


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_drawn_validation_keeps_recordings_whole(make_clip, tagged: bool, seed: int) -> None:
    clips = [clip for number in range(6) for clip in views_of(make_clip, number, tagged)]
    split = split_clips(clips, val=0.3, seed=seed)
    parts = [{clip.name.split("_")[0] for clip in part} for part in (split.train, split.val)]
    assert not parts[0] & parts[1] and parts[1] and len(split.val) == 3 * len(parts[1])
    assert len(split.train) + len(split.val) == len(clips)


@pytest.mark.parametrize("tagged", [False, True])
def test_the_only_recording_is_cut_in_all_its_cameras(
    make_clip, tagged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "graphpose"):
        split = split_clips(views_of(make_clip, 0, tagged), val=0.25)
    assert [clip.name for clip in split.val] == [f"r0_{i}[15:]" for i in range(3)]
    assert "only one training recording" in caplog.text


def test_cameras_of_one_recording_in_two_parts_are_a_leak(make_clip) -> None:
    one, two, _ = views_of(make_clip, 1, tagged=True)
    assert not torch.equal(one.positions, two.positions)
    with pytest.raises(
        DataError, match=r"leak: the same recording is in train \(r1_0 of x\.npz\) and in test \(r1_1 of"
    ):
        check_leaks(Split([one], [], [two]))
    check_leaks(Split([one, two], [], views_of(make_clip, 2, tagged=True)))


def test_a_published_rate_is_not_changed_without_a_word(make_clip) -> None:
    """The readers of published files name the keypoints; other clips are resampled as they always are."""
    clip = make_clip(40, 0, name="own").replace(fps=50.0)
    published = clip.replace(name="published", tags={"keypoints": "cpn_ft_h36m_dbb"})
    with pytest.warns(ResampledBenchmarkWarning, match=r"from 50 to 25 frames/s.*--data\.fps null"):
        assert prepare_clips(DataConfig(fps=25.0), [published])[0].fps == 25.0
    assert prepare_clips(DataConfig(fps=None), [published])[0].fps == 50.0
    assert prepare_clips(DataConfig(fps=25.0), [clip])[0].fps == 25.0
