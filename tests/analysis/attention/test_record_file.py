"""A record in a file is the record; anything else is told apart clearly."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from zoo import FIVE, keypoints, small

import graphpose
from graphpose.analysis import Record, capture, load_record, save_record
from graphpose.analysis.attention.record import Attention, Window
from graphpose.errors import DataError
from graphpose.formats._atomic import replacing


def same(one: Any, other: Any) -> bool:
    """Equality of everything that a record holds."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if hasattr(one, "__dataclass_fields__") and not isinstance(one, graphpose.Skeleton):
        return all(same(getattr(one, item.name), getattr(other, item.name)) for item in fields(one))
    return bool(one == other)


def record_of(name: str, **options: Any) -> Record:
    model = small(name)
    with capture(model, **options) as record:
        for _ in range(2):
            model.lift(keypoints(model))
    return record


@pytest.mark.parametrize("name", ["gla_gcn", "hourglass", "dstformer", "ridge"])
def test_there_and_back(name: str, tmp_path: Path) -> None:
    record = record_of(name)
    record.keypoints, record.visible = torch.randn(4, 6, 5, 2), torch.rand(4, 6, 5) > 0.5
    record.windows = [Window("walk", "01", "walk", 2, 6, 5, 25.0, (0.1, -0.9, 0.4)), Window()]
    path = save_record(record, tmp_path / "new" / "record.safetensors")
    assert path.is_file() and list(path.parent.iterdir()) == [path]
    assert same(load_record(str(path)), record)


def test_reductions_and_selections_there_and_back(tmp_path: Path) -> None:
    for number, options in enumerate(
        (
            {"reduce": "mean"},
            {"reduce": lambda weights: weights.amax(-1)},
            {"heads": [1], "frames": [2], "joints": [0, 3]},
        )
    ):
        record = record_of("ktpformer", **options)
        assert same(load_record(save_record(record, tmp_path / f"{number}.safetensors")), record)


def test_tensors_that_share_memory(tmp_path: Path) -> None:
    record = record_of("mixste")
    shared = record.attention[0].weights.mT
    record.attention = [replace(one, weights=shared) for one in record.attention]
    loaded = load_record(save_record(record, tmp_path / "shared.safetensors"))
    assert all(torch.equal(one.weights, shared) for one in loaded.attention)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = save_record(record_of("mixste"), tmp_path / "record.safetensors")
    content = path.read_bytes()
    broken = record_of("mixste")
    broken.options = {"model": object()}
    with pytest.raises(DataError, match="plain values, as JSON has them"):
        save_record(broken, path)
    assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a file, .* is a folder"):
        save_record(Record(FIVE), tmp_path)
    with pytest.raises(DataError, match="is a folder"), replacing(tmp_path):
        pytest.fail("nothing is begun")
    assert not list(tmp_path.iterdir())


def test_what_is_no_record(tmp_path: Path) -> None:
    good = save_record(record_of("mixste"), tmp_path / "good.safetensors")
    checkpoint = tmp_path / "checkpoint.safetensors"
    graphpose.models.save(small("mixste"), checkpoint)
    other, text, cut, later, lost = (
        tmp_path / f"{name}.safetensors" for name in ("other", "text", "cut", "later", "lost")
    )
    save_file({"x": torch.zeros(2)}, other)
    text.write_text("no tensors")
    cut.write_bytes(good.read_bytes()[:-100])
    header = {"format": 99}
    save_file({"x": torch.zeros(2)}, later, metadata={"graphpose-record": json.dumps(header)})
    save_file(
        {"x": torch.zeros(2)},
        lost,
        metadata={"graphpose-record": json.dumps({"format": 1, "skeleton": FIVE.to_dict()})},
    )
    for path, message in (
        (tmp_path / "nowhere.safetensors", "no such record"),
        (tmp_path, "a folder"),
        (checkpoint, "graphpose.load"),
        (other, "got other tensors"),
        (text, "no readable safetensors file"),
        (cut, "no readable safetensors file"),
        (later, "record format 99"),
        (lost, "damaged description .*KeyError"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            load_record(path)
        assert str(path) in str(caught.value)


def test_a_record_without_anything(tmp_path: Path) -> None:
    record = Record(FIVE, attention=[Attention("a", 0, "joints", torch.zeros(0, 1, 1, 5, 5), (0,), None)])
    assert same(load_record(save_record(record, tmp_path / "empty.safetensors")), record)
