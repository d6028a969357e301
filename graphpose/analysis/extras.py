"""Optional packages of the extra `viz`: present, or one error that says what to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from graphpose.errors import GraphposeError

__all__ = ["MissingExtraError", "require"]


class MissingExtraError(GraphposeError, ImportError):
    """An optional package is not installed; the message names it and the extra that brings it."""


def require(module: str, needed_by: str) -> ModuleType:
    """Import `module` of the extra `viz`, or raise `MissingExtraError` that names the extra.

    Only the absence of the package itself is translated; an import failing *inside* an installed package is passed on
    as it is.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        message = f"{needed_by} needs {package}, which is not installed: pip install graphpose[viz]"
        raise MissingExtraError(message) from error
