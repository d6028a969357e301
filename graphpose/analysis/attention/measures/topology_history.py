"""How the learned topologies of a model moved while it was trained, from checkpoints of one training.

    moved(k)  = |A_k - A_0| / |A_0|        step(k) = |A_k - A_(k-1)| / |A_(k-1)|        Frobenius norms

A_k `[n, n]` is what the topology passes along in checkpoint k; checkpoint 0 is the earliest of those given.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphpose.analysis.attention.measures.topology_measures import (
    edge_table,
    given_and_learned,
    is_symmetric,
    topology_row,
)
from graphpose.analysis.attention.record import Topology
from graphpose.analysis.attention.recording.recorded_priors import topologies
from graphpose.analysis.extras import require
from graphpose.errors import DataError
from graphpose.models import load, read_metadata
from graphpose.skeleton import Skeleton

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["edge_history", "topology_history"]


class _Moment(NamedTuple):
    """The topologies of one checkpoint."""

    path: Path
    step: float
    mpjpe: float
    skeleton: Skeleton
    topologies: list[Topology]


def topology_history(checkpoints: Sequence[str | Path], *, threshold: float = 0.1) -> pd.DataFrame:
    """A row a checkpoint and topology, in the order of the training.

    Columns: checkpoint (file), step (of the training; NaN where it is not recorded), mpjpe (mm, of the validation; NaN where there was
    none), moved and step_moved (see the module; NaN in the first row, and where A_0 is 0), and those of `topology_table`.

    Args:
        checkpoints: `.safetensors` files of one training, two or more to see anything move; sorted by their steps where all have
            one, else in the order given.
        threshold: of the edges that count as changed, see `topology_measures`.

    Raises:
        DataError: no checkpoint, models without topologies, or checkpoints whose model, skeleton or topologies differ.
        CheckpointError: a file that cannot be loaded.
    """
    pandas = require("pandas", "topology_history")
    moments = _moments(checkpoints)
    rows: list[dict[str, Any]] = []
    for number, moment in enumerate(moments):
        for place, topology in enumerate(moment.topologies):
            first, before = (moments[k].topologies[place] for k in (0, max(number - 1, 0)))
            row = topology_row(topology, moment.skeleton, threshold=threshold)
            rows.append(
                {
                    "checkpoint": str(moment.path),
                    "step": moment.step,
                    "mpjpe": moment.mpjpe,
                    "moved": _moved(topology, first) if number else np.nan,
                    "step_moved": _moved(topology, before) if number else np.nan,
                    **row,
                }
            )
    table: pd.DataFrame = pandas.DataFrame(rows)
    return table


def edge_history(checkpoints: Sequence[str | Path], *, threshold: float = 0.1) -> pd.DataFrame:
    """A row a checkpoint, topology and edge: the columns of `edge_table` with checkpoint and step before them.

    Every checkpoint has the edges that are given or were added in any of them, so that a line can be drawn for each.

    Args and errors: as `topology_history`.
    """
    pandas = require("pandas", "edge_history")
    moments = _moments(checkpoints)
    tables = []
    for place in range(len(moments[0].topologies)):
        directed = not all(is_symmetric(given_and_learned(moment.topologies[place])[1]) for moment in moments)
        own = [
            edge_table(moment.topologies[place], moment.skeleton, threshold=threshold, every=True, directed=directed)
            for moment in moments
        ]
        shown = np.any([table["status"] != "" for table in own], axis=0)
        for moment, edges in zip(moments, own, strict=True):
            part = edges[shown].copy()
            part.insert(0, "checkpoint", str(moment.path))
            part.insert(1, "step", moment.step)
            tables.append(part)
    table: pd.DataFrame = pandas.concat(tables, ignore_index=True)
    return table


def _moments(checkpoints: Sequence[str | Path]) -> list[_Moment]:
    """What the files hold, in the order of the training."""
    if isinstance(checkpoints, (str, Path)):
        raise DataError(f"expected a list of checkpoints (got {str(checkpoints)!r}): put it into brackets")
    moments = []
    for path in checkpoints:
        metadata = read_metadata(path)
        model = load(path)
        metrics = metadata["metrics"]
        step, error = (float(metrics.get(name, np.nan)) for name in ("step", "val/mpjpe"))
        moments.append(_Moment(Path(path), step, error, model.skeleton, topologies(model, model.skeleton)))
    if not moments:
        raise DataError("expected at least one checkpoint (got none)")
    first = moments[0]
    if not first.topologies:
        raise DataError(
            f"{first.path}: expected a model with a learned topology, e.g. prior='kpa+tpa' (got one without)"
        )
    for moment in moments[1:]:
        if moment.skeleton != first.skeleton or _kinds(moment) != _kinds(first):
            raise DataError(
                f"expected checkpoints of one training (got {first.path} and {moment.path}, whose skeletons or topologies differ)"
            )
    if not any(np.isnan(moment.step) for moment in moments):
        moments.sort(key=lambda moment: moment.step)
    return moments


def _kinds(moment: _Moment) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(one.name, one.relation, tuple(one.total.shape)) for one in moment.topologies]


def _moved(topology: Topology, other: Topology) -> float:
    now, then = given_and_learned(topology)[1], given_and_learned(other)[1]
    scale = np.linalg.norm(then)
    return float(np.linalg.norm(now - then) / scale) if scale > 0 else float("nan")
