"""Every bundled skeleton: loads, is symmetric, is drawn; and recorded data is recognised as one of them."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from shared import shared_path

from graphpose.errors import SkeletonError
from graphpose.skeleton import Skeleton, infer_pairs
from graphpose.skeleton.draw import SIDE_COLORS, tree_layout

matplotlib.use("Agg")
NAMES = Skeleton.available()
SIZES = {
    **{"h36m17": 17, "humaneva15": 15, "mpi_inf_3dhp17": 17, "coco17": 17, "halpe26": 26, "openpose25": 25},
    **{"mediapipe33": 33, "cmu31": 31, "bandai22": 22, "deepmimic15": 15, "hand21": 21, "animal17": 17, "panda7": 7},
    **{"smpl22": 22, "smpl24": 24},
}
NO_SIDES = {"hand21", "panda7"}


def test_the_promised_skeletons_are_there() -> None:
    assert {name: len(Skeleton.load(name)) for name in NAMES} == SIZES


@pytest.mark.parametrize("name", NAMES)
def test_names_pairs_source_and_limbs(name: str) -> None:
    skeleton = Skeleton.load(name)
    assert skeleton.name == name
    assert len(skeleton.source) > 40
    assert set(skeleton.pairs) == set(infer_pairs(skeleton.joints))
    assert bool(skeleton.pairs) == (name not in NO_SIDES)
    assert skeleton.groups
    parents = dict(enumerate(skeleton.parents))
    for left, right in zip(skeleton.left, skeleton.right, strict=True):  # the tree itself is symmetric
        assert skeleton.mirror[parents[left]] == parents[right]
    np.testing.assert_array_equal(skeleton.weights, skeleton.weights[skeleton.mirror])


@pytest.mark.parametrize("name", NAMES)
def test_rest_pose_is_symmetric_upright_and_faces_forward(name: str) -> None:
    skeleton = Skeleton.load(name)
    rest = skeleton.rest
    assert rest is not None
    lengths = [np.linalg.norm(rest[child] - rest[parent]) for parent, child in skeleton.bones]
    assert min(lengths) > 0.005
    assert rest[:, 1].min() >= -1e-9
    if name in NO_SIDES:
        return
    np.testing.assert_allclose(rest[skeleton.mirror] * [-1, 1, 1], rest, atol=1e-9)
    assert (rest[list(skeleton.left), 0] > 0).all()
    if name != "animal17":
        assert 1.2 < rest[:, 1].max() - rest[:, 1].min() < 1.9
    for joint, place in zip(skeleton.joints, rest, strict=True):
        if "toe" in joint.lower() or joint.lower() == "nose":
            assert place[2] > 0


def test_published_loss_weights() -> None:
    h36m = [1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4]
    np.testing.assert_array_equal(Skeleton.load("h36m17").weights, h36m)
    humaneva = [1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4]
    assert sorted(Skeleton.load("humaneva15").weights) == sorted(humaneva)
    both = set(Skeleton.load("humaneva15").joints)
    for joint in both:  # the same joint weighs the same in both
        a, b = Skeleton.load("h36m17"), Skeleton.load("humaneva15")
        assert a.weights[a.index(joint)] == b.weights[b.index(joint)]


@pytest.mark.parametrize("name", NAMES)
def test_tree_picture_shows_every_joint_once(name: str) -> None:
    skeleton = Skeleton.load(name)
    ax = skeleton.draw()
    assert [text.get_text().split("\n")[0] for text in ax.texts] == list(skeleton.joints)
    assert len({tuple(place) for place in tree_layout(skeleton)}) == len(skeleton)
    assert sum(len(c.get_offsets()) for c in ax.collections) == len(skeleton)
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", NAMES)
def test_rest_picture_has_equal_scales_and_side_colours(name: str) -> None:
    skeleton = Skeleton.load(name)
    ax = Figure().add_subplot(projection="3d")
    assert skeleton.draw(ax, mode="3d") is ax
    assert len(ax.lines) == len(skeleton.bones)
    spans = [np.ptp(limits) for limits in (ax.get_xlim(), ax.get_ylim(), ax.get_zlim())]
    np.testing.assert_allclose(spans, spans[0])
    colours = [line.get_color() for line in ax.lines]
    assert colours == [SIDE_COLORS[skeleton.side(child)] for _, child in skeleton.bones]
    ax.figure.canvas.draw()


def test_mirrored_limbs_are_mirrored_on_the_page() -> None:
    for name in ("h36m17", "cmu31", "mediapipe33", "bandai22", "openpose25"):
        skeleton = Skeleton.load(name)
        x = tree_layout(skeleton)[:, 0]
        paired = [*skeleton.left, *skeleton.right]
        np.testing.assert_allclose((x + x[skeleton.mirror])[paired], x.max())


def test_draw_says_what_it_cannot_do() -> None:
    bare = Skeleton.from_parents([-1, 0])
    with pytest.raises(SkeletonError, match="there is no rest pose"):
        bare.draw(mode="3d")
    with pytest.raises(SkeletonError, match="unknown drawing mode '4d'"):
        bare.draw(mode="4d")
    with pytest.raises(SkeletonError, match="expected 3D axes"):
        Skeleton.load("h36m17").draw(Figure().add_subplot(), mode="3d")


def test_description_lists_joints_below_their_parents() -> None:
    text = Skeleton.load("h36m17").describe()
    assert text.splitlines()[0] == "h36m17: 17 joints, 16 bones, 6 left/right pairs"
    assert text.index("thorax") < text.index("Lshoulder") < text.index("Lelbow")
    assert "left (partner Rwrist)" in text


@pytest.mark.parametrize(
    ("file", "name"),
    [("asf-amc/01_01.npz", "cmu31"), ("bvh/dataset-1_walk_normal_001.npz", "bandai22")],
)
def test_recorded_joints_are_identified(file: str, name: str) -> None:
    stored = np.load(shared_path(f"mocap/expected/{file}"))
    assert Skeleton.identify(stored["joint_names"].tolist(), stored["parents"]) == Skeleton.load(name)


def test_identify_knows_a_bundled_tree_in_another_order() -> None:
    known = Skeleton.load("deepmimic15")
    limbs = [("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")]  # legs first, as DeepMimic itself has them
    joints = ["root", "chest", "neck", *(f"{s}_{j}" for limb in limbs for s in ("right", "left") for j in limb)]
    parents = [-1 if known.tree()[j] is None else joints.index(known.tree()[j]) for j in joints]
    found = Skeleton.identify(joints, parents)
    assert found.name == "deepmimic15-reordered"
    assert found.joints == tuple(joints)
    assert found.reordered(known.joints, name="deepmimic15") == known


def test_identify_remembers_without_mixing_up() -> None:
    assert Skeleton.identify(["base", "tip"], [-1, 0]) is Skeleton.identify(("base", "tip"), (-1, 0))
    assert Skeleton.identify(["base", "tip"], [-1, 0], name="rod").name == "rod"
    Skeleton.identify(["base", "middle", "tip"], [-1, 0, 1])
    with pytest.raises(SkeletonError, match="indices"):
        Skeleton.identify(["base", "middle", "tip"], [-1, 0, True])  # equals 1, but is none


def test_identify_makes_a_new_one_with_pairs() -> None:
    found = Skeleton.identify(["base", "wing_L", "wing_R"], [-1, 0, 0], name="bird")
    assert (found.name, found.pairs) == ("bird", (("wing_L", "wing_R"),))


def test_load_unknown_name() -> None:
    with pytest.raises(SkeletonError, match=r"unknown skeleton 'h36m' \(did you mean 'h36m17'\?\).*\.yaml file"):
        Skeleton.load("h36m")


class Clip:
    """Something that carries a skeleton and positions."""

    def __init__(self, skeleton: Skeleton, positions: np.ndarray | None = None) -> None:
        self.skeleton = skeleton
        self.positions = positions


def test_from_clip_undoes_turning_and_travel() -> None:
    skeleton = Skeleton.load("h36m17")
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 40)  # walks a full circle: world directions would cancel out
    turn = np.zeros((40, 3, 3))
    turn[:, 1, 1] = 1
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(angles)
    turn[:, 0, 2], turn[:, 2, 0] = np.sin(angles), -np.sin(angles)
    positions = np.einsum("tab,jb->tja", turn, skeleton.rest) + rng.normal(size=(40, 1, 3))
    positions[3, 5] = np.nan
    found = Skeleton.from_clip(Clip(skeleton, positions), name="walker")
    expected = skeleton.rest - skeleton.rest[0] * [1, 0, 1]
    np.testing.assert_allclose(found.rest, expected - [0, expected[:, 1].min(), 0], atol=1e-9)
    assert found.name == "walker"
    assert found.pairs == skeleton.pairs


def test_from_clip_keeps_mean_bone_lengths_of_recorded_motion() -> None:
    stored = np.load(shared_path("mocap/expected/asf-amc/01_01.npz"))
    positions = stored["positions"] * float(stored["metres_per_unit"])
    bare = Skeleton.from_parents(stored["parents"].tolist(), stored["joint_names"].tolist())
    found = Skeleton.from_clip(Clip(bare, positions))
    assert found.pairs == Skeleton.load("cmu31").pairs
    for parent, child in found.bones:
        length = np.linalg.norm(positions[:, child] - positions[:, parent], axis=1).mean()
        assert np.linalg.norm(found.rest[child] - found.rest[parent]) == pytest.approx(length)
    assert found.rest[found.index("lfoot"), 0] > found.rest[found.index("rfoot"), 0]


def test_from_clip_without_positions_and_bad_ones() -> None:
    skeleton = Skeleton.from_parents([-1, 0], ["a", "b"])
    assert Skeleton.from_clip(skeleton) == Skeleton.from_clip(Clip(skeleton)) == skeleton
    with pytest.raises(SkeletonError, match="no frame shows both 'a' and 'b'"):
        Skeleton.from_clip(Clip(skeleton, np.array([[[0, 0, 0], [np.nan, 0, 0]]])))
    with pytest.raises(SkeletonError, match=r"expected positions \[T, 2, 3\].*got \(4, 3, 3\)"):
        Skeleton.from_clip(Clip(skeleton, np.zeros((4, 3, 3))))
    with pytest.raises(SkeletonError, match="a clip with a skeleton"):
        Skeleton.from_clip([1, 2])
