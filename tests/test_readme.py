"""What the README and the pages in docs/ tell a user to type is what works: Python runs, commands parse, files exist."""

from __future__ import annotations

import re
import shlex
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from shared import shared_path

from graphpose.cli.discovery import commands
from graphpose.cli.main import main
from graphpose.cli.parsing import parse
from graphpose.config import TrainConfig, recipes
from graphpose.graph import relations
from graphpose.nn import prior_specification
from graphpose.skeleton import Skeleton

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """All blocks of a language, in order."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(str(page.relative_to(ROOT)), line, match[1], match[2]))
    return [block for block in found if block.language == language]


def lines(block: Block) -> list[list[str]]:
    """The words of each command of a shell block; comments go, continued lines are joined."""
    joined = block.text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def shell(program: str) -> list[tuple[str, list[str]]]:
    """(place, arguments) of every call of `program` in shell blocks, variables before it left out."""
    calls = []
    for block in blocks("sh"):
        for words in lines(block):
            while "=" in words[0]:
                words = words[1:]
            if words[0] == program:
                calls.append((str(block), words[1:]))
    return calls


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the sample clips where the pages say they are."""
    (tmp_path / "data").symlink_to(ROOT / "data", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def published_weights(path: Path) -> None:
    """A checkpoint file as the published KTPFormer code writes it."""
    import torch

    with np.load(shared_path("reference/ktpformer_h36m17_t27.npz")) as archive:
        weights = {key: torch.from_numpy(archive[key]) for key in archive.files if key.startswith("weight/")}
    state = {f"module.{key.removeprefix('weight/')}": value for key, value in weights.items()}
    torch.save({"epoch": 1, "model_pos": state}, path)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_blocks_run(block: Block, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "best_epoch.bin" in block.text:
        published_weights(workplace / "best_epoch.bin")
    example = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", example)  # message passing classes look their module up
    monkeypatch.setattr(relations, "_REGISTRY", dict(relations._REGISTRY))  # what a page registers goes with it
    monkeypatch.setattr(prior_specification, "_OWN", dict(prior_specification._OWN))
    names: dict[str, Any] = example.__dict__
    exec(compile("\n" * block.line + block.text, str(ROOT / block.page), "exec"), names)
    for claimed, name in ((r"\[39, 17, 3\]", "poses"), (r"\[459, 64\]", "hidden")):
        if re.search(claimed, block.text):
            assert list(names[name].shape) == [int(n) for n in re.findall(r"\d+", claimed)]


def test_there_are_examples_to_check() -> None:
    assert len([block for block in blocks("python") if block.page == "README.md"]) >= 2
    assert {call[0] for _, call in shell("graphpose")} >= {"train", "evaluate", "skeleton", "data"}
    assert shell("make") and shell("pip")


@pytest.mark.parametrize(("place", "words"), shell("graphpose"), ids=lambda value: " ".join(value)[:60])
def test_commands_parse(place: str, words: list[str]) -> None:
    known = commands()
    command = known.get(tuple(words[:2])) or known[tuple(words[:1])]
    args = parse(command, words[len(command.words) :])
    recipe = args.get("config")
    if recipe is not None and "/" not in recipe and not recipe.endswith(".yaml"):
        assert recipe in recipes({"ablate": "ablations", "adapt": "adaptations"}.get(words[0], "")), place


def test_make_targets_are_there() -> None:
    named = [word for _, words in shell("make") for word in words if "=" not in word]
    named += re.findall(r"`make (\w+)", README)
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {"demo", "test", "bench"} <= set(named) <= targets


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    assert set(re.findall(r'"\.\[(\w+)\]"', README)) <= extras
    assert (
        set(re.findall(r"^\| `(\w+)` \|", README.split("| extra |")[1].split("\n\n")[0], flags=re.MULTILINE)) == extras
    )


def test_the_demo_writes_what_the_page_shows() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndemo:")[1].split("\n\n")[0]
    for path in re.findall(r"`(runs/demo/[\w./]+)`", README):
        assert path.rstrip("/") in recipe, f"make demo does not write {path}"
    assert (ROOT / "docs" / "demo.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", text):
        path = next(part for part in target if part)
        assert path.startswith("https://") or (page.parent / path).exists(), f"{page.name}: {path}"
    for path in re.findall(r"`((?:tests|data|topologies|docs|graphpose)/[\w./]+)`", text):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_box_holds_what_the_table_says() -> None:
    import graphpose
    from graphpose import formats
    from graphpose.datasets.views import _KINDS
    from graphpose.graph import available_relations
    from graphpose.losses import available_losses

    table = README.split("## In the box")[1].split("\n## ")[0]
    rows = {
        key: re.findall(r"`([^`]+)`", text)
        for key, text in re.findall(r"^\| ([\w` ]+?) \| (.*) \|$", table, flags=re.MULTILINE)
    }
    assert set(rows["skeletons"]) == set(Skeleton.available())
    assert set(rows["relations"]) == set(available_relations())
    assert set(rows["views"]) == set(_KINDS)
    assert set(rows["models"]) == set(graphpose.models.available())
    assert set(rows["losses"]) == set(available_losses())
    mappings = {path.stem.partition("_to_")[0] for path in (ROOT / "topologies" / "mappings").glob("*_to_h36m17.yaml")}
    assert set(rows["mappings to `h36m17`"]) == mappings
    assert set(rows["formats"]) == set(formats.available())
    for line in README.split("Recipes:")[1].split("or your own")[0:1]:
        assert set(re.findall(r"`(\w+)`", line)) == set(recipes())


def test_the_commands_of_the_table_are_all_there_are() -> None:
    table = README.split("## Command line")[1].split("Every setting")[0]
    told = set()
    for row in re.findall(r"^\| `graphpose ([^|]*)\|", table, flags=re.MULTILINE):
        first, *others = re.findall(r"[a-z]+(?: [a-z]+)?", row)
        told |= {first, *(f"{first.split()[0]} {other}" for other in others)}
    assert told == {command.name for command in commands().values()}


def test_the_dog_is_trained_and_evaluated_as_told(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of the section on own skeletons, as they stand, on made-up clips; only the training is cut short."""
    section = README.split("## Your own skeleton")[1].split("\n## ")[0]
    (text,) = re.findall(r"```yaml\n(.*?)```", section, flags=re.DOTALL)
    assert len(text.splitlines()) <= 10
    (workplace / "dog.yaml").write_text(text, encoding="utf-8")
    dog = yaml.safe_load(text)
    names, parents = list(dog["joints"]), list(dog["joints"].values())
    (workplace / "dogs").mkdir()
    rng = np.random.default_rng(0)
    rest = rng.uniform(-0.4, 0.4, size=(len(names), 3)) + np.array([0, 0.5, 0])
    for action in ("walk", "run", "sit", "trot"):
        sway = 0.02 * rng.normal(size=(30, len(names), 3)).cumsum(axis=0)
        np.savez(
            workplace / "dogs" / f"{action}.npz",
            positions=(rest + sway).astype(np.float32),
            fps=30.0,
            joints=np.array(names),
            parents=np.array([-1 if parent is None else names.index(parent) for parent in parents]),
            action=action,
        )
    (block,) = [block for block in blocks("sh") if "--data.skeleton dog.yaml" in block.text]
    for words in lines(block):
        short = (
            ["--run.max_steps", "2", "--run.log_every", "1", "--run.accelerator", "cpu"] if words[1] == "train" else []
        )
        assert main([*words[1:], *short]) == 0, words
    assert "trot" in capsys.readouterr().out
    assert (workplace / "runs" / "dog" / "report.html").is_file()
    assert TrainConfig.from_yaml(workplace / "runs" / "dog" / "config.yaml").data.skeleton == str(
        workplace / "dog.yaml"
    )


def test_the_pages_name_nothing_of_this_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/work\b|\.\./shared|/tmp\b|/root\b", page.read_text(encoding="utf-8")), page.name
