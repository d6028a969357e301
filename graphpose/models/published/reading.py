"""A published state dict, as a file or in memory -> a model of the zoo with these weights.

The state dict is renamed key by key, its sizes are read off the shapes (both by the rules of its family), and it is loaded
strictly: a key that is missing, left over or of the wrong shape is named. Prefixes of parallel wrappers (`module.`) and the
wrapper of published checkpoint files (`model_pos`) are taken off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import CheckpointError, unknown_name
from graphpose.models.lifter import Lifter
from graphpose.models.published.families import FAMILIES
from graphpose.models.published.family import StateDict
from graphpose.models.registry import create
from graphpose.skeleton import Skeleton

__all__ = ["from_published", "published_families", "read_state_dict"]

PICKLED = (".bin", ".pth", ".pt")
WRAPPERS = ("model_pos", "state_dict", "model", "model_state_dict")


def from_published(
    name: str,
    weights: Mapping[str, Any] | str | Path,
    *,
    skeleton: Skeleton | str | None = None,
    heads: int | None = None,
    drop_path: float | None = None,
    **options: Any,
) -> Lifter:
    """A model of the zoo with published weights, in evaluation mode.

    Args:
        name: family, see `published_families()`.
        weights: state dict (tensors or numpy arrays, bare or wrapped), or the path of a `.bin`/`.pth`/`.pt`, `.safetensors` or
            `.npz` file.
        skeleton: the skeleton the weights were trained on; default: the 17 joints of Human3.6M when the shapes say 17.
        heads: attention heads; a size that no shape tells. None: 8, as published.
        drop_path: for training on (published recipes: 0.1). None: 0, which makes the training mode deterministic.
        options: other options of the model that no shape tells, where they differ from the published ones.

    Raises:
        CheckpointError: keys or shapes that do not fit, all of them named.
        ConfigError: an option that the model does not have.
    """
    if name not in FAMILIES:
        raise CheckpointError(unknown_name("published family", name, sorted(FAMILIES)))
    state = read_state_dict(weights)
    source = f"{weights}: " if isinstance(weights, (str, Path)) else ""
    first = ", ".join(list(state)[:4])
    family = FAMILIES[name]
    try:
        sizes = family.sizes(state)
    except KeyError as error:
        raise CheckpointError(
            f"{source}these are not weights of {name!r}: no key {error.args[0]!r} (the first keys here are: {first})"
        ) from error
    except (ValueError, IndexError, ZeroDivisionError) as error:  # a key of theirs with a shape that it never has
        raise CheckpointError(
            f"{source}these are not weights of {name!r}: shapes that do not fit each other ({error})"
        ) from error
    joints = sizes.pop("joints")
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
    common = {"heads": heads, "drop_path": drop_path}
    model = create(family.model, skeleton, **family.options(sizes, common, options))
    try:
        fill(model, {family.rename(key): value for key, value in state.items()})
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
