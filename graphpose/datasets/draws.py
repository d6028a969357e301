"""Random numbers that depend on (seed, epoch, index, stream) only: a counter-based hash, drawn for many indices at once.

    key = mix(mix(mix(mix(seed) + epoch) + index) + stream);   u_c = mix(key + (c + 1) * G) / 2^64,  c = 0, 1, ...

with `mix` the finaliser of SplitMix64 and G its odd constant (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014). Which worker draws, in which batch and in which order, makes no difference.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["STREAMS", "normal", "uniform"]

STREAMS: dict[str, int] = {"flip": 1, "start": 2, "noise": 3, "missing": 4}
"""What is drawn; each has numbers of its own, so switching one augmentation on leaves the others as they were."""

_G = np.uint64(0x9E3779B97F4A7C15)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(seed: int, epoch: int, index: np.ndarray, stream: str, count: int) -> np.ndarray:
    """float64 `[n, count]` in (0, 1) for the int64 indices `[n]`."""
    key = np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
    key = _mix(key * _G + _G)
    for part in (np.array([epoch], dtype=np.int64), np.asarray(index, dtype=np.int64), np.array([STREAMS[stream]])):
        key = _mix(key + part.astype(np.uint64) * _G)
    counters = np.arange(1, count + 1, dtype=np.uint64) * _G
    bits = _mix(key[:, None] + counters) >> np.uint64(12)
    return (bits + 0.5) * 2.0**-52  # 52 bits and a half: never 0 and never 1


def normal(seed: int, epoch: int, index: np.ndarray, stream: str, count: int) -> np.ndarray:
    """float64 `[n, count]` standard normal (Box-Muller) for the indices `[n]`."""
    half = -(-count // 2)
    u = uniform(seed, epoch, index, stream, 2 * half)
    radius, angle = np.sqrt(-2.0 * np.log(u[:, :half])), 2.0 * math.pi * u[:, half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :count]
