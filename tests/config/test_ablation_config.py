"""What an ablation is told: the grid that settings make, one setting replacing another, and every fault named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from graphpose.config import AblationConfig, Cell, TrainConfig, ablations, find_recipe, select
from graphpose.errors import ConfigError

BASE: dict[str, Any] = {
    "data": {"frames": 9, "split": {"by": "file", "test": ["x"]}},
    "model": {"name": "mixste", "options": {"channels": 16, "depth": 1}},
    "optim": {"lr": 0.01},
    "run": {"max_steps": 5},
}
GRID: dict[str, Any] = {
    "base": BASE,
    "hosts": {
        "mixste": {},
        "wide": {"options": {"channels": 32}, "optim": {"lr": 0.1}, "data": {"batch_size": 4}},
        "other": {"name": "ktpformer", "options": {"heads": 2}, "priors": ["none"]},
        "wrap": {"name": "hourglass", "options": {"host": "mixste", "host_options": {"depth": 3}}, "priors_into": "host_options"},
    },
    "priors": {"none": {"prior": None}, "kpa": {"prior": "kpa"}, "bias": {"prior": "kpa+tpa", "prior_place": "bias"}},
    "extra": {"flat": {"name": "ridge", "seeds": [0]}},
    "seeds": [0, 7],
    "output": "out",
}  # fmt: skip


def grid(**changes: Any) -> AblationConfig:
    return AblationConfig.from_dict({**GRID, **changes})


def by_name(cells: list[Cell]) -> dict[str, Cell]:
    return {cell.name: cell for cell in cells}


def test_the_grid_is_hosts_times_priors_times_seeds_and_the_extra_rows() -> None:
    names = [cell.name for cell in grid().cells()]
    expected = [
        f"{host}/{prior}/seed{seed}"
        for host in ("mixste", "wide", "other", "wrap")
        for prior in (("none",) if host == "other" else ("none", "kpa", "bias"))
        for seed in (0, 7)
    ]
    assert names == [*expected, "flat/seed0"]


def test_a_cell_is_the_base_with_what_host_prior_override_and_seed_replace() -> None:
    cells = by_name(grid(override={"run": {"max_steps": 3}}).cells())
    wide = cells["wide/bias/seed7"].config
    options = {"channels": 32, "depth": 1, "prior": "kpa+tpa", "prior_place": "bias"}
    assert (wide.model.name, wide.model.options) == ("mixste", options)
    assert (wide.optim.lr, wide.data.batch_size, wide.data.frames) == (0.1, 4, 9)
    assert (wide.run.max_steps, wide.run.seed, wide.run.output) == (3, 7, str(Path("out/wide/bias/seed7")))
    assert cells["mixste/kpa/seed0"].config.optim.lr == 0.01
    assert cells["other/none/seed0"].config.model.options == {"heads": 2, "prior": None}, "another model's own defaults"
    wrapped = cells["wrap/kpa/seed0"].config.model
    assert wrapped.options == {"host": "mixste", "host_options": {"depth": 3, "prior": "kpa"}}
    assert cells["flat/seed0"].prior is None
    assert cells["flat/seed0"].config.model.options == {}


def test_the_row_without_priors_is_the_one_without_options() -> None:
    assert grid().reference == "none"
    assert grid(priors={"kpa": {"prior": "kpa"}, "plain": {}}, hosts={"mixste": {}}).reference == "plain"
    assert grid(priors={"kpa": {"prior": "kpa"}}, hosts={"mixste": {}}).reference is None


def test_a_file_names_recipes_that_lie_beside_it_or_are_bundled(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**BASE, "optim": {"lr": 0.5}}))
    settings = {**GRID, "base": "mine.yaml", "extra": {"demo": {"config": "demo", "name": "ridge"}}}
    del settings["extra"]
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(settings))
    config = AblationConfig.from_yaml(tmp_path / "grid.yaml")
    assert config.base == TrainConfig.from_yaml(tmp_path / "mine.yaml").to_dict()
    assert by_name(config.cells())["mixste/none/seed0"].config.optim.lr == 0.5
    (tmp_path / "kept.yaml").write_text(config.placed().to_yaml())
    kept = AblationConfig.from_yaml(tmp_path / "kept.yaml")
    assert kept == config.placed(), "what is kept in the output folder gives the same ablation"


def test_placed_settings_work_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("")
    placed = grid(override={"data": {"paths": ["clips"], "skeleton": "mine.yaml"}}).placed()
    assert placed.override.data == {"paths": [str(tmp_path / "clips")], "skeleton": str(tmp_path / "mine.yaml")}
    assert placed.output == str(tmp_path / "out")
    named = grid(override={"data": {"skeleton": "h36m17"}}).placed()
    assert named.override.data["skeleton"] == "h36m17"


def test_a_recipe_of_an_entry_takes_the_clips_of_the_base(tmp_path: Path) -> None:
    own = {**BASE, "optim": {"lr": 1.0}}
    config = grid(
        base={**BASE, "data": {**BASE["data"], "paths": ["here"]}}, extra={"own": {"config": own}}, hosts={}, priors={}
    )
    [first, _] = config.cells()
    assert (first.config.data.paths, first.config.optim.lr) == (["here"], 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hostz": {}}, r"unknown key 'hostz' \(did you mean 'hosts'\?\)"),
        ({"hosts": {}, "extra": {}}, "hosts: expected at least one host"),
        ({"priors": {}}, "priors: expected at least one, such as none: {}"),
        ({"seeds": []}, r"seeds: expected one or more different whole numbers in \[0, 2\^32\) \(got \[\]\)"),
        ({"seeds": [1, 1]}, r"seeds: expected one or more different .* \(got \[1, 1\]\)"),
        ({"seeds": [-1]}, "seeds: expected one or more different"),
        ({"seeds": 3}, "seeds: expected a list of whole numbers .got int 3."),
        ({"output": ""}, "output: expected the path of a folder"),
        ({"hosts": {"a/b": {}}}, r"hosts: expected names of letters, digits and _\.\+-, for folders \(got 'a/b'\)"),
        ({"hosts": {"..": {}}}, "hosts: expected names of letters"),
        ({"extra": {"mixste": {}}}, "extra: expected names that no host has .got 'mixste'."),
        ({"extra": {"x": {"priors": ["kpa"]}}}, "extra.x: expected no priors"),
        ({"hosts": {"m": {"optionz": {}}}}, r"hosts\.m: unknown key 'optionz' \(did you mean 'options'\?\)"),
        ({"hosts": {"m": {"priors": ["kpaa"]}}}, r"hosts\.m\.priors: unknown prior 'kpaa' \(did you mean 'kpa'\?\)"),
        ({"hosts": {"m": {"run": {"seed": 1}}}}, r"hosts\.m\.run\.seed: expected in the ablation, .*set `seeds`"),
        ({"override": {"run": {"output": "x"}}}, r"override\.run\.output: expected in the ablation, .*set `output`"),
        ({"override": {"model": {}}}, "override: unknown key 'model'; choose from: data, optim, run"),
        (
            {"hosts": {"m": {"data": {"views": {}}}}},
            r"hosts\.m\.data\.views: expected a setting of the training windows",
        ),
        ({"hosts": {"m": {"seeds": []}}}, r"hosts\.m\.seeds: expected one or more"),
    ],
)
def test_faulty_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hosts": {"m": {"optim": {"lrr": 1}}}}, r"hosts\.m: optim: unknown key 'lrr' \(did you mean 'lr'\?\)"),
        ({"hosts": {"m": {"optim": {"lr": 0}}}}, r"hosts\.m: optim\.lr: expected a number above 0"),
        ({"base": {**BASE, "optm": {}}}, r"base: unknown key 'optm' \(did you mean 'optim'\?\)"),
        ({"base": "demmo"}, r"unknown recipe 'demmo' \(did you mean 'demo'\?\)"),
        (
            {"extra": {"d": {"config": "demo"}}},
            r"extra\.d: data\.skeleton: expected that of the base, None \(got 'h36m17'\)",
        ),
        ({"override": {"data": {"split": {"test": []}}}}, r"data\.split\.test: expected groups to measure on"),
        ({"override": {"run": {"devices": 2}}}, r"run\.devices: expected 1, on 1 node \(got 2 on 1\)"),
    ],
)
def test_settings_that_no_cell_can_have_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(**changes).cells()


def test_all_faults_of_the_grid_come_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        grid(hosts={"a": {"optim": {"lr": 0}}, "b": {"optim": {"betas": 1}}}).cells()
    assert "hosts.a: optim.lr" in str(error.value) and "hosts.b: optim.betas" in str(error.value)
    assert str(error.value).count("optim.lr") == 1, "once a host, not once a cell"


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ([], 21),
        (["wide"], 6),
        (["wide/kpa"], 2),
        (["*/none"], 8),
        (["*/*/seed7"], 10),
        (["wide", "wide/kpa/seed0", "flat"], 7),
        (["flat/seed0"], 1),
    ],
)
def test_cells_are_chosen_by_name(only: list[str], chosen: int) -> None:
    cells = grid().cells()
    assert len(select(cells, only)) == chosen
    assert [cell for cell in cells if cell in select(cells, only)] == select(cells, only)


@pytest.mark.parametrize(
    ("pattern", "nearest"), [("mixst", "mixste"), ("wide/kpaa", "wide/kpa"), ("flat/seed", "flat/seed0")]
)
def test_a_name_of_no_cell_names_the_nearest(pattern: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"--only: unknown cell '{pattern}' .did you mean '{nearest}'"):
        select(grid().cells(), [pattern])


@pytest.mark.parametrize("name", ablations())
def test_each_bundled_ablation_makes_a_grid_and_says_how_it_is_used(name: str) -> None:
    config = AblationConfig.from_yaml(name)
    cells = config.cells()
    assert config.reference == "none"
    assert len(config.seeds) >= 2
    assert all(not cell.config.data.paths for cell in cells), "an ablation is about settings; the data are the user's"
    assert f"--config {name}" in find_recipe(name, "ablations").read_text(encoding="utf-8")


def test_an_unknown_ablation_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'demo_ablation'"):
        AblationConfig.from_yaml("demo_ablatoin")
