"""The skeletons and joint mappings that come with the library: YAML files in the `topologies` folder.

The folder is `<package>/topologies` in a wheel and `<package>/../topologies` in a checkout; the first
that exists counts.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

from graphpose.errors import SkeletonError, unknown_name
from graphpose.skeleton.skeleton import Skeleton
from graphpose.skeleton.yaml_file import read_skeleton

__all__ = ["available_skeletons", "bundled_skeletons", "load_skeleton", "mapping_files", "topologies_folder"]


@lru_cache(maxsize=1)
def topologies_folder() -> Path:
    """The folder of the bundled YAML files; raises SkeletonError when the installation lacks it."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "topologies", package.parent / "topologies"):
        if folder.is_dir():
            return folder
    raise SkeletonError(f"the folder of bundled skeletons is missing beside {package}; install graphpose again")


def available_skeletons() -> list[str]:
    """Names of the bundled skeletons, sorted."""
    return sorted(path.stem for path in topologies_folder().glob("*.yaml"))


def load_skeleton(name_or_path: str | Path) -> Skeleton:
    """A bundled skeleton by name, or the skeleton in a YAML file anywhere; raises SkeletonError."""
    if isinstance(name_or_path, str) and name_or_path in available_skeletons():
        return _bundled(name_or_path)
    path = Path(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml") or len(path.parts) > 1 or path.is_file():
        return read_skeleton(path)
    message = unknown_name("skeleton", str(name_or_path), available_skeletons())
    raise SkeletonError(f"{message}, or give the path of a skeleton's .yaml file")


@cache
def _bundled(name: str) -> Skeleton:
    return read_skeleton(topologies_folder() / f"{name}.yaml")


def bundled_skeletons() -> list[Skeleton]:
    """Every bundled skeleton, each read once a process."""
    return [_bundled(name) for name in available_skeletons()]


def mapping_files() -> dict[tuple[str, str], Path]:
    """(source, target) -> file of the bundled joint mappings, from the file names `SOURCE_to_TARGET.yaml`."""
    found = {}
    for path in sorted((topologies_folder() / "mappings").glob("*_to_*.yaml")):
        source, _, target = path.stem.partition("_to_")
        found[source, target] = path
    return found
