"""Names of a package that are loaded when they are first used (PEP 562), so that importing the package costs nothing.

    if TYPE_CHECKING:
        from package.module import Thing                                # for type checkers, which do not run what follows
    __all__ = ["Thing"]
    __getattr__, __dir__ = lazy(__name__, {"Thing": "module"})

Nothing here imports more than the standard library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from graphpose.errors import nearest

__all__ = ["lazy"]


def lazy(
    package: str, where: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package; a name that was loaded once stays in it.

    Args:
        package: its `__name__`; its `__all__` says what it offers.
        where: name -> dotted module within the package that has it.
        modules: modules of the package that are names of it themselves.

    Of a name that is not there, `__getattr__` raises AttributeError with the nearest one and all that are offered.
    """
    modules = frozenset(modules)

    def offered() -> list[str]:
        return sorted({*where, *modules, *getattr(sys.modules[package], "__all__", ())})

    def __getattr__(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name in where:
            value = getattr(import_module(f"{package}.{where[name]}"), name)
            setattr(sys.modules[package], name, value)
            return value
        close = nearest(name, offered())
        hint = f" (did you mean {close!r}?)" if close is not None else ""
        raise AttributeError(
            f"module {package!r} has no attribute {name!r}{hint}; it offers: {', '.join(offered())}",
            name=name,
            obj=sys.modules[package],
        )

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *offered()})

    return __getattr__, __dir__
