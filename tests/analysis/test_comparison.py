"""Comparisons: differences that can be worked out, intervals that cover, and refusals of what cannot be compared."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from told_truth import OWN, ToldTruth, told

from graphpose.analysis.comparison import FEWEST, compare, compare_files, paired_interval
from graphpose.analysis.comparison_text import letters, save_tables, to_csv, to_dict, to_text
from graphpose.errors import ConfigError, DataError

METRICS = {"mpjpe": ("MPJPE", "mm", False), "pck": ("PCK@150", "%", True), "oracle_x": ("oracle X", "mm", False)}


def result(
    errors: Sequence[float], frames: Sequence[int], actions: Sequence[str] | None = None, views: int = 2, **changes: Any
) -> dict[str, Any]:
    """A result of clips with an MPJPE each, the same in all views, and 100 minus it as PCK."""
    actions = actions or ["walk"] * len(errors)
    entries = [
        {
            "name": f"clip{i}",
            "subject": "S1",
            "action": actions[i],
            "view": view,
            "recording": f"{i:04d}",
            "frames": n,
            "errors": {"mpjpe": e, "pck": 100 - e, "oracle_x": e / 2},
            "weights": dict.fromkeys(METRICS, float(17 * n)),
        }
        for i, (e, n) in enumerate(zip(errors, frames, strict=True))
        for view in range(views)
    ]

    def mean(chosen: list[dict[str, Any]]) -> dict[str, float]:
        total = sum(entry["frames"] for entry in chosen)
        return {m: sum(entry["errors"][m] * entry["frames"] for entry in chosen) / total for m in METRICS}

    by_action = {a: mean([e for e in entries if e["action"] == a]) for a in sorted(set(actions))}
    return {
        "model": "made up",
        "protocol": "exact",
        "measured": {
            "joints": ["a", "b"],
            "alignment": "root",
            "annotation": None,
            "views": {"kind": "static"},
            "flip": True,
            "detections": ["projected"],
            "keypoint_noise": 0.0,
        },
        "dataset": {"fingerprint": "sha256:abc", "clips": len(errors)},
        "metrics": {
            m: {"label": label, "unit": unit, "higher_is_better": up, "oracle": None}
            for m, (label, unit, up) in METRICS.items()
        },
        "frame_average": mean(entries),
        "action_average": {m: float(np.mean([table[m] for table in by_action.values()])) for m in METRICS},
        "by_action": by_action,
        "marks": [],
        "views": entries,
        **changes,
    }


RNG = np.random.default_rng(0)
FRAMES = RNG.integers(50, 400, 40).tolist()
FIRST = RNG.uniform(40, 120, 40)
ACTIONS = ["walk", "run", "sit", "jump"] * 10
A = result(FIRST.tolist(), FRAMES, ACTIONS)
BETTER = result((FIRST - 5 + RNG.normal(0, 1, 40)).tolist(), FRAMES, ACTIONS)
SAME = result((FIRST + RNG.normal(0, 3, 40)).tolist(), FRAMES, ACTIONS)
NAMES = ["a.json", "b.json", "c.json"]
FAST = {"samples": 500}


def test_differences_are_those_of_the_frame_averages() -> None:
    found = compare([A, BETTER, SAME], NAMES, **FAST)
    for place, other in ((1, BETTER), (2, SAME)):
        for metric in METRICS:
            difference = found.overall[place, metric]
            assert difference.value == pytest.approx(other["frame_average"][metric] - A["frame_average"][metric])
            assert difference.low < difference.value < difference.high
            assert (difference.clips, difference.left_out) == (40, 0)
        for action in ("walk", "run", "sit", "jump"):
            one = found.by_action[place, action]
            assert one.value == pytest.approx(other["by_action"][action]["mpjpe"] - A["by_action"][action]["mpjpe"])
            assert one.clips == 10 and one.known


def test_better_is_what_the_metric_says() -> None:
    found = compare([A, BETTER, SAME], NAMES, **FAST)
    assert found.better("mpjpe", found.overall[1, "mpjpe"]) == "better" and found.overall[1, "mpjpe"].high < 0
    assert found.better("pck", found.overall[1, "pck"]) == "better" and found.overall[1, "pck"].low > 0
    assert found.better("mpjpe", found.overall[2, "mpjpe"]) == "not told apart"
    back = compare([BETTER, A], NAMES[:2], **FAST)
    assert back.better("mpjpe", back.overall[1, "mpjpe"]) == "worse"


def test_identical_results_differ_by_nothing_at_all() -> None:
    found = compare([A, copy.deepcopy(A)], NAMES[:2], **FAST)
    for difference in [*found.overall.values(), *found.by_action.values()]:
        assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
        assert not difference.excludes_zero


def test_the_order_of_clips_and_views_and_the_place_in_the_row_change_nothing() -> None:
    shuffled = [copy.deepcopy(one) for one in (A, BETTER)]
    for number, one in enumerate(shuffled):
        random.Random(number).shuffle(one["views"])
    found, again = compare([A, BETTER], NAMES[:2], **FAST), compare(shuffled, NAMES[:2], **FAST)
    for key, difference in found.overall.items():
        other = again.overall[key]
        assert (other.low, other.high) == pytest.approx((difference.low, difference.high), rel=1e-12)
    third = compare([A, SAME, BETTER], NAMES, **FAST)
    assert third.overall[2, "mpjpe"] == found.overall[1, "mpjpe"]
    other_seed = compare([A, BETTER], NAMES[:2], samples=500, seed=1).overall[1, "mpjpe"]
    assert other_seed.low != found.overall[1, "mpjpe"].low


def test_a_clip_with_its_views_is_one_unit() -> None:
    """Twice the views of the same errors are no more evidence."""
    few, many = ([result(e, FRAMES, views=v) for e in (FIRST.tolist(), (FIRST + 1).tolist())] for v in (1, 8))
    noisy = [copy.deepcopy(few[0]), result((FIRST + RNG.normal(0, 5, 40)).tolist(), FRAMES, views=1)]
    doubled = [result([v["errors"]["mpjpe"] for v in one["views"]], FRAMES, views=8) for one in noisy]
    one, other = (compare(pair, NAMES[:2], **FAST).overall[1, "mpjpe"] for pair in (noisy, doubled))
    assert other.clips == one.clips == 40
    assert (other.low, other.high) == pytest.approx((one.low, one.high))
    assert (
        compare(many, NAMES[:2], **FAST).overall[1, "mpjpe"].clips
        == compare(few, NAMES[:2], **FAST).overall[1, "mpjpe"].clips
    )


def test_long_clips_weigh_more() -> None:
    first, other = result([50.0, 50.0], [1, 999]), result([50.0, 60.0], [1, 999])
    assert compare([first, other], NAMES[:2], **FAST).overall[1, "mpjpe"].value == pytest.approx(9.99)


@pytest.mark.parametrize(("recordings", "least", "most"), [(60, 0.88, 0.99), (11, 0.75, 0.95)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(recordings: int, least: float, most: float) -> None:
    """Skewed differences of mean 0 over clips of many lengths; few recordings give too narrow intervals, as documented."""
    rng = np.random.default_rng(5)

    def statistic(total: np.ndarray, count: np.ndarray, axis: int = -1) -> np.ndarray:
        return total.sum(axis) / count.sum(axis)

    hits = 0
    for _ in range(200):
        count = rng.integers(50, 600, recordings).astype(float)
        difference = rng.gamma(2.0, 2.0, recordings) - 4.0
        low, high = paired_interval(np.stack([difference * count, count]), statistic, 400, 0)
        hits += low <= 0 <= high
    assert least <= hits / 200 <= most


def test_what_one_of_the_two_could_not_measure_is_left_out_counted_and_said() -> None:
    broken = copy.deepcopy(BETTER)
    for view in broken["views"][:2]:  # both views of clip0
        view["errors"]["mpjpe"] = math.nan
    for view in broken["views"][4:6]:  # nothing to measure in clip2
        view["weights"]["mpjpe"] = 0.0
    found = compare([A, broken], NAMES[:2], **FAST)
    assert (found.overall[1, "mpjpe"].clips, found.overall[1, "mpjpe"].left_out) == (38, 2)
    assert (found.overall[1, "pck"].clips, found.overall[1, "pck"].left_out) == (40, 0)
    kept = [i for i in range(40) if i not in (0, 2)]
    weights = np.array(FRAMES)[kept]
    other = np.array([BETTER["views"][2 * i]["errors"]["mpjpe"] for i in kept])
    assert found.overall[1, "mpjpe"].value == pytest.approx(np.average(other - FIRST[kept], weights=weights))
    assert "Left out of mpjpe of B: 2 recordings" in to_text(found)


def test_too_few_recordings_give_no_interval() -> None:
    one = compare([result([50.0], [9]), result([51.0], [9])], NAMES[:2], **FAST).overall[1, "mpjpe"]
    assert one.value == pytest.approx(1.0) and not one.known and not one.excludes_zero
    actions = ["walk"] * FEWEST + ["run"] * (FEWEST - 1)
    pair = [result(list(range(40, 49)), [10] * 9, actions), result(list(range(41, 50)), [10] * 9, actions)]
    found = compare(pair, NAMES[:2], **FAST)
    assert found.by_action[1, "walk"].known and not found.by_action[1, "run"].known
    assert "Only 9 recordings" in to_text(found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": {"fingerprint": "sha256:other", "clips": 40}}, "data set (fingerprint)"),
        ({"protocol": "published"}, "protocol (published and exact)"),
        ({"measured": {**A["measured"], "joints": ["a"]}}, "measured joints (1 joints and 2 joints)"),
        ({"measured": {**A["measured"], "annotation": "annot3"}}, "annotation (annot3 and None)"),
        ({"measured": {**A["measured"], "alignment": "scale"}}, "alignment (scale and root)"),
        ({"measured": {**A["measured"], "views": {"kind": "clip"}}}, "cameras"),
        ({"views": A["views"][:-2]}, "clips"),
    ],
    ids=["data", "protocol", "joints", "annotation", "alignment", "cameras", "clips"],
)
def test_what_was_measured_otherwise_is_refused_or_shown_without_intervals(changes: dict[str, Any], said: str) -> None:
    other = {**copy.deepcopy(A), **changes}
    with pytest.raises(DataError, match="--anyway") as caught:
        compare([A, other], NAMES[:2])
    assert said in str(caught.value) and "b.json and a.json differ" in str(caught.value)
    found = compare([A, other], NAMES[:2], anyway=True)
    assert not found.paired and not found.overall and not found.by_action
    text = to_text(found)
    assert "no difference is drawn" in text and said in text and "interval" not in text


def with_views(**views: Any) -> dict[str, Any]:
    return {**A, "measured": {**A["measured"], "views": views}}


def test_only_settings_that_the_cameras_go_by_count_and_only_those_that_differ_are_named() -> None:
    """A static camera has no seed; a long text of all settings, cut alike for both, says nothing."""
    near = {"kind": "static", "azimuths": [45.0, 135.0, 225.0, 315.0], "distance": 6.0, "height": 1.5, "focal": 2.29}
    assert compare([with_views(**near, seed=0, count=4), with_views(**near, seed=1, count=9)], NAMES[:2], **FAST).paired
    for other, said in (
        (near | {"distance": 7.0}, "(distance 7.0 and 6.0):"),
        (
            near | {"distance": 7.0, "azimuths": [0.0]},
            "(azimuths [0.0] and [45.0, 135.0, 225.0, 315.0], distance 7.0 and 6.0):",
        ),
        (near | {"kind": "orbit", "distance": 7.0}, "(kind orbit and static):"),
    ):
        with pytest.raises(DataError) as caught:
            compare([with_views(**near), with_views(**other)], NAMES[:2])
        assert f"b.json and a.json differ in the cameras {said}" in str(caught.value)
    seeds = [with_views(kind="random", seed=seed, count=4) for seed in (0, 1)]
    with pytest.raises(DataError, match=r"the cameras \(seed 1 and 0\)"):
        compare(seeds, NAMES[:2])
    other = {**A, "measured": {**A["measured"], "joints": ["a", "c"]}}
    with pytest.raises(DataError, match=r"joints \(c and b, among 2 joints\)"):
        compare([A, other], NAMES[:2])
    other = {**A, "measured": {**A["measured"], "joints": ["b", "a"]}}
    with pytest.raises(DataError, match=r"joints \(the order of the 2 joints\)"):
        compare([A, other], NAMES[:2])


def test_the_text_says_what_the_intervals_are_of() -> None:
    text = to_text(compare([A, BETTER], NAMES[:2], **FAST))
    assert "for the mean over frames; none is given for the mean over actions.\n" in text
    pair = [{**one, "protocol": "published"} for one in (A, BETTER)]
    assert "none is given for the mean over actions, the headline of this protocol.\n" in to_text(
        compare(pair, NAMES[:2], **FAST)
    )


def test_actions_of_too_few_recordings_take_one_line_not_a_block() -> None:
    actions = [f"a{i}" for i in range(9)]
    pair = [result(list(range(40, 49)), [10] * 9, actions), result(list(range(41, 50)), [10] * 9, actions)]
    text = to_text(compare(pair, NAMES[:2], **FAST))
    assert f"no action has {FEWEST} recordings, so none has one." in text
    assert "B - A, MPJPE mm, 95% interval" not in text and "by action: MPJPE mm" in text
    assert "B - A, MPJPE mm, 95% interval" in to_text(compare([A, BETTER], NAMES[:2], **FAST))


def test_flip_noise_and_detector_may_differ() -> None:
    other = copy.deepcopy(BETTER)
    other["measured"] |= {"flip": False, "keypoint_noise": 0.01, "detections": ["file x.npz"]}
    text = to_text(compare([A, other], NAMES[:2], **FAST))
    assert "A  a.json: made up, 2D projected, flip averaged" in text
    assert "B  b.json: made up, 2D file x.npz, noise 0.01, flip off" in text


def test_text_csv_and_json_say_the_same(tmp_path: Path) -> None:
    found = compare([A, BETTER, SAME], NAMES, **FAST)
    folder = save_tables(found, tmp_path / "new")
    assert (folder / "comparison.txt").read_text(encoding="utf-8") == to_text(found)
    content = json.loads((folder / "comparison.json").read_text())
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert len(rows) == len(content["rows"]) == 3 * (2 * len(METRICS) + 4)
    for row, plain in zip(rows, content["rows"], strict=True):
        assert row["file"] == plain["file"] and float(row["value"]) == pytest.approx(plain["value"])
        assert (row["low"] == "") == (plain["low"] is None)
    difference = found.overall[1, "mpjpe"]
    line = next(
        line for line in to_text(found).splitlines() if f"[{difference.low:.2f}, {difference.high:.2f}]" in line
    )
    assert f"{difference.value:+.2f}" in line and line.endswith("40  better")
    assert to_dict(found)["results"][1] == {
        "letter": "B",
        "file": "b.json",
        "model": "made up",
        "measured": BETTER["measured"],
    }
    assert "oracle X mm" in to_text(found), "an oracle keeps its name"


def test_only_metrics_of_all_results_are_compared() -> None:
    without = copy.deepcopy(BETTER)
    del without["metrics"]["oracle_x"]
    found = compare([A, without], NAMES[:2], **FAST)
    assert found.metrics == ["mpjpe", "pck"]
    with pytest.raises(ConfigError, match="unknown metric of all results 'oracle_x'"):
        compare([A, without], NAMES[:2], metric="oracle_x")
    with pytest.raises(ConfigError, match="samples: expected at least 100"):
        compare([A, A], NAMES[:2], samples=10)
    with pytest.raises(DataError, match="two or more results"):
        compare([A], NAMES[:1])


def test_letters_go_on_after_z() -> None:
    assert letters(28)[:2] == ["A", "B"] and letters(28)[25:] == ["Z", "AA", "AB"]


def test_files_of_evaluations_are_compared(tmp_path: Path) -> None:
    """From predictions to intervals: an error of 20 mm beside one of 10, in every clip."""
    from graphpose.engine import evaluate_clips

    clips = [told(f"c{i}", 4 + i, subject="S1", action="walk") for i in range(6)]
    for name, error in (("ten", 0.01), ("twenty", 0.02)):
        lifter = ToldTruth(lambda pose, badly, frame, error=error: pose + error * pose.new_tensor([0.0, 0.0, 1.0]))
        evaluate_clips(lifter, clips, views=OWN, progress=False, flip=False).save(tmp_path / name)
    found = compare_files([tmp_path / "ten", tmp_path / "twenty" / "evaluation.json"], **FAST)
    difference = found.overall[1, "mpjpe"]
    assert (difference.value, difference.low, difference.high) == pytest.approx((10.0, 10.0, 10.0), rel=1e-4)
    assert found.by_action[1, "walk"].clips == 6


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    from graphpose.analysis.comparison_figure import _MOST, _chosen, draw_comparison

    path = draw_comparison(compare([A, BETTER, SAME], NAMES, **FAST), tmp_path / "new" / "c.png", dpi=50)
    assert path.read_bytes().startswith(b"\x89PNG")
    lone = draw_comparison(compare([A, {**A, "protocol": "published"}], ["$a", "b_$"], anyway=True), tmp_path / "d.png")
    assert lone.read_bytes().startswith(b"\x89PNG")
    many = [result(list(range(1, 61)), [5] * 60, [f"a{i:02d}" for i in range(60)]) for _ in range(2)]
    for table in many[1]["by_action"].values():
        table["mpjpe"] *= 2
    chosen = _chosen(compare(many, NAMES[:2], **FAST))
    assert len(chosen) == _MOST and chosen[-1] == "a59" and "a00" not in chosen
