"""Writes the published files of Human3.6M, HumanEva-I and MPI-INF-3DHP, in their exact layouts, from real clips.

The keypoints are projected here by the published formulas in plain NumPy, not by the package, so that a reader that
turns a camera the wrong way is found out.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import graphpose

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting", "SittingDown",
    "Smoking", "Waiting", "WalkDog", "WalkTogether", "Walking",
)  # fmt: skip
H36M_LEFT, H36M_RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
COPIED = {
    4: 3,
    5: 3,
    9: 8,
    10: 8,
    11: 0,
    16: 13,
    20: 19,
    21: 19,
    22: 19,
    23: 19,
    24: 13,
    28: 27,
    29: 27,
    30: 27,
    31: 27,
}
CAMERAS_3DHP = ("0", "1", "2", "4", "5", "6", "7", "8")
JOINTS_3DHP = (7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6)  # of the 28
TO_3DHP = (
    "head", "thorax", "Rshoulder", "Relbow", "Rwrist", "Lshoulder", "Lelbow", "Lwrist", "Rhip", "Rknee", "Rankle", "Lhip",
    "Lknee", "Lankle", "pelvis", "spine", "nose",
)  # fmt: skip


@cache
def motions() -> tuple[np.ndarray, ...]:
    """The sample clips on the 17 joints of Human3.6M, `[F, 17, 3]` metres, +Y up, around the origin."""
    clips = [graphpose.read(path).to("h36m17") for path in sorted(SAMPLES.glob("*.bvh"))]
    found = []
    for clip in clips:
        assert clip.positions is not None
        points = clip.positions.numpy().astype(np.float64)
        found.append(points - [*points[:, :, 0].mean(keepdims=True)[0], 0.0, *points[:, :, 2].mean(keepdims=True)[0]])
    return tuple(found)


def motion(number: int, frames: int = 0) -> np.ndarray:
    """One motion; numbers beyond the clips are clips turned about the vertical, so that no two are the same."""
    points = motions()[number % len(motions())]
    angle = 0.7 * (number // len(motions()))
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return (points @ turn.T)[: frames or None]


def z_up(points: np.ndarray) -> np.ndarray:
    """+Y up to the published world, which has z up."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def rotate(quaternion: Any, vectors: np.ndarray) -> np.ndarray:
    """Vectors turned by a quaternion w, x, y, z."""
    w, axis = quaternion[0], np.asarray(quaternion[1:])
    cross = np.cross(np.broadcast_to(axis, vectors.shape), vectors)
    return vectors + 2 * (w * cross + np.cross(np.broadcast_to(axis, vectors.shape), cross))


def to_camera(points: np.ndarray, quaternion: Any, centre: Any) -> np.ndarray:
    """World to camera, as published: the inverse of the quaternion turns what is left after the centre."""
    inverse = [quaternion[0], *(-np.asarray(quaternion[1:]))]
    return rotate(inverse, points - np.asarray(centre) / 1000)


def project(points: np.ndarray, lens: Any) -> np.ndarray:
    """Camera space to pixels, by the published formula (its coordinates are held within 1 before the distortion)."""
    _, _, _, focal, centre, radial, tangential = lens
    plane = np.clip(points[..., :2] / points[..., 2:], -1, 1)
    square = (plane**2).sum(-1, keepdims=True)
    along = 1 + (np.asarray(radial) * np.concatenate([square, square**2, square**3], -1)).sum(-1, keepdims=True)
    across = (np.asarray(tangential) * plane).sum(-1, keepdims=True)
    bent = plane * (along + across) + np.asarray(tangential) * square
    return np.asarray(focal) * bent + np.asarray(centre)


# -- Human3.6M ---------------------------------------------------------------------------------------------------------


def human36m(
    subjects: tuple[str, ...] = ("S1", "S5", "S9", "S11"),
    actions: tuple[str, ...] = ("Directions", "Walking"),
    frames: int = 0,
) -> dict[str, dict[str, np.ndarray]]:
    """`positions_3d`: two takes of each action, `[F, 32, 3]` float32 metres; S11 lacks "Directions", as published."""
    data: dict[str, dict[str, np.ndarray]] = {}
    number = 0
    for subject in subjects:
        data[subject] = {}
        for action in actions:
            for take in (action, f"{action} 1"):
                points = z_up(motion(number, frames))
                number += 1
                if (subject, take) == ("S11", "Directions"):
                    continue
                full = np.empty((len(points), 32, 3))
                full[:, KEPT] = points
                for joint, other in COPIED.items():
                    full[:, joint] = full[:, other] + 0.02
                data[subject][take] = full.astype(np.float32)
    return data


