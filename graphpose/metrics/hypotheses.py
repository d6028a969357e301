"""Several hypotheses for one pose: their mean, and what the best of them would give if the truth could choose (oracle).

    mean pose  p_tj = mean_h p_htj
    P-Best     mean_t min_h mean_j e_htj        for each frame the hypothesis of the smallest mean error
    J-Best     mean_tj min_h e_htj              for each joint of each frame the hypothesis of the smallest error

Symbols: `e_htj` error of joint j in frame t of hypothesis h (any metric of position). Shapes: hypotheses
`[H, ..., T, J, 3]`, target `[..., T, J, 3]`, metres. Nobody without the truth can choose so: an oracle's figure is no
accuracy of a method, and the tables keep it in columns of its own.

Shan et al., "Diffusion-based 3D human pose estimation with multi-hypothesis aggregation" (D3DP), ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from graphpose.errors import DataError, unknown_name
from graphpose.metrics.arrays import Array, Measured, Poses, check_poses, measure
from graphpose.metrics.catalogue import Quantity, quantity

__all__ = ["ORACLES", "ORACLE_METRICS", "j_best", "mean_pose", "oracle_quantity", "p_best", "several"]

ORACLE_METRICS = ("mpjpe", "p_mpjpe", "n_mpjpe")
"""The metrics that an oracle can choose by: one value a joint and frame."""


def mean_pose(hypotheses: Tensor) -> Tensor:
    """`[H, ..., T, J, 3]` -> `[..., T, J, 3]`."""
    return hypotheses.mean(0)


def p_best(
    hypotheses: Array, target: Array, *, metric: str = "mpjpe", visible: Array | None = None, reduction: str = "mean"
) -> Any:
    """Error of the best hypothesis of each frame, chosen by the truth (oracle); metres.

    Raises:
        DataError: shapes that do not fit, a metric that is not in `ORACLE_METRICS`. ConfigError: an unknown reduction.
    """
    return _oracle("p_best", hypotheses, target, metric, visible, reduction)


def j_best(
    hypotheses: Array, target: Array, *, metric: str = "mpjpe", visible: Array | None = None, reduction: str = "mean"
) -> Any:
    """Error of the best hypothesis of each joint in each frame, chosen by the truth (oracle); metres.

    Raises:
        DataError: shapes that do not fit, a metric that is not in `ORACLE_METRICS`. ConfigError: an unknown reduction.
    """
    return _oracle("j_best", hypotheses, target, metric, visible, reduction)


def several(hypotheses: Array, target: Array, visible: Array | None = None) -> Poses:
    """Hypotheses `[H, ..., T, J, 3]` beside the truth repeated for each of them, checked."""
    pred, truth = torch.as_tensor(hypotheses), torch.as_tensor(target)
    if pred.ndim != truth.ndim + 1 or pred.shape[1:] != truth.shape or len(pred) == 0:
        raise DataError(
            f"expected hypotheses [H, ..., T, J, 3] of a target [..., T, J, 3] (got {list(pred.shape)} and "
            f"{list(truth.shape)})"
        )
    seen = None if visible is None else check_poses(truth, truth, visible).visible
    return check_poses(pred, truth.expand_as(pred), None if seen is None else seen.expand(pred.shape[:-1]))


@cache  # so that two tables with the same oracles have equal quantities
def oracle_quantity(oracle: str, metric: str) -> Quantity:
    """The column of a table: `metric` of the best hypothesis; its `measure` takes what `several` gives."""
    if oracle not in ORACLES:
        raise DataError(unknown_name("oracle", oracle, ORACLES))
    if metric not in ORACLE_METRICS:
        raise DataError(unknown_name("metric of an oracle", metric, ORACLE_METRICS))
    entry = quantity(metric)
    title = {"p_best": "P-Best", "j_best": "J-Best"}[oracle]
    return replace(
        entry,
        name=f"oracle_{oracle}_{metric}",
        label=f"oracle {title} {entry.label}",
        values=partial(ORACLES[oracle], entry.values),
        oracle=oracle,
    )


def _best_pose(values: Callable[[Poses], Measured], poses: Poses) -> Measured:
    errors, counted = values(poses)  # [H, ..., T, J]
    kept = errors if counted is None else torch.where(counted, errors, 0.0)
    best = kept.sum(-1).argmin(0, keepdim=True)[..., None].expand(1, *errors.shape[1:])  # a NaN is taken before others
    return Measured(errors.gather(0, best)[0], None if counted is None else counted[0])


def _best_joints(values: Callable[[Poses], Measured], poses: Poses) -> Measured:
    errors, counted = values(poses)
    return Measured(errors.amin(0), None if counted is None else counted[0])


ORACLES: dict[str, Callable[..., Measured]] = {"p_best": _best_pose, "j_best": _best_joints}


def _oracle(oracle: str, hypotheses: Array, target: Array, metric: str, visible: Array | None, reduction: str) -> Any:
    entry = oracle_quantity(oracle, metric)
    poses = several(hypotheses, target, visible)

    def values(_: Poses) -> Measured:
        return entry.measure(poses)

    return measure(values, target, target, None, reduction)
