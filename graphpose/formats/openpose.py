"""OpenPose (`*_keypoints.json`): a file a frame; those of one folder that differ in their number are one clip.

    walk_000000000000_keypoints.json      {"version": 1.3, "people": [{"pose_keypoints_2d": [x, y, c, ...], ...}, ...]}

BODY_25, the default model: 25 joints in pixels (`--keypoint_scale 0`, the default) on the bundled skeleton `openpose25`. Hands,
face and 3D are passed over. A number that is left out is a frame without anybody. A file without a number, of a single
picture, is a clip of one frame. Which of several people the clip is: see `_followed_person`.

Layout: OpenPose documentation, "Output". Cao et al., "OpenPose: Realtime multi-person 2D pose estimation using part affinity
fields", TPAMI 2021.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphpose.errors import FormatError
from graphpose.formats._detected_people import OPTIONS, clip_of_people, frame_of, same_count, skeleton_of, triples
from graphpose.formats._followed_person import Person
from graphpose.formats._json_text import head_of, load_json
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip

__all__ = ["FORMAT", "read_openpose", "recognizes", "sequence"]

_ENDING = "_keypoints"
_BODIES = {25: "openpose25"}
_OTHER = {18: "COCO", 15: "MPI"}


def read_openpose(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    image_size: Any = None,
    keypoint_skeleton: Any = None,
) -> list[MotionClip]:
    """The clip that the file is a frame of, in normalised screen units.

    Args:
        path: any of its files.
        scale: of metres, which 2D has none of.
        fps: frames a second of the video.
        image_size: (width, height) of the video in pixels, or "1920x1080".
        skeleton, keypoint_skeleton: whose joints the keypoints are, where it is not BODY_25.

    Raises `FormatError` that names the file of the frame at fault.
    """
    prefix, _ = _place(path)
    frames: dict[int, list[Person]] = {}
    places: dict[int, Path] = {}
    people: dict[str, Person] = {}
    for file in _files(path):
        number = _place(file)[1] or 0
        if number in places:
            raise FormatError(file, f"expected one file a frame (got {places[number].name} too, of the same number)")
        places[number] = file
        frames[number] = _people(file)
        people |= {f"{file.name}, person {i}": person for i, person in enumerate(frames[number])}
    count = same_count(path, people, len(frames))
    if skeleton is None and keypoint_skeleton is None and count in _OTHER:
        raise FormatError(
            path,
            f"expected the 25 keypoints of BODY_25 (got {count}, those of OpenPose's {_OTHER[count]} model); run it with "
            "--model_pose BODY_25, or name the skeleton with keypoint_skeleton=",
        )
    folder = path.resolve().parent.name
    name = prefix.rstrip("_-. ") or folder
    clip = clip_of_people(
        path if len(places) == 1 else path.parent,
        frames,
        skeleton_of(path, count, _BODIES, skeleton, keypoint_skeleton),
        fps=fps,
        image_size=image_size,
        name=name,
        subject=folder,
        action=name,
        source=str(path),
    )
    return [clip]


def _place(path: Path) -> tuple[str, int | None]:
    """The clip that a file belongs to, by its name, and its frame."""
    return frame_of(path.stem[: -len(_ENDING)])


def _is_named(path: Path) -> bool:
    return path.suffix.lower() == ".json" and path.stem.lower().endswith(_ENDING)


def _files(path: Path) -> list[Path]:
    """All files of the clip, in the order of their numbers."""
    prefix, number = _place(path)
    if number is None:
        return [path]
    found = [file for file in path.parent.iterdir() if _is_named(file) and _place(file)[0] == prefix]
    return sorted((file for file in found if recognizes(file)), key=lambda file: (_place(file)[1] or 0, file.name))


def _people(file: Path) -> list[Person]:
    content = load_json(file, "an OpenPose frame")
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise FormatError(
            file, 'expected an object with a list "people", as OpenPose writes with --write_json (got none)'
        )
    found = []
    for number, person in enumerate(people):
        if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
            raise FormatError(
                file, f'person {number}: expected "pose_keypoints_2d" (got none); version 1.0 or later writes it'
            )
        found.append(Person(triples(file, f"person {number}", person["pose_keypoints_2d"])))
    return found


def recognizes(path: Path) -> bool:
    """Whether a file has the name of an OpenPose frame and does not begin as a list; damaged ones are told when read."""
    return _is_named(path) and not head_of(path).startswith(b"[")


def sequence(path: Path) -> tuple[Path, str]:
    """What the files of one clip have in common."""
    prefix, number = _place(path)
    return path.parent, prefix if number is not None else path.name


FORMAT = Format(
    name="openpose",
    suffixes=(".json",),
    read=read_openpose,
    write=None,
    description="2D of OpenPose, NAME_NUMBER_keypoints.json for each frame",
    options=OPTIONS,
    holds_clip=recognizes,
    recognizes=recognizes,
    common=True,
    single=True,
    sequence=sequence,
)
