"""Metrics over many batches and processes, as torchmetrics: sums and counts in float64, added up across processes.

    value = sum over batches of sum(c v) / sum over batches of sum(c)

Symbols: `v` the metric's values, `c` 1 where they count. So the result does not depend on how the clips were batched,
and padded frames masked through `visible` count nowhere. A NaN that counts makes the value NaN; nothing counted gives
NaN.

Shapes: `pred`, `target` `[..., T, J, 3]`, metres; `visible` bool `[..., T, J]` or `[..., T]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from graphpose.metrics.arrays import check_poses
from graphpose.metrics.catalogue import available, quantity
from graphpose.skeleton import Skeleton

__all__ = ["PoseMetric", "PoseMetrics"]


class PoseMetric(Metric):
    """One metric of `graphpose.metrics.available()` by name, in its own unit (metres, fractions).

    Args:
        name: e.g. `"p_mpjpe"`.
        skeleton: for the metrics of bones.
        options: of the metric, e.g. `threshold=0.1` for `"pck"`; the rest goes to `torchmetrics.Metric`.

    Raises:
        ConfigError: unknown metric, or a metric of bones without a skeleton.
    """

    full_state_update = False
    is_differentiable = False
    total: Tensor
    count: Tensor

    def __init__(self, name: str, skeleton: Skeleton | None = None, **options: Any) -> None:
        entry = quantity(name)
        own = {key: options.pop(key) for key in entry.options if key in options}
        super().__init__(**options)
        entry.measure(check_poses(_one_pose(skeleton), _one_pose(skeleton)), skeleton, **own)  # refuses bad options now
        self.name = name
        self.skeleton = skeleton
        self.options = own
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]  # torchmetrics has a class attribute; here it goes by name
        """Whether a larger value is a better one."""
        return quantity(self.name).higher_is_better

    def update(self, pred: Tensor, target: Tensor, visible: Tensor | None = None) -> None:
        """Adds poses `[..., T, J, 3]`."""
        with torch.no_grad():
            poses = check_poses(pred, target, visible)
            values, counted = quantity(self.name).measure(poses, self.skeleton, **self.options)
            if counted is None:
                self.count += values.numel()
            else:
                values = torch.where(counted, values, 0.0)
                self.count += counted.sum()
            self.total += values.sum(dtype=torch.float64)

    def compute(self) -> Tensor:
        """The average so far, a scalar; NaN when nothing counted."""
        return self.total / self.count

    def __repr__(self) -> str:
        """Name and options."""
        return f"PoseMetric({', '.join([repr(self.name), *(f'{k}={v}' for k, v in self.options.items())])})"


class PoseMetrics(MetricCollection):
    """Several metrics at once: `update(pred, target, visible=mask)`, `compute()` -> `{name: scalar}`, for `log_dict`.

    Args:
        skeleton: adds the metrics of bones that apply to it.
        names: which metrics; None takes all that apply.
        prefix: put before each name, e.g. `"val/"`.

    Raises:
        ConfigError: unknown metric, or a metric of bones without a skeleton.
    """

    def __init__(
        self, skeleton: Skeleton | None = None, names: Iterable[str] | None = None, *, prefix: str | None = None
    ) -> None:
        chosen = available(skeleton) if names is None else tuple(names)
        super().__init__({name: PoseMetric(name, skeleton) for name in chosen}, prefix=prefix, compute_groups=False)


def _one_pose(skeleton: Skeleton | None) -> Tensor:
    return torch.zeros(1, 3 if skeleton is None else skeleton.num_joints, 3)
