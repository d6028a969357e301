"""The zoo: one file a model, mostly configuration of shared parts.

>>> import graphpose
>>> model = graphpose.models.create("ktpformer", skeleton="h36m17", frames=27, channels=64, depth=4)

A model with attention over space and time derives from `SpaceTimeTransformer`: it then takes every prior, and can be wrapped by
the Hourglass Tokenizer and serve as a diffusion denoiser.

Adding a new model: one file in this folder with a frozen config (a `LifterConfig`), a `Lifter`, and `@register(name, config,
summary)` on it. The registry finds it, the contract tests run on it and the command line offers it.
"""

from graphpose.models.checkpoint import load, read_metadata, save
from graphpose.models.hourglass import hourglass
from graphpose.models.lifter import Lifter, LifterConfig
from graphpose.models.published import from_published, published_families
from graphpose.models.registry import available, create, describe, register
from graphpose.models.space_time import SpaceTimeConfig, SpaceTimeTransformer, hosts

__all__ = [
    "Lifter",
    "LifterConfig",
    "SpaceTimeConfig",
    "SpaceTimeTransformer",
    "available",
    "create",
    "describe",
    "from_published",
    "hosts",
    "hourglass",
    "load",
    "published_families",
    "read_metadata",
    "register",
    "save",
]