def human36m_2d(
    data: dict[str, dict[str, np.ndarray]], noise: float = 0.0, extra: int = 0
) -> dict[str, dict[str, list]]:
    """`positions_2d` of four cameras, with Gaussian noise in pixels and frames after the end of the 3D recording."""
    from graphpose.formats._h36m_calibration import LENSES, PLACES

    draw = np.random.default_rng(0)
    found: dict[str, dict[str, list]] = {}
    for subject, actions in data.items():
        found[subject] = {}
        for action, points in actions.items():
            flat = [
                project(to_camera(points[:, KEPT].astype(np.float64), *place), lens)
                for lens, place in zip(LENSES, PLACES[subject], strict=True)
            ]
            flat = [one + noise * draw.standard_normal(one.shape) for one in flat]
            flat = [np.concatenate([one, np.repeat(one[-1:], extra, 0)]) for one in flat]
            found[subject][action] = [one.astype(np.float32) for one in flat]
    return found


def metadata(layout: str = "h36m", joints: int = 17, left: Any = H36M_LEFT, right: Any = H36M_RIGHT) -> dict[str, Any]:
    """The `metadata` of a 2D file of detections."""
    return {"layout_name": layout, "num_joints": joints, "keypoints_symmetry": [list(left), list(right)]}


HOURGLASS = (3, 2, 1, 4, 5, 6, 0, 7, 8, 10, 16, 15, 14, 11, 12, 13)  # of the 17 joints, in the order of the SH files


def write_hourglass(
    folder: Path,
    data: dict[str, dict[str, np.ndarray]],
    detector: str = "sh_ft_h36m",
    order: tuple[int, ...] = HOURGLASS,
    noise: float = 0.0,
) -> Path:
    """`data_2d_h36m_sh_*.npz`: the 16 joints of Stacked Hourglass, metadata without a name, as published."""
    flat = {
        subject: {action: [one[:, order] for one in arrays] for action, arrays in actions.items()}
        for subject, actions in human36m_2d(data, noise).items()
    }
    sides = [[i for i, joint in enumerate(order) if joint in side] for side in (H36M_LEFT, H36M_RIGHT)]
    np.savez_compressed(
        folder / f"data_2d_h36m_{detector}.npz",
        positions_2d=flat,
        metadata={"num_joints": len(order), "keypoints_symmetry": sides},
    )
    return folder / f"data_2d_h36m_{detector}.npz"


def write_human36m(folder: Path, data: dict[str, dict[str, np.ndarray]] | None = None) -> Path:
    """`data_3d_h36m.npz`, `data_2d_h36m_gt.npz` and `data_2d_h36m_cpn_ft_h36m_dbb.npz`; the path of the first."""
    data = human36m() if data is None else data
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=data)
    truth = {key: value for key, value in metadata().items() if key != "layout_name"}  # as published
    np.savez_compressed(folder / "data_2d_h36m_gt.npz", positions_2d=human36m_2d(data), metadata=truth)
    detected = human36m_2d(data, noise=4.0, extra=3)
    if "S11" in detected and "Directions 1" in detected["S11"]:
        detected["S11"]["Directions"] = detected["S11"]["Directions 1"]  # a video without 3D positions
    np.savez_compressed(folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz", positions_2d=detected, metadata=metadata())
    return folder / "data_3d_h36m.npz"


# -- HumanEva-I --------------------------------------------------------------------------------------------------------


def write_humaneva(folder: Path, frames: int = 0) -> Path:
    """`data_3d_humaneva15.npz`, `data_2d_humaneva15_gt.npz` and a file of detections; the path of the first."""
    from graphpose.formats.humaneva import _PLACES

    folder.mkdir(parents=True, exist_ok=True)
    order = [graphpose.Skeleton.load("h36m17").index(name) for name in graphpose.Skeleton.load("humaneva15").joints]
    data: dict[str, dict[str, np.ndarray]] = {}
    flat: dict[str, dict[str, list]] = {}
    number = 0
    for part in ("Train", "Validate"):
        for name in ("S1", "S2"):
            subject = f"{part}/{name}"
            data[subject], flat[subject] = {}, {}
            for action in ("Walking 1 chunk0", "Walking 1 chunk2", "Jog 1 chunk0"):
                points = z_up(motion(number, frames))[:, order]
                number += 1
                data[subject][action] = points.astype(np.float32)
                flat[subject][action] = [
                    humaneva_pixels(to_camera(points, *place)).astype(np.float32) for place in _PLACES[name]
                ]
    sides = ([2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13])
    about = metadata("humaneva15", 15, *sides)
    np.savez_compressed(folder / "data_3d_humaneva15.npz", positions_3d=data)
    np.savez_compressed(folder / "data_2d_humaneva15_gt.npz", positions_2d=flat, metadata=about)
    draw = np.random.default_rng(1)
    noisy = {
        subject: {action: [one + draw.standard_normal(one.shape).astype(np.float32) for one in arrays]
                  for action, arrays in actions.items()}
        for subject, actions in flat.items()
    }  # fmt: skip
    noisy["Unlabeled/S4"] = {"Box 1": [np.zeros((5, 15, 2), np.float32)] * 3}  # video without positions, as published
    np.savez_compressed(folder / "data_2d_humaneva15_detectron_ft_humaneva15.npz", positions_2d=noisy, metadata=about)
    return folder / "data_3d_humaneva15.npz"


def humaneva_pixels(points: np.ndarray) -> np.ndarray:
    """A pinhole lens of 640 x 480 such as those of HumanEva."""
    return points[..., :2] / points[..., 2:] * [750.0, 740.0] + [328.0, 236.0]


# -- MPI-INF-3DHP ------------------------------------------------------------------------------------------------------


def camera_space(number: int, camera: int, frames: int = 0) -> np.ndarray:
    """A motion as a level camera 4 m away sees it, `[F, 17, 3]` mm: x right, y down, z away; joints of the test set."""
    points = motion(number, frames)[:, [graphpose.Skeleton.load("h36m17").index(name) for name in TO_3DHP]]
    angle = 0.6 * camera
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    x, y, z = np.moveaxis(points @ turn.T, -1, 0)
    return 1000 * np.stack([x, 1.2 - y, 4.0 - z], -1)


def pixels_3dhp(points: np.ndarray, wide: bool = False) -> np.ndarray:
    """Their pixels in a picture of 2048 x 2048, or 1920 x 1080."""
    focal, centre = (1684.0, (940.0, 560.0)) if wide else (1500.0, (1017.0, 1043.0))
    return points[..., :2] / points[..., 2:] * focal + np.asarray(centre)


def univ(points: np.ndarray) -> np.ndarray:
    """The same scaled to one body size around the camera."""
    return 0.92 * points


def write_3dhp_train(folder: Path, subjects: tuple[str, ...] = ("S1", "S2"), frames: int = 0) -> Path:
    """`data_train_3dhp.npz`: 'S1 Seq1' -> [{'0': {'data_2d', 'data_3d'}, ...}, frames a second]."""
    data: dict[str, list] = {}
    for number, name in enumerate(f"{subject} Seq{i}" for subject in subjects for i in (1, 2)):
        cameras = {}
        for camera, key in enumerate(CAMERAS_3DHP):
            points = camera_space(number, camera, frames)
            cameras[key] = {
                "data_2d": pixels_3dhp(points).astype(np.float32),
                "data_3d": univ(points).astype(np.float32),
            }
        data[name] = [cameras, 50 if number % 2 else 25]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "data_train_3dhp.npz", data=data)
    return folder / "data_train_3dhp.npz"


