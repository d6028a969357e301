"""npz: NumPy arrays of one clip, or of many clips one after the other; nothing in it is ever unpickled.

One clip: `positions [T, J, 3]` metres and/or `keypoints [T, J, 2]`, `confidence [T, J]`, `rotations [T, J, 3, 3]`,
`fps`, `joints [J]`, `parents [J]`, `subject`, `action`, `name`, `space`, `camera_*`; `width` and `height` of the
picture when keypoints are its pixels and there is no camera (they are read into normalised screen units). Archive: the
same arrays over the sum of all frames with `lengths [clips]`, and `clip_names`, `split`, `subjects`, `actions`
`[clips]`; `fps` one number or one a clip.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpose.errors import FormatError, GraphposeError
from graphpose.formats._atomic import replacing
from graphpose.formats._published import check_unit
from graphpose.formats.plausibility import FPS_OPTIONS
from graphpose.formats.registry import Format
from graphpose.geometry import Camera, normalize_screen
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["FORMAT", "holds_clip", "read_npz", "write_npz"]

_FRAMES = ("positions", "keypoints", "confidence", "rotations")
_CLIP = ("positions", "keypoints")  # a clip has one of them at least
_TEXTS = ("subject", "action", "name", "space", "source")
_LABELS = {"subjects": "subject", "actions": "action", "clip_names": "name"}
_DEFAULT = "h36m17"


def read_npz(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    nameless: Any = None,
) -> list[MotionClip]:
    """The clips of an npz file; see the module for the arrays and `graphpose.read` for the arguments.

    Without `joints` and `parents` in the file and without `skeleton`, the joints are those of `nameless` where it has as
    many, else 17 are those of Human3.6M. Raises `FormatError` when the file is damaged, holds Python objects, or its
    arrays do not fit each other.
    """
    data = _load(path)
    held = [key for key in _FRAMES if key in data]
    if not any(key in data for key in _CLIP):
        raise FormatError(path, f"expected an array positions or keypoints (got {', '.join(sorted(data)) or 'none'})")
    for key in held:
        if data[key].dtype.kind not in "fiu":
            raise FormatError(path, f"expected numbers in {key} (got dtype {data[key].dtype})")
    body = _skeleton(path, data, skeleton, nameless, held[0])
    if "keypoints" in data and {"width", "height"} & set(data) and "camera_width" not in data:
        if not {"width", "height"} <= set(data):
            raise FormatError(path, "expected width and height of the picture (got one of them)")
        width, height = (int(_number(path, data[key], key)) for key in ("width", "height"))
        data["keypoints"] = normalize_screen(data["keypoints"].astype(np.float32), width, height)
    if scale is not None and "positions" in data:
        data["positions"] = data["positions"] * scale
    clips = _archive(path, data, body, fps) if "lengths" in data else [_single(path, data, body, fps)]
    for clip in clips:
        if clip.positions is not None:
            check_unit(path, f"clip {clip.name!r}", clip.positions.numpy(), body, scale or 1.0, smallest=0.0)
    return clips


def holds_clip(path: Path) -> bool:
    """Whether an npz file has positions or keypoints; True for a damaged one, whose fault reading it reports."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except Exception:  # of a dozen unrelated classes, as in _load
        return True
    return any(f"{key}.npy" in names for key in _CLIP)


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream:  # opened here, because numpy leaves it open when the zip is damaged
            opened = np.load(stream, allow_pickle=False)
            if not isinstance(opened, np.lib.npyio.NpzFile):
                raise FormatError(path, "expected a zip of arrays as numpy.savez makes it (got a single array)")
            with opened as file:
                return {key: _array(path, file, key) for key in file.files}
    except FormatError:
        raise
    except Exception as fault:  # damaged bytes make zipfile, zlib and numpy raise errors of a dozen unrelated classes
        if path.stat().st_size == 0:
            raise FormatError(path, "the file is empty") from None
        raise FormatError(path, f"is no intact npz file ({type(fault).__name__}); write it with numpy.savez") from fault


def _array(path: Path, file: Any, key: str) -> np.ndarray:
    try:
        value = np.asarray(file[key])
    except ValueError as fault:
        if "allow_pickle" in str(fault):
            raise FormatError(
                path, f"array {key!r} holds Python objects, which are not read; save numbers or text"
            ) from None
        raise
    except zipfile.BadZipFile:
        raise FormatError(path, f"array {key!r} is damaged (its checksum is wrong)") from None
    return value


