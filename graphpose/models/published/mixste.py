"""MixSTE and KTPFormer as published: names and sizes."""

from __future__ import annotations

import re
from typing import Any

from graphpose.models.published.family import StateDict

__all__ = ["common_sizes", "ktpformer_name", "ktpformer_sizes", "mixste_name", "mixste_sizes"]


def _block_name(key: str) -> str:
    """Names inside a published block -> ours."""
    return key.replace(".norm1.", ".attention_norm.").replace(".norm2.", ".mlp_norm.").replace(".attn.", ".attention.")


def _shared_name(key: str, first: int) -> str:
    """Names that MixSTE and KTPFormer share; `first` is the number of pairs before STEblocks.0."""
    key = key.replace("Spatial_norm", "spatial_norm").replace("Temporal_norm", "temporal_norm")
    found = re.match(r"(STE|TTE)blocks\.(\d+)(\..*)", key)
    if not found:
        return key
    blocks = "spatial_blocks" if found[1] == "STE" else "temporal_blocks"
    return f"{blocks}.{int(found[2]) + first}{_block_name(found[3])}"


def mixste_name(key: str) -> str:
    """Published key -> ours."""
    key = key.replace("Spatial_patch_to_embedding", "joint_embedding.linear")
    key = key.replace("Spatial_pos_embed", "joint_embedding.position")
    key = key.replace("Temporal_pos_embed", "frame_embedding.position")
    return _shared_name(key, 0)


def ktpformer_name(key: str) -> str:
    """Published key -> ours."""
    found = re.match(r"(kp|tp)attention\.(.*)", key)
    if not found:
        return _shared_name(key, 1)
    side, embedding = ("spatial", "joint_embedding") if found[1] == "kp" else ("temporal", "frame_embedding")
    rest = found[2]
    if rest.endswith("pos_embed"):
        return f"{embedding}.position"
    prior = re.match(r"attn\.(?:kpa|tpa)\.(?:gconv(\d)\.)?(gconv|bn)\.(.*)", rest)
    if prior:
        layer = f"{embedding}.priors.0" + ("" if prior[1] is None else f".layers.{int(prior[1]) - 1}")
        inner = {"M": "modulation", "adj2": "global_topology"}.get(prior[3], prior[3])
        return f"{layer}.convolution.{inner}" if prior[2] == "gconv" else f"{layer}.norm.{inner}"
    return _block_name(f"{side}_blocks.0.{rest}".replace(".attn.norm1.", ".norm1."))


def _positions(state: StateDict) -> StateDict:
    """Position embeddings lose their leading 1, the two weights of a prior are told apart."""
    for key in [key for key in state if key.endswith("pos_embed")]:
        state[key] = state[key].squeeze(0)
    for key in [key for key in state if key.endswith("gconv.W")]:
        own, neighbour = state.pop(key)
        state[key.removesuffix("W") + "weight_self"] = own
        state[key.removesuffix("W") + "weight_neighbour"] = neighbour
    return state


def common_sizes(state: StateDict, spatial: str, temporal: str) -> dict[str, Any]:
    """Sizes that MixSTE and what is made of it share; `spatial` and `temporal` are the keys of the position embeddings."""
    _positions(state)
    joints, channels = state[spatial].shape
    return {
        "joints": joints,
        "channels": channels,
        "frames": state[temporal].shape[0],
        "depth": 1
        + max((int(found[1]) for key in state if (found := re.match(r"STEblocks\.(\d+)\.", key))), default=-1),
        "mlp_ratio": state["STEblocks.0.mlp.fc1.weight"].shape[0] / channels,
    }


def mixste_sizes(state: StateDict) -> dict[str, Any]:
    """State dict -> options, and `joints`."""
    sizes = common_sizes(state, "Spatial_pos_embed", "Temporal_pos_embed")
    return sizes | {"in_features": state["Spatial_patch_to_embedding.weight"].shape[1]}


def ktpformer_sizes(state: StateDict) -> dict[str, Any]:
    """State dict -> options, and `joints`."""
    sizes = common_sizes(state, "kpattention.attn.Spatial_pos_embed", "tpattention.attn.Temporal_pos_embed")
    return sizes | {"in_features": state["kpattention.attn.kpa.gconv.weight_self"].shape[0]}
