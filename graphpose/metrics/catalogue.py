"""The metrics by name, with their units: what accumulators and tables go by.

A new metric is entered at the end of this file; see the package docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from graphpose.errors import ConfigError, unknown_name
from graphpose.metrics.arrays import Measured, Poses
from graphpose.metrics.body import bone_errors, bone_pairs, bone_variances, symmetry_errors
from graphpose.metrics.detection import correct, curve_areas
from graphpose.metrics.position import aligned_errors, position_errors, scaled_errors
from graphpose.metrics.velocity import acceleration_errors, velocity_errors
from graphpose.skeleton import Skeleton

__all__ = ["Quantity", "available", "quantity"]


@dataclass(frozen=True)
class Quantity:
    """One metric.

    Attributes:
        name: as in `graphpose.metrics.functional`; label: for people.
        values: from `Poses` (and the skeleton, if `body`) to `Measured`; further keyword arguments are its options.
        unit: of tables; factor: from the metric's own unit (metres, fractions) to that.
        per: what the last axis of the values holds.
        body: needs a skeleton.
        higher_is_better: for choosing checkpoints.
        lag: frames before it that a value needs: 1 for velocities, 2 for accelerations.
        oracle: how the truth chose among hypotheses ("p_best", "j_best"); empty for every honest metric.
    """

    name: str
    label: str
    values: Callable[..., Measured]
    unit: str = "mm"
    factor: float = 1000.0
    per: Literal["joint", "bone", "pair"] = "joint"
    body: bool = False
    higher_is_better: bool = False
    lag: int = 0
    oracle: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that `measure` takes."""
        return tuple(inspect.signature(self.values).parameters)[2 if self.body else 1 :]

    def measure(self, poses: Poses, skeleton: Skeleton | None = None, **options: Any) -> Measured:
        """The values, with which of them count.

        Raises:
            ConfigError: no skeleton for a body metric, an option that the metric does not have.
        """
        for name in options:
            if name not in self.options:
                raise ConfigError(unknown_name(f"option of metric {self.name!r}", name, self.options))
        if not self.body:
            return self.values(poses, **options)
        if skeleton is None:
            raise ConfigError(f"expected a skeleton for metric {self.name!r} (got none); it measures bones")
        return self.values(poses, skeleton, **options)

    def applies(self, skeleton: Skeleton | None) -> bool:
        """Whether there is something to measure on this skeleton (bones, pairs of bones)."""
        if not self.body:
            return True
        return skeleton is not None and bool(bone_pairs(skeleton) if self.per == "pair" else skeleton.bones)


def available(skeleton: Skeleton | None = None, *, every: bool = False) -> tuple[str, ...]:
    """Names of the metrics that apply to `skeleton`; without one, of those that need none, or of `every` one."""
    return tuple(name for name, entry in _CATALOGUE.items() if every or entry.applies(skeleton))


def quantity(name: str) -> Quantity:
    """The metric of that name.

    Raises:
        ConfigError: no such metric; the message lists them.
    """
    if name not in _CATALOGUE:
        raise ConfigError(unknown_name("metric", name, _CATALOGUE))
    return _CATALOGUE[name]


_CATALOGUE: dict[str, Quantity] = {
    entry.name: entry
    for entry in (
        Quantity("mpjpe", "MPJPE", position_errors),
        Quantity("p_mpjpe", "P-MPJPE", aligned_errors),
        Quantity("n_mpjpe", "N-MPJPE", scaled_errors),
        Quantity("mpjve", "MPJVE", velocity_errors, unit="mm/frame", lag=1),
        Quantity("acceleration_error", "Accel", acceleration_errors, unit="mm/frame²", lag=2),
        Quantity("pck", "PCK@150", correct, unit="%", factor=100.0, higher_is_better=True),
        Quantity("auc", "AUC", curve_areas, unit="%", factor=100.0, higher_is_better=True),
        Quantity("bone_length_error", "Bone error", bone_errors, per="bone", body=True),
        Quantity("bone_length_variance", "Bone var", bone_variances, unit="mm²", factor=1e6, per="bone", body=True),
        Quantity("symmetry_error", "Symmetry", symmetry_errors, per="pair", body=True),
    )
}
