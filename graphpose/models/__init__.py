"""The zoo: one file a model, mostly configuration of shared parts.

>>> import graphpose
>>> model = graphpose.models.create("ktpformer", skeleton="h36m17", frames=27, channels=64, depth=4)

Adding a new model: one file in this folder with a frozen config (a `LifterConfig`), a `Lifter`, and `@register(name, config,
summary)` on it. The registry finds it, the contract tests run on it and the command line offers it.
"""

from graphpose.models.checkpoint import load, read_metadata, save
from graphpose.models.lifter import Lifter, LifterConfig
from graphpose.models.published import from_published, published_families
from graphpose.models.registry import available, create, describe, register

__all__ = [
    "Lifter",
    "LifterConfig",
    "available",
    "create",
    "describe",
    "from_published",
    "load",
    "published_families",
    "read_metadata",
    "register",
    "save",
]
