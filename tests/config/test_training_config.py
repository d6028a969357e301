"""Configurations: strict, typed, documented, the same after a round trip, and free of torch."""

from __future__ import annotations

import dataclasses
import inspect
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from graphpose import config as config_module
from graphpose.config import (
    DataConfig,
    EvaluateConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SplitConfig,
    TrainConfig,
    ViewsConfig,
    find_recipe,
    recipes,
)
from graphpose.errors import ConfigError
from graphpose.structured import build, field_paths, merge, plain

CLASSES = (DataConfig, EvaluateConfig, ModelConfig, OptimConfig, RunConfig, SplitConfig, TrainConfig, ViewsConfig)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_field_is_documented_and_frozen(kind: type) -> None:
    documented = inspect.getdoc(kind) or ""
    for field in dataclasses.fields(kind):
        assert f"\n    {field.name}: " in documented, f"{kind.__name__}.{field.name} has no line in the docstring"
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), dataclasses.fields(kind)[0].name, 1)


def test_importing_the_configuration_does_not_import_torch() -> None:
    code = "import sys, graphpose.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_defaults_survive_yaml(tmp_path: Path) -> None:
    config = TrainConfig()
    config.to_yaml(tmp_path / "config.yaml")
    assert TrainConfig.from_yaml(tmp_path / "config.yaml") == config


text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
positive = st.floats(1e-6, 1e6)


