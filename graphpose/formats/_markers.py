"""From the labelled points of a file to joints: by name, or by a YAML table of markers.

    skeleton: h36m17            # a bundled skeleton or the path of its YAML file (beside this one); skeleton= replaces it
    origin: who says so         # optional
    joints:                     # a line for every joint of the skeleton
      Rhip: RHJC                         # the point itself
      Rwrist: [RWRA, RWRB]               # the mean of those that were seen in the frame
      head: {head: 2.2, neck: -1.2}      # weights that sum to 1; missing when one of them is
      nose: null                         # was not captured: missing in all frames

A label `Bob:RWRA` (point RWRA of subject Bob) also answers to `RWRA` where no other label does. Shapes: points
`[T, M, 3]`, joints `[T, J, 3]`.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError, SkeletonError, unknown_name
from graphpose.skeleton import Skeleton
from graphpose.skeleton.bundled import bundled_skeletons
from graphpose.skeleton.mapping_file import number
from graphpose.skeleton.yaml_file import read_yaml

__all__ = ["joints_of_points"]

log = logging.getLogger(__name__)

_KEYS = ("skeleton", "origin", "joints")
Weights = dict[str, float]
Row = list[str] | Weights


def joints_of_points(
    path: Path, labels: Sequence[str], points: np.ndarray, *, skeleton: Any = None, markers: Any = None
) -> tuple[Skeleton, np.ndarray]:
    """The skeleton and its joints `[T, J, 3]` made of the points `[T, M, 3]` that are called `labels`.

    Args:
        path: the file, for messages.
        skeleton: a skeleton, its name or its file. Without it and without `markers`: the largest bundled skeleton whose
            joints are all among the labels.
        markers: path of a YAML table as above.

    Raises:
        FormatError: no skeleton whose joints they are, markers that are not there or there twice.
    """
    found = _Labels(path, labels)
    try:
        if markers is not None:
            body, table = _read_table(path, markers, skeleton)
        else:
            body = _by_name(path, found, skeleton)
            table = {joint: [joint] for joint in body.joints}
    except SkeletonError as fault:
        raise FormatError(path, str(fault)) from None
    result = np.full((points.shape[0], len(body), 3), np.nan)
    used: set[int] = set()
    for j, joint in enumerate(body.joints):
        row = table[joint]
        places = [found.place(name, joint, markers) for name in row]
        used.update(places)
        if not places:
            continue
        if isinstance(row, dict):
            # NaN in one of the points makes the joint NaN: half of a weighted sum is no joint
            result[:, j] = np.tensordot(points[:, places], np.array(list(row.values())), axes=(1, 0))
        else:
            result[:, j] = _mean(points[:, places])
    if len(used) < len(labels):
        others = [label for i, label in enumerate(labels) if i not in used]
        log.info("%s: %d points are not used: %s", path, len(others), ", ".join(others))
    return body, result


def _mean(points: np.ndarray) -> np.ndarray:
    """The mean `[T, 3]` of the points `[T, N, 3]` that are there; NaN where none is."""
    seen = np.isfinite(points).all(-1)
    count = seen.sum(1)
    total = np.where(seen[..., None], points, 0.0).sum(1)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)


class _Labels:
    """The places of labels, with and without the subject before the colon."""

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self.path = path
        self.labels = list(labels)
        # laboratories leave points of the same name behind; that is a fault only where one of them is asked for
        self.count = Counter(self.labels)
        self.exact = {label: i for i, label in enumerate(self.labels)}
        self.bare: dict[str, list[int]] = {}
        for i, label in enumerate(self.labels):
            subject, colon, name = label.rpartition(":")
            if colon and subject:
                self.bare.setdefault(name, []).append(i)

    def __contains__(self, name: str) -> bool:
        return name in self.exact or len(self.bare.get(name, [])) == 1

    def place(self, name: str, joint: str, markers: Any) -> int:
        if self.count[name] > 1:
            raise FormatError(self.path, f"expected the point {name!r} once (got it {self.count[name]} times)")
        if name in self.exact:
            return self.exact[name]
        several = self.bare.get(name, [])
        if len(several) == 1:
            return several[0]
        if several:
            full = ", ".join(repr(self.labels[i]) for i in several)
            raise FormatError(
                self.path,
                f"the point {name!r} is there {len(several)} times ({full}); name one of them in full in a table of markers=",
            )
        where = f" of {markers}" if markers is not None else ""
        raise FormatError(
            self.path, f"{unknown_name('point', name, self.labels)} (asked for by joint {joint!r}{where})"
        )


def _by_name(path: Path, found: _Labels, skeleton: Any) -> Skeleton:
    if skeleton is not None:
        body = skeleton if isinstance(skeleton, Skeleton) else Skeleton.load(skeleton)
        lacking = [joint for joint in body.joints if joint not in found]
        if lacking:
            raise FormatError(
                path,
                f"expected points named as the {len(body)} joints of skeleton {body.name!r} (lacking "
                f"{', '.join(lacking[:6])}{', …' if len(lacking) > 6 else ''}; got {_some(found.labels)}); "
                "say which points make up each joint in a YAML table and give it as markers=",
            )
        return body
    fitting = [body for body in bundled_skeletons() if all(joint in found for joint in body.joints)]
    if not fitting:
        raise FormatError(
            path,
            f"its {len(found.labels)} points ({_some(found.labels)}) do not hold the joints of a bundled skeleton; name "
            "their skeleton as skeleton=, or say which points make up each joint in a YAML table and give it as markers=",
        )
    return max(fitting, key=len)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")


def _read_table(path: Path, markers: Any, skeleton: Any) -> tuple[Skeleton, dict[str, Row]]:
    if not isinstance(markers, (str, PathLike)):
        raise FormatError(path, f"expected markers= to be the path of a YAML file (got {type(markers).__name__})")
    source = Path(markers)
    data, faults = read_yaml(source)
    faults = [*faults, *(unknown_name("key", str(key), _KEYS) for key in data if key not in _KEYS)]
    wanted = data.get("skeleton") if skeleton is None else skeleton
    joints = data.get("joints")
    if wanted is None or not isinstance(wanted, (str, PathLike, Skeleton)):
        faults.append(f"skeleton: expected the name or file of a skeleton (got {wanted!r}); or give skeleton=")
    if not isinstance(joints, Mapping) or not joints:
        faults.append(f"joints: expected lines `joint: marker` (got {joints!r})")
    if faults:
        raise SkeletonError(faults, source=str(source))
    body = _skeleton(source, wanted, own=skeleton is None)
    assert isinstance(joints, Mapping)
    table = {str(joint): _row(str(joint), row, faults) for joint, row in joints.items()}
    faults += [unknown_name("joint", joint, body.joints) for joint in table if joint not in body.joints]
    lacking = [joint for joint in body.joints if joint not in table]
    if lacking:
        faults.append(
            f"expected a line for every joint of {body.name!r} (lacking {', '.join(lacking)}; "
            "`joint: null` says that it was not captured)"
        )
    if faults:
        raise SkeletonError(faults, source=str(source))
    return body, table


def _skeleton(source: Path, wanted: Any, *, own: bool) -> Skeleton:
    """A skeleton, or the one of a name or file; one that the table itself names may lie beside the table."""
    if isinstance(wanted, Skeleton):
        return wanted
    beside = source.parent / wanted
    return Skeleton.load(beside if own and beside.is_file() else wanted)


def _row(joint: str, row: Any, faults: list[str]) -> Row:
    if row is None:
        return []
    if isinstance(row, str):
        return [row]
    if isinstance(row, list) and row and all(isinstance(name, str) for name in row) and len(set(row)) == len(row):
        return list(row)
    if isinstance(row, Mapping) and row:
        weights = {str(name): number(value) for name, value in row.items()}
        known = {name: weight for name, weight in weights.items() if weight is not None and math.isfinite(weight)}
        if len(known) < len(weights):
            faults.append(f"{joint}: expected numbers such as 0.5 or 1/2 as weights (got {dict(row)!r})")
        elif abs(sum(known.values()) - 1) > 1e-6:
            faults.append(f"{joint}: expected weights that sum to 1 (got {sum(known.values()):g})")
        return known
    faults.append(f"{joint}: expected a marker, a list of different markers, {{marker: weight}} or null (got {row!r})")
    return []
