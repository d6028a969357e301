"""Who moves: named joints in one tree, with left/right pairs, limbs, loss weights and a rest pose.

Everything is derived from `joints` and `parents`; no other part of the library knows a joint by its number. With J
joints: hops d(i, j) = number of bones on the path from i to j; mirror m is an involution, m(m(j)) = j; the adjacency
of the published prior graph convolution is P = offdiag(D^-1 A) + I with A the 0/1 bone matrix [J, J] and D its degrees
(KTPFormer, Peng, Zhou and Mok, CVPR 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphpose.errors import SkeletonError, unknown_name
from graphpose.skeleton.limits import Limits
from graphpose.skeleton.sides import infer_pairs
from graphpose.skeleton.validation import find_faults

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

__all__ = ["Skeleton"]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A tree of named joints; immutable, hashable, picklable.

    Args:
        name: short name, used in messages and to find joint mappings.
        joints: joint names, unique; their order is the order of the joint axis J of every array.
        parents: index of each joint's parent, -1 for the root; a parent may come after its child.
        pairs: (left, right) joint names that a mirror image exchanges.
        groups: limbs, name -> joint names; a joint may be in several or none.
        loss_weights: one weight a joint, or () for the rule `1 + 1.5 * hops(root, j) / max hops` (limb ends heavier).
        rest: rest pose [J, 3] in metres, +Y up, facing +Z, left = +X; None when not known.
        source: where the joint list is from.
        limits: what joints and bones can do (`limits.py`), for augmentation; None when not known. Skeletons that differ in their
            limits alone are equal.

    Raises:
        SkeletonError: lists every fault (cycle, two roots, unknown parent, duplicate name, unpaired partner, ...).
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    loss_weights: tuple[float, ...] = ()
    rest: np.ndarray | None = None
    source: str = ""
    limits: Limits | None = None

    def __post_init__(self) -> None:
        faults = find_faults(vars(self))
        if faults:
            raise SkeletonError(faults, source=f"skeleton {self.name!r}")
        put = object.__setattr__  # the class is frozen; this is the one place that normalises what was given
        put(self, "joints", tuple(str(joint) for joint in self.joints))
        put(self, "parents", tuple(int(p) for p in self.parents))
        put(self, "pairs", tuple((str(left), str(right)) for left, right in self.pairs))
        put(self, "groups", MappingProxyType({name: tuple(members) for name, members in self.groups.items()}))
        put(self, "loss_weights", tuple(float(w) for w in self.loss_weights))
        if self.rest is not None:
            rest = np.array(self.rest, dtype=np.float64)
            rest.flags.writeable = False
            put(self, "rest", rest)

    # ---------------------------------------------------------------- identity

    def _key(self) -> tuple[Any, ...]:  # without the limits: they do not change what the joints are
        rest = None if self.rest is None else (self.rest + 0.0).tobytes()  # -0.0 equals 0.0
        groups = tuple(sorted(self.groups.items()))
        return self.name, self.joints, self.parents, self.pairs, groups, self.loss_weights, rest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Skeleton):
            return NotImplemented
        return self is other or self._key() == other._key()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.joints, self.parents, self.pairs))

    def __getstate__(self) -> dict[str, Any]:
        return self.to_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        fresh = Skeleton.from_dict(state)
        self.__dict__.update({name: getattr(fresh, name) for name in self.__dataclass_fields__})

    def __len__(self) -> int:
        return len(self.joints)

    def __repr__(self) -> str:
        return f"Skeleton({self.name!r}, {len(self)} joints, root {self.joints[self.root]!r}, {len(self.pairs)} pairs)"

    # ---------------------------------------------------------------- the tree

    @property
    def num_joints(self) -> int:
        """J, the number of joints."""
        return len(self.joints)

    @cached_property
    def root(self) -> int:
        """Index of the root joint."""
        return self.parents.index(-1)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.joints)}

    def index(self, name: str) -> int:
        """The position of the joint called `name` on the joint axis; raises SkeletonError naming the nearest joint."""
        try:
            return self._index[name]
        except KeyError:
            raise SkeletonError(unknown_name("joint", name, self.joints), source=f"skeleton {self.name!r}") from None

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of each of the J - 1 bones, in the order of the children."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The children of each joint, in joint order."""
        found: list[list[int]] = [[] for _ in self.joints]
        for parent, child in self.bones:
            found[parent].append(child)
        return tuple(tuple(c) for c in found)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Joint indices such that every parent comes before its children (root first, breadth first)."""
        queue = [self.root]
        for joint in queue:  # grows while it is walked
            queue.extend(self.children[joint])
        return tuple(queue)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Number of bones between the root and each joint."""
        depth = [0] * len(self)
        for joint in self.order[1:]:
            depth[joint] = depth[self.parents[joint]] + 1
        return tuple(depth)

    # ---------------------------------------------------------------- left and right

    @cached_property
    def mirror(self) -> np.ndarray:
        """[J] int64: the partner of each joint on the other side, or the joint itself."""
        table = np.arange(len(self), dtype=np.int64)
        for left, right in self.pairs:
            table[self.index(left)], table[self.index(right)] = self.index(right), self.index(left)
        table.flags.writeable = False
        return table

    @cached_property
    def left(self) -> tuple[int, ...]:
        """Indices of the left joints, in the order of `pairs`."""
        return tuple(self.index(left) for left, _ in self.pairs)

    @cached_property
    def right(self) -> tuple[int, ...]:
        """Indices of the right joints, in the order of `pairs`."""
        return tuple(self.index(right) for _, right in self.pairs)

    def side(self, joint: int) -> Literal["left", "right", "middle"]:
        """On which side of the body the joint of this index is."""
        return "left" if joint in self.left else "right" if joint in self.right else "middle"

    # ---------------------------------------------------------------- weights and matrices

    @cached_property
    def weights(self) -> np.ndarray:
        """[J] float64 loss weights: those given, else `1 + 1.5 * depth / max depth`."""
        if self.loss_weights:
            weights = np.array(self.loss_weights, dtype=np.float64)
        else:
            depths = np.array(self.depths, dtype=np.float64)
            weights = 1.0 + 1.5 * depths / max(1.0, depths.max())
        weights.flags.writeable = False
        return weights

    def adjacency(self) -> np.ndarray:
        """[J, J] float64: 1 where two joints share a bone, symmetric, zeros on the diagonal."""
        matrix = np.zeros((len(self), len(self)))
        for parent, child in self.bones:
            matrix[parent, child] = matrix[child, parent] = 1.0
        return matrix

    def normalized_adjacency(self, kind: Literal["published", "row", "symmetric"] = "published") -> np.ndarray:
        """[J, J] float64 adjacency with its rows or both sides divided by the degrees.

        `published`: `D^-1 A`, then ones on the diagonal (KTPFormer); `row`: `D^-1 A`; `symmetric`: `D^-1/2 A D^-1/2`.
        A joint without bones (J = 1) has a row of zeros.
        """
        matrix = self.adjacency()
        degree = np.maximum(matrix.sum(axis=1), 1.0)
        if kind == "symmetric":
            return matrix / np.sqrt(degree[:, None] * degree[None, :])
        if kind not in ("published", "row"):
            raise SkeletonError(unknown_name("adjacency kind", kind, ["published", "row", "symmetric"]))
        matrix /= degree[:, None]
        if kind == "published":
            np.fill_diagonal(matrix, 1.0)
        return matrix

    def hops(self) -> np.ndarray:
        """[J, J] int64: number of bones on the path between two joints."""
        distance = np.zeros((len(self), len(self)), dtype=np.int64)
        done: list[int] = []
        for joint in self.order:
            if done:  # a new leaf of the tree built so far: one bone further than its parent, from everywhere
                distance[joint, done] = distance[done, joint] = distance[self.parents[joint], done] + 1
            done.append(joint)
        return distance

    def to_networkx(self) -> nx.Graph:
        """Undirected graph: nodes 0..J-1 with `name`, `side`, `depth`, `weight`; edges with `parent`, `child`."""
        import networkx as nx  # here, because it would double the time that importing this package takes

        graph = nx.Graph(name=self.name, root=self.root)
        for i, name in enumerate(self.joints):
            graph.add_node(i, name=name, side=self.side(i), depth=self.depths[i], weight=float(self.weights[i]))
        for parent, child in self.bones:
            length = (
                {} if self.rest is None else {"length": float(np.linalg.norm(self.rest[child] - self.rest[parent]))}
            )
            graph.add_edge(parent, child, parent=parent, child=child, **length)
        return graph

    # ---------------------------------------------------------------- making one

    @classmethod
    def from_parents(
        cls,
        parents: Sequence[int],
        names: Sequence[str] | None = None,
        pairs: Sequence[tuple[str, str]] = (),
        name: str = "custom",
    ) -> Skeleton:
        """A skeleton from parent indices (-1 = root); joints are called joint0, joint1, ... when no names are given."""
        joints = tuple(names) if names is not None else tuple(f"joint{i}" for i in range(len(parents)))
        return cls(name, joints, tuple(parents), pairs=tuple(pairs))

    @classmethod
    def identify(cls, names: Sequence[str], parents: Sequence[int], name: str = "custom") -> Skeleton:
        """The bundled skeleton with exactly these names and parents, else a new one with pairs inferred from the names.

        The joints of a bundled skeleton in another order give that one reordered, called e.g. `deepmimic15-reordered`:
        its pairs, limbs, loss weights and rest pose hold, but the joint axis does not, so it has a name of its own.
        """
        joints, tree = tuple(names), tuple(parents)
        # True equals 1 and would find its entry; only what is plainly names and indices is looked up
        plain = all(type(joint) is str for joint in joints) and all(type(p) is int for p in tree)
        return (_identified if plain else _identified.__wrapped__)(joints, tree, name)

    def tree(self) -> dict[str, str | None]:
        """Joint name -> name of its parent (None for the root); equal for the same tree in whatever joint order."""
        return {name: None if p < 0 else self.joints[p] for name, p in zip(self.joints, self.parents, strict=True)}

    def reordered(self, joints: Sequence[str], name: str | None = None) -> Skeleton:
        """The same body with its joint axis in another order; `joints` has to be a permutation of the joint names."""
        if sorted(joints) != sorted(self.joints):
            raise SkeletonError(f"expected the joints {', '.join(self.joints)} in some order (got {', '.join(joints)})")
        places = [self.index(joint) for joint in joints]
        return replace(
            self,
            name=name or self.name,
            joints=tuple(joints),
            parents=tuple(-1 if self.parents[i] < 0 else places.index(self.parents[i]) for i in places),
            loss_weights=tuple(self.loss_weights[i] for i in places) if self.loss_weights else (),
            rest=None if self.rest is None else self.rest[places],
        )

    @classmethod
    def from_clip(cls, clip: Any, name: str | None = None) -> Skeleton:
        """The skeleton of a clip, with a rest pose from the clip's mean bone offsets and pairs inferred if it has none.

        `clip` is a Skeleton, or has `.skeleton` and (optionally) `.positions` [T, J, 3] in metres; see `rest_pose.py`.
        """
        from graphpose.skeleton.rest_pose import rest_from_positions

        skeleton = clip if isinstance(clip, Skeleton) else getattr(clip, "skeleton", None)
        if not isinstance(skeleton, Skeleton):
            raise SkeletonError(f"expected a clip with a skeleton (got {type(clip).__name__})")
        pairs = skeleton.pairs or infer_pairs(skeleton.joints)
        skeleton = replace(skeleton, name=name or skeleton.name, pairs=pairs)
        positions = getattr(clip, "positions", None)
        if positions is None:
            return skeleton
        return replace(skeleton, rest=rest_from_positions(skeleton, np.asarray(positions, dtype=np.float64)))

    # ---------------------------------------------------------------- files and looks

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, in the layout of the YAML file; `from_dict` is its inverse."""
        from graphpose.skeleton.yaml_file import skeleton_to_dict

        return skeleton_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Skeleton:
        """A skeleton from what `to_dict` gave; raises SkeletonError listing every fault."""
        from graphpose.skeleton.yaml_file import skeleton_from_dict

        return skeleton_from_dict(data)

    @classmethod
    def load(cls, name_or_path: str | Path) -> Skeleton:
        """A bundled skeleton by name (`"h36m17"`) or any YAML file by path (`"my/hound.yaml"`)."""
        from graphpose.skeleton.bundled import load_skeleton

        return load_skeleton(name_or_path)

    def save(self, path: str | Path) -> None:
        """Write the YAML file that `load` reads back to an equal skeleton."""
        from graphpose.skeleton.yaml_file import write_skeleton

        write_skeleton(self, path)

    @staticmethod
    def available() -> list[str]:
        """Names of the bundled skeletons."""
        from graphpose.skeleton.bundled import available_skeletons

        return available_skeletons()

    def describe(self) -> str:
        """The tree as indented text, with side and loss weight of each joint."""
        from graphpose.skeleton.describe import describe

        return describe(self)

    def draw(self, ax: Axes | None = None, mode: Literal["2d", "3d"] = "2d") -> Axes:
        """Draw the tree (`"2d"`) or the rest pose (`"3d"`) with matplotlib; returns the axes."""
        from graphpose.skeleton.draw import draw

        return draw(self, ax=ax, mode=mode)


@lru_cache(
    maxsize=256
)  # the files of a collection share their skeleton, and finding out which costs as much as reading
def _identified(joints: tuple[str, ...], parents: tuple[int, ...], name: str) -> Skeleton:
    from graphpose.skeleton.bundled import bundled_skeletons

    fresh = Skeleton(name, joints, parents, pairs=infer_pairs(joints))
    for known in bundled_skeletons():
        if known.joints == fresh.joints and known.parents == fresh.parents:
            return known
        if known.tree() == fresh.tree():
            return known.reordered(fresh.joints, name=f"{known.name}-reordered")
    return fresh
