"""Where a model attends, and over what: said in a few lines for models that are not ours.

    capture(model, skeleton="h36m17", sites={"spatial.*": "joints", "temporal.*": "frames", "text.*": None})

A key is a pattern of module names (as in file names, `*` and `?`; the first one that fits counts). The value is the axis that is
attended over, None to leave the module out, or a `Site` where the weights lie otherwise than usual. Usual is

    over joints   [B * T, H, J, J] or [B, T, H, J, J]     the frames of a window one after the other
    over frames   [B * J, H, T, T] or [B, J, H, T, T]     the joints of a window one after the other
    either        [B, H, N, N]                            tokens that stand for a whole pose, or for all frames of a joint

with B the size of the first tensor that the model is called with. Several calls of a module, or of `scaled_dot_product_attention` in its
`forward`, within one pass are told apart as `name`, `name:1`, `name:2`; the model itself is called `(root)`. Over joints N is J, over
frames R is J or 1; anything else is an error, since then the axis is another or the weights lie otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import get_args

from torch import Tensor

from graphpose.analysis.attention.record import Axis
from graphpose.errors import ConfigError, DataError, unknown_name

__all__ = ["KNOWN", "ROOT", "Site", "Sites", "arranged", "require_axis"]

ROOT = "(root)"
"""What the model itself is called where it attends in its own `forward`."""

KNOWN = "nn.MultiheadAttention or scaled_dot_product_attention"
"""The ways of attending that are seen in models that are not ours."""


@dataclass(frozen=True)
class Site:
    """What a module attends over.

    Attributes:
        axis: "joints" or "frames".
        arrange: brings the weights as the module has them, `[..., H, N, M]`, to `[B, R, H, N, M]`; None: the usual ways of the module
            `sites`.
        layer: number of the layer; None: the place of the module in order of first use.
    """

    axis: Axis
    arrange: Callable[[Tensor], Tensor] | None = None
    layer: int | None = None

    def __post_init__(self) -> None:
        if self.axis not in get_args(Axis):
            raise ConfigError(unknown_name("axis", self.axis, get_args(Axis)))


class Sites:
    """The patterns of a caller, and which modules were found.

    Args:
        patterns: module names -> axis, `Site` or None.
    """

    def __init__(self, patterns: Mapping[str, Site | Axis | None] | None = None) -> None:
        self._patterns = {
            pattern: site if site is None or isinstance(site, Site) else Site(site)
            for pattern, site in (patterns or {}).items()
        }
        self._used: set[str] = set()
        self._names: dict[str, str] = {}
        self._unnamed: list[str] = []

    def find(self, name: str, what: str) -> tuple[bool, Site | None]:
        """Whether a pattern fits the module `name` (`what` says how it attends, for messages), and the site that it gives."""
        self._names.setdefault(name, what)
        for pattern, site in self._patterns.items():
            if fnmatchcase(name, pattern):
                self._used.add(pattern)
                return True, site
        return False, None

    def miss(self, name: str) -> None:
        """Notes a module that attends and that no pattern fits."""
        if name not in self._unnamed:
            self._unnamed.append(name)

    def require_named(self) -> None:
        """Raises ConfigError where a module attends that no pattern names."""
        if self._unnamed:
            found = "; ".join(f"{name!r} ({what})" for name, what in self._names.items())
            raise ConfigError(
                f"expected sites to say what {', '.join(map(repr, self._unnamed))} attends over (got nothing that fits); modules "
                f"that attend: {found}. Give sites={{pattern: 'joints' or 'frames', or None to leave them out}}"
            )

    @property
    def found(self) -> bool:
        """Whether a module attended that the caller has to name."""
        return bool(self._names)

    def require_used(self) -> None:
        """Raises ConfigError where a pattern fits no module that attends."""
        for pattern in self._patterns:
            if pattern in self._used:
                continue
            if not self._names:
                raise ConfigError(
                    f"unknown site {pattern!r}: expected a model that attends by {KNOWN} (got none that does)"
                )
            raise ConfigError(unknown_name("site", pattern, list(self._names)))


def arranged(weights: Tensor, site: Site, batch: int | None, joints: int, name: str) -> Tensor:
    """Weights `[..., H, N, M]` of a module -> `[B, R, H, N, M]`, see the module.

    Raises:
        ConfigError: weights whose leading axes are none of the usual ones, or an `arrange` that gives something else.
    """
    if site.arrange is not None:
        shaped = site.arrange(weights)
        if not isinstance(shaped, Tensor) or shaped.ndim != 5:
            got = list(shaped.shape) if isinstance(shaped, Tensor) else type(shaped).__name__
            raise ConfigError(f"{name!r}: expected arrange to give weights [B, R, H, N, M] (got {got})")
        return shaped
    if weights.ndim == 5:
        return weights
    if weights.ndim == 4:
        count = weights.shape[0]
        if batch and count % batch == 0:
            return weights.unflatten(0, (batch, -1))
        if batch is None and site.axis == "frames" and count % joints == 0:
            return weights.unflatten(0, (-1, joints))
    raise ConfigError(
        f"{name!r}: expected weights [B * R, H, N, M] with B={'unknown' if batch is None else batch} (got {list(weights.shape)}): say how "
        f"they lie with Site({site.axis!r}, arrange=lambda weights: weights.unflatten(...))"
    )


def require_axis(weights: Tensor, axis: Axis, joints: int, name: str) -> None:
    """Refuses weights `[B, R, H, N, M]` that cannot be over `axis` on a skeleton of J joints.

    Raises:
        DataError: over joints, N is not J; over frames, R is neither J nor 1.
    """
    rows, queries = weights.shape[1], weights.shape[3]
    mend = "or say how they lie with Site(axis, arrange=lambda weights: ...)"
    if axis == "joints" and queries != joints:
        raise DataError(
            f"{name!r}: expected attention over joints with N={joints}, the joints of the skeleton (got N={queries} in weights "
            f"[B, R, H, N, M] = {list(weights.shape)}): give sites the axis 'frames' if it attends over frames, {mend}"
        )
    if axis == "frames" and rows not in (1, joints):
        raise DataError(
            f"{name!r}: expected attention over frames with R={joints}, the joints of the skeleton, or R=1 (got R={rows} in weights "
            f"[B, R, H, N, M] = {list(weights.shape)}): give sites the axis 'joints' if it attends over joints, {mend}"
        )
