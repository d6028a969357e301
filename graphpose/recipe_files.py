"""Finding and reading files of settings: bundled recipes by name, other YAML files by path.

A recipe is a file of `recipes/`, next to this module; `find_recipe("demo")` is `recipes/demo.yaml`. Recipes of another kind
lie in a folder of their own: `find_recipe("demo_ablation", "ablations")` is `recipes/ablations/demo_ablation.yaml`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from graphpose.errors import ConfigError, unknown_name

__all__ = ["find_recipe", "load_settings", "recipes"]

_RECIPES = Path(__file__).parent / "recipes"


def recipes(kind: str = "") -> list[str]:
    """Names of the bundled recipes; of a `kind`: those in the folder of that name."""
    return sorted(file.stem for file in (_RECIPES / kind).glob("*.yaml"))


def find_recipe(name_or_path: str | Path, kind: str = "") -> Path:
    """The file of a bundled recipe (`demo`) or of a path; a path wins where both exist.

    Raises:
        ConfigError: neither a file nor a bundled recipe.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    names, noun = recipes(kind), kind.removesuffix("s") or "recipe"
    if str(name_or_path) in names:
        return _RECIPES / kind / f"{name_or_path}.yaml"
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise ConfigError(f"{path}: no such file; bundled {noun}s are {', '.join(names)}")
    raise ConfigError(unknown_name(noun, str(name_or_path), names))


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, where YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load_settings(path: Path) -> Mapping[str, Any]:
    """The mapping that a YAML file of settings holds ({} for an empty file); raises `ConfigError` with file and line."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8 text (byte {error.start} is not)") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2020-99-99 is a ValueError
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        text = problem if problem.endswith("twice") else f"not valid YAML ({problem})"
        raise ConfigError(f"{path}{where}: {' '.join(text.split())}") from error
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: expected a mapping of settings (got {type(values).__name__})")
    return values
