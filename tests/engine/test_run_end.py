"""A run that is resumed at its end says how much longer it has to be to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from walkers import walker

from graphpose.config import RunConfig
from graphpose.engine.run_end import finished
from graphpose.models import create, save

DONE: dict[str, Any] = {
    "global_step": 70,
    "callbacks": {},
    "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": 3}}}},
}


def ended(folder: Path, **limits: int | None) -> str | None:
    """What is said of a run of 70 steps and 3 epochs under these limits."""
    model = create("mixste", walker(2, "any").skeleton, frames=3, channels=8, depth=1, heads=2)
    for name in ("best", "last"):
        save(model, folder / f"{name}.safetensors", metrics={"step": 70})
    found = finished(folder, DONE, RunConfig(**limits), "adapt")  # type: ignore[arg-type]
    return None if found is None else found[2]


def test_limits_below_what_is_done_ask_for_more_than_that(tmp_path: Path) -> None:
    told = ended(tmp_path, max_epochs=None, max_steps=40)
    assert told is not None and "(run.max_steps 40, after 70 steps)" in told
    assert told.endswith("--run.max_steps N (N above 70)")
    told = ended(tmp_path, max_epochs=2, max_steps=70)
    assert told is not None and "(run.max_epochs 2 and run.max_steps 70, after 70 steps)" in told
    assert told.endswith("--run.max_epochs N --run.max_steps N (N above 3 and 70)")


def test_a_limit_that_is_ahead_is_no_end(tmp_path: Path) -> None:
    assert ended(tmp_path, max_epochs=4, max_steps=None) is None
    assert ended(tmp_path, max_epochs=None, max_steps=71) is None
