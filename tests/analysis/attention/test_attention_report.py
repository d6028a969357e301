"""The page of a record: loads nothing, holds the weights it was given, stays small, and cannot be broken by names."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from made_record import made_record, wholebody

from graphpose.analysis.attention.pictures import attention_report
from graphpose.analysis.attention.pictures.page_data import page_data, plan_page
from graphpose.analysis.attention.pictures.quantised import packed, quantised
from graphpose.analysis.attention.record import Record, Topology, Window
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

pytest.importorskip("plotly", reason="the extra `viz` is not installed")
pytest.importorskip("pandas", reason="the extra `analysis` is not installed")

HOSTILE = "<script>alert('x')</script> & \u2028"


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and the data of the page."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.source = path.read_text(encoding="utf-8")
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    @property
    def ids(self) -> set[str | None]:
        return {attrs["id"] for _, attrs in self.tags if "id" in attrs}

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def unpacked(one: dict, keys: int, shape: list[int]) -> np.ndarray:
    """The weights as the page reads them, `shape` with all keys at the end."""
    values = np.frombuffer(base64.b64decode(one["weights"]), np.uint8).astype(float)
    weights = (values / 255) ** 2
    of_heads = weights.reshape(-1, len(one["scales"]), weights.size // max(1, np.prod(shape[:-2], dtype=int)))
    weights = (of_heads * np.array(one["scales"])[:, None]).ravel()
    if not one["top"]:
        return weights.reshape(*shape[:-1], keys)
    numbers = np.frombuffer(base64.b64decode(one["keys"]), np.uint8 if keys <= 256 else "<u2").astype(int)
    whole = np.zeros((weights.size // one["top"], keys))
    np.put_along_axis(whole, numbers.reshape(len(whole), -1), weights.reshape(len(whole), -1), axis=1)
    return whole.reshape(*shape[:-1], keys)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A record with hostile texts wherever a text can be given."""
    record = made_record(model=HOSTILE)
    windows = [Window(HOSTILE, HOSTILE, HOSTILE, b, 3, 9, 30.0) for b in range(2)]
    [topology] = record.topologies
    record = replace(record, windows=windows, topologies=[replace(topology, name=HOSTILE, relation=HOSTILE)])
    record.attention[0] = replace(record.attention[0], name=HOSTILE)
    path = attention_report(record, tmp_path_factory.mktemp("deep") / "new" / "page.html", subtitle=HOSTILE)
    return Page(path)


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    for tag, attrs in page.tags:
        assert tag not in ("iframe", "object", "embed", "img", "base", "source"), tag
        assert not {"src", "srcset", "action"} & set(attrs), (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")], attrs
        assert attrs.get("href") is None or str(attrs["href"]).startswith(("#", "data:,"))
    policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none';") and "http" not in policy
    assert len(page.scripts) == 3
    assert not re.search(r"https?://|\bfetch\s*\(|XMLHttpRequest|\bimport\s*\(", page.scripts[2])


def test_hostile_texts_stay_texts(page: Page) -> None:
    assert "<script>alert" not in page.source
    assert page.text.count("alert('x')") >= 3
    assert page.data["attention"]["windows"][0]["name"].startswith(HOSTILE)


def test_every_place_that_the_script_fills_is_there(page: Page) -> None:
    asked = set(re.findall(r'\bid\("([\w-]+)"\)', page.scripts[2]))
    assert len(asked) > 10
    assert asked <= page.ids
    for _, attrs in page.tags:
        if "data-figure" in attrs:
            assert attrs["data-figure"] in page.data["figures"]


def test_the_page_holds_the_weights_of_the_record(page: Page) -> None:
    record = made_record()
    data = page.data["attention"]
    for one, shown in zip(record.attention, data["modules"], strict=True):
        assert (shown["axis"], shown["layer"], shown["heads"]) == (one.axis, one.layer, [0, 1, 2])
        for b, rows in enumerate(shown["windows"]):
            found = unpacked(rows, shown["keys"], rows["shape"])
            weights = one.weights[b].double().numpy()
            assert np.abs(found[:, :3] - weights).max() < 0.005
            assert np.abs(found[:, 3] - weights.mean(1)).max() < 0.005
            assert rows["places"] == list(range(len(weights)))
    keypoints = np.array(data["windows"][1]["keypoints"], dtype=float).reshape(9, 17, 2) * data["windows"][1]["scale2"]
    assert record.keypoints is not None and record.visible is not None
    assert np.array_equal(np.isfinite(keypoints).all(-1), record.visible[1].numpy())
    assert np.nanmax(np.abs(keypoints - record.keypoints[1].numpy())) < 1e-3


@given(
    st_numpy.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 300)), elements=st.floats(0, 1)),
    st.integers(1, 20),
)
def test_packed_rows_keep_their_strongest_keys(weights: np.ndarray, top: int) -> None:
    one = packed(weights, top)
    found = unpacked(one, weights.shape[1], list(weights.shape))
    bound = (np.sqrt(weights) + 1 / 510) / 255
    kept = found > 0
    assert (np.abs(found - weights)[kept] <= bound[kept] + 1e-12).all()
    best = np.sort(weights, axis=1)[:, ::-1][:, :top]
    scale = weights.max() or 1.0
    assert np.allclose(np.sort(found, axis=1)[:, ::-1][:, :top], (quantised(best, scale) / 255.0) ** 2 * scale)


