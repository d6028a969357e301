"""The zoo's directory: models by name, their typed options, and how to make one."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

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
    hints, texts = get_type_hints(found.config), documented_options(found.config)
    for field in dataclasses.fields(found.config):
        lines.append(f"  {field.name}: {_type_text(field.type, hints[field.name])} = {_default(field)!r}")
        lines += [f"      {line}" for line in texts[field.name]]
    return "\n".join(lines)


def documented_options(config: type[LifterConfig]) -> dict[str, list[str]]:
    """Option -> the lines that document it: those under "Attributes:" of the config, and of its bases where it says nothing."""
    texts: dict[str, list[str]] = {}
    for base in reversed(config.__mro__):
        _, _, attributes = inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("Attributes:\n")
        for names, text in re.findall(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", attributes, flags=re.MULTILINE):
            texts |= {key: [line.strip() for line in text.splitlines()] for key in names.split(", ")}
    return texts


def _type_text(written: Any, hint: Any) -> str:
    """A type as it is written in the config class, with the choices in place of the name that they may have there."""
    chosen = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
    if not chosen or "Literal" in str(written):
        return str(written)
    choices = f"Literal[{', '.join(map(repr, get_args(chosen[0])))}]"
    return choices if chosen[0] is hint else " | ".join([choices, *_others(hint)])


def _others(union: Any) -> list[str]:
    """The members of a union that are no list of choices."""
    others = [part for part in get_args(union) if get_origin(part) is not Literal]
    return ["None" if part is type(None) else getattr(part, "__name__", str(part)) for part in others]


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


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
