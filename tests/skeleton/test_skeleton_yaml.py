"""Skeleton files: custom ones load from any folder, broken ones give one error that names the file and every fault."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from graphpose.errors import SkeletonError
from graphpose.skeleton import Skeleton

BIPED = """\
name: biped5
source: made up
joints: {hip: null, l_knee: hip, r_knee: hip, l_foot: l_knee, r_foot: r_knee}
pairs: [[l_knee, r_knee], [l_foot, r_foot]]
groups: {left_leg: [l_knee, l_foot], right_leg: [r_knee, r_foot]}
loss_weights: {l_foot: 2.5, r_foot: 2.5}
rest: {hip: [0, 0.9, 0], l_knee: [0.1, 0.5, 0], r_knee: [-0.1, 0.5, 0], l_foot: [0.1, 0, 0], r_foot: [-0.1, 0, 0]}
"""


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_five_joints_in_seven_lines(tmp_path: Path) -> None:
    path = write(tmp_path, BIPED)
    skeleton = Skeleton.load(str(path))
    assert skeleton == Skeleton.load(path)
    assert (skeleton.name, len(skeleton), skeleton.root) == ("biped5", 5, 0)
    assert skeleton.parents == (-1, 0, 0, 1, 2)
    assert skeleton.weights.tolist() == [1, 1, 1, 2.5, 2.5]
    assert skeleton.mirror.tolist() == [0, 2, 1, 4, 3]
    assert skeleton.rest is not None
    assert skeleton.rest.shape == (5, 3)


def test_forty_joints_children_before_parents(tmp_path: Path) -> None:
    """A centipede: a spine of 20 with a leg on each side of every second one, listed from the leaves up."""
    legs = [f"  {side}_leg{i}: seg{2 * i}" for i in range(10) for side in ("l", "r")]
    spine = [f"  seg{i}: seg{i - 1}" for i in range(19, 0, -1)] + ["  seg0: null"]
    pairs = [f"  - [l_leg{i}, r_leg{i}]" for i in range(10)]
    skeleton = Skeleton.load(
        write(tmp_path, "\n".join(["name: centipede40", "joints:", *legs, *spine, "pairs:", *pairs]))
    )
    assert len(skeleton) == 40
    assert skeleton.joints[skeleton.root] == "seg0"
    assert max(skeleton.depths) == 19  # seg0 to seg19
    assert skeleton.hops()[skeleton.index("l_leg0"), skeleton.index("r_leg9")] == 20
    assert len(skeleton.left) == 10
    skeleton.draw().figure.canvas.draw()


BROKEN = {
    "not yaml": (b"joints: {a: null", r"line \d+: expected YAML"),
    "tab": (b"joints:\n\ta: null\n", "line 2: expected YAML"),
    "two documents": (b"name: a\n---\nname: b\n", "expected YAML"),
    "python object": (b"joints: !!python/object/apply:os.system [ls]", "expected YAML"),
    "impossible date": (b"name: 2001-99-99\n", "expected YAML"),
    "endless nesting": (b"[" * 5000, "expected YAML"),
    "binary": (b"\x00\x01\x02", "expected YAML"),
    "not utf-8": (b"name: \xff\xfe\xfa\n", "expected UTF-8 text"),
    "empty file": (b"", "an empty file"),
    "a list": (b"- a\n- b\n", "got a list"),
    "a word": (b"skeleton", "got a str"),
    "no joints": (b"name: x\n", "key 'joints' is missing"),
    "no name": (b"joints: {a: null}\n", "key 'name' is missing"),
    "unknown key": (b"name: x\njoints: {a: null}\njoint: 3\n", r"unknown key 'joint' \(did you mean 'joints'\?\)"),
    "joints is a list": (b"name: x\njoints: [a, b]\n", "joints: expected lines"),
    "empty joints": (b"name: x\njoints: {}\n", "at least one joint"),
    "number as a name": (b"name: x\njoints: {1: null}\n", "needs quotes"),
    "yes as a name": (b"name: x\njoints: {yes: null}\n", "needs quotes"),
    "parent is a list": (b"name: x\njoints: {a: null, b: [a]}\n", r"'b' has the unknown parent \['a'\]"),
    "unknown parent": (b"name: x\njoints: {a: null, b: aa}\n", "'b' has the unknown parent 'aa'"),
    "repeated joint": (b"name: x\njoints:\n  a: null\n  b: a\n  b: a\n", r"line 5: the key 'b' .* \(first in line 4\)"),
    "repeated key": (b"name: x\nname: y\njoints: {a: null}\n", "line 2: the key 'name'"),
    "cycle": (b"name: x\njoints: {a: null, b: c, c: b}\n", "circle: b -> c -> b"),
    "two roots": (b"name: x\njoints: {a: null, b: null}\n", "2 roots"),
    "pairs type": (b"name: x\njoints: {a: null}\npairs: 3\n", "pairs: expected a list"),
    "pair member type": (
        b"name: x\njoints: {a: null}\npairs: [[1, 2]]\n",
        r"expected \[left, right\] \(got \[1, 2\]\)",
    ),
    "groups type": (b"name: x\njoints: {a: null}\ngroups: [a]\n", "groups: expected limb names"),
    "weights type": (b"name: x\njoints: {a: null}\nloss_weights: 3\n", "loss_weights: expected lines"),
    "weight text": (b"name: x\njoints: {a: null}\nloss_weights: {a: heavy}\n", r"weight of 'a': .*got 'heavy'"),
    "weight of nobody": (b"name: x\njoints: {a: null}\nloss_weights: {b: 1}\n", "loss_weights: unknown joint 'b'"),
    "weight bool": (b"name: x\njoints: {a: null}\nloss_weights: {a: yes}\n", "weight of 'a'"),
    "rest missing joint": (b"name: x\njoints: {a: null, b: a}\nrest: {a: [0, 0, 0]}\n", "missing: b"),
    "rest of nobody": (b"name: x\njoints: {a: null}\nrest: {a: [0,0,0], z: [0,0,0]}\n", "rest: unknown joint 'z'"),
    "rest flat": (b"name: x\njoints: {a: null}\nrest: {a: [0, 0]}\n", r"rest of 'a': expected \[x, y, z\]"),
    "rest text": (b"name: x\njoints: {a: null}\nrest: {a: [0, 0, up]}\n", r"rest of 'a': expected \[x, y, z\]"),
    "rest nan": (b"name: x\njoints: {a: null}\nrest: {a: [0, 0, .nan]}\n", "NaN or infinity for a"),
    "source type": (b"name: x\njoints: {a: null}\nsource: [1]\n", "source: expected a text"),
    "alias to itself": (b"name: x\njoints: &j\n  a: null\n  b: *j\n", "expected YAML|unknown parent"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(tmp_path: Path, case: str) -> None:
    content, message = BROKEN[case]
    path = write(tmp_path, content)
    with pytest.raises(SkeletonError, match=message) as caught:
        Skeleton.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(SkeletonError, match=r"none\.yaml: cannot be read \(No such file"):
        Skeleton.load(tmp_path / "none.yaml")
    with pytest.raises(SkeletonError, match="cannot be read"):
        Skeleton.load(tmp_path)
    with pytest.raises(SkeletonError, match="cannot be written"):
        Skeleton.load("h36m17").save(tmp_path / "no" / "folder.yaml")


def test_all_faults_of_a_file_at_once(tmp_path: Path) -> None:
    text = (
        "name: x\njoints:\n  a: null\n  b: null\n  c: nobody\n  d: d\n  c: a\npairs: [[a, a], [b, q]]\n"
        "loss_weights: {z: 1, a: -1}\nrest: {a: [0, 0, 0]}\ncolor: red\n"
    )
    with pytest.raises(SkeletonError) as caught:
        Skeleton.load(write(tmp_path, text))
    told = str(caught.value)
    for part in (
        "line 7: the key 'c'",
        "unknown key 'color'",
        "2 roots",
        "'d' is its own parent",
        "paired with itself",
    ):
        assert part in told
    for part in ("no joint 'q'", "unknown joint 'z'", "weight of 'a'", "missing: b, c, d"):
        assert part in told


@given(st.binary(max_size=200))
def test_any_bytes_give_a_skeleton_or_a_skeleton_error(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "noise.yaml"
    path.write_bytes(content)
    with pytest.raises(SkeletonError, match=r"noise\.yaml"):
        Skeleton.load(path)


_SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["a", "b", "hip", "", "x"])
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_SCALARS, inner, max_size=3), max_leaves=8
)


@given(st.sampled_from(["name", "joints", "pairs", "groups", "loss_weights", "rest", "source"]), _VALUES)
def test_any_value_for_any_key_is_taken_or_refused_cleanly(tmp_path_factory, key: str, value: object) -> None:
    data = yaml.safe_load(BIPED) | {key: value}
    path = tmp_path_factory.mktemp("value") / "value.yaml"
    path.write_text(yaml.safe_dump(data))
    try:
        skeleton = Skeleton.load(path)
    except SkeletonError as error:
        assert str(error).startswith(str(path))
    else:
        skeleton.save(path)
        assert Skeleton.load(path) == skeleton
