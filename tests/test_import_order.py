"""An earlier stage never imports a later one, and heavy packages start where they have to; read off by ast."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphpose

PACKAGE = Path(graphpose.__file__).parent

# Stages in the order of the data flow; those of one line may use each other.
STAGES = [
    ["errors"],
    ["structured", "recipe_files", "own_modules", "lazy_names"],
    ["config"],
    ["skeleton"],
    ["geometry"],
    ["motion"],
    ["formats"],
    ["graph"],
    ["datasets"],
    ["nn"],
    ["models"],
    ["losses", "metrics"],
    ["engine"],
    ["adaptation"],
    ["analysis"],
    ["cli", "__main__"],
]
RANK = {name: rank for rank, names in enumerate(STAGES) for name in names}

# The first stage that may import an outside package, wherever in a file the import stands.
FIRST_USE = {"torch": "geometry", "torch_geometric": "graph", "torch_scatter": "graph", "lightning": "datasets"}

FILES = sorted(PACKAGE.rglob("*.py"))


def stage_of(file: Path) -> str:
    """`graphpose/skeleton/mapping.py` -> "skeleton"; `graphpose/losses.py` -> "losses"."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(source: str, file: Path = PACKAGE / "somewhere.py") -> Iterator[tuple[int, str, bool]]:
    """(line, dotted module, stands at module level) of every import; `from graphpose import x` gives `graphpose.x`."""
    tree = ast.parse(source)
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            package = file.relative_to(PACKAGE.parent).parent.parts
            parts = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            base = ".".join(part for part in parts if part) if node.level else node.module or ""
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}", id(node) in top


def faults(source: str, file: Path) -> list[str]:
    """What breaks the order in one file, each with its line."""
    stage = stage_of(file)
    where = file.relative_to(PACKAGE.parent)
    if stage == "__init__":
        return []  # the lazy public API names every stage
    found = []
    for line, module, _ in imports(source, file):
        outside, _, inner = module.partition(".")
        if outside == "graphpose" and inner:
            target = inner.split(".")[0]
            target = graphpose._WHERE.get(target, target)
            if RANK.get(target, -1) > RANK[stage]:
                found.append(f"{where}:{line}: {stage} imports {module}, a later stage ({target})")
        elif outside in FIRST_USE and RANK[stage] < RANK[FIRST_USE[outside]]:
            found.append(f"{where}:{line}: {stage} imports {outside}, which starts at {FIRST_USE[outside]}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_stage_imports_a_later_one(file: Path) -> None:
    broken = faults(file.read_text(encoding="utf-8"), file)
    assert not broken, "\n" + "\n".join(broken)


def test_every_folder_has_its_place_in_the_order() -> None:
    unplaced = {stage_of(file) for file in FILES} - set(RANK) - {"__init__"}
    assert not unplaced, f"add {sorted(unplaced)} to STAGES where the data flow reaches them"


def test_the_command_line_imports_the_library_only_inside_functions() -> None:
    light = {"errors", "structured", "config", "own_modules", "cli", "__version__"}
    heavy = [
        f"{file.relative_to(PACKAGE.parent)}:{line}: {module}"
        for file in FILES
        if stage_of(file) == "cli"
        for line, module, at_top in imports(file.read_text(encoding="utf-8"), file)
        if at_top and module.startswith("graphpose.") and module.split(".")[1] not in light
    ]
    assert not heavy, f"these make `graphpose --help` slow: {heavy}"


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        (
            "skeleton/x.py",
            "from graphpose.motion import MotionClip",
            "skeleton/x.py:1: skeleton imports graphpose.motion",
        ),
        ("skeleton/x.py", "def f():\n    import graphpose.models.load", "skeleton/x.py:2: skeleton imports"),
        ("graph/x.py", "from ..engine import train", "graph/x.py:1: graph imports graphpose.engine.train"),
        ("nn/x.py", "from graphpose import read, train", "a later stage (engine)"),
        ("skeleton/x.py", "import torch.nn", "skeleton imports torch, which starts at geometry"),
        ("motion/x.py", "from torch_geometric.data import Data", "which starts at graph"),
    ],
)
def test_a_wrong_import_is_found_and_named(file: str, source: str, fault: str) -> None:
    found = faults(source, PACKAGE / file)
    assert len(found) == 1
    assert fault in found[0]


def test_right_imports_pass() -> None:
    source = "from graphpose.skeleton import Skeleton\nfrom . import clip\nfrom graphpose import Skeleton\nimport torch"
    assert faults(source, PACKAGE / "motion" / "x.py") == []
