"""What an ablation is told: hosts x priors x seeds, each a training on the same clips with the same budget.

    cell = base <- host (or its own recipe) <- prior (into the model's options) <- override <- seed

Each arrow replaces settings key by key. Rows beyond the grid (baselines) stand under `extra`. Nothing here imports torch.

    base: cmu_lift_mixste                       # a training recipe, a YAML file, or settings of `TrainConfig`
    hosts:
      mixste: {}                                # the model of the base
      dstformer: {name: dstformer, options: {channels: 64, depth: 2}}
      hourglass: {name: hourglass, options: {host: mixste}, priors_into: host_options}
    priors: {none: {}, kpa: {prior: kpa}, both: {prior: kpa+tpa}}
    extra:
      ridge: {config: cmu_lift_ridge, seeds: [0]}
    seeds: [0, 1]
    output: runs/ablation
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from graphpose.config.training import TrainConfig
from graphpose.errors import ConfigError, unknown_name
from graphpose.recipe_files import find_recipe, load_settings, recipes
from graphpose.structured import build, merge, plain

__all__ = ["AblationConfig", "Cell", "EntryConfig", "OverrideConfig", "ablations", "select"]

KIND = "ablations"
"""The folder of `recipes/` with the bundled ones."""
_OWN = ("seed", "output")  # settings of a run that the ablation gives
_OF_THE_ENTRY = ("frames", "stride", "sampling", "noise", "missing", "confidence", "flip", "batch_size", "workers")
"""The settings of the data that may differ from cell to cell: those of training windows. All others decide what is measured."""


def ablations() -> list[str]:
    """Names of the bundled ablations."""
    return recipes(KIND)


@dataclass(frozen=True)
class EntryConfig:
    """A host, or an extra row.

    Attributes:
        config: a training recipe (name, file or settings) in place of the base; null is the base.
        name: name of the model; null is that of the recipe.
        options: of the model. The recipe's own stay where they are not named, unless `name` makes it another model.
        data: replaces settings of the training windows: frames, stride, sampling, noise, missing, confidence, flip, batch_size,
            workers. What is measured is the same for all.
        optim: replaces settings of the optimiser.
        run: replaces settings of the run, save its seed and output.
        priors: which of the priors it takes; null is all. An extra row takes none.
        priors_into: the option of the model into which the prior's options go, for a model that wraps another.
        seeds: in place of those of the ablation.
    """

    config: str | dict[str, Any] | None = None
    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    optim: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    priors: list[str] | None = None
    priors_into: str | None = None
    seeds: list[int] | None = None

    def __post_init__(self) -> None:
        _require_free(self.run, "run")
        foreign = [key for key in self.data if key not in _OF_THE_ENTRY]
        if foreign:
            raise ConfigError(
                f"data.{foreign[0]}: expected a setting of the training windows ({', '.join(_OF_THE_ENTRY)}); all cells are "
                "trained and measured on the same clips and views, set it in the base"
            )
        _check_seeds(self.seeds)


@dataclass(frozen=True)
class OverrideConfig:
    """Settings that replace those of every cell; where the command line's options go.

    Attributes:
        data: of `DataConfig`.
        optim: of `OptimConfig`.
        run: of `RunConfig`, save seed and output.
    """

    data: dict[str, Any] = field(default_factory=dict)
    optim: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_free(self.run, "run")


@dataclass(frozen=True)
class Cell:
    """One training of the grid.

    Attributes:
        host: name of the host or of the extra row.
        prior: name of the prior; None for an extra row.
        seed: of the training.
        config: everything else.
    """

    host: str
    prior: str | None
    seed: int
    config: TrainConfig

    @property
    def row(self) -> tuple[str, str | None]:
        """What the seeds of one row have in common."""
        return self.host, self.prior

    @property
    def name(self) -> str:
        """`host/prior/seed0`, or `row/seed0`; also the place of its folder."""
        return "/".join([*(part for part in self.row if part is not None), f"seed{self.seed}"])

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return Path(self.config.run.output)


@dataclass(frozen=True)
class AblationConfig:
    """A grid of trainings.

    Attributes:
        base: what all have in common: a training recipe (name or file) or settings of `TrainConfig`.
        hosts: by the name of their rows.
        priors: by name, the options of the model that they replace; the one without any (or with nulls only) is what the
            others are compared with.
        extra: further rows, without priors.
        seeds: of each row.
        override: settings that replace those of every cell.
        output: folder for runs, tables and figure.
    """

    base: str | dict[str, Any] = field(default_factory=dict)
    hosts: dict[str, EntryConfig] = field(default_factory=dict)
    priors: dict[str, dict[str, Any]] = field(default_factory=dict)
    extra: dict[str, EntryConfig] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0])
    override: OverrideConfig = field(default_factory=OverrideConfig)
    output: str = "runs/ablation"

    def __post_init__(self) -> None:
        if not self.hosts and not self.extra:
            raise ConfigError("hosts: expected at least one host (or a row under extra)")
        if self.hosts and not self.priors:
            raise ConfigError("priors: expected at least one, such as none: {}")
        if not self.output:
            raise ConfigError("output: expected the path of a folder (got '')")
        _check_seeds(self.seeds)
        for kind, names in (("hosts", self.hosts), ("priors", self.priors), ("extra", self.extra)):
            for name in names:
                if not re.fullmatch(r"\w[\w.+-]*", name):
                    raise ConfigError(f"{kind}: expected names of letters, digits and _.+-, for folders (got {name!r})")
        twice = sorted(self.hosts.keys() & self.extra.keys())
        if twice:
            raise ConfigError(f"extra: expected names that no host has (got {twice[0]!r})")
        for host, entry in self.hosts.items():
            for prior in entry.priors or []:
                if prior not in self.priors:
                    raise ConfigError(f"hosts.{host}.priors: {unknown_name('prior', prior, self.priors)}")
        for name, entry in self.extra.items():
            if entry.priors is not None or entry.priors_into is not None:
                raise ConfigError(f"extra.{name}: expected no priors; what takes them belongs under hosts")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, source: str = "") -> AblationConfig:
        """The configuration of nested plain `values`; raises `ConfigError` that names `source` and every faulty key."""
        return build(cls, values, source=source)

    @classmethod
    def from_yaml(cls, name_or_path: str | Path) -> AblationConfig:
        """A bundled ablation (by name) or a YAML file, with the recipes that it names written out.

        A recipe that is a file is looked for beside the YAML file first. Raises `ConfigError` with file and key.
        """
        path = find_recipe(name_or_path, KIND)
        config = cls.from_dict(load_settings(path), source=str(path))

        def written_out(recipe: str | dict[str, Any] | None) -> dict[str, Any] | None:
            if not isinstance(recipe, str):
                return recipe
            beside = path.parent / recipe
            return TrainConfig.from_yaml(beside if beside.is_file() else recipe).to_dict()

        def entries(of: Mapping[str, EntryConfig]) -> dict[str, EntryConfig]:
            return {name: replace(entry, config=written_out(entry.config)) for name, entry in of.items()}

        try:
            return replace(
                config,
                base=written_out(config.base) or {},
                hosts=entries(config.hosts),
                extra=entries(config.extra),
            )
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def to_yaml(self) -> str:
        """As YAML text, which gives an equal configuration back."""
        return yaml.safe_dump(plain(self), sort_keys=False, allow_unicode=True, width=120)

    @property
    def reference(self) -> str | None:
        """The prior that is none: without options, or with null for each; None where there is no such."""
        return next((name for name, options in self.priors.items() if not any(_set(options))), None)

    def overridden(self, values: Mapping[str, Any]) -> AblationConfig:
        """The same with `values` (`data`, `optim`, `run`) in place of settings of every cell."""
        override = build(OverrideConfig, merge(plain(self.override), values))
        return replace(self, override=override)

    def placed(self) -> AblationConfig:
        """The same with absolute paths, for use from another folder."""

        def settings(of: Mapping[str, Any]) -> dict[str, Any]:
            return {**of, "data": _absolute(of["data"])} if isinstance(of.get("data"), Mapping) else dict(of)

        def entries(of: Mapping[str, EntryConfig]) -> dict[str, EntryConfig]:
            return {
                name: replace(entry, config=settings(entry.config)) if isinstance(entry.config, dict) else entry
                for name, entry in of.items()
            }

        return replace(
            self,
            base=settings(self.base) if isinstance(self.base, dict) else self.base,
            hosts=entries(self.hosts),
            extra=entries(self.extra),
            override=replace(self.override, data=_absolute(self.override.data)),
            output=os.path.abspath(self.output),
        )

    def cells(self) -> list[Cell]:
        """Every training, row by row.

        Raises:
            ConfigError: settings that are none, or under which the cells would not be measured alike; all faults at once.
        """
        base = self._recipe(self.base, "base")
        cells: list[Cell] = []
        faults: dict[str, None] = {}
        for where, name, entry, prior in self._rows():
            try:
                config = self._config(base, where, entry, prior)
            except ConfigError as error:
                faults[str(error)] = None
                continue
            for seed in self.seeds if entry.seeds is None else entry.seeds:
                cell = Cell(name, prior, seed, config)
                run = replace(config.run, seed=seed, output=str(Path(self.output, *cell.name.split("/"))))
                cells.append(replace(cell, config=replace(config, run=run)))
        if faults:
            raise ConfigError("; ".join(faults))
        return cells

    def _rows(self) -> Iterator[tuple[str, str, EntryConfig, str | None]]:
        for name, entry in self.hosts.items():
            for prior in self.priors:
                if entry.priors is None or prior in entry.priors:
                    yield f"hosts.{name}", name, entry, prior
        for name, entry in self.extra.items():
            yield f"extra.{name}", name, entry, None

    def _config(self, base: TrainConfig, where: str, entry: EntryConfig, prior: str | None) -> TrainConfig:
        start = base if entry.config is None else self._recipe(entry.config, f"{where}.config")
        options = merge(start.model.options if entry.name in (None, start.model.name) else {}, entry.options)
        if prior is not None:
            new = self.priors[prior]
            options = merge(options, {entry.priors_into: new} if entry.priors_into is not None else new)
        places = {"paths": start.data.paths or base.data.paths}  # a recipe is about settings, the data are the user's
        values = merge(start.to_dict(), {"data": {**places, **entry.data}, "optim": entry.optim, "run": entry.run})
        values = merge(values, plain(self.override))
        values["model"] = {"name": entry.name or start.model.name, "options": options}
        config = TrainConfig.from_dict(values, source=where)
        common = TrainConfig.from_dict(merge(base.to_dict(), plain(self.override)), source="base").data
        for key, value in plain(common).items():
            if key not in _OF_THE_ENTRY and plain(getattr(config.data, key)) != value:
                raise ConfigError(
                    f"{where}: data.{key}: expected that of the base, {value!r} (got {plain(getattr(config.data, key))!r}); "
                    "all cells are trained and measured on the same clips and views"
                )
        if (config.run.devices, config.run.nodes) != (1, 1):
            raise ConfigError(
                f"{where}: run.devices: expected 1, on 1 node (got {config.run.devices!r} on {config.run.nodes}); a cell is "
                "trained on one device, --jobs trains several cells at a time"
            )
        if not config.data.split.test and config.data.split.by != "tag":
            raise ConfigError(f"{where}: data.split.test: expected groups to measure on (got none)")
        return config

    @staticmethod
    def _recipe(recipe: str | dict[str, Any], where: str) -> TrainConfig:
        return TrainConfig.from_yaml(recipe) if isinstance(recipe, str) else TrainConfig.from_dict(recipe, source=where)


def select(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """The cells that one of the patterns names: `mixste`, `mixste/both`, `*/none`, `mixste/both/seed0`; all without a pattern.

    Raises:
        ConfigError: a pattern that names no cell.
    """
    chosen: set[str] = set()
    for pattern in only:
        parts = pattern.strip("/").split("/")
        found = {cell.name for cell in cells if _named(cell, parts)}
        if not found:
            places = dict.fromkeys("/".join(cell.name.split("/")[: len(parts)]) for cell in cells)
            raise ConfigError(f"--only: {unknown_name('cell', pattern, places)}")
        chosen |= found
    return [cell for cell in cells if not only or cell.name in chosen]


def _named(cell: Cell, pattern: Sequence[str]) -> bool:
    parts = cell.name.split("/")
    return len(pattern) <= len(parts) and all(fnmatch.fnmatchcase(*pair) for pair in zip(parts, pattern, strict=False))


def _set(options: Mapping[str, Any]) -> Iterator[bool]:
    """For every option, however deep, whether it says something."""
    for value in options.values():
        if isinstance(value, Mapping):
            yield from _set(value)
        else:
            yield value is not None


def _absolute(data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the data with absolute places; a skeleton that is no file is a bundled one."""
    found = dict(data)
    if isinstance(data.get("paths"), list):
        found["paths"] = [os.path.abspath(path) for path in data["paths"]]
    for key in ("skeleton", "mapping"):
        if isinstance(data.get(key), str) and Path(data[key]).is_file():
            found[key] = os.path.abspath(data[key])
    return found


def _require_free(run: Mapping[str, Any], where: str) -> None:
    for name in _OWN:
        if name in run:
            raise ConfigError(
                f"{where}.{name}: expected in the ablation, not in a run (set `{name.replace('seed', 'seeds')}`)"
            )


def _check_seeds(seeds: Sequence[int] | None) -> None:
    if seeds is None:
        return
    if not seeds or len(set(seeds)) != len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise ConfigError(f"seeds: expected one or more different whole numbers in [0, 2^32) (got {list(seeds)})")
