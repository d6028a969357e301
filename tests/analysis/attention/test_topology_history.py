"""Over checkpoints of one training the learned topologies move by what was planted, in the order of the steps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from zoo import FIVE, small

from graphpose.analysis.attention.measures.topology_history import edge_history, topology_history
from graphpose.errors import CheckpointError, DataError
from graphpose.models import Lifter, save
from graphpose.skeleton import Skeleton

KPA = "joint_embedding.priors.0.convolution"


def saved(folder: Path, planted: list[float], name: str = "ktpformer", **metrics: float) -> list[Path]:
    """A checkpoint for each strength of a learned edge between the feet; steps rise by 10."""
    model = small(name, **({"prior": "kpa"} if name == "mixste" else {}))
    paths = []
    for number, value in enumerate(planted):
        with torch.no_grad():
            learned = model.get_submodule(KPA).global_topology
            learned.zero_()
            learned[2, 4] = learned[4, 2] = value
        path = folder / f"{number}.safetensors"
        paths.append(save(model, path, metrics={"step": 10.0 * number, "val/mpjpe": 90.0 - number, **metrics}))
    return paths


def test_the_planted_edge_is_seen_to_grow(tmp_path: Path) -> None:
    """The given topology has norm sqrt(5 + 2 (2 * 0.5^2 + 2 * 0.75^2)); the edge adds 2 v^2 to its square."""
    paths = saved(tmp_path, [0.0, 0.3, 0.5])
    table = topology_history(list(reversed(paths)))
    rows = table[table["name"] == KPA]
    assert list(rows["step"]) == [0.0, 10.0, 20.0] and list(rows["mpjpe"]) == [90.0, 89.0, 88.0]
    assert list(rows["checkpoint"]) == [str(path) for path in paths]
    start = math.sqrt(5 + 2 * (2 * 0.5**2 + 2 * 0.75**2))
    middle = math.sqrt(start**2 + 2 * 0.3**2)
    moved, steps = rows["moved"].to_numpy(), rows["step_moved"].to_numpy()
    assert np.isnan(moved[0]) and np.isnan(steps[0])
    np.testing.assert_allclose(moved[1:], [0.3 * math.sqrt(2) / start, 0.5 * math.sqrt(2) / start], rtol=1e-5)
    np.testing.assert_allclose(steps[1:], [0.3 * math.sqrt(2) / start, 0.2 * math.sqrt(2) / middle], rtol=1e-5)
    assert list(rows["edges_added"]) == [0, 1, 1]
    frames = table[(table["axis"] == "frames") & table["moved"].notna()]
    assert len(frames) == 4 and (frames["moved"] == 0).all()


def test_edges_are_followed_from_the_first_checkpoint_on(tmp_path: Path) -> None:
    table = edge_history(saved(tmp_path, [0.0, 0.3], "mixste"))
    assert set(table["name"]) == {KPA}
    feet = table[(table["source"] == "l_foot") & (table["target"] == "r_foot")]
    assert list(feet["status"]) == ["", "added"] and list(feet["step"]) == [0.0, 10.0]
    np.testing.assert_allclose(feet["total"], [0.0, 0.3], atol=1e-6)
    assert len(table) == 2 * 5  # four bones and the new edge, twice


def test_adaptive_graphs_have_a_history_too(tmp_path: Path) -> None:
    model = small("gla_gcn", frames=3)
    paths = [save(model, tmp_path / "a.safetensors")]
    with torch.no_grad():
        model.get_submodule("expand.graph").learned_topology[0, 1, 2] += 1.0
    paths.append(save(model, tmp_path / "b.safetensors"))
    table = topology_history(paths)
    own = table[(table["name"] == "expand.graph") & (table["relation"] == "self")]
    assert own["step"].isna().all() and own["moved"].iloc[1] > 0.1
    assert (table[table["relation"] == "inward"]["moved"].dropna() == 0).all()
    edges = edge_history(paths)
    grown = edges[(edges["checkpoint"] == str(paths[1])) & (edges["change"] > 0.5)]
    assert len(grown) == 1 and tuple(grown[["source", "target"]].iloc[0]) == ("l_knee", "l_foot")


def test_one_checkpoint_has_not_moved(tmp_path: Path) -> None:
    table = topology_history(saved(tmp_path, [0.1]))
    assert table["moved"].isna().all() and len(table) == 3


def other(folder: Path, name: str, skeleton: Skeleton = FIVE, **options: Any) -> Path:
    model: Lifter = small(name, skeleton, **options)
    return save(model, folder / "other.safetensors")


def test_other_trainings_are_refused(tmp_path: Path) -> None:
    [path] = saved(tmp_path, [0.0])
    with pytest.raises(DataError, match="expected checkpoints of one training"):
        topology_history([path, other(tmp_path, "mixste", prior="kpa")])
    longer = Skeleton.from_parents([-1, 0, 1, 2, 3])
    with pytest.raises(DataError, match="expected checkpoints of one training"):
        topology_history([path, other(tmp_path, "ktpformer", longer)])
    with pytest.raises(DataError, match="with a learned topology"):
        topology_history([other(tmp_path, "mixste")])
    with pytest.raises(DataError, match="at least one checkpoint"):
        topology_history([])
    with pytest.raises(DataError, match="expected a list of checkpoints"):
        topology_history(str(path))
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        edge_history([tmp_path / "none.safetensors"])