def test_even_attention_over_many_joints_is_told_apart() -> None:
    weights = np.full((2, 1, 133), 1 / 133)
    weights[0, 0, 5] *= 1.02
    weights[1, 0, 5] = 0.9
    found = unpacked(packed(weights, None), 133, [2, 1, 133])
    assert found[0, 0, 5] > found[0, 0, 4], "a head with one large weight does not coarsen the others"
    assert abs(found[0, 0, 4] - 1 / 133) < 4e-5 and abs(found[1, 0, 5] - 0.9) < 1e-9


def test_133_joints_and_long_windows_stay_small() -> None:
    record = made_record(wholebody(), windows=2, frames=27, layers=2, heads=4)
    plan = plan_page(record)
    text = json.dumps(page_data(record, plan), allow_nan=False)
    assert len(text) < 9_000_000
    assert plan.thinned(record)
    dense = plan_page(record, budget=10**9)
    assert dense.top is None and len(dense.frames[0]) == 27 and not dense.thinned(record)
    poor = plan_page(record, windows=[1], budget=1)
    assert poor.windows == (1,) and len(poor.frames[0]) <= 14 and "one frame in" in poor.thinned(record)


def test_pruned_frames_are_told_by_their_numbers() -> None:
    record = made_record(windows=1, layers=1)
    joints, frames = record.attention
    kept = torch.tensor([[1, 4, 7]])
    joints = replace(joints, weights=joints.weights[:, :3], across=None, frames=kept)
    frames = replace(frames, weights=frames.weights[..., :3, :3], frames=kept)
    record = replace(record, attention=[joints, frames])
    over_joints, over_frames = page_data(record, plan_page(record))["modules"]
    assert over_joints["windows"][0]["places"] == [1, 4, 7]
    assert over_frames["windows"][0]["queries"] == over_frames["windows"][0]["keyFrames"] == [1, 4, 7]


@pytest.mark.parametrize("missing", ["prediction", "keypoints", "target", "visible", "topologies", "windows"])
def test_what_was_not_recorded_is_left_out(missing: str, tmp_path: Path) -> None:
    record = made_record(windows=1, layers=1, heads=1)
    record = replace(record, **{missing: [] if missing in ("topologies", "windows") else None})
    page = Page(attention_report(record, tmp_path / "page.html"))
    assert ("look-flat" in page.ids) == (missing != "keypoints")
    assert ("look-space" in page.ids) == (missing != "prediction")
    assert ("topology" in page.ids) == (missing != "topologies")
    assert ("error" in page.ids) == (missing not in ("prediction", "target"))


def test_a_chain_in_one_frame_and_a_model_that_attends_to_nothing(tmp_path: Path) -> None:
    chain = Skeleton.from_parents([-1, 0, 1], ["base", "arm", "tip"], name="chain")
    record = made_record(chain, windows=1, frames=1, layers=1, heads=1)
    page = Page(attention_report(record, tmp_path / "page.html"))
    assert {"look", "heads", "measures"} <= page.ids
    graph = Topology("g", "joints", "kinematic", torch.eye(3), torch.ones(3, 3))
    bare = Page(attention_report(Record(chain, topologies=[graph]), tmp_path / "bare.html"))
    assert "topology" in bare.ids and "look" not in bare.ids
    with pytest.raises(DataError, match="got an empty one"):
        attention_report(Record(chain), tmp_path / "none.html")
    with pytest.raises(DataError, match="expected windows of the record"):
        attention_report(record, tmp_path / "page.html", windows=[4])
