"""The report page: loads nothing, shows everything, cannot be broken by what it is given."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpose.analysis import Example, Table, write_report
from graphpose.errors import DataError
from graphpose.metrics import ErrorTable
from graphpose.skeleton import Skeleton

HOSTILE = "<script>alert('x')</script><img src=http://evil.example/x.png onerror=\"alert(1)\"> & \u2028"


class Page(HTMLParser):
    """What a browser would see: tags with attributes, text outside and inside scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.raw: list[tuple[dict[str, str | None], str]] = []
        self.inside: tuple[str, dict[str, str | None]] | None = None
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside is None:
            self.text.append(data)
        else:
            self.raw.append((self.inside[1] | {"tag": self.inside[0]}, data))

    @property
    def data(self) -> dict:
        blocks = [text for attrs, text in self.raw if attrs.get("id") == "report-data"]
        return json.loads("".join(blocks), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    @property
    def visible(self) -> str:
        return "\n".join(self.text)


def make_example(
    skeleton: Skeleton, frames: int = 40, name: str = "walk", known: bool = True, **options: object
) -> Example:
    rng = np.random.default_rng(frames)
    joints = len(skeleton.joints)
    target = rng.normal(size=(1, joints, 3)) + 0.05 * rng.normal(size=(frames, joints, 3)).cumsum(0)
    predicted = target + 0.03 * rng.normal(size=target.shape)
    keypoints = target[..., :2] / 3
    return Example(name, skeleton, keypoints, predicted, target if known else None, **options)


@pytest.fixture(scope="module")
def h36m() -> Skeleton:
    return Skeleton.load("h36m17")


@pytest.fixture(scope="module")
def full_page(h36m: Skeleton, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Everything at once, with hostile texts wherever a text can be given."""
    rows = [(joint, 40.0 + k, float("nan") if k == 3 else 30.0, 100) for k, joint in enumerate(h36m.joints)]
    history = [
        {"step": float(s), "train/loss": 1 / (s + 1), HOSTILE: float("nan") if s == 4 else 2.0} for s in range(9)
    ]
    error = np.linspace(0.03, 0.12, len(h36m))
    error[5] = np.nan
    path = write_report(
        tmp_path_factory.mktemp("deep") / "new" / "report.html",
        title=f"Run {HOSTILE}",
        tables=[Table(f"By joint {HOSTILE}", ["joint", "MPJPE mm", "P-MPJPE mm", "frames"], rows)],
        summary={"MPJPE": (104.03, "mm"), "MPJVE": (float("nan"), "mm"), "frames": 5991, "model": HOSTILE},
        curves=history,
        examples=[make_example(h36m, name=HOSTILE), make_example(h36m, 400, name="plain")],
        per_joint_error=error,
        skeleton=h36m,
        config=f"name: {HOSTILE}",
    )
    return Page(path)


def test_nothing_is_loaded_from_anywhere(full_page: Page) -> None:
    for tag, attrs in full_page.tags:
        assert tag not in ("iframe", "object", "embed", "img", "base", "source"), tag
        for name in ("src", "srcset", "data", "action", "poster", "background"):
            assert name not in attrs, (tag, name, attrs[name])
        href = attrs.get("href")
        assert href is None or href.startswith("#") or href == "data:,", href
        assert not [name for name in attrs if name.startswith("on")], attrs
    policy = next(a["content"] for t, a in full_page.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none';") and "http" not in policy
    own = [text for attrs, text in full_page.raw if attrs["tag"] == "style" or "report-data" in text[:2000]]
    assert len(own) == 2
    for text in own:
        assert not re.search(r"@import|url\(|https?://|\bimport\s*\(|\bfetch\s*\(|XMLHttpRequest", text)


def test_plotly_is_inlined_once_and_the_file_stays_small(full_page: Page) -> None:
    assert full_page.source.count("plotly.js v") == 1
    assert len(full_page.source.encode()) < 8_000_000
    assert [tag for tag, _ in full_page.tags].count("script") == 3  # data, plotly.js, our own


def test_hostile_texts_stay_texts(full_page: Page, h36m: Skeleton) -> None:
    markup = full_page.source.split('<script type="application/json"')[0]
    assert "alert('x')" not in markup.replace("&#x27;", "?")
    assert "<script>alert" not in full_page.source and "<img" not in markup
    assert full_page.visible.count("alert('x')") >= 6  # title, heading, table, card, example, curve, configuration
    assert full_page.data["players"][0]["name"] == HOSTILE


def test_every_joint_and_section_is_there(full_page: Page, h36m: Skeleton) -> None:
    data = full_page.data
    for joint in h36m.joints:
        assert joint in full_page.visible
        assert joint in data["players"][0]["joints"]
        assert any(joint in trace.get("text", ()) for trace in data["figures"]["skeleton"]["data"])
    ids = {attrs.get("id") for _, attrs in full_page.tags}
    assert {"examples", "joints", "tables", "training", "config"} <= ids
    for _, attrs in full_page.tags:
        if "data-figure" in attrs:
            assert attrs["data-figure"] in data["figures"]


def test_unknown_values_are_a_dash_and_never_zero(full_page: Page, h36m: Skeleton) -> None:
    row = full_page.source.split(f'<th scope="row">{h36m.joints[3]}</th>')[1].split("</tr>")[0]
    assert re.findall(r">([^<]+)</td>", row) == ["43.0", "\u2014", "100"]
    card = full_page.source.split("<dt>MPJVE</dt>")[1].split("</div>")[0]
    assert "\u2014" in card and "0" not in card
    hollow = [t for t in full_page.data["figures"]["skeleton"]["data"] if t.get("text") == [h36m.joints[5]]]
    assert len(hollow) == 1 and hollow[0]["customdata"] == ["unknown"]
    broken = full_page.data["figures"]["curve-1"]["data"][0]["y"]
    assert broken[4] is None and broken.count(None) == 1


def test_both_colour_schemes_name_the_same_colours(full_page: Page) -> None:
    light, dark = full_page.data["light"], full_page.data["dark"]
    assert light.keys() == dark.keys()
    assert len(set(light.values())) == len(light), "a light colour stands for one name only"
    style = next(text for attrs, text in full_page.raw if attrs["tag"] == "style")
    assert "prefers-color-scheme: dark" in style
    used = set(re.findall(r"var\(--([a-z0-9]+)", full_page.source))
    assert used - light.keys() == {"font", "share"}


def test_single_frame_without_truth_and_pairs(tmp_path: Path) -> None:
    skeleton = Skeleton.from_parents([-1, 0, 1])
    example = make_example(skeleton, 1, known=False)
    error = [0.1, 0.2, 0.3]
    page = Page(
        write_report(tmp_path / "r.html", title="one", examples=[example], per_joint_error=error, skeleton=skeleton)
    )
    player = page.data["players"][0]
    assert player["target"] is None and player["error"] is None and player["curve"] is None
    assert player["frames"] == [0] and set(player["sides"]) == {"middle"}
    controls = next(attrs for _, attrs in page.tags if attrs.get("class") == "controls")
    assert "hidden" in controls
    assert not [attrs for _, attrs in page.tags if attrs.get("class") in ("truth", "plot time")]
    assert "mean pose" in page.visible


def test_an_empty_report_is_a_page(tmp_path: Path) -> None:
    page = Page(write_report(str(tmp_path / "r.html"), title="nothing yet"))
    assert "nothing yet" in page.visible
    assert page.data["players"] == [] and page.data["figures"] == {}


def test_an_error_while_writing_leaves_an_older_page_as_it_was(tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    page.write_text("an older page", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_report(page, title="half a character \ud800")
    assert page.read_text(encoding="utf-8") == "an older page"
    assert list(tmp_path.iterdir()) == [page]


def test_a_folder_in_the_place_of_the_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        write_report(tmp_path, title="x")
    assert not list(tmp_path.iterdir())


def test_error_table_fills_tables_summary_and_joints(h36m: Skeleton, tmp_path: Path) -> None:
    errors = ErrorTable(h36m, ["mpjpe", "mpjve", "pck"])
    truth = torch.randn(6, 17, 3, generator=torch.Generator().manual_seed(0))
    for subject, action, shift in (("S1", "walk", 0.04), ("S2", "run", 0.02)):
        errors.add(
            truth + torch.tensor([0.0, 0.0, shift]), truth, subject=subject, action=action, name=f"{subject} {action}"
        )
    page = Page(write_report(tmp_path / "r.html", title="table", tables=[errors]))
    assert "30.0 mm" in re.sub(r"\s+", " ", page.visible.replace("\n", ""))
    for heading in ("By action", "By subject", "By joint", "By clip", "S1 walk", "run"):
        assert heading in page.visible
    marks = page.data["figures"]["skeleton"]["data"][1]["marker"]["color"]
    assert marks == pytest.approx([30.0] * 17, abs=0.06)


def test_many_joints_and_examples_stay_under_the_limit(tmp_path: Path) -> None:
    chain = Skeleton.from_parents(list(range(-1, 59)))
    examples = [make_example(chain, 300, name=f"clip {k}") for k in range(12)]
    path = write_report(tmp_path / "r.html", title="many", examples=examples)
    assert path.stat().st_size < 8_000_000
    assert all(10 <= len(player["frames"]) <= 150 for player in Page(path).data["players"])


@pytest.mark.parametrize(
    ("error", "skeleton", "message"),
    [([0.1] * 3, True, r"expected shape \[17\].*got \[3\]"), ([0.1] * 17, False, "skeleton=")],
)
def test_joint_errors_that_fit_no_skeleton_are_refused(
    h36m: Skeleton, tmp_path: Path, error: list[float], skeleton: bool, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write_report(tmp_path / "r.html", title="x", per_joint_error=error, skeleton=h36m if skeleton else None)
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("plotly", "import graphpose.analysis.report"),
        ("plotly", "from graphpose.analysis import write_report"),
        ("matplotlib", "from graphpose.analysis import poster; poster([object()], 'x.png')"),
    ],
)
def test_missing_extra_says_what_to_install(package: str, line: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
import graphpose.errors
try:
    {line.replace("; ", chr(10) + "    ")}
except graphpose.errors.GraphposeError as error:
    assert isinstance(error, ImportError)
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"needs {package}" in done.stdout and "pip install graphpose[viz]" in done.stdout


def test_importing_analysis_loads_no_plotting() -> None:
    code = "import sys, graphpose.analysis; print([m for m in ('plotly', 'matplotlib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
