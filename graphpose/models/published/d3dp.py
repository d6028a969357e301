"""D3DP as published: MixSTE on five features a joint, under the prefix `pose_estimator.`, and the embedding of the step.

A published checkpoint also holds the tables of its noise schedule. They follow from the number of steps: that is read off their
length, they are compared with ours and left out.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from graphpose.models.published.family import StateDict
from graphpose.models.published.mixste import common_sizes, mixste_name
from graphpose.nn.diffusion import NoiseSchedule

__all__ = ["d3dp_name", "d3dp_sizes"]

_PREFIX = "pose_estimator."
_TABLES = re.compile(r"betas|(sqrt_|log_)?(one_minus_|recip_|recipm1_)?alphas_cumprod(_prev)?|posterior_\w+")
_STEP = {"time_mlp.1.": "step_embedding.mlp.fc1.", "time_mlp.3.": "step_embedding.mlp.fc2."}


def d3dp_name(key: str) -> str:
    """Published key, its prefix taken off by `d3dp_sizes` -> ours."""
    for published, ours in _STEP.items():
        if key.startswith(published):
            return ours + key.removeprefix(published)
    return f"denoiser.{mixste_name(key)}"


def d3dp_sizes(state: StateDict) -> dict[str, Any]:
    """Options of D3DP; takes the prefix and the tables of the schedule off."""
    tables = {key: state.pop(key) for key in list(state) if _TABLES.fullmatch(key)}
    for key in list(state):
        state[key.removeprefix(_PREFIX)] = state.pop(key)
    sizes = common_sizes(state, "Spatial_pos_embed", "Temporal_pos_embed")
    options = {
        "joints": sizes.pop("joints"),
        "frames": sizes.pop("frames"),
        "in_features": state["Spatial_patch_to_embedding.weight"].shape[1] - 3,
        "denoiser": "mixste",
        "denoiser_options": sizes,
    }
    if tables:
        options["timesteps"] = _timesteps(tables)
    return options


def _timesteps(tables: StateDict) -> int:
    """Steps of the schedule, whose cumulative product must be the cosine one."""
    given = tables["alphas_cumprod"]
    expected = NoiseSchedule(len(given)).alphas_cumprod
    if not torch.allclose(given.to(expected), expected, atol=1e-5):
        raise ValueError("the noise schedule is not the cosine one")
    return len(given)
