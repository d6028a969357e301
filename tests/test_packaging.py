"""What a user installs: a wheel that is whole and works outside the checkout, light to import, pinned as declared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import graphpose

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}


def run(*words: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Standard output of a command that has to succeed."""
    done = subprocess.run(words, cwd=cwd, env={**CLEAN, **(env or {})}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout, built with the installed hatchling: nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), ".", cwd=repository)
    (path,) = folder.glob("graphpose-*.whl")
    return path


def test_the_wheel_holds_all_topologies_recipes_and_modules(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"graphpose/{path.relative_to(repository)}" for path in repository.glob("topologies/**/*.yaml")}
    sources = (path for path in repository.glob("graphpose/**/*") if path.is_file() and "__pycache__" not in path.parts)
    wanted |= {str(path.relative_to(repository)) for path in sources}
    assert wanted - names == set()
    assert "graphpose/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "data", "topologies"))]


def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
        cwd=tmp_path,
    )
    env = {"PYTHONPATH": str(target)}
    where = run(sys.executable, "-c", "import graphpose; print(graphpose.__file__)", cwd=tmp_path, env=env)
    assert where.startswith(str(target)), "the checkout was imported, not the wheel"
    assert "h36m17" in run(sys.executable, "-m", "graphpose", "skeleton", "list", cwd=tmp_path, env=env)
    assert "demo" in run(sys.executable, "-m", "graphpose", "train", "--help", cwd=tmp_path, env=env)
    assert "bundled recipe (adapt_small" in run(
        sys.executable, "-m", "graphpose", "adapt", "--help", cwd=tmp_path, env=env
    )
    code = "from graphpose.config import TrainConfig; print(TrainConfig.from_yaml('demo').model.name)"
    assert run(sys.executable, "-c", code, cwd=tmp_path, env=env).strip() == "ktpformer"


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "import graphpose"],
        ["-m", "graphpose", "--help"],
        ["-m", "graphpose", "train", "--help"],
        ["-m", "graphpose", "ablate", "--help"],
        ["-m", "graphpose", "adapt", "--help"],
        ["-m", "graphpose", "skeleton", "list"],
    ],
    ids=lambda words: " ".join(words[1:]),
)
def test_neither_torch_nor_pyg_is_imported_before_it_is_used(words: list[str], repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        cwd=repository,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, flags=re.MULTILINE))
    assert "graphpose" in loaded
    assert not loaded & {"torch", "torch_geometric", "lightning", "sklearn", "matplotlib", "scipy"}


def test_the_public_names_resolve_and_wrong_ones_say_what_there_is() -> None:
    for name in graphpose.__all__:
        assert getattr(graphpose, name) is not None
    assert set(graphpose.__all__) <= set(dir(graphpose))
    with pytest.raises(AttributeError, match=r"has no attribute 'raed' \(did you mean 'read'\?\); it offers: .*read"):
        graphpose.raed  # noqa: B018  # the access is what is tested


def declared(repository: Path) -> list[Requirement]:
    """Every requirement of the package and of its extras."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def pins(repository: Path) -> list[Requirement]:
    """The lines of constraints.txt."""
    lines = (line.partition("#")[0].strip() for line in (repository / "constraints.txt").read_text().splitlines())
    return [Requirement(line) for line in lines if line]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_requirement_has_one_pin_inside_its_range(repository: Path, python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    pinned: dict[str, str] = {}
    for pin in pins(repository):
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in pinned, f"{name} is pinned twice for Python {python}"
            (clause,) = pin.specifier
            assert clause.operator == "=="
            pinned[name] = clause.version
    for requirement in declared(repository):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name in pinned, f"{name} has no pin in constraints.txt"
            assert requirement.specifier.contains(pinned[name]), f"{requirement}: the pin {pinned[name]} is outside"


def test_installing_needs_no_compiler(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [line for line in project["dependencies"] if "scatter" in line]
    assert "torch-scatter" in " ".join(project["optional-dependencies"]["scatter"])


def test_make_reuses_its_environment_and_asks_for_a_python_that_will_do(repository: Path) -> None:
    assert "pip install" not in run("make", "-n", "-o", ".venv/.installed", "lint", cwd=repository)
    done = subprocess.run(
        ["make", "setup", "VENV=/nonexistent/venv", "PYTHON=no-such-python"],
        cwd=repository,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "no-such-python not found; install Python 3.10 or newer" in done.stderr
