"""The zoo's directory: models by name, their typed options, and how to make one."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from graphpose.errors import ConfigError, unknown_name
from graphpose.models.lifter import Lifter, LifterConfig
from graphpose.skeleton import Skeleton
from graphpose.structured import build

__all__ = ["ModelEntry", "available", "create", "describe", "entry", "register"]


@dataclass(frozen=True)
class ModelEntry:
    """One model of the zoo: its name, class, config class and one line that says what it is."""

    name: str
    model: type[Lifter]
    config: type[LifterConfig]
    summary: str


_ENTRIES: dict[str, ModelEntry] = {}
LifterT = TypeVar("LifterT", bound=type[Lifter])


def register(name: str, config: type[LifterConfig], summary: str) -> Callable[[LifterT], LifterT]:
    """Class decorator: makes a lifter known by `name`."""

    def decorate(model: LifterT) -> LifterT:
        assert name not in _ENTRIES, f"two models are called {name!r}"
        _ENTRIES[name] = ModelEntry(name, model, config, summary)
        return model

    return decorate


def _entries() -> dict[str, ModelEntry]:
    """All entries; importing every module of this package registers the models that they define."""
    package = importlib.import_module("graphpose.models")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return _ENTRIES


def available() -> list[str]:
    """The names of all models, sorted."""
    return sorted(_entries())


def entry(name: str) -> ModelEntry:
    """The entry of one model.

    Raises:
        ConfigError: no model of that name (the nearest one is named).
    """
    entries = _entries()
    if name not in entries:
        raise ConfigError(unknown_name("model", name, sorted(entries)))
    return entries[name]


def describe(name: str) -> str:
    """What the model is and every option with its type and default, as text."""
    found = entry(name)
    lines = [f"{found.name}: {found.summary}", "", "options (default):"]
    lines += [f"  {field.name}: {field.type} = {field.default!r}" for field in dataclasses.fields(found.config)]
    documented = (found.config.__doc__ or "").strip()
    return "\n".join([*lines, "", documented])


def create(name: str, /, skeleton: Skeleton | str, frames: int = 243, **options: Any) -> Lifter:
    """Makes a model of the zoo with fresh weights.

    Args:
        name: see `available()`.
        skeleton: a `Skeleton`, or a bundled name or path that `Skeleton.load` takes.
        frames: T, the receptive field.
        options: fields of the model's config, see `describe(name)`.

    Raises:
        ConfigError: unknown model or option, or a value that does not fit.
    """
    found = entry(name)
    if isinstance(skeleton, str):
        skeleton = Skeleton.load(skeleton)
    config = build(found.config, {"frames": frames, **options}, source=f"model {name}")
    return found.model(skeleton, config)
