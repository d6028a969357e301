"""Settings of an adaptation: they come back as they were, and every bad value is told by its key."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import graphpose.config as config_module
from graphpose.config import AdaptConfig, AlignmentConfig, AugmentationConfig, DataConfig, TargetConfig, recipes
from graphpose.errors import ConfigError
from graphpose.recipe_files import find_recipe

NUMBERS = st.floats(1e-6, 1e6)
CONFIGS = st.builds(
    AdaptConfig,
    checkpoint=st.text(max_size=5),
    data=st.fixed_dictionaries({}, optional={"paths": st.lists(st.text(max_size=3), max_size=2), "fps": NUMBERS}),
    target=st.builds(
        TargetConfig,
        paths=st.lists(st.text(max_size=5), max_size=2),
        mapping=st.none() | st.just("m.yaml"),
        min_confidence=st.floats(0, 1),
        view_angle=st.none() | st.floats(1, 179),
        recorded_fps=st.none() | NUMBERS,
    ),
    alignment=st.builds(
        AlignmentConfig,
        by=st.sampled_from(["window", "frame", "none"]),
        tilt=st.sampled_from(["estimate", "source"]) | st.floats(-89, 89),
    ),
    augmentation=st.builds(
        AugmentationConfig,
        warmup_steps=st.integers(0, 9),
        angle=st.floats(0, 179),
        rotation=st.none() | st.tuples(*[st.floats(0, 180)] * 3),
        lr=NUMBERS,
        plausibility=st.just(0.0) | NUMBERS,
    ),
    source_share=st.floats(0, 1),
)


@settings(max_examples=15)
@given(CONFIGS)
def test_settings_come_back_as_they_were(config: AdaptConfig) -> None:
    values = config.to_dict()
    assert AdaptConfig.from_dict(values) == config
    assert AdaptConfig.from_dict(yaml.safe_load(yaml.safe_dump(values))) == config


def test_settings_come_back_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("checkpoint: a.safetensors\nalignment: {tilt: 12}\naugmentation: {rotation: [1, 2, 3]}\n")
    config = AdaptConfig.from_yaml(path)
    assert config == AdaptConfig(
        checkpoint="a.safetensors",
        alignment=AlignmentConfig(tilt=12.0),
        augmentation=AugmentationConfig(rotation=(1.0, 2.0, 3.0)),
    )
    path.write_text("# nothing\n")
    assert AdaptConfig.from_yaml(path) == AdaptConfig()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"target": {"min_confidence": 1.5}}, "target.min_confidence: expected a number in [0, 1] (got 1.5)"),
    ({"target": {"min_confidence": math.nan}}, "target.min_confidence: expected a number in [0, 1]"),
    ({"target": {"focal": 0.0}}, "target.focal: expected a number above 0 (got 0.0)"),
    ({"target": {"focal": math.inf}}, "target.focal: expected a number above 0"),
    ({"target": {"recorded_fps": -30.0}}, "target.recorded_fps: expected a number above 0"),
    ({"target": {"view_angle": 180.0}}, "target.view_angle: expected degrees in (0, 180), or null"),
    ({"target": {"view_angle": math.nan}}, "target.view_angle: expected degrees in (0, 180), or null"),
    ({"target": {"view_angle": 60.0, "focal": 1.0}}, "target.view_angle: expected one of focal and view_angle"),
    (
        {"target": {"focal": 1700.0}},
        "target.focal: expected at most 20, in normalised screen units: f_pixels / (width / 2)",
    ),
    ({"target": {"path": ["a"]}}, "target: unknown key 'path' (did you mean 'paths'?)"),
    ({"alignment": {"by": "clip"}}, "alignment.by: unknown choice 'clip'"),
    ({"alignment": {"tilt": 90.0}}, 'alignment.tilt: expected degrees in (-90, 90), "estimate" or "source"'),
    ({"alignment": {"tilt": math.nan}}, "alignment.tilt: expected degrees in (-90, 90)"),
    ({"alignment": {"tilt": "guess"}}, "alignment.tilt: expected a number or one of 'estimate', 'source'"),
    ({"alignment": {"tilt": None}}, "alignment.tilt: expected a number or one of 'estimate', 'source'"),
    ({"augmentation": {"warmup_steps": -1}}, "augmentation.warmup_steps: expected at least 0 (got -1)"),
    ({"augmentation": {"channels": 0}}, "augmentation.channels: expected at least 1 (got 0)"),
    ({"augmentation": {"every": 0}}, "augmentation.every: expected at least 1"),
    ({"augmentation": {"samples_every": 0}}, "augmentation.samples_every: expected at least 1"),
    ({"augmentation": {"angle": 180.0}}, "augmentation.angle: expected degrees in [0, 180)"),
    ({"augmentation": {"angle": -1.0}}, "augmentation.angle: expected degrees in [0, 180)"),
    ({"augmentation": {"rotation": [30, 181, 0]}}, "augmentation.rotation: expected degrees in [0, 180]"),
    ({"augmentation": {"rotation": [30, math.nan, 0]}}, "augmentation.rotation: expected degrees in [0, 180]"),
    ({"augmentation": {"rotation": [30, 30]}}, "augmentation.rotation: expected 3 values (got 2)"),
    ({"augmentation": {"lr": 0.0}}, "augmentation.lr: expected a number above 0"),
    ({"augmentation": {"wanted_hardness": 0.0}}, "augmentation.wanted_hardness: expected a number above 0"),
    *(
        ({"augmentation": {name: value}}, f"augmentation.{name}: expected at least 0")
        for name in ("plausibility", "likeness", "diversity", "hardness")
        for value in (-0.1, math.inf, math.nan)
    ),
    ({"source_share": 1.1}, "source_share: expected a number in [0, 1] (got 1.1)"),
    ({"source_share": math.nan}, "source_share: expected a number in [0, 1]"),
    ({"data": {"framez": 9}}, "data: unknown key 'framez' (did you mean 'frames'?)"),
    ({"data": {"frames": 0}}, "data.frames: expected at least 1 (got 0)"),
    ({"run": {"max_steps": 0}}, "run.max_steps: expected at least 1"),
    ({"run": {"devices": 2}}, "run.devices: generator and discriminators learn in one process, expected 1 (got 2)"),
    ({"run": {"devices": "auto"}}, "run.devices: generator and discriminators learn in one process, expected 1"),
    ({"run": {"nodes": 2}}, "run.nodes: generator and discriminators learn in one process, expected 1 (got 2)"),
    (
        {"alignment": {"by": "none"}, "augmentation": {"enabled": False}},
        'alignment.by: expected "window" or "frame" where augmentation.enabled is false',
    ),
    ({"checkpoint": 3}, "checkpoint: expected text (got int 3)"),
    ({"chekpoint": "a"}, "unknown key 'chekpoint' (did you mean 'checkpoint'?)"),
]


@pytest.mark.parametrize(("values", "message"), BAD, ids=lambda part: str(part)[:50])
def test_every_bad_value_is_told_by_its_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AdaptConfig.from_dict(values, source="mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml: {message}")


@pytest.mark.parametrize(
    ("tilt", "turns"),
    [("source", (30.0, 180.0, 10.0)), ("estimate", (0.0, 180.0, 0.0)), (20.0, (0.0, 180.0, 0.0))],
)
def test_the_whole_pose_turns_about_axes_that_a_known_tilt_leaves_free(
    tilt: Any, turns: tuple[float, float, float]
) -> None:
    config = AdaptConfig(alignment=AlignmentConfig(tilt=tilt))
    assert config.augmentation.rotation is None and config.resolved_augmentation().rotation == turns
    given = AugmentationConfig(rotation=(1.0, 2.0, 3.0))
    assert AdaptConfig(alignment=AlignmentConfig(tilt=tilt), augmentation=given).resolved_augmentation() == given


def test_a_checkpoint_may_be_a_path() -> None:
    config = AdaptConfig(checkpoint=Path("runs") / "best.safetensors")  # type: ignore[arg-type]
    assert config.checkpoint == "runs/best.safetensors" and AdaptConfig.from_dict(config.to_dict()) == config


def test_several_devices_can_align() -> None:
    for count in ({"devices": 2}, {"devices": "auto"}, {"nodes": 2}):
        assert AdaptConfig.from_dict({"augmentation": {"enabled": False}, "run": count}).run is not None


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"target\.focal.*augmentation\.lr") as caught:
        AdaptConfig.from_dict({"target": {"focal": -1.0}, "augmentation": {"lr": -1.0}})
    assert len(str(caught.value).splitlines()) == 1


def test_the_source_is_that_of_the_training_with_what_is_replaced() -> None:
    trained = DataConfig(paths=["a"], frames=9, batch_size=7)
    config = AdaptConfig(data={"paths": ["b"], "views": {"distance": 3.0}})
    data = config.data_config(trained)
    assert (data.paths, data.frames, data.batch_size, data.views.distance) == (["b"], 9, 7, 3.0)
    assert data.views.azimuths == trained.views.azimuths
    written = config.with_data(data)
    assert written.data_config(DataConfig()) == data and AdaptConfig.from_dict(written.to_dict()) == written


@pytest.mark.parametrize("name", recipes("adaptations"))
def test_each_recipe_of_an_adaptation_loads_and_says_how_it_is_used(name: str) -> None:
    config = AdaptConfig.from_yaml(name)
    assert (config.checkpoint, config.target.paths, config.data) == ("", [], {}), "checkpoint and data are the user's"
    assert config.run.max_steps is not None
    assert f"adapt --config {name}" in find_recipe(name, "adaptations").read_text(encoding="utf-8")


def test_recipes_of_adaptations_are_a_kind_of_their_own() -> None:
    assert "adapt_small" in recipes("adaptations")
    assert not set(recipes("adaptations")) & set(recipes())
    with pytest.raises(ConfigError, match=r"unknown adaptation 'adapt_smal' \(did you mean 'adapt_small'\?\)"):
        AdaptConfig.from_yaml("adapt_smal")
    assert {"AdaptConfig", "AlignmentConfig", "AugmentationConfig", "TargetConfig"} <= set(config_module.__all__)
