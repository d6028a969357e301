"""Hourglass Tokenizer on MixSTE as published. No shape tells the layer before which it prunes, nor the neighbours it looks at."""

from __future__ import annotations

from typing import Any

from graphpose.models.published.family import StateDict
from graphpose.models.published.mixste import mixste_name, mixste_sizes

__all__ = ["hot_mixste_name", "hot_mixste_sizes"]


def hot_mixste_name(key: str) -> str:
    """Published key -> ours."""
    if key == "pos_embed_token":
        return "token_embedding"
    if key == "x_token":
        return "recovery.queries"
    return f"recovery.{key}" if key.startswith("cross_attention.") else f"host.{mixste_name(key)}"


def hot_mixste_sizes(state: StateDict) -> dict[str, Any]:
    """Options of the Hourglass Tokenizer, and `joints`; the learned tokens lose their leading 1."""
    for key in ("pos_embed_token", "x_token"):
        state[key] = state[key].squeeze(0)
    sizes = mixste_sizes(state)
    shared = {name: sizes.pop(name) for name in ("joints", "frames", "in_features")}
    return shared | {"host": "mixste", "host_options": sizes, "tokens": state["pos_embed_token"].shape[0]}
