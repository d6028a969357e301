"""Modules of one's own, imported by name for what they register: models, priors, relations, pruning rules.

`import_modules(["my_priors"])` finds `my_priors.py` on Python's path or in the current folder. Nothing here imports torch.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable

from graphpose.errors import ConfigError

__all__ = ["import_modules"]


def import_modules(names: Iterable[str], option: str = "run.imports") -> None:
    """Imports the modules in their order; one that is imported already stays as it is.

    Args:
        names: dotted names, as in an import statement.
        option: named at the start of an error.

    Raises:
        ConfigError: no such module, or what the module itself raised.
    """
    names = list(names)
    here = os.getcwd()
    if names and here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # last: a file in the current folder hides no installed package
    importlib.invalidate_caches()
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(
                f"{option}: expected the name of a module, such as my_priors or my_package.priors (got {name!r})"
            )
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise ConfigError(f"{option}: module {name!r} needs {error.name!r}, which is not installed") from error
            raise ConfigError(
                f"{option}: no module {name!r} on Python's path or in the current folder, {here}; start in its folder, or "
                "add that to PYTHONPATH"
            ) from error
        except (Exception, SystemExit) as error:  # whatever the code of a user raises
            text = " ".join(str(error).split()) or "no message"
            raise ConfigError(
                f"{option}: module {name!r} cannot be imported ({type(error).__name__}: {text})"
            ) from error
