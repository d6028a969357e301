"""A second module with the parameters of a first one: the same tensors, in modules that were built for something else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from graphpose.errors import ConfigError

__all__ = ["kept_twin", "twin"]

ModuleT = TypeVar("ModuleT", bound=nn.Module)
_KEPT = 8  # twins kept of a module
_twins: WeakKeyDictionary[nn.Module, OrderedDict[Hashable, Any]] = WeakKeyDictionary()


def twin(source: ModuleT, build: Callable[[], ModuleT]) -> ModuleT:
    """The module that `build` makes, with the parameters, persistent buffers and modes of `source`.

    Non-persistent buffers are those of the build (they say what it was built for), on the device and of the dtype that they have
    in `source`. No random number is consumed.

    Raises:
        ConfigError: a build with other parts, or with parameters of other shapes.
    """
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        built = build()
        _share(source, built)
    return built


def kept_twin(source: ModuleT, key: Hashable, make: Callable[[], ModuleT]) -> ModuleT:
    """A twin of `source`, made once (by `make`, which calls `twin`) and kept as long as `source` is; brought up to date at each
    call, so that it has the parameters, device and modes that `source` has now."""
    twins = _twins.setdefault(source, OrderedDict())
    found: ModuleT | None = twins.get(key)
    if found is None:
        found = twins[key] = make()
        if len(twins) > _KEPT:
            twins.popitem(last=False)
        return found
    twins.move_to_end(key)
    with torch.inference_mode(False):
        _share(source, found)
    return found


def _share(source: nn.Module, built: nn.Module) -> None:
    theirs = dict(source.named_modules(remove_duplicate=False))
    own = dict(built.named_modules(remove_duplicate=False))
    if own.keys() != theirs.keys():
        raise _no_twin(source, sorted(own.keys() ^ theirs.keys())[0])
    for name, module in own.items():
        _take(module, theirs[name], f"{name}." if name else "")


def _take(module: nn.Module, source: nn.Module, path: str) -> None:
    module.training = source.training
    for kind in ("_parameters", "_buffers"):
        own, theirs = getattr(module, kind), getattr(source, kind)
        for key in [*theirs, *(own.keys() - theirs.keys())]:
            if key not in own or key not in theirs or (own[key] is None) != (theirs[key] is None):
                raise _no_twin(source, path + key)
            if own[key] is None:
                continue
            if key in module._non_persistent_buffers_set:
                own[key] = own[key].to(theirs[key].device, theirs[key].dtype)
                continue
            if own[key].shape != theirs[key].shape:
                shapes = f"{list(theirs[key].shape)} and {list(own[key].shape)}"
                raise _no_twin(source, f"{path}{key} ({shapes})")
            own[key] = theirs[key]


def _no_twin(source: nn.Module, what: str) -> ConfigError:
    return ConfigError(
        f"{type(source).__name__} cannot share its parameters with one of another skeleton or length: {what} differs"
    )
