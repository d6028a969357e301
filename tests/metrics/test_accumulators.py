from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpose.errors import ConfigError, DataError
from graphpose.metrics import PoseMetric, PoseMetrics, available, functional, quantity
from graphpose.skeleton import Skeleton


def _data(clips: int = 6, frames: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = 0.3 * torch.randn(clips, frames, 7, 3, generator=generator)
    pred = target + 0.1 * torch.randn(clips, frames, 7, 3, generator=generator)
    return pred, target, torch.rand(clips, frames, 7, generator=generator) > 0.15


def _function(name: str, skeleton: Skeleton, pred, target, visible):
    metric = getattr(functional, name)
    if name in ("bone_length_variance", "symmetry_error"):
        return metric(pred, skeleton, visible=visible)
    return metric(pred, target, *([skeleton] if quantity(name).body else []), visible=visible)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.booleans())
def test_any_batching_gives_the_value_of_the_function(sizes: list[int], with_mask: bool):
    biped = Skeleton.from_parents(
        [-1, 0, 0, 1, 2, 0, 5], ["hip", "lk", "rk", "lf", "rf", "neck", "head"], [("lk", "rk"), ("lf", "rf")]
    )
    pred, target, visible = _data(sum(sizes))
    mask = visible if with_mask else None
    metrics, start = PoseMetrics(biped), 0
    for size in sizes:
        part = slice(start, start + size)
        metrics.update(pred[part], target[part], visible=None if mask is None else mask[part])
        start += size
    result = metrics.compute()
    assert set(result) == set(available(biped)) == set(available(every=True))
    for name, value in result.items():
        expected = _function(name, biped, pred, target, mask).double()
        assert torch.allclose(value, expected, atol=1e-6), name


def test_sums_of_processes_add_up():
    pred, target, visible = _data()
    whole, there = PoseMetric("p_mpjpe"), PoseMetric("p_mpjpe")
    others = []

    def gather(state: torch.Tensor, group: object) -> list[torch.Tensor]:
        """Stands for all_gather: what this process has, and what the other one has."""
        others.append(there.total if len(others) == 0 else there.count)
        return [state, others[-1]]

    here = PoseMetric("p_mpjpe", dist_sync_fn=gather, distributed_available_fn=lambda: True)
    whole.update(pred, target, visible)
    here.update(pred[:1], target[:1], visible[:1])
    there.update(pred[1:], target[1:], visible[1:])
    assert list(here._reductions) == ["total", "count"], "the order in which torchmetrics gathers"
    assert torch.allclose(here.compute(), whole.compute())
    assert len(others) == 2 and not torch.allclose(there.compute(), whole.compute())


def test_nan_stays_and_reset_forgets_it():
    pred, target, _ = _data()
    metric = PoseMetric("mpjpe")
    metric.update(pred * float("nan"), target)
    metric.update(pred, target)
    assert metric.compute().isnan()
    metric.reset()
    metric.update(pred, target)
    assert torch.allclose(metric.compute(), functional.mpjpe(pred, target).double())


def test_nothing_counted_is_nan():
    pred, target, visible = _data()
    metric = PoseMetric("mpjpe")
    metric.update(pred, target, visible & False)
    assert metric.compute().isnan()


def test_options_prefix_copy_and_half_precision(biped: Skeleton):
    pred, target, _ = _data()
    strict = PoseMetric("pck", threshold=0.05)
    assert repr(strict) == "PoseMetric('pck', threshold=0.05)" and strict.higher_is_better
    strict.update(pred, target)
    assert torch.allclose(strict.compute(), functional.pck(pred, target, threshold=0.05).double())
    again = copy.deepcopy(strict)
    assert torch.equal(again.compute(), strict.compute())
    named = PoseMetrics(biped, ["mpjpe", "symmetry_error"], prefix="val/")
    named.update(pred.bfloat16(), target.bfloat16())
    assert set(named.compute()) == {"val/mpjpe", "val/symmetry_error"}
    assert named.compute()["val/mpjpe"].dtype == torch.float64


def test_metrics_that_need_pairs_are_left_out_where_there_are_none():
    chain = Skeleton.from_parents([-1, 0, 1])
    assert "symmetry_error" not in PoseMetrics(chain) and "bone_length_error" in PoseMetrics(chain)
    assert "bone_length_error" not in PoseMetrics()


def test_clips_of_several_skeletons_and_lengths_go_into_one_metric():
    small, large = torch.zeros(2, 3, 5, 3), torch.zeros(1, 9, 20, 3)
    metric = PoseMetric("mpjpe")
    metric.update(small + torch.tensor([0.1, 0.0, 0.0]), small)
    metric.update(large, large)
    assert metric.compute().item() == pytest.approx(0.1 * 30 / 210)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PoseMetric("mpjp"), "did you mean 'mpjpe'"),
        (lambda: PoseMetric("symmetry_error"), "expected a skeleton"),
        (lambda: PoseMetric("pck", threshold=0.0), "positive threshold"),
        (lambda: PoseMetrics(names=["bone_length_error"]), "expected a skeleton"),
        (lambda: quantity("mpjpe").measure(None, threshold=1.0), "option of metric 'mpjpe'"),
    ],
)
def test_bad_configuration_gets_one_clear_error(build, message: str):
    with pytest.raises(ConfigError, match=message):
        build()


def test_bad_batches_get_one_clear_error():
    with pytest.raises(DataError, match="one shape"):
        PoseMetric("mpjpe").update(torch.zeros(2, 3, 4, 3), torch.zeros(2, 3, 5, 3))
