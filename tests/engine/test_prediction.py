"""Prediction takes keypoints of any length, with gaps, in pixels or on another skeleton, and writes all or nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from formats.detections import coco, walk, write_coco, write_openpose
from torch import Tensor

from graphpose.cli.main import main
from graphpose.engine import predict, predict_clip, predict_file
from graphpose.errors import DataError, FormatError, SkeletonError
from graphpose.formats import read, read_all, write
from graphpose.geometry import Camera, denormalize_screen
from graphpose.models import Lifter, create, load, save
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

H36M = Skeleton.load("h36m17")
COCO = Skeleton.load("coco17")
FRAMES = 9


def small(features: int = 2, skeleton: Skeleton = H36M) -> Lifter:
    torch.manual_seed(3)
    model = create("mixste", skeleton, frames=FRAMES, in_features=features, channels=8, depth=1, heads=2)
    with torch.no_grad():  # away from the zeros that embeddings begin with
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def keypoints(frames: int = 13, features: int = 2) -> Tensor:
    x = 0.4 * torch.rand(frames, 17, features, generator=torch.Generator().manual_seed(1)) + 0.1
    return x


def lifted(model: Lifter, window: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.lift(window[None])[0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {"data": {"frames": FRAMES, "fps": 25.0}}
    return save(small(), tmp_path_factory.mktemp("weights") / "model.safetensors", config=config)


@pytest.mark.parametrize("frames", [1, 5, 9, 27, 50])
def test_clips_of_any_length_are_lifted_window_by_window(frames: int) -> None:
    model, x = small(), keypoints(frames)
    found = predict(model, x, flip=False)
    assert found.shape == (frames, 17, 3)
    padded = torch.cat([x, x[-1:].expand(-frames % FRAMES, -1, -1)])
    expected = torch.cat([lifted(model, window) for window in padded.split(FRAMES)])[:frames]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_flip_averages_with_the_mirrored_prediction() -> None:
    model, x = small(), keypoints(FRAMES)
    swap = torch.as_tensor(H36M.mirror.tolist())
    mirrored = lifted(model, (x * torch.tensor([-1.0, 1.0]))[:, swap])
    expected = (lifted(model, x) + (mirrored * torch.tensor([-1.0, 1.0, 1.0]))[:, swap]) / 2
    torch.testing.assert_close(predict(model, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("features", [2, 3])
def test_missing_keypoints_are_what_the_training_makes_of_them(features: int) -> None:
    """A NaN is a keypoint at 0 that nobody is sure of, as in the windows of the training."""
    model, x = small(features), keypoints(features=features)
    gaps, zeros = x.clone(), x.clone()
    gaps[4, 3, 0] = gaps[5, :, 1] = math.nan
    zeros[4, 3] = zeros[5] = 0.0
    found = predict(model, gaps)
    assert found.isfinite().all()
    torch.testing.assert_close(found, predict(model, zeros))
    assert not torch.equal(found, predict(model, x))


def test_keypoints_without_confidence_are_sure() -> None:
    model, x = small(3), keypoints()
    sure = torch.cat([x, torch.ones(13, 17, 1)], dim=-1)
    torch.testing.assert_close(predict(model, x), predict(model, sure))
    assert not torch.equal(predict(model, torch.cat([x, torch.full((13, 17, 1), 0.2)], dim=-1)), predict(model, x))
    torch.testing.assert_close(
        predict(small(2), sure), predict(small(2), x)
    )  # which a model of two features leaves out


def test_numpy_and_double_precision_are_welcome() -> None:
    model, x = small(), keypoints()
    torch.testing.assert_close(predict(model, x.double().numpy()), predict(model, x))
    found = predict(small().double(), x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, predict(model, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(5, 16, 2), r"expected keypoints \[T, 17, 2 or 3\] on skeleton 'h36m17' \(got \[5, 16, 2\]\)"),
        (torch.zeros(5, 17, 1), r"\(got \[5, 17, 1\]\)"),
        (torch.zeros(5, 17, 4), r"\(got \[5, 17, 4\]\)"),
        (torch.zeros(17, 2), r"\(got \[17, 2\]\)"),
        (torch.zeros(0, 17, 2), "at least one frame"),
        (torch.full((5, 17, 2), math.inf), "infinite keypoints in frame 0, joint 'pelvis'"),
        (torch.full((5, 17, 2), 400.0), r"normalised screen units.*for pixels"),
        (torch.full((5, 17, 3), 2.0), r"confidence in \[0, 1\]"),
    ],
)
def test_keypoints_that_cannot_be_lifted_are_named(x: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predict(small(), x)


def camera(width: int | None, height: int | None) -> Camera:
    return Camera(torch.eye(3), torch.zeros(3), torch.tensor([1100.0, 1100.0]), width=width, height=height)


def test_pixels_and_normalised_keypoints_give_the_same_pose() -> None:
    model, x = small(), keypoints()
    pixels = MotionClip(H36M, 50.0, keypoints=denormalize_screen(x, 1000, 800), camera=camera(1000, 800), name="seen")
    found = predict_clip(model, pixels)
    torch.testing.assert_close(found.positions, predict(model, x), rtol=1e-4, atol=1e-5)
    assert (found.space, found.fps, found.name) == ("camera", 50.0, "seen")
    with pytest.raises(DataError, match=r"'seen'.*for pixels give the clip a camera with width and height"):
        predict_clip(model, pixels.replace(camera=None))


def test_keypoints_on_another_skeleton_are_mapped() -> None:
    model, x = small(), keypoints()
    coco = MotionClip(COCO, 30.0, keypoints=x, confidence=0.5 + 0.5 * x[..., 0])
    found = predict_clip(model, coco)
    assert found.skeleton == H36M
    mapped = coco.to(H36M).keypoints
    assert mapped is not None and found.positions is not None
    torch.testing.assert_close(mapped[:, 0], (x[:, COCO.index("left_hip")] + x[:, COCO.index("right_hip")]) / 2)
    torch.testing.assert_close(found.positions, predict(model, mapped))


def test_clips_without_keypoints_or_mapping_are_refused() -> None:
    with pytest.raises(DataError, match="'bare' has no 2D keypoints to lift"):
        predict_clip(small(), MotionClip(H36M, 30.0, positions=torch.zeros(3, 17, 3), name="bare"))
    arm = Skeleton.load("panda7")
    with pytest.raises(
        SkeletonError,
        match=r"no mapping from skeleton 'panda7' to 'h36m17'.*; or train a model with index_free: true, which lifts any skeleton$",
    ):
        predict_clip(small(), MotionClip(arm, 30.0, keypoints=torch.zeros(3, len(arm), 2)))


# -- files and the command --------------------------------------------------------------------------------------------


def predicted(checkpoint: Path, source: Path, *options: str) -> MotionClip:
    target = source.with_name("out.npz")
    assert main(["predict", str(checkpoint), str(source), str(target), *options]) == 0
    return read(target)


def test_from_file_to_file(checkpoint: Path, tmp_path: Path) -> None:
    clip = MotionClip(H36M, 50.0, keypoints=keypoints(), subject="S1", action="walk", name="take3")
    write(clip, tmp_path / "in.npz")
    out = predicted(checkpoint, tmp_path / "in.npz")
    torch.testing.assert_close(out.positions, predict(small(), keypoints()))
    torch.testing.assert_close(out.keypoints, clip.keypoints)
    assert (out.skeleton, out.fps, out.space) == (H36M, 50.0, "camera")
    assert (out.subject, out.action, out.name) == ("S1", "walk", "take3")
    once = predicted(checkpoint, tmp_path / "in.npz", "--no-flip")
    torch.testing.assert_close(once.positions, predict(small(), keypoints(), flip=False))


@pytest.mark.filterwarnings("always:.*holds no fps", "always:.*names no joints")
def test_bare_arrays_in_pixels_are_enough(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = keypoints()
    pixels = denormalize_screen(x, 1280, 720).numpy()
    np.savez(tmp_path / "in.npz", keypoints=pixels, width=1280, height=720)
    out = predicted(checkpoint, tmp_path / "in.npz")
    torch.testing.assert_close(out.positions, predict(small(), x), rtol=1e-4, atol=1e-5)
    assert out.fps == 25.0  # that of the training, and said so
    assert "in.npz: holds no fps; taken as 25 frames/s, as in the training (give --fps)" in capsys.readouterr().err
    assert predicted(checkpoint, tmp_path / "in.npz", "--fps", "60").fps == 60.0
    assert capsys.readouterr().err == (
        f"graphpose: warning: {tmp_path}/in.npz: names no joints; taken as h36m17, the skeleton of the model, in its order "
        "(for another order give --skeleton; graphpose skeleton list names them)\n"
    )
    predicted(checkpoint, tmp_path / "in.npz", "--fps", "60", "--skeleton", "h36m17")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("named", ["in the file", "on the command line"])
def test_keypoints_of_coco_are_mapped_where_they_are_said_to_be(named: str, checkpoint: Path, tmp_path: Path) -> None:
    names = {"joints": np.array(COCO.joints), "parents": np.array(COCO.parents)} if named == "in the file" else {}
    options = [] if names else ["--skeleton", "coco17"]
    np.savez(tmp_path / "in.npz", keypoints=keypoints().numpy(), fps=30.0, **names)
    out = predicted(checkpoint, tmp_path / "in.npz", *options)
    expected = predict_clip(small(), MotionClip(COCO, 30.0, keypoints=keypoints()))
    torch.testing.assert_close(out.positions, expected.positions)
    assert out.skeleton == H36M


@pytest.mark.parametrize("detector", ["coco", "openpose"])
def test_what_a_detector_wrote_is_lifted(detector: str, checkpoint: Path, tmp_path: Path) -> None:
    """As if its keypoints had been brought into an npz first."""
    person = walk(12, 17 if detector == "coco" else 25)
    if detector == "coco":
        path = write_coco(tmp_path / "results.json", [coco(frame, points) for frame, points in enumerate(person)])
    else:
        path = write_openpose(tmp_path / "openpose", [[points] for points in person])
    words = ["predict", str(checkpoint), str(path), str(tmp_path / "out.npz")]
    assert main([*words, "--fps", "25", "--image_size", "640x480"]) == 0
    found = read(tmp_path / "out.npz")
    [clip] = read_all(path, fps=25.0, image_size="640x480")
    assert clip.skeleton.name == ("coco17" if detector == "coco" else "openpose25")
    write(clip, tmp_path / "in.npz")
    by_npz = predict_file(checkpoint, tmp_path / "in.npz", tmp_path / "other.npz")
    torch.testing.assert_close(found.positions, by_npz.positions, rtol=0, atol=1e-6)
    if detector == "coco":  # the number of keypoints does not tell that they are those of another skeleton
        predict_file(checkpoint, path, tmp_path / "h36m.npz", fps=25.0, image_size="640x480", skeleton="h36m17")
        told = predict_clip(load(checkpoint), clip.replace(skeleton=H36M)).positions
        torch.testing.assert_close(read(tmp_path / "h36m.npz").positions, told, rtol=0, atol=1e-6)
    assert found.fps == 25.0 and found.skeleton == H36M


def test_the_size_of_the_picture_is_that_of_detections(
    checkpoint: Path, named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(checkpoint), str(named), str(tmp_path / "out.npz"), "--image_size", "640x480"]
    assert main(words) == 1
    assert "takes no image_size; an npz in pixels holds width and height itself" in capsys.readouterr().err
    (tmp_path / "folder").mkdir()
    write(read(named), tmp_path / "folder" / "one.npz")
    with pytest.raises(DataError, match="takes no image_size"):
        predict_file(checkpoint, tmp_path / "folder", tmp_path / "out.npz", image_size="640x480")
    path = write_coco(tmp_path / "results.json", [coco(0, walk(1, 17)[0])])
    assert main(["predict", str(checkpoint), str(path), str(tmp_path / "out.npz"), "--fps", "25"]) == 1
    assert "--image_size" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.filterwarnings("ignore:.*names no joints; taken as coco17")
def test_joints_without_names_are_those_of_the_model(tmp_path: Path) -> None:
    """17 of them too, which the reader alone would take for Human3.6M's."""
    path = save(small(skeleton=COCO), tmp_path / "coco.safetensors")
    np.savez(tmp_path / "in.npz", keypoints=keypoints().numpy(), fps=30.0)
    assert predicted(path, tmp_path / "in.npz").skeleton == COCO


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"keypoints": np.zeros((4, 16, 2))}, "expected the 17 joints of skeleton 'h36m17'"),
        ({"keypoints": np.full((4, 17, 2), 300.0)}, "for pixels"),
        ({"keypoints": np.full((4, 17, 2), 300.0), "width": 640}, "expected width and height of the picture"),
        ({"keypoints": np.zeros((4, 17, 2)), "width": 0, "height": 0}, "positive size"),
        ({"keypoints": np.zeros((4, 17, 2)), "width": np.ones(3), "height": 9}, "one number as width"),
        ({"keypoints": np.zeros((4, 17, 3))}, r"expected keypoints \[T, 17, 2\]"),
        ({"keypoints": np.full((4, 17, 2), np.inf)}, "infinite keypoints"),
        (
            {"keypoints": np.zeros((4, 17, 2)), "lengths": [2, 2]},
            r"expected one clip to lift \(got 2: .*\); give the file or folder of one",
        ),
        ({"positions": np.zeros((4, 17, 3))}, "no 2D keypoints to lift"),
        ({"pose": np.zeros((4, 17, 2))}, "expected an array positions or keypoints"),
    ],
)
def test_a_bad_file_is_one_line_and_nothing_is_written(
    arrays: dict[str, object], message: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "in.npz", fps=30.0, **arrays)  # type: ignore[arg-type]
    assert main(["predict", str(checkpoint), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("graphpose: error: ")
    with pytest.raises((FormatError, DataError), match=message):
        predict_file(checkpoint, tmp_path / "in.npz", tmp_path / "out.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["in.npz"]


def test_a_motion_file_has_no_keypoints(checkpoint: Path, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'walk' has no 2D keypoints to lift"):
        predict_file(checkpoint, repository / "data" / "samples" / "walk.bvh", tmp_path / "out.npz")


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A file of keypoints that leaves nothing to be said about it."""
    return write(MotionClip(H36M, 30.0, keypoints=keypoints()), tmp_path / "in.npz")


def test_an_output_that_cannot_be_written_is_refused(checkpoint: Path, named: Path) -> None:
    for target, message in (("new/out.xyz", "expected a motion file"), ("new/out.amc", "are only read; write one of")):
        with pytest.raises(FormatError, match=message):
            predict_file(checkpoint, named, named.parent / target)
    assert [file.name for file in named.parent.iterdir()] == ["in.npz"]


def test_the_folder_of_the_output_is_made(checkpoint: Path, named: Path) -> None:
    predict_file(checkpoint, named, named.parent / "new" / "below" / "out.npz")
    assert len(read(named.parent / "new" / "below" / "out.npz")) == 13


def test_the_input_is_never_written_over(checkpoint: Path, named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = named.read_bytes()
    named.with_name("link.npz").symlink_to(named)
    named.with_name("hard.npz").hardlink_to(named)
    monkeypatch.chdir(named.parent)
    for target in (named, "in.npz", Path("..", named.parent.name, "in.npz"), "link.npz", "hard.npz"):
        with pytest.raises(DataError, match=r"npz: expected another file than the input"):
            predict_file(checkpoint, named, target)
    assert named.read_bytes() == content
