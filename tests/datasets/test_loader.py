"""The loader: same batches whatever the workers, exact resume within an epoch, shares of several processes."""

from __future__ import annotations

import json
import warnings
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from graphpose.datasets import Augmentation, PoseLoader, PoseWindows, WindowSampler
from graphpose.datasets.packing import pack, unpack
from graphpose.errors import DataError

NOISY = Augmentation(flip=0.5, noise=0.02, missing=0.1)


@pytest.fixture
def windows(make_clip) -> PoseWindows:
    clips = [make_clip(30, 1), make_clip(17, 2)]
    return PoseWindows(clips, 6, sampling="random", augmentation=NOISY, confidence=True, seed=3)


def contents(batches) -> list[tuple[list[int], Tensor, Tensor]]:
    return [(batch.window.tolist(), batch.x.clone(), batch.y.clone()) for batch in batches]


def assert_same(one, other) -> None:
    assert [ids for ids, _, _ in one] == [ids for ids, _, _ in other]
    for (_, x, y), (_, u, v) in zip(one, other, strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)


def test_workers_make_no_difference(windows: PoseWindows) -> None:
    alone = PoseLoader(windows, 5, shuffle=True, seed=1)
    helped = PoseLoader(windows, 5, shuffle=True, seed=1, workers=2)
    state = torch.get_rng_state()
    for _ in range(2):
        one, two = contents(alone), contents(helped)
        assert len(one) == len(alone) == 7
        assert_same(one, two)
    assert torch.equal(torch.get_rng_state(), state), "global random numbers are left alone"
    assert_same(contents(islice(helped, 2)), contents(islice(alone, 2)))
    assert_same(contents(helped), contents(alone))


def test_batch_size_makes_no_difference_to_a_window(windows: PoseWindows) -> None:
    by_window = []
    for size in (3, 32):
        found = {}
        for batch in PoseLoader(windows, size, shuffle=True, seed=1):
            assert batch.validate()
            found |= {int(window): one.x for window, one in zip(batch.window, batch.to_data_list(), strict=True)}
        by_window.append(found)
    assert by_window[0].keys() == by_window[1].keys() == set(range(len(windows)))
    assert all(torch.equal(by_window[0][key], by_window[1][key]) for key in by_window[0])


def test_epochs_differ_and_evaluation_does_not(windows: PoseWindows) -> None:
    train = PoseLoader(windows, 5, shuffle=True)
    first, second = contents(train), contents(train)
    assert [ids for ids, _, _ in first] != [ids for ids, _, _ in second]
    train.set_epoch(0)
    assert_same(contents(train), first)
    plain = PoseLoader(windows, 5)
    one = contents(plain)
    assert_same(contents(plain), one)
    assert [i for ids, _, _ in one for i in ids] == list(range(len(windows)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 4, 7, 9])
def test_resume_within_an_epoch(windows: PoseWindows, workers: int, done: int) -> None:
    whole = PoseLoader(windows, 5, shuffle=True, seed=1)
    expected = [*contents(whole), *contents(whole)]
    stopped = PoseLoader(windows, 5, shuffle=True, seed=1, workers=workers)
    state = stopped.state_dict()
    count = 0
    while count < done:
        for _ in islice(stopped, done - count):
            count += 1
            state = json.loads(json.dumps(stopped.state_dict()))
    resumed = PoseLoader(windows, 5, shuffle=True, seed=1, workers=workers)
    resumed.load_state_dict(state)
    resumed.set_epoch(done // 7)  # as Lightning does at the start of an epoch: must not lose the position
    rest = contents(resumed)
    assert_same(rest, expected[done : 7 * (done // 7 + 1)])
    assert len(resumed) == 7


def test_a_loop_that_was_left_starts_afresh(windows: PoseWindows) -> None:
    loader = PoseLoader(windows, 5, shuffle=True)
    first = contents(islice(loader, 3))
    assert_same(contents(islice(loader, 3)), first)


def test_resume_refuses_other_data(windows: PoseWindows, make_clip) -> None:
    state = PoseLoader(windows, 5, shuffle=True).state_dict()
    with pytest.raises(DataError, match=r"expected batch_size 5 as when it was saved \(got 6\)"):
        PoseLoader(windows, 6, shuffle=True).load_state_dict(state)
    with pytest.raises(DataError, match="expected windows 32"):
        PoseLoader(PoseWindows([make_clip(30)], 6), 5, shuffle=True).load_state_dict(state)


def test_processes_share_the_windows(windows: PoseWindows) -> None:
    seen: list[int] = []
    for rank in range(3):
        loader = PoseLoader(windows, 4, rank=rank, world_size=3)
        batches = contents(loader)
        assert len(batches) == len(loader) == 3
        seen += [i for ids, _, _ in batches for i in ids]
    assert sorted(seen) == list(range(len(windows)))


def test_rank_is_read_from_torch_distributed(tmp_path: Path) -> None:
    import torch.distributed as dist

    sampler = WindowSampler(10, 2)
    assert sampler.place == (0, 1)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        assert sampler.place == (0, 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dist, "get_rank", lambda: 1)
            patch.setattr(dist, "get_world_size", lambda: 2)
            assert sampler.place == (1, 2)
            assert sampler.order(0).tolist() == [5, 6, 7, 8, 9]
    finally:
        dist.destroy_process_group()


def test_pack_keeps_every_bit() -> None:
    tensors = {
        "odd": torch.tensor([True, False, True]),
        "x": torch.randn(2, 3, 5),
        "transposed": torch.randn(4, 3).T,
        "window": torch.arange(7),
        "empty": torch.zeros(0, 3),
        "double": torch.randn(3, dtype=torch.float64),
    }
    again = unpack(pack(tensors))
    assert list(again) == list(tensors)
    for key, value in tensors.items():
        assert again[key].dtype == value.dtype
        assert torch.equal(again[key], value)


def test_bad_workers(windows: PoseWindows) -> None:
    with pytest.raises(DataError, match="0 or more workers"):
        PoseLoader(windows, 5, workers=-1)


def test_lightning_resumes_within_an_epoch(windows: PoseWindows, tmp_path: Path) -> None:
    """Saved after a step and resumed by a new Trainer: the batches of the undisturbed run that are left, none twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice about workers, loggers and checkpoint folders
        from lightning.pytorch import LightningModule, Trainer
        from lightning.pytorch.callbacks import ModelCheckpoint

        class Recorder(LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.layer, self.seen = nn.Linear(3, 3), []

            def training_step(self, batch, number: int) -> Tensor:
                self.seen.append(batch.window.tolist())
                return (self.layer(batch.x) - batch.y).square().mean()

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.SGD(self.parameters(), lr=0.1)

        def run(checkpoint: Path | None = None) -> Recorder:
            torch.manual_seed(0)
            model = Recorder()
            folder = tmp_path / ("first" if checkpoint is None else checkpoint.stem)
            trainer = Trainer(
                max_steps=17,
                accelerator="cpu",
                logger=False,
                callbacks=[ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)],
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            loader = PoseLoader(windows, 5, shuffle=True, seed=1)
            trainer.fit(model, loader, ckpt_path=checkpoint, weights_only=False)
            return model

        whole = run()
        assert len(whole.seen) == 17
        for stop in (1, 6, 7, 8, 14, 16):
            rest = run(tmp_path / "first" / f"step={stop}.ckpt")
            assert rest.seen == whole.seen[stop:], stop
            assert torch.equal(rest.layer.weight, whole.layer.weight)