def valid_frames(frames: int) -> np.ndarray:
    """Marks of a test sequence: a gap at the start, one in the middle, as float64 as in the data set."""
    marks = np.ones(frames)
    marks[:3] = marks[10:14] = 0
    return marks


def write_3dhp_test(folder: Path, frames: int = 0) -> Path:
    """`data_test_3dhp.npz`: 'TS1' .. 'TS6' -> {'data_2d', 'data_3d', 'valid'}."""
    data = {}
    for number in range(6):
        points = camera_space(8 + number, number, frames)
        data[f"TS{number + 1}"] = {
            "data_2d": pixels_3dhp(points, wide=number > 3),
            "data_3d": univ(points),
            "valid": valid_frames(len(points)),
        }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "data_test_3dhp.npz", data=data)
    return folder / "data_test_3dhp.npz"


def annotations_of_test(number: int = 0, wide: bool = False) -> dict[str, np.ndarray]:
    """The variables of `annot_data.mat` in HDF5's order: `[F, 1, 17, 2 or 3]`, marks `[F, 1]`."""
    points = camera_space(number, 0)
    return {
        "annot2": pixels_3dhp(points, wide)[:, None],
        "annot3": points[:, None],
        "univ_annot3": univ(points)[:, None],
        "bb_crop": np.zeros((len(points), 34)),
        "activity_annotation": np.ones((len(points), 1)),
        "valid_frame": valid_frames(len(points))[:, None],
    }


def write_annot_data(path: Path, data: dict[str, np.ndarray], version: str = "7.3") -> Path:
    """`TS1/annot_data.mat` as MATLAB writes it: 7.3 is HDF5 behind a header of 512 bytes, 5 has MATLAB's order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if version == "5":
        from scipy.io import savemat

        savemat(path, {key: value.T for key, value in data.items()})
        return path
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in data.items():
            file.create_dataset(key, data=value)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def write_annot(path: Path, cameras: int = 3, frames: int = 0) -> Path:
    """`S1/Seq1/annot.mat`: cells `[cameras, 1]` of `[F, 56]` and `[F, 84]`, 28 joints."""
    from scipy.io import savemat

    cells: dict[str, Any] = {key: np.empty((cameras, 1), object) for key in ("annot2", "annot3", "univ_annot3")}
    for camera in range(cameras):
        points = camera_space(0, camera, frames)
        full = np.repeat(points[:, 14:15], 28, 1)
        full[:, JOINTS_3DHP] = points
        cells["annot2"][camera, 0] = pixels_3dhp(full).reshape(len(full), 56)
        cells["annot3"][camera, 0] = full.reshape(len(full), 84)
        cells["univ_annot3"][camera, 0] = univ(full).reshape(len(full), 84)
    count = len(camera_space(0, 0, frames))
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {**cells, "cameras": np.arange(cameras)[None], "frames": np.arange(count)[:, None]})
    return path
