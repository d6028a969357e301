"""Typed dataclasses from plain dictionaries (YAML, JSON) and back, with errors that name the key and the nearest
right one.

`build(Config, {"frames": 27})` checks every key and value against the annotations, dataclasses in dataclasses
included; a
value is converted only where nothing is lost (27 to 27.0, a list to a tuple). All faults are collected and raised once.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar, Union

from graphpose.errors import ConfigError, GraphposeError, unknown_name, unknown_names

__all__ = ["build", "field_paths", "merge", "plain"]

T = TypeVar("T")


_CONTAINERS = {dict: "a mapping {name: value}", list: "a list", tuple: "a list"}
_MANY = {"a number": "numbers", "a whole number": "whole numbers"}


class _Fault(Exception):
    """One or more faults found below a key; gathered by `build`, never seen by a caller."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages


def build(kind: type[T], values: Mapping[str, Any], *, source: str = "", path: str = "") -> T:
    """An instance of the dataclass `kind` from nested plain `values`; keys left out keep their defaults.

    Args:
        kind: a dataclass whose fields are annotated with None, bool, int, float, str, Any, Literal, list, tuple,
            dict, unions and dataclasses.
        values: what a YAML or JSON file holds.
        source: named at the start of the error, usually the file.
        path: the dotted key under which the values stand, named before every key in an error.

    Raises:
        ConfigError: unknown keys (with the nearest right one), values of a wrong type, and what the dataclass itself
            refuses.
    """
    try:
        return typing.cast(T, _dataclass(kind, values, path))
    except _Fault as fault:
        prefix = f"{source}: " if source else ""
        raise ConfigError(prefix + "; ".join(fault.messages)) from None


def plain(config: Any) -> Any:
    """The inverse of `build`: dictionaries, lists and scalars only, as YAML and JSON can hold them."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {str(key): plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return config


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over` replaced, mapping by mapping."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out


def field_paths(kind: type, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a nested dataclass, e.g. `data.split.by`: what the command line can set."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        path = f"{prefix}{field.name}"
        yield path
        if dataclasses.is_dataclass(hints[field.name]):
            yield from field_paths(typing.cast(type, hints[field.name]), f"{path}.")


def _dataclass(kind: type, values: Any, path: str) -> Any:
    if isinstance(values, kind):
        return values
    if not isinstance(values, Mapping):
        raise _Fault(f"{path or kind.__name__}: expected a mapping of settings (got {_show(values)})")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    arguments: dict[str, Any] = {}
    unknown = [key for key in values if key not in names]
    faults = [(f"{path}: " if path else "") + unknown_names("key", unknown, names)] if unknown else []
    for key, value in values.items():
        here = f"{path}.{key}" if path else str(key)
        if key not in names:
            continue
        try:
            arguments[key] = _value(hints[key], value, here)
        except _Fault as fault:
            faults.extend(fault.messages)
    if faults:
        raise _Fault(*faults)
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.init
        and field.name not in arguments
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise _Fault(f"{path or kind.__name__}: expected also {', '.join(missing)}")
    try:
        return kind(**arguments)
    except GraphposeError as error:
        raise _Fault(f"{path}.{error}" if path else str(error)) from None


def _value(hint: Any, value: Any, path: str) -> Any:
    """`value` as the annotation `hint` asks for it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments, value, path)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint), value, path)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        raise _Fault(f"{path}: {unknown_name('choice', value, arguments)}")
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        return _sequence(origin, arguments, value, path)
    if (origin or hint) is dict and isinstance(value, Mapping):
        inner = arguments[1] if arguments else Any
        return {str(key): _value(inner, item, f"{path}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str) and _is_number(value):
        return float(value)  # YAML 1.1 reads 1e-3, without a dot, as text
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise _Fault(f"{path}: expected {_name(hint)} (got {_show(value)})")


def _union(members: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in members:
        return None
    exact = [member for member in members if type(value) is (typing.get_origin(member) or member)]
    rest = [member for member in members if member not in exact and member is not type(None)]
    faults: list[_Fault] = []
    for member in [*exact, *rest]:
        try:
            return _value(member, value, path)
        except _Fault as fault:
            faults.append(fault)
    if len(faults) == 1 or exact:
        raise faults[0]
    raise _Fault(f"{path}: expected {' or '.join(_name(member) for member in members)} (got {_show(value)})")


def _sequence(origin: type, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise _Fault(f"{path}: expected {len(arguments)} values (got {len(value)})")
        return tuple(
            _value(hint, item, f"{path}[{i}]") for i, (hint, item) in enumerate(zip(arguments, value, strict=True))
        )
    inner = arguments[0] if arguments else Any
    return origin(_value(inner, item, f"{path}[{i}]") for i, item in enumerate(value))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _name(hint: Any) -> str:
    if hint is type(None):
        return "null"
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    if (origin := typing.get_origin(hint)) in _CONTAINERS:
        inner = [_name(part) for part in typing.get_args(hint) if part not in (Any, Ellipsis)]
        return _CONTAINERS[origin] + (f" of {_MANY.get(inner[-1], inner[-1])}" if inner and origin is not dict else "")
    if origin is not None:
        return str(hint)
    return {"float": "a number", "int": "a whole number", "str": "text", "bool": "true or false"}.get(
        getattr(hint, "__name__", ""), str(hint)
    )


def _show(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
