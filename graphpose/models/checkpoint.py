"""One file a trained lifter: weights, model, options, skeleton, versions and what it was trained on.

The file is safetensors; everything that is not a tensor stands as JSON in its header under the key `graphpose`, so loading runs
no code and needs nothing but the file.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from graphpose import __version__
from graphpose.errors import CheckpointError, ConfigError, GraphposeError
from graphpose.models.lifter import Lifter
from graphpose.models.published import PICKLED, fill
from graphpose.models.registry import ModelEntry, available, entry
from graphpose.skeleton import Skeleton
from graphpose.structured import build

__all__ = ["load", "read_metadata", "save"]

FORMAT_VERSION = 2
_NAMES_OF_FORMAT_1 = {
    "spatial_embedding.convolution.": "joint_embedding.priors.0.convolution.",
    "spatial_embedding.norm.": "joint_embedding.priors.0.norm.",
    "spatial_embedding.": "joint_embedding.linear.",
    "spatial_position": "joint_embedding.position",
    "temporal_prior.": "frame_embedding.priors.0.",
    "temporal_position": "frame_embedding.position",
}
"""Names of weights (their beginnings) that were others before priors could stand in every model."""
_UNREGISTERED = re.compile(r"unknown (?:model|prior|relation|prune) ('.*?')")
"""How errors name what users can register."""
_DESCRIPTION: dict[str, type] = {
    "model": str,
    "options": dict,
    "skeleton": dict,
    "config": dict,
    "data_statement": str,
    "metrics": dict,
    "versions": dict,
}
"""What the header describes, and as what."""


def _entry_of(model: Lifter) -> ModelEntry:
    for name in available():
        if entry(name).model is type(model):
            return entry(name)
    raise CheckpointError(
        f"{type(model).__name__} is not in the zoo: register it (graphpose.models.register) so that it can be loaded"
    )


def versions() -> dict[str, str]:
    """Versions of the packages that a result depends on; graphpose's own is known even where it runs uninstalled."""
    found = {"graphpose": __version__}
    for name in ("torch", "torch-geometric", "lightning", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def save(
    model: Lifter,
    path: str | Path,
    *,
    config: dict[str, Any] | None = None,
    data_statement: str = "",
    metrics: dict[str, float] | None = None,
) -> Path:
    """Writes a checkpoint; the file is complete or not there at all.

    Args:
        model: a model of the zoo.
        path: usually ends in `.safetensors`.
        config: the resolved training configuration.
        data_statement: what the weights were trained on, in words.
        metrics: validation figures of these weights.
    """
    path = Path(path)
    found = _entry_of(model)
    metadata = {
        "format": FORMAT_VERSION,
        "model": found.name,
        "options": dataclasses.asdict(model.config),
        "skeleton": model.skeleton.to_dict(),
        "config": config or {},
        "data_statement": data_statement,
        "metrics": metrics or {},
        "versions": versions(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part{os.getpid()}")
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    content = serialize(weights, metadata={"graphpose": json.dumps(metadata)})
    try:
        temporary.write_bytes(content)  # safetensors' own writer makes files that only their owner can read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Everything in a checkpoint but the weights.

    Raises:
        CheckpointError: no such file, a damaged one, or one that graphpose did not write.
    """
    path = Path(path)
    if not path.is_file():
        hint = f" (a folder: name the checkpoint in it, e.g. {path / 'best.safetensors'})" if path.is_dir() else ""
        folder = path if path.is_dir() else path.parent
        if (folder / "last.ckpt").is_file() and not (folder / "last.safetensors").is_file():
            hint = f"; the run in {folder} is not finished: go on with --resume {folder}, which writes last.safetensors at its end"
        raise CheckpointError(f"{path}: no such checkpoint{hint}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: {_other_kind(path, error)}") from error
    if "graphpose" not in metadata:
        raise CheckpointError(
            f"{path}: weights without graphpose's description; for published weights use graphpose.models.from_published"
        )
    try:
        content: dict[str, Any] = json.loads(metadata["graphpose"])
        found = content["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(_damaged(path, error)) from error
    if found not in (1, FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: checkpoint format {found}, this graphpose reads 1 to {FORMAT_VERSION}: install a matching version"
        )
    for key, kind in _DESCRIPTION.items():
        if not isinstance(content.get(key), kind):
            raise CheckpointError(
                f"{path}: damaged description in its header "
                f"(expected {key!r} as {kind.__name__}, got {type(content.get(key)).__name__})"
            )
    return content


def _current_name(key: str) -> str:
    """The name of a weight in a checkpoint of format 1 -> its name now."""
    for old, new in _NAMES_OF_FORMAT_1.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def _other_kind(path: Path, error: Exception) -> str:
    """What a file is that is no safetensors file, as far as its suffix tells, and what to take in its place."""
    if path.suffix in PICKLED:
        return (
            "not a checkpoint of graphpose; if these are published weights, read them in Python with "
            "graphpose.models.from_published and write them with graphpose.models.save"
        )
    if path.suffix == ".safetensors":
        return f"not a readable safetensors file ({error}); is the download complete?"
    beside = [name for name in ("best.safetensors", "last.safetensors") if path.with_name(name).is_file()]
    instead = " or ".join(str(path.with_name(name)) for name in beside) or "a .safetensors file of a run folder"
    what = "the state to --resume a training from" if path.suffix == ".ckpt" else f"a {path.suffix or 'nameless'} file"
    return f"expected {instead} (got {what})"


def _damaged(path: Path, error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{path}: damaged description in its header ({type(error).__name__}: {text[:200]})"


def _unusable(path: Path, metadata: dict[str, Any], error: GraphposeError) -> str | None:
    """What is said of a checkpoint of something that nobody registered in this process; None where it is not that."""
    found = _UNREGISTERED.search(str(error))
    if found is None:
        return None
    run = metadata["config"].get("run", {})
    recorded = run.get("imports") if isinstance(run, dict) else None
    names = [name for name in recorded if isinstance(name, str)] if isinstance(recorded, list) else []
    trained = f" (in the training: {', '.join(names)})" if names else ""
    return (
        f"{path}: {error}; where {found[1]} is registered by a module of your own, import that module{trained} before loading "
        f"(on the command line: --import {','.join(names) or 'MODULE'})"
    )


def load(path: str | Path, *, device: str | torch.device = "cpu") -> Lifter:
    """A working lifter from a checkpoint and nothing else, in evaluation mode.

    Raises:
        CheckpointError: as `read_metadata`, weights that do not fit the described model, or a model, prior, relation or pruning
            rule of one's own whose module is not imported.
        ConfigError: a model too large for the memory of this machine.
    """
    path = Path(path)
    metadata = read_metadata(path)
    try:
        skeleton = Skeleton.from_dict(metadata["skeleton"])
        found = entry(metadata["model"])
        config = build(found.config, metadata["options"], source=f"model {found.name}")
    except GraphposeError as error:
        raise CheckpointError(_unusable(path, metadata, error) or _damaged(path, error)) from error
    except Exception as error:  # what a damaged description makes the constructors raise is anybody's guess
        raise CheckpointError(_damaged(path, error)) from error
    try:
        model = found.model(skeleton, config)
    except GraphposeError as error:
        if (unusable := _unusable(path, metadata, error)) is not None:
            raise CheckpointError(unusable) from error
        if isinstance(error, ConfigError):  # the options are sound: it is this machine that they are too much for
            raise ConfigError(f"{path}: {error}") from error
        raise CheckpointError(_damaged(path, error)) from error
    except Exception as error:
        raise CheckpointError(_damaged(path, error)) from error
    try:
        with safe_open(path, framework="pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
        if metadata["format"] == 1:
            weights = {_current_name(key): value for key, value in weights.items()}
        fill(model, weights)
    except (SafetensorError, OSError, CheckpointError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    return model.to(device).eval()
