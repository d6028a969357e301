"""Attention flow: the most that could pass from an input to an output token, if each attention weight were the width of a pipe.

    f(q, S) = max flow from output token q to the input tokens S,   capacity of an edge = entry of M = r I + (1 - r) mean_h A_h

Nodes are the tokens (t, j) before and after each step (`space_time_steps.py`), parallel streams have nodes of their own, and each
takes its share of a token (that of the fusion, where it is recorded). Rows of M sum to 1, so 0 <= f <= 1. Where rollout multiplies
weights along all paths and adds, flow takes the narrowest place of a path and lets paths share no capacity: f(q, S) is never less than
the rollout of q summed over S.

Abnar and Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from tqdm.auto import tqdm

from graphpose.analysis.attention.chosen import joint_number
from graphpose.analysis.attention.measures.space_time_steps import SpaceTimeSteps, Step, space_time_steps
from graphpose.analysis.attention.record import Record
from graphpose.errors import ConfigError, DataError, unknown_name

__all__ = ["Targets", "flow"]

Targets = Literal["joints", "frames", "tokens"]
SCALE = 2**30
"""Capacities are whole numbers below 2^31: a weight of 1 is this one."""
MOST_EDGES = 30_000_000
"""About 1 GiB while a flow is computed."""


def flow(
    record: Record,
    joint: int | str,
    frame: int | None = None,
    window: int = 0,
    *,
    to: Targets = "joints",
    residual: float = 0.5,
    threshold: float = 0.0,
    progress: bool = True,
) -> np.ndarray:
    """The flow from an output joint to the input: `[J]`, `[T]` or `[T, J]` float64, each in 0 ... 1; they need not sum to 1.

    It costs a maximum flow a target, over T J (T + J) edges a layer; a `threshold` makes the graph smaller. Through many layers of
    broad attention every flow to a whole joint or frame comes near 1, and to tokens tells more. Capacities are rounded down to multiples
    of 2^-30.

    Args:
        record, joint, frame, window, residual: as in `rollout`.
        to: a flow to each input joint (in whichever frame), to each input frame (whichever joint), or to each token.
        threshold: edges of no more than this weight are left out, which can only lessen the flow.
        progress: show a progress bar.

    Weights that are NaN make every flow NaN.

    Raises:
        ConfigError: an unknown target, a threshold below 0. DataError: as `rollout`, and more edges than memory should hold.
    """
    if to not in get_args(Targets):
        raise ConfigError(unknown_name("target of a flow", to, get_args(Targets)))
    if not 0 <= threshold < 1:
        raise ConfigError(f"expected threshold in [0, 1) (got {threshold})")
    steps = space_time_steps(record, window, residual)
    tokens = np.arange(steps.frames * steps.joints).reshape(steps.frames, steps.joints)
    number = {"joints": tokens % steps.joints, "frames": tokens // steps.joints, "tokens": tokens}[to]
    query = tokens[steps.query_frame(frame), joint_number(record.skeleton, joint)]
    shape = {"joints": (steps.joints,), "frames": (steps.frames,), "tokens": tokens.shape}[to]
    undefined = any(
        np.isnan(step.weights).any() for layer in steps.layers for stream in layer.streams for step in stream
    )
    if undefined or any(np.isnan(layer.shares).any() for layer in steps.layers):
        return np.full(shape, np.nan)
    graph, sinks = _capacities(steps, int(query), number, threshold)
    return np.array(
        [_maximum(graph, int(query), sink) for sink in tqdm(sinks, desc="flow", disable=not progress)]
    ).reshape(shape)


def _maximum(graph: object, source: int, sink: int) -> float:
    from scipy.sparse.csgraph import maximum_flow

    return float(maximum_flow(graph, source, sink).flow_value) / SCALE


class _Edges:
    """Edges of the layered graph, gathered from the output on; those that the query does not reach are left out."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.sources: list[np.ndarray] = []
        self.targets: list[np.ndarray] = []
        self.capacities: list[np.ndarray] = []
        self.nodes = 0
        self.edges = 0

    def level(self, *shape: int) -> np.ndarray:
        """New nodes."""
        first, self.nodes = self.nodes, self.nodes + int(np.prod(shape))
        return np.arange(first, self.nodes).reshape(shape)

    def add(self, sources: np.ndarray, targets: np.ndarray, weights: np.ndarray, reached: np.ndarray) -> None:
        """Arrays that broadcast to one shape; `reached` is of the sources."""
        sources, targets, weights, reached = np.broadcast_arrays(sources, targets, weights, reached)
        kept = reached & (weights > self.threshold)
        self.edges += int(kept.sum())
        if self.edges > MOST_EDGES:
            raise DataError(f"expected at most {MOST_EDGES:,} edges (got more): leave weak ones out (threshold=0.01)")
        self.sources.append(sources[kept])
        self.targets.append(targets[kept])
        self.capacities.append(np.floor(weights[kept] * SCALE))

    def reached(self, level: np.ndarray) -> np.ndarray:
        """Which nodes of a level the last edges lead to."""
        return np.isin(level, self.targets[-1])


def _capacities(steps: SpaceTimeSteps, query: int, number: np.ndarray, threshold: float) -> tuple[object, range]:
    """The graph as a sparse matrix of int32, and the node of each target; output token q is node q."""
    from scipy.sparse import csr_matrix

    edges = _Edges(threshold)
    level = edges.level(steps.frames, steps.joints)
    reached = level == query
    for layer in steps.layers:
        after = edges.level(*_shape_before(layer.streams[0], level.shape))
        found = np.zeros(after.shape, dtype=bool)
        for stream, share in zip(layer.streams, layer.shares, strict=True):
            here, there = level, reached
            if len(layer.streams) > 1:
                here = edges.level(*level.shape)
                edges.add(level, here, share, there)
                there = edges.reached(here)
            for step in stream:
                last = step is stream[-1]
                before = after if last else edges.level(*_shape_before((step,), here.shape))
                _add_step(edges, step, here, before, there)
                here, there = before, edges.reached(before)
            found |= there
        level, reached = after, found
    sinks = edges.level(int(number.max()) + 1)
    edges.threshold = 0.0
    edges.add(level, sinks[number], np.float64(1.5), reached)  # wider than all that can come
    graph = csr_matrix(
        (
            np.concatenate(edges.capacities).astype(np.int32),
            (np.concatenate(edges.sources), np.concatenate(edges.targets)),
        ),
        shape=(edges.nodes, edges.nodes),
    )
    return graph, range(int(sinks[0]), int(sinks[-1]) + 1)


def _shape_before(stream: tuple[Step, ...], shape: tuple[int, ...]) -> tuple[int, int]:
    """[T'', J] of the tokens that a stream reads, from [T', J] of those that it makes."""
    frames = shape[0]
    for step in stream:
        frames = step.weights.shape[2] if step.axis == "frames" else frames
    return frames, shape[1]


def _add_step(edges: _Edges, step: Step, here: np.ndarray, before: np.ndarray, reached: np.ndarray) -> None:
    """Edges of one step, from the tokens `here [T', J]` to those `before [T'', J]` it."""
    if step.axis == "joints":
        edges.add(here[:, :, None], before[:, None, :], step.weights, reached[:, :, None])
    else:
        edges.add(here.T[:, :, None], before.T[:, None, :], step.weights, reached.T[:, :, None])
