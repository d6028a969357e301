"""Who moves: skeletons as validated trees of named joints, the bundled ones, and mappings between them.

Adding a new skeleton: write `topologies/NAME.yaml` (or a file anywhere, loaded by path); `Skeleton.available()` lists
it and the tests of the bundled files run on it.
Adding a new mapping: write `topologies/mappings/SOURCE_to_TARGET.yaml`, or a file anywhere, given by path.
"""

from __future__ import annotations

from graphpose.skeleton.limits import Limits
from graphpose.skeleton.mapping import JointMapping, find_mapping
from graphpose.skeleton.sides import infer_pairs
from graphpose.skeleton.skeleton import Skeleton

__all__ = ["JointMapping", "Limits", "Skeleton", "find_mapping", "infer_pairs"]
