"""Measures of attention maps, on plain weights; each is unchanged when queries and keys are renumbered together.

For rows A_i of weights `[..., N, M]` (rows sum to 1), one value a query, `[..., N]`; that of a head is the mean over its queries:

    entropy          - sum_j A_ij log A_ij,  over log M where normalised      0: one key, 1: all keys alike
    relation_mass    sum of A_ij over the keys j that are related to i        share of attention, 0 to 1
    excess_mass      (mass - u) / (1 - u),  u the mass of uniform attention   0: as uniform attention, 1: all of it
    mean_hops        sum_j A_ij d_ij,  d_ij bones between joints              bones
    time_span        sum_s A_ts |s - t|,  s and t numbers of frames           frames, or seconds
    mirror_symmetry  1 - 1/2 sum_j |A_ij - A_m(i)m(j)|,  m the mirror         1: symmetric, 0: nothing in common
    agreement        sum_j min(A_ij, L_ij),  rows of L >= 0 scaled to 1       1: attention is L, 0: nothing in common

and one for each key, `[..., M]`: `key_share`, mean over i of A_ij. Everything is float64. What is not defined is NaN: distances and
normalised entropy with a single key, symmetry without pairs, mass of a relation that no pair has, agreement with an empty row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphpose.analysis.attention.record import Axis
from graphpose.errors import DataError

__all__ = [
    "agreement",
    "distance_profile",
    "entropy",
    "excess_mass",
    "key_share",
    "mean_hops",
    "mirror_symmetry",
    "relation_mass",
    "row_normalised",
    "time_span",
]


def entropy(weights: Any, normalised: bool = True) -> np.ndarray:
    """Entropy of each row: weights `[..., N, M]` -> `[..., N]`, in nats or, normalised, in parts of log M (NaN for M = 1)."""
    w = _weights(weights)
    logs = np.log(w, out=np.zeros_like(w), where=w > 0)
    found = np.abs((w * logs).sum(axis=-1))  # never -0
    if not normalised:
        return found
    return found / np.log(w.shape[-1]) if w.shape[-1] > 1 else np.full(found.shape, np.nan)


def relation_mass(weights: Any, relations: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Share of attention in each relation: weights `[..., N, M]`, bool `[..., N, M]` (broadcast) -> `[..., N]` each.

    A relation that no pair has (mirror on a robot arm) is NaN; a query without a partner has 0 there.
    """
    w = _weights(weights)
    return {
        name: (w * _matrix(name, pairs, w)).sum(axis=-1) if np.any(pairs) else np.full(w.shape[:-1], np.nan)
        for name, pairs in relations.items()
    }


