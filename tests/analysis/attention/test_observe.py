"""Clips of every kind, lifted window by window and looked at."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo import FIVE, SMALL, small

import graphpose
from graphpose.analysis import observe
from graphpose.analysis.attention.record import Window
from graphpose.datasets import Views, view_clip
from graphpose.engine.windowed_lifting import lift_clips
from graphpose.errors import ConfigError, DataError, SkeletonError
from graphpose.geometry import static_views
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

ONE = Views(azimuths=(30.0,))


def clip_of(frames: int, seed: int = 0, **changes: Any) -> MotionClip:
    """A body of five joints that moves a little, in metres."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.tensor([[0, 1, 0], [0.2, 0.5, 0], [0.2, 0, 0], [-0.2, 0.5, 0], [-0.2, 0, 0]])
    positions = base + 0.05 * torch.randn(frames, 5, 3, generator=generator)
    about = {"name": f"clip{seed}", "subject": "S1", "action": "walk", "fps": 25.0}
    return MotionClip(**{"skeleton": FIVE, "positions": positions, **about, **changes})


@pytest.mark.parametrize("name", SMALL)
def test_every_model_predicts_as_it_does_in_evaluation(name: str) -> None:
    torch.manual_seed(0)
    model, clip = small(name).train(), clip_of(8)
    record = observe(model, clip, views=ONE)
    assert model.training
    [view] = view_clip(clip, ONE)
    length = record.prediction.shape[1]  # type: ignore[union-attr]
    assert length == 6 and record.prediction is not None and record.target is not None and record.keypoints is not None
    assert [replace(one, up=None) for one in record.windows] == [
        Window("clip0", "S1", "walk", 0, 0, 6, 25.0),
        Window("clip0", "S1", "walk", 0, 6, 2, 25.0),
    ]
    places = torch.tensor([range(6), [6, 7, 7, 7, 7, 7]])
    lifted = lift_clips(model, view.x[None], flip=False)[0]
    real = torch.arange(6) < torch.tensor([[6], [2]])  # what a model says of repeated frames is its own affair
    torch.testing.assert_close(record.prediction[real], lifted[places][real], rtol=1e-4, atol=1e-5)
    assert view.y is not None and torch.equal(record.target, view.y[places])
    assert (
        torch.equal(record.keypoints, view.x[places][..., :2]) and record.visible is not None and record.visible.all()
    )
    assert all(len(one.weights) == 2 for one in record.attention)
    assert bool(record.attention) == (name not in ("residual_mlp", "ridge", "videopose3d"))


def test_a_clip_is_seen_by_its_own_keypoints_where_it_has_some() -> None:
    model, clip = small("mixste"), clip_of(6)
    seen = clip.seen_by(static_views(torch.tensor([0.0, 1.0, 0.0]))[0])
    assert seen.keypoints is not None
    seen.keypoints[2, 4] = math.nan
    record = observe(model, seen)
    assert record.keypoints is not None and record.visible is not None and record.target is not None
    torch.testing.assert_close(record.keypoints[0], seen.keypoints.nan_to_num())
    assert (~record.visible).nonzero().tolist() == [[0, 2, 4]] and record.target.isfinite().all()
    assert len(observe(model, clip).windows) == 4, "four cameras look at one without"


def test_several_clips_and_views_and_the_bound_on_windows() -> None:
    model, clips = small("mixste"), [clip_of(13), clip_of(6, 1), clip_of(2, 2)]
    record = observe(model, clips, views=Views(azimuths=(0.0, 90.0)))
    starts = [(one.clip, one.view, one.start, one.frames) for one in record.windows]
    assert starts == [
        (name, view, start, frames)
        for name, parts in (("clip0", [(0, 6), (6, 6), (12, 1)]), ("clip1", [(0, 6)]), ("clip2", [(0, 2)]))
        for view in (0, 1)
        for start, frames in parts
    ]
    some = observe(model, iter(clips), views=Views(azimuths=(0.0, 90.0)), max_windows=3, batch_size=2)
    assert [(one.clip, one.view, one.start) for one in some.windows] == [
        ("clip0", 0, 0),
        ("clip0", 1, 6),
        ("clip2", 1, 0),
    ]
    assert len(some.attention[0].weights) == 3
    overlapping = observe(model, clips[0], views=ONE, stride=2)
    assert [one.start for one in overlapping.windows] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("name", ["ktpformer", "ktpformer_index_free", "gla_gcn", "hourglass"])
