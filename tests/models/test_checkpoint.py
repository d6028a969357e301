"""A checkpoint is whole or refused with its path, whatever happened to it; writing one never harms the one before."""

from __future__ import annotations

import argparse
import json
import os
import stat
import struct
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import graphpose
from graphpose.errors import CheckpointError, ConfigError
from graphpose.models import Lifter, create, from_published, load, read_metadata, save
from graphpose.models.published import read_state_dict
from graphpose.nn import prior_specification
from graphpose.nn.prior_specification import register_prior
from graphpose.nn.priors import KinematicPrior
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3], ["hip", "lk", "lf", "rk", "rf"], [("lk", "rk"), ("lf", "rf")], name="five"
)


def small(**options: Any) -> Lifter:
    torch.manual_seed(0)
    return create("ktpformer", FIVE, **{"frames": 3, "channels": 8, "depth": 1, "heads": 2, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoint")


@pytest.fixture(scope="module")
def sound(folder: Path) -> Path:
    return save(small(), folder / "sound.safetensors", config={"data": {"frames": 3}}, data_statement="made up")


def refused(path: Path) -> str:
    """The message of `load`, which has to be a CheckpointError of one line with the path in it."""
    with pytest.raises(CheckpointError) as caught:
        load(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def loaded_or_refused(path: Path) -> None:
    """Damage that happens to leave a valid file may load; anything else is a CheckpointError with the path."""
    try:
        model = load(path)
    except CheckpointError as error:
        assert str(path) in str(error)
    else:
        assert isinstance(model, Lifter)


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file and the bytes behind it."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def assembled(path: Path, header: dict[str, Any], data: bytes) -> Path:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def described(path: Path, sound: Path, **changes: Any) -> Path:
    """The sound checkpoint with keys of its description replaced, or removed where the new value is `...`."""
    header, data = parts(sound)
    content = {**json.loads(header["__metadata__"]["graphpose"]), **changes}
    kept = {key: value for key, value in content.items() if value is not ...}
    header["__metadata__"]["graphpose"] = json.dumps(kept)
    return assembled(path, header, data)


# -- damage -----------------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_truncated_file_is_refused(folder: Path, sound: Path, data: st.DataObject) -> None:
    content = sound.read_bytes()
    path = folder / "cut.safetensors"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refused(path)


@given(st.data())
def test_flipped_bytes_in_the_header_never_surprise(folder: Path, sound: Path, data: st.DataObject) -> None:
    content = bytearray(sound.read_bytes())
    (size,) = struct.unpack("<Q", content[:8])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 8 + size - 1))] ^= data.draw(st.integers(1, 255))
    path = folder / "flipped.safetensors"
    path.write_bytes(content)
    loaded_or_refused(path)


@given(st.binary(max_size=300))
def test_rubbish_is_refused(folder: Path, content: bytes) -> None:
    path = folder / "rubbish.safetensors"
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html>\n<html><body>404</body></html>\n", b"\xff" * 64, b"PK\x03\x04" + bytes(60)],
    ids=["empty", "a web page", "ones", "a zip"],
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "download.safetensors"
    path.write_bytes(content)
    assert "is the download complete?" in refused(path)


