"""What `adapt` is handed from Python: clips in lists, and a target that is named in errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from walkers import walker

from graphpose.adaptation import adapt
from graphpose.config import AdaptConfig, TrainConfig
from graphpose.engine import train
from graphpose.errors import ConfigError, DataError
from graphpose.models import create, save

HERE = {"frames": 3, "batch_size": 2, "fps": None, "views": {"azimuths": [30.0]}, "split": {"by": "file", "val": 0.0}}


@pytest.mark.parametrize("side", ["source", "target"])
def test_one_clip_alone_is_refused_by_its_name(side: str) -> None:
    alone: dict[str, Any] = {side: walker(8, "alone")}
    with pytest.raises(DataError, match=rf"^{side}: expected a list of clips \(got the clip 'alone' alone\)"):
        adapt(AdaptConfig(), **alone)


def test_an_empty_target_is_told_as_the_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = walker(8, "walk")
    model = create("mixste", clip.skeleton, frames=3, channels=8, depth=1, heads=2)
    path = save(model, tmp_path / "source.safetensors", config={"data": HERE})
    config = AdaptConfig.from_dict({"checkpoint": str(path), "run": {"output": str(tmp_path / "run")}})
    with pytest.raises(DataError, match=r"^target: expected at least one clip \(got none\)"):
        adapt(config, source=[clip], target=[])
    assert capsys.readouterr().err == ""


def test_only_runs_of_their_own_are_resumed(tmp_path: Path) -> None:
    """`config.yaml` stands before the first checkpoint: the wrong command is told even where nothing can be resumed yet."""
    adaptation, training = AdaptConfig(), TrainConfig.from_dict({"data": {"paths": ["a"]}})
    kept: AdaptConfig | TrainConfig
    for name, kept in (("adapted", adaptation), ("trained", training)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(kept.to_dict()))
    with pytest.raises(
        ConfigError, match=r"adapted/last.ckpt: expected the run of graphpose train; this is an adaptation"
    ):
        train(training, resume=tmp_path / "adapted" / "last.ckpt", progress=False)
    with pytest.raises(
        ConfigError, match=r"trained: expected the run of graphpose adapt; this is a training: graphpose train"
    ):
        adapt(adaptation, resume=tmp_path / "trained", progress=False)