def excess_mass(weights: Any, relations: Mapping[str, np.ndarray], counted: Any = None) -> dict[str, np.ndarray]:
    """How far the mass of each relation is above that of uniform attention: (mass - u) / (1 - u), `[..., N]` each.

    u is the uniform share over *all* queries that count, so that the mean over these compares like with like. Negative where a relation
    is avoided; NaN where no pair or every pair has it, and where no query counts.

    Args:
        weights: `[..., N, M]`.
        relations: bool `[..., N, M]` each (broadcast).
        counted: which queries count, bool `[..., N]` (broadcast); None: all. Those that do not are given a value all the same.
    """
    found = {}
    for name, mass in relation_mass(weights, relations).items():
        share = np.asarray(relations[name], dtype=np.float64).mean(axis=-1)  # of uniform attention, [..., N]
        counts = np.ones(share.shape) if counted is None else np.asarray(counted, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            uniform = (share * counts).sum(axis=-1, keepdims=True) / counts.sum(axis=-1, keepdims=True)
            found[name] = np.where(uniform < 1, (mass - uniform) / (1 - uniform), np.nan)
    return found


def mean_hops(weights: Any, hops: np.ndarray) -> np.ndarray:
    """Mean number of bones to what is looked at: weights `[..., J, J]`, hops `[J, J]` -> `[..., J]`; NaN for one joint."""
    w = _weights(weights)
    found: np.ndarray = (w * _matrix("hops", hops, w)).sum(axis=-1)
    return found if w.shape[-1] > 1 else np.full(found.shape, np.nan)


def time_span(weights: Any, frames: Any = None, keys: Any = None, fps: float | None = None) -> np.ndarray:
    """Mean distance in time to what is looked at: weights `[..., N, M]` -> `[..., N]`; NaN for a single key.

    Args:
        weights: over frames.
        frames: numbers of the frames that look, `[..., N]`, where some were pruned; None: 0 ... N - 1.
        keys: numbers of the frames that are looked at, `[..., M]`; None: as `frames`.
        fps: frames per second, for seconds; None: frames.
    """
    w = _weights(weights)
    if fps is not None and not fps > 0:
        raise DataError(f"expected fps > 0 (got {fps})")
    queries = np.arange(w.shape[-2]) if frames is None else np.asarray(frames)
    looked_at = queries if keys is None else np.asarray(keys)
    distance = np.abs(looked_at[..., None, :] - queries[..., :, None]).astype(np.float64)
    found: np.ndarray = (w * _matrix("frames", distance, w)).sum(axis=-1) / (1.0 if fps is None else fps)
    return found if w.shape[-1] > 1 else np.full(found.shape, np.nan)


def mirror_symmetry(weights: Any, mirror: np.ndarray, axis: Axis = "joints") -> np.ndarray:
    """Overlap of attention with its mirror image; NaN where nothing has a partner.

    Args:
        weights: over joints, `[..., J, J]`; over frames, `[..., J, H, N, M]`: the heads of the J joints that they follow, and what a
            joint's row is compared with is the same frame's row of its partner.
        mirror: `[J]`, the partner of each joint, or the joint itself.
        axis: what is attended over.
    """
    w, mirror = _weights(weights), np.asarray(mirror)
    place = -2 if axis == "joints" else -4
    if w.ndim < -place or w.shape[place] != len(mirror) or (axis == "joints" and w.shape[-1] != len(mirror)):
        shape = "[..., J, J]" if axis == "joints" else "[..., J, H, N, M]"
        raise DataError(f"expected weights {shape} with J = {len(mirror)} joints of mirror (got {list(w.shape)})")
    if np.array_equal(mirror, np.arange(len(mirror))):
        return np.full(w.shape[:-1], np.nan)
    image = w[..., mirror, :][..., mirror] if axis == "joints" else np.take(w, mirror, axis=-4)
    found: np.ndarray = 1.0 - 0.5 * np.abs(w - image).sum(axis=-1)
    return found


def row_normalised(topology: Any) -> np.ndarray:
    """Rows of the positive part of a topology `[..., N, M]`, scaled to sum 1; rows without a positive entry are NaN."""
    positive = np.maximum(np.asarray(topology, dtype=np.float64), 0.0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.divide(positive, total, out=np.full(positive.shape, np.nan), where=total > 0)


def agreement(weights: Any, topology: Any) -> np.ndarray:
    """Overlap of attention with a graph: weights `[..., N, M]`, topology `[..., N, M]` (broadcast) -> `[..., N]`.

    Rows of the topology are scaled to 1, negative entries (learned ones may be) count as 0. With a second map of attention in place of
    the topology it is the overlap of the two.
    """
    w = _weights(weights)
    found: np.ndarray = np.minimum(w, row_normalised(_matrix("topology", topology, w))).sum(axis=-1)
    return found


def key_share(weights: Any) -> np.ndarray:
    """Share of all attention that each key gets: weights `[..., N, M]` -> `[..., M]`, sums to 1; 1/M each if uniform."""
    found: np.ndarray = _weights(weights).mean(axis=-2)
    return found


def distance_profile(weights: Any, distance: Any) -> tuple[np.ndarray, np.ndarray]:
    """Share of attention at each distance: hops for a hop profile, time offsets for a time profile.

    Args:
        weights: `[..., N, M]`.
        distance: `[N, M]`, whole numbers, of either sign.

    Returns:
        The distances that occur, rising, `[D]`, and the mean over queries of the share at each, `[..., D]`, which sums to 1.
    """
    w = _weights(weights)
    distance = _matrix("distance", distance, w[(0,) * (w.ndim - 2)])
    values, place = np.unique(distance, return_inverse=True)
    flat = w.reshape(*w.shape[:-2], -1)
    member = place.reshape(-1)[:, None] == np.arange(len(values))
    return values, flat @ member.astype(np.float64) / w.shape[-2]


def _weights(weights: Any) -> np.ndarray:
    """As float64; on the CPU, without gradients."""
    if hasattr(weights, "detach"):
        weights = weights.detach().cpu().numpy()
    w = np.asarray(weights, dtype=np.float64)
    if w.ndim < 2 or 0 in w.shape[-2:]:
        raise DataError(f"expected weights [..., queries, keys] with at least one of each (got {list(w.shape)})")
    return w


def _matrix(name: str, matrix: Any, weights: np.ndarray) -> np.ndarray:
    if hasattr(matrix, "detach"):
        matrix = matrix.detach().cpu().numpy()
    found = np.asarray(matrix)
    if found.shape[-2:] != weights.shape[-2:]:
        raise DataError(
            f"{name}: expected [..., {weights.shape[-2]}, {weights.shape[-1]}] as the weights {list(weights.shape)} "
            f"(got {list(found.shape)})"
        )
    return found
