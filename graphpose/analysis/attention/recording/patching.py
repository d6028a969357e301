"""Methods of single objects replaced for a while and put back, whatever happens.

Only the object itself is touched (an entry of its `__dict__` that hides the method of its class), so other models of the same class go
on as they were, and no hook is registered, which would change the path that PyTorch takes through its Transformer layers. A copy of an
object whose methods are replaced would go on being watched, so copying (`copy.deepcopy`) and pickling it are refused meanwhile.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from graphpose.errors import ConfigError

__all__ = ["Patches"]

Method = Callable[..., Any]


class _Replacement:
    """What stands in place of a method of one object; called as that method is."""

    def __init__(self, call: Method, hidden: Method, by: Patches) -> None:
        functools.update_wrapper(self, hidden, updated=())
        self._call = call
        self.by = by

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(*args, **options)

    def __deepcopy__(self, memo: Any) -> NoReturn:
        self._refuse()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ConfigError(
            "expected a model that is not being captured where it is copied, pickled or saved whole (got one within capture): do that "
            "before the block or after it"
        )


class Patches:
    """The replacements of one capture; `undo` takes them back, the last one first."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, str, Any]] = []

    def wrap(self, owner: Any, name: str, make: Callable[[Method], Method]) -> None:
        """Replaces the method `name` of `owner` by `make(method)`, which may be done several times.

        Raises:
            ConfigError: a method that another capture has replaced.
        """
        before = vars(owner).get(name)
        if isinstance(before, _Replacement) and before.by is not self:
            raise ConfigError(
                f"{type(owner).__name__} is being captured already: expected one capture of a model at a time (got a second one)"
            )
        method = getattr(owner, name)
        vars(owner)[name] = _Replacement(make(method), method, self)
        self._made.append((owner, name, before))

    def undo(self) -> None:
        """Puts everything back."""
        while self._made:
            owner, name, before = self._made.pop()
            if before is None:
                del vars(owner)[name]
            else:
                vars(owner)[name] = before
