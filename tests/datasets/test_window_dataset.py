"""Windows of clips seen by cameras: geometry, coverage, seeds, and the published benchmark's inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared import shared_path
from torch_geometric.loader import DataLoader

from graphpose.datasets import Augmentation, PoseWindows, Views, flip_points
from graphpose.errors import DataError
from graphpose.formats import read_all
from graphpose.geometry import Camera, static_views
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

same_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
NOISY = Augmentation(flip=0.5, noise=0.02, missing=0.1)


@same_fixture
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), frames=st.integers(1, 15), data=st.data())
def test_evaluation_windows_cover_each_frame_once(make_clip, lengths, frames, data) -> None:
    clips = [make_clip(length, seed) for seed, length in enumerate(lengths)]
    sampling, stride = "grid", data.draw(st.integers(1, frames))
    if data.draw(st.booleans()):
        sampling, stride = "published", None
    windows = PoseWindows(clips, frames, stride=stride, views=Views(azimuths=(0.0, 90.0)), sampling=sampling)
    order = np.array(data.draw(st.permutations(range(len(windows)))))
    batch = windows.fetch(order)
    assert int(batch["counted"].sum()) == 2 * sum(lengths)
    tracks = windows.stitch(batch["window"], batch["y"] + batch["root"][:, :, None])
    assert len(tracks) == 2 * len(clips)
    for number, track in enumerate(tracks):
        clip, camera = clips[windows.track_clip[number]], windows.cameras[number]
        assert camera is not None
        torch.testing.assert_close(track, camera.world_to_camera(clip.positions), atol=1e-5, rtol=0)


def test_windows_hold_what_the_camera_sees(make_clip) -> None:
    clip = make_clip(10)
    windows = PoseWindows([clip], 4, views=Views(azimuths=(30.0,)))
    [camera] = static_views(clip.positions[:, 0].mean(0), (30.0,))
    local = camera.world_to_camera(clip.positions)
    batch = windows.fetch([0, 1, 2])
    padded = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9]
    torch.testing.assert_close(batch["x"].reshape(12, 5, 2), camera.project(local)[padded])
    torch.testing.assert_close(batch["y"].reshape(12, 5, 3), (local - local[:, :1])[padded])
    torch.testing.assert_close(batch["root"].reshape(12, 3), local[padded, 0])
    assert batch["counted"].reshape(-1).tolist() == [True] * 10 + [False] * 2
    assert windows.records["start"].tolist() == [0, 4, 8]
    assert windows.records["stop"].tolist() == [4, 4, 2]
    assert "visible" not in batch
    assert windows.nbytes == 10 * (5 * 5 + 3) * 4


def test_benchmark_inputs() -> None:
    path = shared_path("benchmark/cmu_lift.npz")
    clips = read_all(path)
    parts = {part: [clip for clip in clips if clip.tags["split"] == part] for part in ("train", "test")}
    assert {part: (len(c), sum(map(len, c))) for part, c in parts.items()} == {"train": (57, 24553), "test": (11, 5991)}
    windows = PoseWindows(parts["test"], 27)
    assert len(windows) == 4 * sum(-(-len(clip) // 27) for clip in parts["test"])
    assert int(windows.fetch(np.arange(len(windows)))["counted"].sum()) == 4 * 5991
    with np.load(path) as file:
        first = int(np.flatnonzero(file["split"] == "test")[0])
        begin = int(file["lengths"][:first].sum())
        points = file["positions"][begin : begin + 27].astype(np.float64)
        pelvis = file["positions"][begin : begin + int(file["lengths"][first]), 0].astype(np.float64).mean(0)
        angles, focal = np.deg2rad(file["azimuth_deg"]), float(file["focal"])
    for view, angle in enumerate(angles):
        eye = pelvis + 5 * np.array([np.sin(angle), 0, np.cos(angle)])
        eye[1] = 1.5
        z = (pelvis - eye) / np.linalg.norm(pelvis - eye)
        x = np.cross(z, [0, 1, 0]) / np.linalg.norm(np.cross(z, [0, 1, 0]))
        local = (points - eye) @ np.stack([x, np.cross(z, x), z]).T
        mine = windows.fetch(np.flatnonzero((windows.records["clip"] == 0) & (windows.records["view"] == view))[:1])
        np.testing.assert_allclose(mine["x"][0], focal * local[..., :2] / local[..., 2:], atol=2e-6)
        np.testing.assert_allclose(mine["y"][0], local - local[:, :1], atol=2e-6)


@same_fixture
@given(size=st.integers(1, 9), epoch=st.integers(0, 3))
def test_draws_do_not_depend_on_the_batch(make_clip, size: int, epoch: int) -> None:
    clips = [make_clip(30, 1), make_clip(4, 2)]
    windows = PoseWindows(clips, 6, sampling="random", augmentation=NOISY, confidence=True, seed=3)
    whole = windows.fetch(np.arange(len(windows)), epoch)
    pieces = [windows.fetch(np.arange(i, min(i + size, len(windows))), epoch) for i in range(0, len(windows), size)]
    for key, value in whole.items():
        assert torch.equal(value, torch.cat([piece[key] for piece in pieces])), key
    windows.set_epoch(epoch)
    assert torch.equal(windows[1].x, whole["x"][1].view(-1, 3))
    windows.set_epoch(epoch + 1)
    assert not torch.equal(windows[1].x, whole["x"][1].view(-1, 3))


def test_random_windows_start_anywhere_in_the_clip(make_clip) -> None:
    windows = PoseWindows([make_clip(20), make_clip(3, 1)], 5, views=Views(azimuths=(0.0,)), sampling="random")
    paths = windows.tracks.root[:, 0]
    starts = set()
    for epoch in range(60):
        batch = windows.fetch([0, 1, 2, 3, 4], epoch)
        starts |= {int((paths == first).nonzero()[0]) for first in batch["root"][:, 0, 0]}
        assert torch.equal(batch["root"][0, :, 0], paths[int((paths == batch["root"][0, 0, 0]).nonzero()[0]) :][:5])
    assert starts == set(range(16)) | {20}, "every start that needs no padding; a short clip from its first frame"
    short = windows.fetch([len(windows) - 1])
    assert short["counted"].tolist() == [[True, True, True, False, False]]
    with pytest.raises(DataError, match="cannot be stitched"):
        windows.stitch(short["window"], short["y"])


def test_flipped_windows_are_mirrored_scenes(make_clip, biped: Skeleton) -> None:
    keypoints = make_clip(12).seen_by(static_views(torch.zeros(3), (0.0,))[0])
    keypoints.keypoints[3, 1] = float("nan")
    for clip, views in ((make_clip(12), Views()), (keypoints, Views("clip"))):
        plain, flipped, half = (
            PoseWindows([clip], 6, stride=1, views=views, confidence=True, augmentation=Augmentation(flip=p))
            for p in (0, 1, 0.5)
        )
        mirror = torch.from_numpy(biped.mirror.copy())
        everyone = np.arange(len(plain))
        one, two, mixed = (windows.fetch(everyone) for windows in (plain, flipped, half))
        for key in ("x", "y"):
            torch.testing.assert_close(two[key], flip_points(one[key], mirror), rtol=0, atol=0)
        torch.testing.assert_close(two["root"], one["root"] * torch.tensor([-1.0, 1.0, 1.0]), rtol=0, atol=0)
        if views.kind == "clip":
            assert torch.equal(two["visible"], one["visible"][..., mirror])
        chosen = (mixed["root"][:, 0, 0] != one["root"][:, 0, 0]).nonzero()[:, 0]
        assert 0 < len(chosen) < len(plain)
        for key, value in mixed.items():
            expected = one[key].clone()
            expected[chosen] = two[key][chosen]
            assert torch.equal(value, expected), key


def test_pyg_loader_and_indexing(make_clip) -> None:
    windows = PoseWindows([make_clip(10)], 4, augmentation=NOISY, confidence=True)
    [batch] = DataLoader(windows, batch_size=len(windows))
    assert batch.validate()
    assert batch.num_graphs == len(windows) == 12
    assert batch.window.tolist() == list(range(12))
    assert torch.equal(batch[2].x, windows[2].x)
    assert torch.equal(windows[-1].x, windows[11].x)
    assert windows[0].x.shape == (20, 3)
    with pytest.raises(IndexError, match="below 12"):
        windows[12]


def test_keypoint_clips(biped: Skeleton) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(7, 5, 2, generator=generator) * torch.tensor([640.0, 480.0])
    pixels[3, 2] = float("nan")
    sure = torch.rand(7, 5, generator=generator)
    camera = Camera(torch.eye(3), torch.zeros(3), torch.tensor([500.0, 500.0]), width=640, height=480)
    clip = MotionClip(biped, 30.0, keypoints=pixels, confidence=sure, camera=camera, name="seen")
    windows = PoseWindows([clip], 4, confidence=True)
    batch = windows.fetch([0, 1])
    assert "y" not in batch
    assert windows[0].y is None
    assert batch["visible"].logical_not().nonzero().tolist() == [[0, 3, 2]]
    assert batch["x"][0, 3, 2].tolist() == [0, 0, 0]
    torch.testing.assert_close(batch["x"][0, 0, :, 0], pixels[0, :, 0] / 320 - 1)
    torch.testing.assert_close(batch["x"][0, 0, :, 1], (pixels[0, :, 1] - 240) / 320)
    torch.testing.assert_close(batch["x"][0, 0, :, 2], sure[0])
    with pytest.raises(DataError, match="for pixels give the clip a camera"):
        PoseWindows([clip.replace(camera=None)], 4)


def test_views_of_other_kinds(make_clip) -> None:
    clips = [make_clip(9, 1), make_clip(6, 2)]
    orbit = PoseWindows(clips, 3, views=Views("orbit", azimuths=(0.0, 180.0)))
    assert [camera.shape for camera in orbit.cameras] == [(9,), (9,), (6,), (6,)]
    drawn = PoseWindows(clips, 3, views=Views("random", count=3, seed=1))
    assert drawn.records["view"].max() == 2
    alone = PoseWindows(clips[1:], 3, views=Views("random", count=3, seed=1))
    assert torch.equal(alone.fetch([0])["x"], drawn.fetch([9])["x"]), "a clip's cameras do not depend on other clips"
    other = PoseWindows(clips[1:], 3, views=Views("random", count=3, seed=2))
    assert not torch.equal(alone.fetch([0])["x"], other.fetch([0])["x"])
    [camera] = static_views(torch.zeros(3), (10.0,))
    own = PoseWindows([clip.seen_by(camera) for clip in clips], 3, views=Views("clip"))
    torch.testing.assert_close(own.fetch([0])["x"][0], clips[0].seen_by(camera).keypoints[:3])
    world = own.cameras[0].camera_to_world(own.fetch([0])["y"][0] + own.fetch([0])["root"][0][:, None])
    torch.testing.assert_close(world, clips[0].positions[:3], atol=1e-5, rtol=0)


def test_bad_clips_are_named(make_clip, biped: Skeleton) -> None:
    gap = make_clip(5, name="holed")
    gap.positions[2, 3] = float("nan")
    with pytest.raises(DataError, match=r"'holed', frame 2: joint 'l_foot' has no position.*fill_gaps"):
        PoseWindows([gap], 3)
    runner = make_clip(30, name="runner")
    runner.positions += torch.linspace(-9, 9, 30)[:, None, None] * torch.tensor([1.0, 0.0, 1.0])
    with pytest.raises(DataError, match=r"'runner', view 0 .*frame \d+: .*views.distance"):
        PoseWindows([runner], 3)
    other = MotionClip(Skeleton.from_parents([-1, 0]), 30.0, torch.zeros(4, 2, 3), name="two joints")
    with pytest.raises(DataError, match="'two joints' is on skeleton 'custom'"):
        PoseWindows([make_clip(5), other], 3)
    with pytest.raises(DataError, match="at least one clip"):
        PoseWindows([], 3)
    with pytest.raises(DataError, match="did you mean 'random'"):
        PoseWindows([make_clip(5)], 3, sampling="randm")
    with pytest.raises(DataError, match="did you mean 'static'"):
        PoseWindows([make_clip(5)], 3, views=Views("statics"))
    with pytest.raises(DataError, match="need a camera in the file"):
        PoseWindows([make_clip(5)], 3, views=Views("clip"))
    with pytest.raises(DataError, match="has no stride"):
        PoseWindows([make_clip(5)], 3, sampling="published", stride=2)
    bare = MotionClip(biped, 30.0, keypoints=torch.zeros(4, 5, 2), name="bare")
    with pytest.raises(DataError, match="'bare' has no positions while others have"):
        PoseWindows([make_clip(5), bare], 3)


def test_stitch_wants_every_frame(make_clip) -> None:
    windows = PoseWindows([make_clip(10)], 4)
    values = torch.zeros(11, 4, 5, 3)
    with pytest.raises(DataError, match=r"cover all 40 frames \(got 38"):
        windows.stitch(np.arange(11), values)
    with pytest.raises(DataError, match=r"values: expected \[11, 4, ...\]"):
        windows.stitch(np.arange(11), values[:, :3])


def test_windows_of_a_skeleton_without_pairs_are_never_mirrored() -> None:
    """A left hand mirrored is a right hand: there is no mirror image to train on."""
    from graphpose.config import DataConfig
    from graphpose.datasets.datamodule import part_windows
    from graphpose.motion import MotionClip
    from graphpose.skeleton import Skeleton

    for pairs, flips in (((), 0.0), ((("a", "b"),), 0.5)):
        skeleton = Skeleton.from_parents([-1, 0, 0], ["root", "a", "b"], pairs)
        positions = torch.rand(30, 3, 3) + torch.tensor([0.0, 1.0, 0.0])
        clip = MotionClip(skeleton, 30.0, positions=positions, name="clip")
        assert part_windows(DataConfig(frames=9), [clip], train=True).augmentation.flip == flips
