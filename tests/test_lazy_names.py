"""Names that packages load on first use: all there, the same as in their modules, seen by type checkers."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from graphpose.lazy_names import lazy

PACKAGES = [
    "graphpose",
    "graphpose.analysis",
    "graphpose.analysis.attention",
    "graphpose.analysis.attention.pictures",
    "graphpose.metrics",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_is_loaded_and_listed(name: str) -> None:
    package = import_module(name)
    for offered in package.__all__:
        assert getattr(package, offered) is not None
        assert offered in dir(package)
    for offered, module in getattr(package, "_WHERE", {}).items():
        assert offered in package.__all__
        assert getattr(package, offered) is getattr(import_module(f"{name}.{module}"), offered)


@pytest.mark.parametrize("name", PACKAGES)
def test_type_checkers_see_every_name(name: str) -> None:
    package = import_module(name)
    source = Path(str(package.__file__)).read_text(encoding="utf-8")
    tree = ast.parse(source)
    seen = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(package.__all__) - {"__version__"} <= seen


@pytest.mark.parametrize("name", PACKAGES)
def test_an_unknown_name_is_told_with_the_nearest_and_all(name: str) -> None:
    package = import_module(name)
    wanted = package.__all__[-1]
    with pytest.raises(AttributeError) as told:
        getattr(package, f"{wanted}s")
    assert f"has no attribute '{wanted}s' (did you mean '{wanted}'?)" in str(told.value)
    assert all(offered in str(told.value) for offered in package.__all__)
    assert not hasattr(package, "__nothing_like_it__")


def test_a_name_is_loaded_once_and_only_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = ModuleType("made"), ModuleType("made.inner")
    package.__all__ = ["Thing"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made", package)
    get, listed = lazy("made", {"Thing": "inner"}, modules=("inner",))
    with pytest.raises(ModuleNotFoundError):  # it is looked for now, not when `lazy` was called
        get("Thing")
    module.Thing = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made.inner", module)
    assert get("Thing") is module.Thing is vars(package)["Thing"]  # type: ignore[attr-defined]
    assert get("inner") is module
    assert {"Thing", "inner"} <= set(listed())
