"""How an evaluation measures, said three times: for programs, above the tables, and in the header of every table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphpose.config import EvaluateConfig
from graphpose.datasets import Views
from graphpose.engine.evaluated_hypotheses import Proposals
from graphpose.engine.evaluated_input import detections_of, detections_text
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton
from graphpose.skeleton.joint_sets import common_joints as joints_in_common
from graphpose.structured import plain

__all__ = ["conditions_of", "marks_of", "measured_of"]


def measured_of(
    skeleton: Skeleton,
    clips: Sequence[MotionClip],
    views: Views,
    config: EvaluateConfig,
    annotation: str | None,
    proposals: Proposals | None,
) -> dict[str, Any]:
    """How it is measured, for programs."""
    number = config.common_joints
    return {
        "protocol": config.protocol,
        "flip": config.flip,
        "detections": sorted({detections_of(clip, views.kind) for clip in clips}),
        "views": plain(views),
        "keypoint_noise": config.keypoint_noise,
        "seed": config.seed,
        "alignment": config.alignment,
        "skeleton": skeleton.name,
        "common_joints": number,
        "joints": list(skeleton.joints if number is None else joints_in_common(skeleton, number)),
        "annotation": annotation,
        "hypotheses": None if proposals is None else proposals.told(),
    }


def conditions_of(measured: dict[str, Any], skeleton: Skeleton, proposals: Proposals | None) -> dict[str, str]:
    """How it is measured, for the line above the tables."""
    number = measured["common_joints"]
    noise = measured["keypoint_noise"]
    averaged = "averaged in each step" if proposals is not None and proposals.flips else "averaged"
    shown = {
        "protocol": measured["protocol"],
        "2D": detections_text(measured["detections"]) + (f" with noise {noise:g}" if noise else ""),
        "flip": averaged if measured["flip"] else "off",
        "alignment": measured["alignment"],
        "joints": f"all {len(skeleton)} of {skeleton.name}" if number is None else f"the {number} common ones",
    }
    if proposals is not None:
        shown["hypotheses"] = proposals.text()
    return shown if measured["annotation"] is None else {**shown, "annotation": measured["annotation"]}


def marks_of(measured: dict[str, Any]) -> list[str]:
    """What no table may be read without."""
    scaled = "" if measured["alignment"] == "root" else f"alignment {measured['alignment']}"
    joints = "" if measured["common_joints"] is None else f"{measured['common_joints']} common joints"
    noise = f"noise {measured['keypoint_noise']:g}" if measured["keypoint_noise"] else ""
    told = "told the true root" if (measured["hypotheses"] or {}).get("true_root") else ""
    return [mark for mark in (measured["annotation"] or "", scaled, joints, noise, told) if mark]
