"""Whether a run that is to be resumed has reached the limits it is given, so that there is nothing left to train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphpose.config import RunConfig
from graphpose.models import read_metadata

__all__ = ["finished"]


def finished(
    folder: Path, checkpoint: dict[str, Any], run: RunConfig, command: str = "train"
) -> tuple[dict[str, float], int, str] | None:
    """The figures of the last weights, the steps done, and one line that names the limits; None while some are ahead.

    Args:
        folder: of the run.
        checkpoint: the content of its `last.ckpt`.
        run: the limits.
        command: that goes on with it.

    A run that was stopped before it could write its last weights is not finished, whatever its limits.
    """
    reached = _reached(checkpoint, run)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    if not reached or not (last.is_file() and best.is_file()):
        return None
    metrics = dict(read_metadata(last)["metrics"])
    steps = int(checkpoint["global_step"])
    if metrics.pop("step", None) != steps:
        return None
    limits = " and ".join(f"run.{name} {getattr(run, name)}" for name in reached)
    longer = " ".join(f"--run.{name} N" for name in reached)
    above = " and ".join(str(value) for value in reached.values())
    line = (
        f"{folder}: nothing to train, the run is at its end ({limits}, after {steps} steps); "
        f"to train longer: graphpose {command} --resume {folder} {longer} (N above {above})"
    )
    return metrics, steps, line


def _reached(checkpoint: dict[str, Any], run: RunConfig) -> dict[str, int]:
    """How far the checkpoint is, of the limits that it has reached, by their names in the configuration."""
    waited = [state["wait_count"] for key, state in checkpoint["callbacks"].items() if key.startswith("EarlyStop")]
    done = {
        "max_epochs": checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"],
        "max_steps": checkpoint["global_step"],
        "patience": max(waited, default=0),
    }
    limits = {name: getattr(run, name) for name in done}
    return {name: done[name] for name, limit in limits.items() if limit is not None and done[name] >= limit}
