"""Models leave Python: as a graph of torch.export, and as ONNX that ONNX Runtime computes alike."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from zoo import keypoints, small

from graphpose.models import Lifter, available

models = pytest.mark.parametrize("name", available())
FEW_STEPS = {"d3dp": {"steps": 1}}  # the loop over the steps is unrolled


class Lift(torch.nn.Module):
    """`lift` as `forward`, which is what exporters call."""

    def __init__(self, model: Lifter) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model.lift(x)


@models
def test_exports_to_a_graph_without_python(name: str) -> None:
    model = small(name, **FEW_STEPS.get(name, {}))
    x = keypoints(model)
    exported = torch.export.export(Lift(model), (x,)).module()
    torch.testing.assert_close(exported(x), model.lift(x))


@models
def test_onnx_runtime_agrees(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = small(name, **FEW_STEPS.get(name, {}))
    x = keypoints(model)
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making
        torch.onnx.export(Lift(model), (x,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    expected = model.lift(x).detach().numpy()
    assert np.abs(found - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())
