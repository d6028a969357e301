"""What is known of one published implementation: how its keys are called here, and which sizes its shapes tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from graphpose.errors import CheckpointError

__all__ = ["Family", "StateDict"]

StateDict = dict[str, Tensor]
PUBLISHED: dict[str, Any] = {"heads": 8, "drop_path": 0.0}
"""Common options that no shape tells: heads as published, and no drop path, which makes the training mode deterministic."""


@dataclass(frozen=True)
class Family:
    """One published implementation.

    Attributes:
        model: name of the model of the zoo that takes its weights.
        rename: published key -> ours.
        sizes: state dict -> options of the model, and `joints`; may change the state dict (squeeze, split) to fit ours.
        common: which of `heads` and `drop_path` the model takes.
        under: the option that holds those of an inner model (`host_options`), which `heads` and `drop_path` then belong to.
    """

    model: str
    rename: Callable[[str], str]
    sizes: Callable[[StateDict], dict[str, Any]]
    common: tuple[str, ...] = ("heads", "drop_path")
    under: str | None = None

    def options(self, sizes: dict[str, Any], common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
        """All options of the model: sizes, then the common ones, then those that the caller gives.

        Raises:
            CheckpointError: a common option that the model does not have, or an inner one that is no mapping.
        """
        strange = sorted(name for name, value in common.items() if value is not None and name not in self.common)
        if strange:
            raise CheckpointError(f"{self.model} takes no {' and no '.join(strange)}: leave it out")
        taken = {name: PUBLISHED[name] if common[name] is None else common[name] for name in self.common}
        if self.under is None:
            return sizes | taken | own
        inner = own.get(self.under, {})
        if not isinstance(inner, Mapping):
            raise CheckpointError(f"{self.under}: expected options by name (got {inner!r})")
        return sizes | own | {self.under: sizes.get(self.under, {}) | taken | dict(inner)}