@given(
    data=st.builds(
        DataConfig,
        paths=st.lists(text, max_size=3),
        skeleton=st.none() | text,
        scale=st.none() | positive,
        fps=st.none() | positive,
        frames=st.integers(1, 400),
        stride=st.none() | st.integers(1, 400),
        views=st.builds(ViewsConfig, azimuths=st.lists(st.floats(-360, 360), min_size=1, max_size=4).map(tuple)),
        split=st.builds(SplitConfig, test=st.lists(text, max_size=2), val=st.floats(0, 0.99) | st.just([])),
        missing=st.floats(0, 0.9),
    ),
    optim=st.builds(OptimConfig, lr=positive, schedule=st.sampled_from(["exponential", "cosine", "constant"])),
    run=st.builds(RunConfig, max_steps=st.none() | st.integers(1), devices=st.just("auto") | st.integers(1, 8)),
    model=st.builds(ModelConfig, name=text, options=st.dictionaries(text, st.integers() | st.booleans() | text)),
)
def test_any_configuration_survives_yaml(
    data: DataConfig, optim: OptimConfig, run: RunConfig, model: ModelConfig
) -> None:
    config = TrainConfig(data, model, optim, run)
    assert TrainConfig.from_dict(yaml.safe_load(config.to_yaml())) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dat": {}}, "unknown key 'dat' (did you mean 'data'?)"),
        ({"data": {"framez": 3}}, "data: unknown key 'framez' (did you mean 'frames'?)"),
        (
            {"data": {"views": {"azimuth": [1.0], "zzz": 0, "focal": 2.0}}},
            "data.views: unknown keys 'azimuth' (did you mean 'azimuths'?), 'zzz'; choose from: kind, azimuths, distance, "
            "height, focal, count",
        ),
        ({"data": {"views": {"azimuth": [1.0]}}}, "data.views: unknown key 'azimuth' (did you mean 'azimuths'?)"),
        ({"data": {"frames": "many"}}, "data.frames: expected a whole number (got str 'many')"),
        ({"data": {"frames": True}}, "data.frames: expected a whole number (got bool True)"),
        ({"data": {"frames": 2.5}}, "data.frames: expected a whole number (got float 2.5)"),
        ({"data": {"frames": 0}}, "data.frames: expected at least 1 (got 0)"),
        ({"data": {"reader_options": 3}}, "data.reader_options: expected a mapping {name: value} (got int 3)"),
        (
            {"model": {"options": {"in_features": 3}}},
            "model.options.in_features: expected 2, as data.confidence is false (got 3)",
        ),
        ({"data": {"flip": "yes please"}}, "data.flip: expected true or false"),
        ({"data": {"paths": "walk.bvh"}}, "data.paths: expected a list of text (got str 'walk.bvh')"),
        ({"data": {"fps": -30}}, "data.fps: expected a number above 0"),
        ({"data": {"fps": math.nan}}, "data.fps: expected a number above 0"),
        ({"data": {"scale": math.inf}}, "data.scale: expected a number above 0"),
        ({"data": {"stride": 0}}, "data.stride: expected at least 1, or null"),
        ({"data": {"noise": -0.1}}, "data.noise: expected at least 0"),
        ({"data": {"missing": 1.0}}, "data.missing: expected a share in [0, 1)"),
        ({"data": {"name_pattern": "(?P<subject"}}, "data.name_pattern: expected a regular expression"),
        ({"data": {"batch_size": 0}}, "data.batch_size: expected at least 1"),
        ({"data": {"workers": -1}}, "data.workers: expected at least 0"),
        ({"data": {"split": {"by": "subjekt"}}}, "data.split.by: unknown choice 'subjekt' (did you mean 'subject'?)"),
        ({"data": {"split": {"test": ["a"], "val": ["a"]}}}, "data.split.val: expected no group that is in test too"),
        ({"data": {"split": {"val": 1.5}}}, "data.split.val: expected a share in [0, 1)"),
        ({"data": {"split": {"val": [3]}}}, "data.split.val[0]: expected text (got int 3)"),
        ({"data": {"views": {"azimuths": []}}}, "data.views.azimuths: expected at least one angle"),
        ({"data": {"views": {"focal": 0}}}, "data.views.focal: expected a number above 0"),
        ({"data": [1]}, "data: expected a mapping of settings (got list [1])"),
        ({"model": {"name": ""}}, "model.name: expected the name of a model"),
        ({"optim": {"lr": 0}}, "optim.lr: expected a number above 0"),
        ({"optim": {"betas": [0.9]}}, "optim.betas: expected 2 values (got 1)"),
        ({"optim": {"betas": [0.9, 1.0]}}, "optim.betas: expected two numbers in [0, 1)"),
        ({"optim": {"gamma": 1.5}}, "optim.gamma: expected a number in (0, 1]"),
        ({"run": {"max_epochs": None}}, "run.max_epochs: expected a limit here or in max_steps"),
        ({"run": {"max_steps": -1}}, "run.max_steps: expected at least 1, or null"),
        ({"run": {"devices": "all"}}, "run.devices: "),
        ({"run": {"precision": "16-mix"}}, "run.precision: unknown choice '16-mix' (did you mean '16-mixed'?)"),
        ({"run": {"seed": -1}}, "run.seed: expected a whole number in [0, 2^32)"),
        ({"run": {"output": ""}}, "run.output: expected the path of a folder"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig.from_dict(values, source="mine.yaml")
    assert str(error.value).startswith(f"mine.yaml: {message}")
    assert "\n" not in str(error.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig.from_dict({"data": {"framez": 1, "fps": "fast"}, "run": {"seeds": 1}})
    for part in ("'framez'", "data.fps", "'seeds'"):
        assert part in str(error.value)


def test_numbers_are_converted_only_where_nothing_is_lost() -> None:
    config = TrainConfig.from_dict({"data": {"fps": 30}, "optim": {"lr": "1e-3"}})  # YAML 1.1 reads 1e-3 as text
    assert (config.data.fps, config.optim.lr) == (30.0, 1e-3)
    assert isinstance(config.data.fps, float)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*field_paths(TrainConfig), "by", "views", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_yaml_is_taken_or_refused_with_one_line(values: Any) -> None:
    try:
        config = build(TrainConfig, values)
    except ConfigError as error:
        assert "\n" not in str(error).replace("\\n", "")
    else:
        assert build(TrainConfig, plain(config)) == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"data: {frames: [", ":1: not valid YAML"),
        (b"data:\n\tframes: 1", ":2: not valid YAML"),
        (b"- 1\n- 2", ": expected a mapping of settings (got list)"),
        (b"data: \xff\xfe", ": expected UTF-8 text (byte 6 is not)"),
        (b"data: {frames: 1, frames: 2}", ":1: 'frames' stands twice"),
        (b"data: {fps: 2020-99-99}", ": not valid YAML"),
        (b"? [1, 2]\n: 3", ":1: not valid YAML"),
        (b"data: \x00", ": not valid YAML"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        TrainConfig.from_yaml(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert TrainConfig.from_yaml(tmp_path / "empty.yaml") == TrainConfig()


@pytest.mark.parametrize("name", recipes())
def test_each_recipe_loads_and_says_how_it_is_used(name: str) -> None:
    config = TrainConfig.from_yaml(name)
    assert config.data.paths == [], "a recipe is about settings; the data are the user's"
    assert f"--config {name}" in find_recipe(name).read_text(encoding="utf-8")


def test_the_published_recipe_has_the_published_numbers() -> None:
    config = TrainConfig.from_yaml("ktpformer_h36m")
    assert (config.optim.lr, config.optim.weight_decay, config.optim.gamma) == (8e-5, 0.1, 0.99)
    assert (config.run.max_epochs, config.data.batch_size, config.data.frames) == (200, 8, 243)
    assert config.model.options == {"channels": 512, "depth": 7, "heads": 8, "mlp_ratio": 2.0, "drop_path": 0.1}


def test_unknown_recipes_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'demo'"):
        find_recipe("demmo")
    with pytest.raises(ConfigError, match=r"no such file; bundled recipes are .*demo"):
        find_recipe("somewhere/mine.yaml")


def test_a_file_of_the_same_name_wins_over_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("run: {seed: 7}\n")
    assert TrainConfig.from_yaml("demo").run.seed == 7


def test_an_evaluation_takes_the_training_settings_and_replaces_some() -> None:
    trained = DataConfig(paths=["a"], frames=81, views=ViewsConfig(distance=4.0, azimuths=(10.0,)))
    evaluation = EvaluateConfig(data={"paths": ["b"], "views": {"distance": 3.0}})
    data = evaluation.data_config(trained)
    assert (data.paths, data.frames) == (["b"], 81)
    assert data.views == ViewsConfig(distance=3.0, azimuths=(10.0,))
    with pytest.raises(ConfigError, match="did you mean 'paths'"):
        EvaluateConfig(data={"path": ["b"]})


def test_merge_leaves_its_arguments_alone() -> None:
    base: dict[str, Any] = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merge(base, {"a": {"b": 5}, "e": 6}) == {"a": {"b": 5, "c": 2}, "d": 3, "e": 6}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


def test_all_names_exist() -> None:
    for name in config_module.__all__:
        assert hasattr(config_module, name)


def test_a_model_of_another_length_than_the_windows_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"model\.options\.frames: expected data\.frames, 9 \(got 27\).*set data\.frames"
    ):
        TrainConfig.from_dict({"data": {"frames": 9}, "model": {"options": {"frames": 27}}})
    TrainConfig.from_dict({"data": {"frames": 9}, "model": {"options": {"frames": 9}}})
