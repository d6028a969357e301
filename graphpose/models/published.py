"""Reads the weights of published implementations into the models of the zoo.

A published state dict is renamed key by key (one table a family), its sizes are read off the shapes, and it is loaded strictly:
a key that is missing, left over or of the wrong shape is named. Prefixes of parallel wrappers (`module.`) and the wrapper of
published checkpoint files (`model_pos`) are taken off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import CheckpointError, unknown_name
from graphpose.models.lifter import Lifter
from graphpose.models.registry import create
from graphpose.skeleton import Skeleton

__all__ = ["from_published", "published_families", "read_state_dict"]

StateDict = dict[str, Tensor]

PICKLED = (".bin", ".pth", ".pt")
WRAPPERS = ("model_pos", "state_dict", "model", "model_state_dict")


def from_published(
    name: str,
    weights: Mapping[str, Any] | str | Path,
    *,
    skeleton: Skeleton | str | None = None,
    heads: int = 8,
    drop_path: float = 0.0,
) -> Lifter:
    """A model of the zoo with published weights, in evaluation mode.

    Args:
        name: family, see `published_families()`.
        weights: state dict (tensors or numpy arrays, bare or wrapped), or the path of a `.bin`/`.pth`/`.pt`, `.safetensors` or
            `.npz` file.
        skeleton: the skeleton the weights were trained on; default: the 17 joints of Human3.6M when the shapes say 17.
        heads: attention heads; the one size that no shape tells (published: 8).
        drop_path: for training on; 0 makes the training mode deterministic (published recipes: 0.1).

    Raises:
        CheckpointError: keys or shapes that do not fit, all of them named.
    """
    if name not in FAMILIES:
        raise CheckpointError(unknown_name("published family", name, sorted(FAMILIES)))
    state = read_state_dict(weights)
    source = f"{weights}: " if isinstance(weights, (str, Path)) else ""
    first = ", ".join(list(state)[:4])
    rename, sizes = FAMILIES[name]
    try:
        options = sizes(state)
    except KeyError as error:
        raise CheckpointError(
            f"{source}these are not weights of {name!r}: no key {error.args[0]!r} (the first keys here are: {first})"
        ) from error
    except (ValueError, IndexError, ZeroDivisionError) as error:  # a key of theirs with a shape that it never has
        raise CheckpointError(
            f"{source}these are not weights of {name!r}: shapes that do not fit each other ({error})"
        ) from error
    joints = options.pop("joints")
    if isinstance(skeleton, str):
        skeleton = Skeleton.load(skeleton)
    elif skeleton is None:
        if joints != 17:
            raise CheckpointError(f"{source}the weights are for {joints} joints: say which with skeleton=")
        skeleton = Skeleton.load("h36m17")
    if len(skeleton) != joints:
        raise CheckpointError(
            f"{source}the weights are for {joints} joints, skeleton {skeleton.name!r} has {len(skeleton)}"
        )
    model = create(name, skeleton, heads=heads, drop_path=drop_path, **options)
    try:
        fill(model, {rename(key): value for key, value in state.items()})
    except CheckpointError as error:
        raise CheckpointError(f"{source}{error}") from error
    return model.eval()


def published_families() -> list[str]:
    """Names that `from_published` takes."""
    return sorted(FAMILIES)


def read_state_dict(weights: Mapping[str, Any] | str | Path) -> StateDict:
    """A flat state dict of tensors from a mapping or file, without wrappers and prefixes.

    Raises:
        CheckpointError: a file that is missing, damaged or of an unknown kind, or one that holds no weights.
    """
    content = _read_file(Path(weights)) if isinstance(weights, (str, Path)) else weights
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    state: StateDict = {}
    for key, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.from_numpy(np.array(value))
        if isinstance(value, Tensor):
            state[re.sub(r"^(module\.|weight/)+", "", str(key))] = value
    if not state:
        source = f"{weights}: " if isinstance(weights, (str, Path)) else ""
        raise CheckpointError(
            f"{source}no weights in it: expected a state dict or one under {' / '.join(WRAPPERS)} (got keys {list(content)[:5]})"
        )
    return state


def fill(model: Lifter, state: StateDict) -> None:
    """Strict loading that names every key that is missing, left over or of another shape.

    Raises:
        CheckpointError: as said.
    """
    wanted = model.state_dict()
    faults = [f"missing {key}" for key in wanted if key not in state]
    faults += [f"left over {key}" for key in state if key not in wanted]
    faults += [
        f"{key}: expected {list(wanted[key].shape)} (got {list(value.shape)})"
        for key, value in state.items()
        if key in wanted and wanted[key].shape != value.shape
    ]
    faults += [
        f"{key}: expected {wanted[key].dtype} (got {value.dtype})"
        for key, value in state.items()
        if key in wanted and wanted[key].is_floating_point() != value.is_floating_point()
    ]
    if faults:
        shown = "; ".join(faults[:6]) + (f"; and {len(faults) - 6} more" if len(faults) > 6 else "")
        raise CheckpointError(f"the weights do not fit {type(model).__name__}: {shown}")
    model.load_state_dict(state)


def _read_file(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                weights = {key: archive[key] for key in archive.files if key.startswith("weight/")}
                return weights or {key: archive[key] for key in archive.files}
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: cannot be read as weights, {_unreadable(error)}") from None
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: expected a state dict (got {type(content).__name__})")
    return content


def _unreadable(error: Exception) -> str:
    """Why a file cannot be read; not in the words of torch and numpy, which advise to run the code in such a file."""
    held = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
    if held is not None or "allow_pickle" in str(error):
        what = f" ({held[1]})" if held is not None else ""
        return f"it holds Python objects{what}, which only its own code could load: save its state dict alone"
    return f"it is damaged or of another kind ({type(error).__name__}); is the download complete?"


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


def _mixste_name(key: str) -> str:
    key = key.replace("Spatial_patch_to_embedding", "spatial_embedding")
    key = key.replace("Spatial_pos_embed", "spatial_position").replace("Temporal_pos_embed", "temporal_position")
    return _shared_name(key, 0)


def _ktpformer_name(key: str) -> str:
    found = re.match(r"(kp|tp)attention\.(.*)", key)
    if not found:
        return _shared_name(key, 1)
    side = "spatial" if found[1] == "kp" else "temporal"
    rest = found[2]
    if rest.endswith("pos_embed"):
        return f"{side}_position"
    prior = re.match(r"attn\.(?:kpa|tpa)\.(?:gconv(\d)\.)?(gconv|bn)\.(.*)", rest)
    if prior:
        layer = "spatial_embedding" if side == "spatial" else f"temporal_prior.layers.{int(prior[1]) - 1}"
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


def _common_sizes(state: StateDict, spatial: str, temporal: str) -> dict[str, Any]:
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


def _mixste_sizes(state: StateDict) -> dict[str, Any]:
    sizes = _common_sizes(state, "Spatial_pos_embed", "Temporal_pos_embed")
    return sizes | {"in_features": state["Spatial_patch_to_embedding.weight"].shape[1]}


def _ktpformer_sizes(state: StateDict) -> dict[str, Any]:
    sizes = _common_sizes(state, "kpattention.attn.Spatial_pos_embed", "tpattention.attn.Temporal_pos_embed")
    return sizes | {"in_features": state["kpattention.attn.kpa.gconv.weight_self"].shape[0]}


FAMILIES: dict[str, tuple[Callable[[str], str], Callable[[StateDict], dict[str, Any]]]] = {
    "ktpformer": (_ktpformer_name, _ktpformer_sizes),
    "mixste": (_mixste_name, _mixste_sizes),
}
"""Family -> (published key to ours, sizes read off the shapes). Adding a family: one pair of functions and a row here."""
