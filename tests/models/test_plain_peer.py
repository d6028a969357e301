"""The plain implementation that the benchmark measures against computes the same numbers as ours."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from graphpose.models import create
from graphpose.nn import kinematic_topology, trajectory_topology
from graphpose.skeleton import Skeleton

_PATH = Path(__file__).parents[1] / "benchmarks" / "plain_ktpformer.py"


def test_plain_ktpformer_equals_ours() -> None:
    spec = importlib.util.spec_from_file_location("plain_ktpformer", _PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    skeleton = Skeleton.load("coco17")
    ours = create("ktpformer", skeleton, frames=5, channels=16, depth=2, heads=4).eval()
    plain = module.PlainKTPFormer(kinematic_topology(skeleton), trajectory_topology(5), 16, 2, heads=4).eval()
    names = {
        "joint_embedding.priors.0.convolution": "kpa",
        "joint_embedding.priors.0.norm": "kpa.bn",
        "frame_embedding.priors.0.layers.0.convolution": "tpa.0",
        "frame_embedding.priors.0.layers.0.norm": "tpa.0.bn",
        "frame_embedding.priors.0.layers.1.convolution": "tpa.1",
        "frame_embedding.priors.0.layers.1.norm": "tpa.1.bn",
        "attention_norm": "norm1",
        "mlp_norm": "norm2",
        "attention": "attn",
        "mlp.": "",
        "spatial_blocks": "space",
        "temporal_blocks": "time",
        "spatial_norm": "space_norm",
        "temporal_norm": "time_norm",
        "joint_embedding.position": "space_position",
        "frame_embedding.position": "time_position",
        "modulation": "M",
        "global_topology": "adj2",
    }
    state, own = {}, plain.state_dict()
    for key, value in ours.state_dict().items():
        if key.endswith(("weight_self", "weight_neighbour")):
            continue
        for old, new in names.items():
            key = key.replace(old, new)
        state[key] = value.reshape(own[key].shape)
    for prior, convolution in (
        ("kpa", ours.joint_embedding.priors[0]),
        *((f"tpa.{i}", ours.frame_embedding.priors[0].layers[i]) for i in (0, 1)),
    ):
        state[f"{prior}.W"] = torch.stack(
            [convolution.convolution.weight_self, convolution.convolution.weight_neighbour]
        )
        state[f"{prior}.adjacency"] = convolution.convolution.local_topology
    plain.load_state_dict(state)
    x = torch.randn(3, 5, 17, 2)
    torch.testing.assert_close(plain(x), ours.lift(x), rtol=1e-5, atol=1e-5)