@pytest.mark.parametrize("frames", [1, 3, 15])
def test_clips_of_any_length(name: str, frames: int) -> None:
    model = small(name)
    record = observe(model, clip_of(frames), views=ONE)
    length = min(frames, 6) if name == "ktpformer_index_free" else 6
    assert record.prediction is not None and record.prediction.shape == (-(-frames // length), length, 5, 3)
    assert record.prediction.isfinite().all()
    assert sum(one.frames for one in record.windows) == frames
    for one in record.attention:
        torch.testing.assert_close(one.weights.sum(-1), torch.ones(one.weights.shape[:-1]))


def test_keypoints_that_are_missing() -> None:
    keypoints = 0.3 * torch.randn(7, 5, 2)
    keypoints[2, 3] = keypoints[4:, 1] = math.nan
    model = small("ktpformer", in_features=3)
    clip = clip_of(7, positions=None, keypoints=keypoints, confidence=torch.full((7, 5), 0.5))
    record = observe(model, clip)
    assert record.target is None and record.visible is not None and record.keypoints is not None
    assert torch.equal(record.visible[0], ~keypoints[:6].isnan().any(-1))
    assert torch.equal(record.keypoints[0, 2, 3], torch.zeros(3)) and record.keypoints[0, 0, 0, 2] == 0.5
    points = torch.cat([keypoints, torch.full((7, 5, 1), 0.5)], -1)
    torch.testing.assert_close(record.prediction[0], graphpose.predict(model, points, flip=False)[:6])  # type: ignore[index]


def test_positions_that_are_missing() -> None:
    clip = clip_of(6)
    assert clip.positions is not None
    positions = clip.positions.clone()
    positions[0, 2] = positions[3, 2] = positions[:, 4] = positions[5] = math.nan
    record = observe(small("ktpformer"), clip.replace(positions=positions), views=ONE)
    whole = observe(small("ktpformer"), clip, views=ONE)
    missing = positions.isnan().any(-1)
    assert record.visible is not None and torch.equal(~record.visible[0], missing)
    assert record.target is not None and torch.equal(record.target[0].isnan().all(-1), missing)
    assert record.keypoints is not None and not record.keypoints[0][missing].any()
    assert record.prediction is not None and record.prediction.isfinite().all()
    assert whole.visible is not None and whole.visible.all()
    nowhere = positions.clone()
    nowhere[:, 0] = math.nan
    with pytest.raises(DataError, match="expected positions of the root 'hip'"):
        observe(small("ktpformer"), clip.replace(positions=nowhere), views=ONE)


def test_a_clip_without_a_root_in_a_frame_has_no_target_there() -> None:
    clip = clip_of(6)
    assert clip.positions is not None
    positions = clip.positions.clone()
    positions[2, 0] = math.nan
    record = observe(small("mixste"), clip.replace(positions=positions), views=ONE)
    assert record.target is not None and record.target[0, 2].isnan().all() and record.target[0, 1].isfinite().all()


def test_skeletons_without_pairs_and_those_that_do_not_map() -> None:
    chain = Skeleton.from_parents([-1, 0, 1], ["a", "b", "c"])
    positions = torch.arange(3.0)[:, None] * torch.tensor([0.0, 0.3, 0.0]) + 0.02 * torch.randn(4, 3, 3)
    clip = MotionClip(chain, 30.0, positions=positions)
    record = observe(small("ktpformer", chain), clip, views=ONE)
    assert record.prediction is not None and record.prediction.isfinite().all() and record.windows[0].subject == ""
    with pytest.raises(SkeletonError):
        observe(small("ktpformer"), clip, views=ONE)


def test_options_of_capture_are_passed_on() -> None:
    record = observe(small("mixste"), clip_of(13), views=ONE, reduce="mean", layers=[1], axes="frames", batch_size=1)
    [one] = record.attention
    assert one.weights.shape == (1, 1, 4, 6, 6) and len(record.windows) == 3


class Foreign(nn.Module):
    """Not ours: attention over the frames of whole poses, the pose of the centre frame."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(10, 8), nn.Linear(8, 15)
        self.time = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.head(self.time(self.embed(x.flatten(2))))[:, x.shape[1] // 2]
        return output.view(-1, 1, 5, 3)


def test_a_model_that_is_not_ours() -> None:
    model = Foreign()
    options: dict[str, Any] = {"skeleton": FIVE, "sites": {"time*": "frames"}, "views": ONE}
    record = observe(model, clip_of(11), lift=model, window=9, **options)
    assert record.prediction is not None and record.prediction.shape == (2, 9, 5, 3)
    known = record.prediction.isfinite().all(-1).all(-1)
    assert torch.equal(known, (torch.arange(9) == 4).expand(2, 9))
    assert record.attention[0].weights.shape == (2, 1, 2, 9, 9) and model.training
    for missing, message in (
        ({"lift": model}, "expected window="),
        ({"window": 9}, "expected a lifter, or lift="),
        ({"lift": lambda x: x, "window": 9}, r"lift: expected poses"),
        ({"lift": model, "window": 9, "features": 4}, "features: expected 2 or 3"),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            observe(model, clip_of(11), **{**options, **missing})


def test_what_cannot_be_observed() -> None:
    model = small("mixste")
    with pytest.raises(DataError, match="one or more clips"):
        observe(model, [])
    for clips in ("walk.bvh", [clip_of(6), "walk.bvh"], Path("walk.bvh")):
        with pytest.raises(DataError, match=r"graphpose\.read\('walk\.bvh'\)"):
            observe(model, clips)  # type: ignore[arg-type]
    for clips in (None, [torch.zeros(6, 5, 3)]):
        with pytest.raises(DataError, match="expected motion clips"):
            observe(model, clips)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="from 1"):
        observe(model, clip_of(6), max_windows=0)
    with pytest.raises(ConfigError, match="expected 6, the frames of the model"):
        observe(model, clip_of(6), window=9)
    with pytest.raises(DataError, match=r"stride in 1\.\.6"):
        observe(model, clip_of(6), stride=7)
    assert not [name for module in model.modules() for name in vars(module) if name == "forward"]
