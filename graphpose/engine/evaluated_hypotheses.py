"""Models that draw several hypotheses, as an evaluation asks for them: how many, sampled how, made one pose by which rule.

    mean, jpma, pose                 can be deployed: the rule knows the keypoints and the camera's lens, and places the root itself
    jpma-true-root, pose-true-root   as published: the rule is also told the true path of the root, which is a little of the truth

The rules are those of `nn/aggregation.py`. Asked for here they look through the camera of each view (its focal length, centre and
distortion, in normalised screen units); the rule of the model itself through the lens of its own option `focal`, as `lift` does.

Shapes: H hypotheses, V views, F frames that count. Hypotheses `[H, V, F, J, 3]` (metres, relative to the root).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from graphpose.config import EvaluateConfig
from graphpose.datasets import ClipView
from graphpose.engine.protocols import Lift
from graphpose.errors import ConfigError, DataError
from graphpose.geometry import Camera
from graphpose.models import Lifter
from graphpose.nn.aggregation import aggregate

__all__ = ["SETTINGS", "Proposals", "given_proposals", "proposals_of"]

_SAMPLING = ("hypotheses", "steps", "sampler")
_TRUE_ROOT = "-true-root"
SETTINGS = (*_SAMPLING, "aggregate")
"""The settings of `EvaluateConfig` that only models with hypotheses take."""


@runtime_checkable
class _Proposer(Protocol):
    """A lifter that gives all of its hypotheses too."""

    def propose(self, x: Tensor, flip: bool = False) -> Tensor: ...


@dataclass(frozen=True)
class Proposals:
    """How hypotheses are drawn and made one pose.

    Attributes:
        propose: keypoints `[V, L, J, C]` -> hypotheses `[H, V, L, J, 3]`.
        rule: name of the aggregate, with "-true-root" where it is told the root.
        sampling: hypotheses, steps and sampler; empty for a function that keeps them to itself.
        focal: of the model's own option, where its own rule is meant; None looks through the camera of each view.
        flips: averages with the mirror image in each step, and not over the two outcomes.
    """

    propose: Lift
    rule: str = "mean"
    sampling: dict[str, Any] = field(default_factory=dict)
    focal: float | None = None
    flips: bool = False

    def one_pose(
        self, name: str, hypotheses: Tensor, views: Sequence[ClipView], keypoints: Tensor, frames: Tensor
    ) -> Tensor:
        """Hypotheses `[H, V, F, J, 3]` of the `frames [F]` of clip `name` -> one pose `[V, F, J, 3]`.

        Args:
            keypoints: `[V, L, J, 3]`, normalised, with confidence; those that were lifted.

        Raises:
            DataError: a rule that needs a camera for a clip without one.
        """
        if self.rule == "mean":
            return hypotheses.mean(0)
        told, kind = self.rule.endswith(_TRUE_ROOT), self.rule.removesuffix(_TRUE_ROOT)
        poses = []
        for number, view in enumerate(views):
            camera = self.focal if self.focal is not None else self._lens(name, view, frames)
            root = view.root[frames] if told and view.root is not None else None
            seen = keypoints[number, frames]
            poses.append(aggregate(hypotheses[:, number], kind, keypoints=seen, camera=camera, root=root))
        return torch.stack(poses)

    def _lens(self, name: str, view: ClipView, frames: Tensor) -> Camera:
        if view.camera is None:
            raise DataError(
                f"clip {name!r}: aggregate {self.rule!r} compares reprojections and needs the camera of the clip (got none): "
                "use aggregate 'mean', or views that are projected (data.views.kind static)"
            )
        camera = view.camera.normalized().to(torch.float32)
        return camera[frames] if camera.shape else camera

    def told(self) -> dict[str, Any]:
        """For the result file."""
        return {
            **{name: self.sampling.get(name) for name in _SAMPLING},
            "aggregate": self.rule,
            "true_root": self.rule.endswith(_TRUE_ROOT),
            "focal": self.focal,
        }

    def text(self) -> str:
        """For the line above the tables."""
        drawn = "as proposed"
        if self.sampling:
            steps = f"{self.sampling['steps']} step{'' if self.sampling['steps'] == 1 else 's'}"
            drawn = f"{self.sampling['hypotheses']} in {steps} of {self.sampling['sampler']}"
        lens = "" if self.focal is None else f" with focal {self.focal:g}"
        return f"{drawn}, aggregate {self.rule}{lens}"


def proposals_of(model: Lifter, config: EvaluateConfig) -> Proposals | None:
    """What a model proposes when it is asked as `config` says; None for a model that gives one pose alone.

    Raises:
        ConfigError: settings of hypotheses for a model that draws none, and values that it does not take.
    """
    asked = {name: getattr(config, name) for name in SETTINGS if getattr(config, name) is not None}
    if not isinstance(model, _Proposer):
        for name, value in asked.items():
            raise ConfigError(
                f"{name}: {type(model).__name__} draws no hypotheses (got {name}={value!r}); leave it out, it is for models "
                "such as d3dp"
            )
        return None
    rule = asked.pop("aggregate", None)
    twin = model.with_options(**asked)
    assert isinstance(twin, _Proposer)  # it is of the same class
    own_rule = getattr(twin.config, "aggregate", "mean")
    own = {name: getattr(twin.config, name) for name in _SAMPLING if hasattr(twin.config, name)}
    flip = config.flip and bool(model.skeleton.pairs)
    return Proposals(
        partial(twin.propose, flip=flip),
        rule or own_rule,
        own if len(own) == len(_SAMPLING) else {},
        getattr(twin.config, "focal", None) if rule is None and own_rule != "mean" else None,
        flip,
    )


def given_proposals(propose: Lift, config: EvaluateConfig) -> Proposals:
    """What a function of the caller's proposes.

    Raises:
        ConfigError: settings that the function decides itself.
    """
    for name in _SAMPLING:
        if getattr(config, name) is not None:
            raise ConfigError(
                f"{name}: the function that proposes decides it (got {name}={getattr(config, name)!r}); give it there, as in "
                f"functools.partial(model.propose, {name}=...)"
            )
    return Proposals(propose, config.aggregate or "mean")