def _skeleton(path: Path, data: dict[str, np.ndarray], given: Any, nameless: Any, key: str) -> Skeleton:
    shape = data[key].shape
    joints = shape[1] if len(shape) > 1 else 0
    try:
        if "skeleton" in data:
            body = Skeleton.from_dict(json.loads(str(data["skeleton"])))
        elif "joints" in data and "parents" in data:
            body = Skeleton.identify([str(name) for name in data["joints"]], [int(p) for p in data["parents"]])
        elif given is not None:
            body = _loaded(given)
        elif nameless is not None and (joints == len(asked := _loaded(nameless)) or joints != 17):
            body = asked
        elif joints == 17:
            body = Skeleton.load(_DEFAULT)
        else:
            raise FormatError(path, f"{joints} joints without names: add arrays joints and parents, or give skeleton=")
    except FormatError:
        raise
    except (GraphposeError, ValueError, TypeError, KeyError, AttributeError) as fault:
        raise FormatError(path, f"its skeleton cannot be used: {fault}") from fault
    if joints != len(body):
        raise FormatError(path, f"expected the {len(body)} joints of skeleton {body.name!r} (got {key} {list(shape)})")
    return body


def _loaded(skeleton: Any) -> Skeleton:
    return skeleton if isinstance(skeleton, Skeleton) else Skeleton.load(skeleton)


def _number(path: Path, value: np.ndarray, key: str) -> float:
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise FormatError(path, f"expected one number as {key} (got {value.dtype} {list(value.shape)})")
    return float(value.reshape(()))


def _rate(path: Path, data: dict[str, np.ndarray], fps: float | None) -> float:
    if fps is not None:
        return fps
    if "fps" not in data:
        raise FormatError(path, f"expected the frame rate as fps in the file; without it give fps= ({FPS_OPTIONS})")
    return _number(path, data["fps"], "fps")


def _single(path: Path, data: dict[str, np.ndarray], body: Skeleton, fps: float | None) -> MotionClip:
    # as for the other formats: the folder is the subject, the file the action, unless the file says otherwise
    own: dict[str, Any] = {
        "name": path.stem,
        "source": str(path),
        "subject": path.parent.name or None,
        "action": path.stem,
    }
    own |= {key: str(data[key]) for key in _TEXTS if key in data}
    own |= {key: torch.from_numpy(data[key].astype(np.float32)) for key in _FRAMES if key in data}
    tags = {key[4:]: str(value) for key, value in data.items() if key.startswith("tag_")}
    if "keypoints" in data and own["source"] != str(path):  # `source` stays the recording; who detected is another file
        tags["keypoints_file"] = "/".join(path.parts[-2:])
    return MotionClip(
        skeleton=body,
        fps=_rate(path, data, fps),
        camera=_camera(path, data),
        tags=tags,
        **own,
    )


def _archive(path: Path, data: dict[str, np.ndarray], body: Skeleton, fps: float | None) -> list[MotionClip]:
    lengths = data["lengths"]
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or not bool((lengths > 0).all()):
        raise FormatError(
            path, f"expected lengths as whole numbers above 0 [clips] (got {lengths.dtype} {list(lengths.shape)})"
        )
    count, total = len(lengths), int(lengths.sum())
    if count == 0:
        raise FormatError(path, "holds no clip (lengths is empty)")
    labels = [key for key in (*_LABELS, "split") if key in data]
    for key in [key for key in _FRAMES if key in data] + labels:
        want = count if key in labels else total
        if data[key].ndim == 0 or len(data[key]) != want:
            raise FormatError(path, f"expected {want} entries in {key}, as lengths says (got {list(data[key].shape)})")
    rates = np.full(count, fps) if fps is not None else data.get("fps", np.empty(0))
    if rates.size == 1:
        rates = np.full(count, _rate(path, data, fps))
    if rates.shape != (count,) or rates.dtype.kind not in "fiu":
        raise FormatError(
            path, f"expected fps as one number, or one for each of {count} clips (got {list(rates.shape)})"
        )
    clips, end = [], np.cumsum(lengths)
    for i in range(count):
        rows = slice(int(end[i] - lengths[i]), int(end[i]))
        name = str(data["clip_names"][i]) if "clip_names" in data else f"{path.stem}_{i}"
        prefix, _, rest = name.partition("_")
        own: dict[str, Any] = {"name": name, "subject": prefix, "action": rest or name}
        own |= {to: str(data[key][i]) for key, to in _LABELS.items() if key in data}
        own |= {"space": str(data["space"])} if "space" in data else {}
        own |= {key: torch.from_numpy(data[key][rows].astype(np.float32)) for key in _FRAMES if key in data}
        clips.append(
            MotionClip(
                skeleton=body,
                fps=float(rates[i]),
                source=str(path),
                tags={"split": str(data["split"][i])} if "split" in data else {},
                **own,
            )
        )
    return clips


