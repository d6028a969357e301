"""Optional packages of the extras `viz`, `analysis` and `rerun`: present, or one error that says what to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from graphpose.errors import GraphposeError

__all__ = ["MissingExtraError", "require"]


_EXTRAS = {"pandas": "analysis", "captum": "analysis", "rerun": "rerun"}
"""Which extra brings a package; `viz` all others."""


class MissingExtraError(GraphposeError, ImportError):
    """An optional package is not installed; the message names it and the extra that brings it."""


def require(module: str, needed_by: str) -> ModuleType:
    """Import `module` of an extra, or raise `MissingExtraError` that names the extra.

    Only the absence of the package itself is translated; an import failing *inside* an installed package is passed on
    as it is.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        message = (
            f"{needed_by} needs {package}, which is not installed: pip install graphpose[{_EXTRAS.get(package, 'viz')}]"
        )
        raise MissingExtraError(message) from error