@pytest.mark.parametrize("suffix", [".bin", ".pth", ".pt"])
def test_published_weights_are_told_their_reader(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"best_epoch{suffix}"
    torch.save({"model_pos": {"weight": torch.zeros(3)}}, path)
    assert "graphpose.models.from_published and write them with graphpose.models.save" in refused(path)


def test_other_files_of_a_run_are_told_the_checkpoints_beside_them(sound: Path, tmp_path: Path) -> None:
    ckpt, settings = tmp_path / "last.ckpt", tmp_path / "config.yaml"
    torch.save({"state_dict": {}}, ckpt)
    settings.write_text("data: {}\n")
    assert refused(settings).endswith("expected a .safetensors file of a run folder (got a .yaml file)")
    (tmp_path / "best.safetensors").write_bytes(sound.read_bytes())
    assert f"expected {tmp_path}/best.safetensors (got a .yaml file)" in refused(settings)
    (tmp_path / "last.safetensors").write_bytes(sound.read_bytes())
    assert refused(ckpt).endswith(
        f"expected {tmp_path}/best.safetensors or {tmp_path}/last.safetensors (got the state to --resume a training from)"
    )


def test_a_model_too_large_for_this_machine_is_not_a_damaged_file(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphpose.nn.priors.machine_memory", lambda: 10)
    with pytest.raises(ConfigError, match=r"sound\.safetensors: frames=3: the trajectory prior .* this machine has"):
        load(sound)


@pytest.mark.parametrize("imports", [[], ["my_priors"]])
def test_a_prior_that_nobody_registered_is_named_and_is_no_damage(
    imports: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prior_specification, "_OWN", {})
    register_prior("mine", "joints")(lambda wide_in, wide_out, skeleton: KinematicPrior(wide_in, wide_out, skeleton))
    model = create("mixste", FIVE, frames=3, channels=8, depth=1, heads=2, prior="mine")
    path = save(model, tmp_path / "own.safetensors", config={"run": {"imports": imports}})
    load(path)
    monkeypatch.setattr(prior_specification, "_OWN", {})
    text = refused(path)
    assert "unknown prior 'mine'; choose from: kpa, " in text and "damaged" not in text
    which = "import that module (in the training: my_priors) before" if imports else "import that module before loading"
    assert f"where 'mine' is registered by a module of your own, {which}" in text
    assert text.endswith(f"(on the command line: --import {imports[0] if imports else 'MODULE'})")


@pytest.mark.parametrize(
    ("name", "changes", "unknown"),
    [
        ("mixste", {"model": "of_mine"}, "unknown model 'of_mine'"),
        ("hourglass", {"prune": "of_mine"}, "unknown prune 'of_mine'"),
        ("hourglass", {"host": "of_mine"}, "unknown model 'of_mine'"),
        ("d3dp", {"denoiser": "of_mine"}, "unknown model 'of_mine'"),
        ("mixste", {"prior": "kpa+of_mine"}, "unknown prior 'of_mine'"),
    ],
)
def test_whatever_users_register_is_named(name: str, changes: dict[str, str], unknown: str, tmp_path: Path) -> None:
    path = save(zoo.small(name, FIVE, frames=9), tmp_path / "own.safetensors")
    options = {**read_metadata(path)["options"], **changes}
    model = options.pop("model", name)
    text = refused(described(tmp_path / "changed.safetensors", path, model=model, options=options))
    assert unknown in text and "where 'of_mine' is registered by a module of your own, import that module" in text


def test_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    assert "no such checkpoint (a folder: name the checkpoint in it, e.g." in refused(tmp_path)
    assert refused(tmp_path / "missing.safetensors").endswith("no such checkpoint")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "last.ckpt").write_bytes(b"")
    for missing in (tmp_path / "half", tmp_path / "half" / "last.safetensors"):
        assert f"the run in {tmp_path / 'half'} is not finished: go on with --resume" in refused(missing)


def test_weights_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    assert "without graphpose's description; for published weights" in refused(path)
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    assert "without graphpose's description" in refused(path)


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_another_format_version_is_refused(version: object, sound: Path, tmp_path: Path) -> None:
    path = described(tmp_path / "model.safetensors", sound, format=version)
    assert f"checkpoint format {version}, this graphpose reads 1" in refused(path)


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"text"', "{", "[" * 100_000, '{"format": 1}'])
def test_a_description_that_is_none_is_refused(text: str, sound: Path, tmp_path: Path) -> None:
    header, data = parts(sound)
    header["__metadata__"]["graphpose"] = text
    assert "damaged description in its header" in refused(assembled(tmp_path / "model.safetensors", header, data))


KEYS = ["model", "options", "skeleton", "config", "data_statement", "metrics", "versions"]


@pytest.mark.parametrize("key", ["format", *KEYS])
def test_a_missing_key_is_named(key: str, sound: Path, tmp_path: Path) -> None:
    assert f"'{key}'" in refused(described(tmp_path / "model.safetensors", sound, **{key: ...}))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(KEYS), PLAIN)
def test_a_description_of_anything_never_surprises(folder: Path, sound: Path, key: str, value: object) -> None:
    loaded_or_refused(described(folder / "described.safetensors", sound, **{key: value}))


@given(st.data(), PLAIN)
def test_options_and_skeletons_of_anything_never_surprise(
    folder: Path, sound: Path, data: st.DataObject, value: object
) -> None:
    metadata = read_metadata(sound)
    section = data.draw(st.sampled_from(["options", "skeleton"]))
    key = data.draw(st.sampled_from(sorted(metadata[section])) | st.text(max_size=5))
    path = described(folder / "option.safetensors", sound, **{section: {**metadata[section], key: value}})
    loaded_or_refused(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 16}, "do not fit KTPFormer"),
        ({"depth": 2}, "missing"),
        ({"frames": 5}, r"expected [5, 8] (got [3, 8])"),
        ({"in_features": 3}, "do not fit KTPFormer"),
        ({"chanels": 8}, "did you mean 'channels'"),
        ({"heads": 3}, "expected channels divisible by heads"),
        ({"channels": 10**12}, "damaged description"),
        ({"mlp_ratio": float("inf")}, "damaged description"),
    ],
)
def test_options_that_do_not_fit_the_weights_are_named(
    options: dict[str, Any], message: str, sound: Path, tmp_path: Path
) -> None:
    kept = {**read_metadata(sound)["options"], **options}
    assert message in refused(described(tmp_path / "model.safetensors", sound, options=kept))


