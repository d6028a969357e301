"""What a model attends to, recorded while it runs.

    with graphpose.analysis.capture(model) as record:
        model.lift(x)
    record.attention[0].weights                     [B, R, H, N, M]

The output of the model is the same, bit for bit: it takes the path that it takes anyway. Where that makes the weights (our attention
over short sequences on a CPU) they are recorded themselves; else they are computed beside it, a second time, from the queries and keys
of the pass. Nothing of the model is changed for good, also after an exception. Without capture nothing is computed or called.

Windows of all passes stand one after the other along B; passes differ in B alone. `lift_windows` and `predict` average with the
mirror image unless `flip=False` says otherwise; the windows of the mirror image would be among the others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from graphpose.analysis.attention.record import Axis, Record
from graphpose.analysis.attention.recording.foreign_modules import ForeignModules
from graphpose.analysis.attention.recording.own_modules import watch_own
from graphpose.analysis.attention.recording.patching import Patches
from graphpose.analysis.attention.recording.recorded_priors import topologies, watch_priors
from graphpose.analysis.attention.recording.recorder import Recorder, Reduce
from graphpose.analysis.attention.recording.selection import Selection
from graphpose.analysis.attention.recording.sites import KNOWN, Site, Sites
from graphpose.errors import ConfigError
from graphpose.models import Lifter, available
from graphpose.models.checkpoint import versions
from graphpose.models.hourglass import Hourglass
from graphpose.models.registry import entry
from graphpose.models.space_time import SpaceTimeTransformer
from graphpose.nn.adaptive_graph_convolution import AdaptiveGraphConvolution
from graphpose.nn.attention import CrossAttention, MultiHeadAttention
from graphpose.skeleton import Skeleton
from graphpose.structured import plain

__all__ = ["capture"]

log = logging.getLogger(__name__)


@contextmanager
def capture(
    model: nn.Module,
    *,
    axes: Axis | Sequence[Axis] = ("joints", "frames"),
    layers: Iterable[int] | None = None,
    heads: Iterable[int] | None = None,
    frames: Iterable[int] | None = None,
    joints: Iterable[int | str] | None = None,
    reduce: Reduce | None = None,
    priors: bool = True,
    skeleton: Skeleton | str | None = None,
    sites: Mapping[str, Site | Axis | None] | None = None,
) -> Iterator[Record]:
    """Records what `model` attends to while the block runs; the record is complete when the block ends.

    Works on every model of the zoo, and on any module that attends by `nn.MultiheadAttention` or `scaled_dot_product_attention`:
    there `sites` says what is attended over. Memory is bounded by choosing: all weights of 8 pairs of layers on 243 frames are 0.3 GB a
    window, those of one head an eighth of it, their mean over the joints a seventeenth.

    Args:
        model: a lifter or any other module; run it within the block as often as you like, in windows of one length.
        axes: attention over joints, over frames, or both.
        layers, heads: numbers of those that are kept; None: all.
        frames: of attention over joints, the frames that are kept; where frames were pruned, the nearest that is left. None: all.
        joints: of attention over frames, the joints that are kept, by name or number; None: all.
        reduce: None keeps the weights of every window. "mean" keeps their mean over windows and R, `[1, 1, H, N, M]`; where frames
            were pruned, all windows have to keep the same ones. A function of the weights `[B, R, H, N, M]` of a module in a pass gives
            a tensor that is kept instead, in `record.reduced`.
        priors: keep the tokens that the priors make (with `reduce`, their mean over the windows).
        skeleton: J joints, or name or file of their skeleton; only for models that are no lifters.
        sites: what the modules of a model that is not ours attend over, see `graphpose.analysis.attention.recording.sites`.

    Of D3DP the last step of the sampler is recorded, of the first hypothesis. Of GLA-GCN the data-dependent graphs are, one for a window
    (`across` None) or one for each frame; rows are the joints that receive, heads the partitions self, inward, outward. A model on
    another skeleton is one of its own: capture `model.on(skeleton)`. A module that is called several times in one pass (shared weights)
    is recorded call by call, as `name`, `name:1`. Within the block the model can be neither copied nor pickled. A model that is no
    lifter and attends in no way that is known leaves an empty record and a warning in the log.

    Raises:
        ConfigError: a model that is being captured already, or is copied or pickled meanwhile, numbers that it does not have, modules
            that attend and that no site names, sites that fit nothing, a missing skeleton, the mean of windows that keep different
            frames. DataError: passes of several lengths, weights that cannot be over the axis of their site.
    """
    _require_plain(model)
    body = _skeleton_of(model, skeleton)
    selection = Selection.of(body, axes, layers, heads, frames, joints)
    _require_known(model, selection)
    name, options = _described(model)
    record = Record(body, model=name, options=options, versions=versions())
    recorder = Recorder(record, selection, reduce)
    named = Sites(sites)
    foreign = ForeignModules(model, recorder, named, len(body))
    patches = Patches()
    try:
        watch_own(model, recorder, patches, foreign.take_own, lambda site: named.find(site, "graphpose attention")[0])
        if priors:
            watch_priors(model, recorder, patches)
        foreign.watch(patches)
        yield record
    finally:
        patches.undo()
    recorder.finish()
    record.topologies.extend(topologies(model, body))
    named.require_named()
    if recorder.passes or foreign.ran:
        named.require_used()
        recorder.require_layers()
    if foreign.ran and not recorder.passes and not named.found and not isinstance(model, Lifter):
        log.warning("%s attends in no way that capture knows (%s): nothing is recorded", type(model).__name__, KNOWN)


def _require_plain(model: nn.Module) -> None:
    """Refuses what is no model, and what runs without its Python code."""
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"expected a model, an nn.Module (got {type(model).__name__}): read a checkpoint with graphpose.load"
        )
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule) or hasattr(module, "_orig_mod"):
            raise ConfigError(
                f"expected a model as it is before compilation (got {type(module).__name__}): capture the module that was compiled "
                "(of torch.compile: model._orig_mod), before it is exported or compiled"
            )


def _skeleton_of(model: nn.Module, skeleton: Skeleton | str | None) -> Skeleton:
    own = getattr(model, "skeleton", None)
    if isinstance(own, Skeleton) and skeleton is None:
        return own
    if skeleton is None:
        raise ConfigError(f"expected skeleton=, whose joints {type(model).__name__} attends over (got none)")
    found = skeleton if isinstance(skeleton, Skeleton) else Skeleton.load(skeleton)
    if isinstance(own, Skeleton) and own.joints != found.joints:
        raise ConfigError(
            f"{type(model).__name__} is on skeleton {own.name!r}: expected that one (got {found.name!r}); capture model.on(skeleton)"
        )
    return found


def _described(model: nn.Module) -> tuple[str, dict[str, Any]]:
    """Name and options of a model; of one that is not of the zoo, its class."""
    names = [name for name in available() if entry(name).model is type(model)]
    return (names[0] if names else type(model).__name__), (plain(model.config) if names else {})


def _require_known(model: nn.Module, selection: Selection) -> None:
    """Refuses layers, heads and frames that the model does not have, as far as that is known before it runs."""
    layers = [part.depth + _recovers(model) for part in model.modules() if isinstance(part, SpaceTimeTransformer)]
    graphs = [part for part in model.modules() if isinstance(part, AdaptiveGraphConvolution)]
    if not layers and graphs:
        layers = [len(graphs)]
    if layers and selection.layers and max(selection.layers) >= max(layers):
        raise ConfigError(f"layers: expected numbers in 0 ... {max(layers) - 1} (got {max(selection.layers)})")
    for name, part in model.named_modules():
        if isinstance(part, (MultiHeadAttention, CrossAttention)):
            selection.heads_of(part.heads, name)
        elif isinstance(part, nn.MultiheadAttention):
            selection.heads_of(part.num_heads, name)
        elif isinstance(part, AdaptiveGraphConvolution):
            selection.heads_of(part.partitions, name)
    if (
        isinstance(model, Lifter)
        and model.bound_to_frames
        and selection.frames
        and selection.frames[-1] >= model.frames
    ):
        raise ConfigError(f"frames: expected numbers in 0 ... {model.frames - 1} (got {selection.frames[-1]})")


def _recovers(model: nn.Module) -> bool:
    """Whether attention brings pruned frames back after the last layer, which counts as a layer of its own."""
    parts = (part for part in model.modules() if isinstance(part, Hourglass))
    return any(isinstance(part, CrossAttention) for hourglass in parts for part in hourglass.modules())
