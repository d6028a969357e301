"""Head importance: what the error becomes when a head is taken away.

    I_h = MPJPE(model without head h) - MPJPE(model),   mm;  without h: its slice of the output projection W_o is 0

The head's own contribution to the tokens is gone, that of the others and the bias of the projection stay; nothing is trained anew, so
heads that stand in for each other may all look dispensable. Negative: the model is better off without it.

Michel, Levy and Neubig, "Are Sixteen Heads Really Better than One?", NeurIPS 2019.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from torch import nn
from tqdm.auto import tqdm

from graphpose.analysis.attention.recording.capture import capture
from graphpose.analysis.extras import require
from graphpose.datasets import Views
from graphpose.engine import Evaluation, evaluate_clips
from graphpose.engine.device import place_of
from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.models import Lifter
from graphpose.motion import MotionClip
from graphpose.nn.attention import CrossAttention, MultiHeadAttention
from graphpose.nn.modes import evaluating

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Group", "head_importance", "without_heads"]

Group = Literal["all", "action", "subject", "joint", "clip"]


class _Heads(NamedTuple):
    """An attention module of the model."""

    name: str
    layer: int
    axis: str
    heads: int


@contextlib.contextmanager
def without_heads(model: nn.Module, heads: Mapping[str, Iterable[int]]) -> Iterator[None]:
    """The model without some heads for the while; its weights are back bit by bit afterwards, also after an error.

    >>> with without_heads(model, {"spatial_blocks.0.attention": [1, 3]}):  # doctest: +SKIP
    ...     pose = model.lift(x)

    Args:
        model: with modules of `MultiHeadAttention`, `CrossAttention` or `torch.nn.MultiheadAttention`.
        heads: name of the module -> numbers of its heads.

    Raises:
        ConfigError: a name of no such module, a head that it does not have.
    """
    slices = []
    for name, numbers in heads.items():
        projection, count = _projection(model, name)
        width = projection.in_features // count
        for head in numbers:
            if not 0 <= head < count:
                raise ConfigError(f"{name}: expected heads in 0 ... {count - 1} (got {head})")
            slices.append(projection.weight.detach()[:, head * width : (head + 1) * width])
    before = [one.clone() for one in slices]
    try:
        for one in slices:
            one.zero_()
        yield
    finally:
        for one, old in zip(slices, before, strict=True):
            one.copy_(old)


def head_importance(
    model: Lifter,
    clips: MotionClip | Iterable[MotionClip],
    *,
    views: Views | None = None,
    layers: Iterable[int] | None = None,
    heads: Iterable[int] | None = None,
    by: Group = "all",
    metric: str = "mpjpe",
    progress: bool = True,
    **settings: Any,
) -> pd.DataFrame:
    """A row a head (and action, subject, joint or clip), the most important of each group first.

    Columns: name, layer, axis ("joints" or "frames"), head; the group under its own name where `by` is one; and of the metric, in its
    unit (mm for "mpjpe"): error, error_without, importance = error_without - error.

    One evaluation a head: layers x 2 x heads of them.

    Args:
        model: any lifter of the zoo, or one with the same attention modules.
        clips: one or more with 3D positions, on the model's skeleton.
        views: the cameras.
        layers, heads: which to look at; None: all.
        by: "all" clips together, or in groups.
        metric: a column of the evaluation.
        progress: show a progress bar.
        settings: of `evaluate_clips` (protocol, flip, ...).

    Raises:
        DataError: a model without attention, no clip, clips that cannot be evaluated. ConfigError: layers, heads, a group or a metric that
            do not exist, unknown settings.
    """
    pandas = require("pandas", "head_importance")
    if by not in get_args(Group):
        raise ConfigError(unknown_name("group", by, get_args(Group)))
    clips = [clips] if isinstance(clips, MotionClip) else list(clips)
    if not clips:
        raise DataError("expected one or more clips (got none)")
    chosen = _chosen(_attention_of(model), layers, heads)

    def errors() -> dict[str, float]:
        return _errors(evaluate_clips(model, clips, views=views, progress=False, **settings), by, metric)

    whole = errors()
    rows = []
    for module, head in tqdm(chosen, desc="heads", unit="head", disable=not progress):
        with without_heads(model, {module.name: [head]}):
            without = errors()
        for group, error in whole.items():
            labels: dict[str, Any] = {"name": module.name, "layer": module.layer, "axis": module.axis, "head": head}
            if by != "all":
                labels[by] = group
            figures = {"error": error, "error_without": without[group], "importance": without[group] - error}
            rows.append({**labels, **figures})
    table: pd.DataFrame = pandas.DataFrame(rows)
    order = table["importance"].sort_values(ascending=False, kind="stable").index
    table = table.loc[order]
    if by != "all":
        place = {group: number for number, group in enumerate(whole)}
        table = table.sort_values(by, key=lambda column: column.map(place), kind="stable")
    return table.reset_index(drop=True)


def _attention_of(model: Lifter) -> list[_Heads]:
    """The attention modules of a model in order of use, by lifting one window of nothing."""
    device, dtype = place_of(model)
    x = torch.zeros(1, model.frames, len(model.skeleton), model.in_features, device=device, dtype=dtype)
    with evaluating(model), torch.no_grad(), capture(model, reduce="mean", priors=False) as record:
        model.lift(x)
    modules = dict(model.named_modules())
    return [
        _Heads(one.name, one.layer, one.axis, len(one.heads))
        for one in sorted(record.attention, key=lambda one: one.order)
        if isinstance(modules.get(one.name), (MultiHeadAttention, CrossAttention, nn.MultiheadAttention))
    ]


def _chosen(
    modules: Sequence[_Heads], layers: Iterable[int] | None, heads: Iterable[int] | None
) -> list[tuple[_Heads, int]]:
    if not modules:
        raise DataError("expected a model with attention heads to take away (got one without)")
    numbers = sorted({one.layer for one in modules})
    wanted = numbers if layers is None else list(layers)
    if unknown := sorted(set(wanted) - set(numbers)):
        raise ConfigError(f"expected layers of {numbers} (got {unknown[0]})")
    most = max(one.heads for one in modules if one.layer in wanted) if wanted else 0
    taken = range(most) if heads is None else list(heads)
    for head in taken:
        if not 0 <= head < most:
            raise ConfigError(f"expected heads in 0 ... {most - 1} (got {head})")
    chosen = [(one, head) for one in modules if one.layer in wanted for head in taken if head < one.heads]
    if not chosen:
        raise ConfigError("expected at least one layer and one head (got none)")
    return chosen


def _errors(evaluation: Evaluation, by: Group, metric: str) -> dict[str, float]:
    """Group -> error."""
    table = evaluation.table()
    groups = {
        "all": lambda: {"all": table.overall()},
        "action": table.by_action,
        "subject": table.by_subject,
        "joint": table.by_joint,
        "clip": table.by_clip,
    }[by]()
    known = next(iter(groups.values()))
    if metric not in known:
        raise ConfigError(unknown_name("metric", metric, known))
    return {group: figures[metric] for group, figures in groups.items()}


def _projection(model: nn.Module, name: str) -> tuple[nn.Linear, int]:
    """The output projection of an attention module, and its number of heads."""
    module = dict(model.named_modules()).get(name)
    if isinstance(module, (MultiHeadAttention, CrossAttention)):
        return module.proj, module.heads
    if isinstance(module, nn.MultiheadAttention):
        return module.out_proj, module.num_heads
    there = [
        known
        for known, one in model.named_modules()
        if isinstance(one, (MultiHeadAttention, CrossAttention, nn.MultiheadAttention))
    ]
    raise ConfigError(unknown_name("attention module", name, there))