def _camera(path: Path, data: dict[str, np.ndarray]) -> Camera | None:
    values: dict[str, Any] = {}
    for item in fields(Camera):
        value = data.get(f"camera_{item.name}")
        if value is None:
            continue
        if item.name == "name":
            values["name"] = str(value)
        elif value.ndim == 0:
            number = _number(path, value, f"camera_{item.name}")
            values[item.name] = int(number) if item.name in ("width", "height") else number
        else:
            values[item.name] = torch.from_numpy(value.astype(np.float32))
    if not values:
        return None
    lacking = [f"camera_{key}" for key in ("rotation", "position", "focal") if key not in values]
    if lacking:
        raise FormatError(path, f"a camera without {', '.join(lacking)}")
    return Camera(**values)


def write_npz(clips: list[MotionClip], path: Path) -> None:
    """Write one clip with all it holds, or an archive of several clips of one skeleton.

    An archive keeps positions, keypoints, confidence and rotations that all clips have, names, subjects, actions and
    the tag "split". Raises `FormatError` when the clips do not share a skeleton or have nothing in common.
    """
    body = clips[0].skeleton
    arrays: dict[str, Any] = {
        "joints": np.array(body.joints),
        "parents": np.array(body.parents),
        "skeleton": np.array(json.dumps(body.to_dict())),
    }
    arrays |= _single_arrays(clips[0]) if len(clips) == 1 else _archive_arrays(clips, path)
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _single_arrays(clip: MotionClip) -> dict[str, Any]:
    arrays: dict[str, Any] = {"fps": np.array(clip.fps)}
    arrays |= {key: value.detach().cpu().numpy() for key in _FRAMES if (value := getattr(clip, key)) is not None}
    arrays |= {key: np.array(value) for key in _TEXTS if (value := getattr(clip, key)) is not None}
    arrays |= {f"tag_{key}": np.array(value) for key, value in clip.tags.items() if key != "keypoints_file"}
    for item in fields(clip.camera) if clip.camera is not None else ():
        value = getattr(clip.camera, item.name)
        if value is not None:
            arrays[f"camera_{item.name}"] = (
                value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.array(value)
            )
    return arrays


def _archive_arrays(clips: list[MotionClip], path: Path) -> dict[str, Any]:
    strange = [clip for clip in clips if clip.skeleton != clips[0].skeleton]
    if strange:
        raise FormatError(
            path,
            f"expected clips of one skeleton, {clips[0].skeleton.name!r} (got {strange[0].skeleton.name!r} in "
            f"{strange[0].name!r}); map them with clip.to(...)",
        )
    if any(clip.camera is not None for clip in clips):
        raise FormatError(
            path, "an archive of several clips has no place for cameras; write each clip to a file of its own"
        )
    shared = [key for key in _FRAMES if all(getattr(clip, key) is not None for clip in clips)]
    if not {"positions", "keypoints"} & set(shared):
        raise FormatError(path, "expected clips that all have positions, or all have keypoints")
    arrays = {key: np.concatenate([getattr(clip, key).detach().cpu().numpy() for clip in clips]) for key in shared}
    arrays["lengths"] = np.array([clip.frames for clip in clips])
    arrays["fps"] = np.array([clip.fps for clip in clips])
    if "positions" in shared:
        arrays["space"] = np.array(_space(clips, path))
    for key, name in _LABELS.items():
        if all(getattr(clip, name) for clip in clips):
            arrays[key] = np.array([getattr(clip, name) for clip in clips])
    if all("split" in clip.tags for clip in clips):
        arrays["split"] = np.array([clip.tags["split"] for clip in clips])
    return arrays


def _space(clips: list[MotionClip], path: Path) -> str:
    spaces = sorted({clip.space for clip in clips})
    if len(spaces) > 1:
        raise FormatError(path, "expected clips that all have positions in world space, or all in camera space")
    return spaces[0]


FORMAT = Format(
    name="npz",
    suffixes=(".npz",),
    read=read_npz,
    write=write_npz,
    description="NumPy arrays of one clip or an archive of many, in metres; never unpickled",
    options=("nameless",),
    holds_clip=holds_clip,
    keeps=("positions", "keypoints", "confidence", "rotations", "bones", "camera", "labels"),
)