def test_weights_that_do_not_fit_the_description_are_named(sound: Path, tmp_path: Path) -> None:
    metadata = {"graphpose": json.dumps(read_metadata(sound))}
    path = tmp_path / "model.safetensors"
    weights = load_file(sound)
    first = next(iter(weights))
    save_file({**weights, "stray": torch.zeros(1)}, path, metadata=metadata)
    assert "left over stray" in refused(path)
    save_file({key: value for key, value in weights.items() if key != first}, path, metadata=metadata)
    assert f"missing {first}" in refused(path)
    save_file({**weights, first: torch.zeros(2, 9)}, path, metadata=metadata)
    assert "(got [2, 9])" in refused(path)
    whole = torch.zeros_like(weights["head.1.weight"], dtype=torch.int32)
    save_file({**weights, "head.1.weight": whole}, path, metadata=metadata)
    assert "expected torch.float32 (got torch.int32)" in refused(path)


# -- writing ----------------------------------------------------------------------------------------------------------


def test_what_was_saved_is_loaded(sound: Path) -> None:
    model, again = small(), graphpose.load(sound)
    assert not again.training
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    metadata = read_metadata(sound)
    assert (metadata["model"], metadata["data_statement"]) == ("ktpformer", "made up")
    assert metadata["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]


@pytest.mark.parametrize("step", ["write", "move"])
def test_a_failing_write_leaves_the_old_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(small(), tmp_path / "model.safetensors")
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def half(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:100])
        full()

    if step == "write":
        monkeypatch.setattr(Path, "write_bytes", half)
    else:
        monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        save(small(channels=16), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_checkpoint_has_the_permissions_of_any_file(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("x")
    path = save(small(), tmp_path / "model.safetensors")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain.txt").stat().st_mode)


def test_a_model_outside_the_zoo_is_not_saved(tmp_path: Path) -> None:
    class Stranger(type(small())):  # type: ignore[misc]
        pass

    model = small()
    model.__class__ = Stranger
    with pytest.raises(CheckpointError, match="Stranger is not in the zoo"):
        save(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


# -- published weights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".bin", ".pth", ".npz", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\x80\x04garbage", bytes(200)])
def test_published_files_that_are_none_are_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"cannot be read as weights|no weights in it|expected a state dict"
    ) as caught:
        from_published("mixste", path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value) and "allow_pickle" not in str(caught.value)


def test_python_objects_beside_weights_are_refused_without_the_advice_to_run_them(tmp_path: Path) -> None:
    torch.save({"model_pos": {"weight": torch.zeros(3)}, "args": argparse.Namespace(x=1)}, tmp_path / "weights.pth")
    np.savez(tmp_path / "weights.npz", weight=np.array([{}], dtype=object))
    for name, what in (("weights.pth", r" \(argparse\.Namespace\)"), ("weights.npz", "")):
        with pytest.raises(
            CheckpointError, match=f"{name}: .*it holds Python objects{what}, which .*state dict"
        ) as caught:
            from_published("mixste", tmp_path / name)
        shown = "".join(traceback.format_exception(caught.value))
        assert "weights_only" not in str(caught.value) and "Re-running" not in shown


def test_published_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"model_pos": {"module.conv.weight": torch.zeros(3, 3)}}, path)
    with pytest.raises(
        CheckpointError, match=r"weights\.pth: these are not weights of 'mixste': no key 'Spatial_pos_embed'"
    ):
        from_published("mixste", path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match=r"weights\.pth: expected a state dict \(got list\)"):
        from_published("mixste", path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(CheckpointError, match=r"weights\.pth: no weights in it"):
        from_published("mixste", path)
    shapeless = {"Spatial_pos_embed": torch.zeros(3), "Temporal_pos_embed": torch.zeros(1, 9, 8)}
    with pytest.raises(CheckpointError, match="not weights of 'mixste': shapes that do not fit each other"):
        from_published("mixste", shapeless)
    with pytest.raises(CheckpointError, match="did you mean 'mixste'"):
        from_published("mixst", shapeless)


def test_text_beside_published_weights_is_left_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", note=np.array("made up"), **{"weight": np.ones((2, 2), dtype=np.float32)})
    assert list(read_state_dict(tmp_path / "weights.npz")) == ["weight"]
