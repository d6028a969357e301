from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphpose.errors import DataError
from graphpose.geometry import denormalize_screen, normalize_screen


def test_agrees_with_the_published_normalisation(camera_reference: dict[str, np.ndarray]):
    pixels, width, height = (camera_reference[k] for k in ("pixels", "width", "height"))
    ours = normalize_screen(pixels, int(width), int(height))
    assert np.abs(ours - camera_reference["normalized"]).max() <= 1e-12
    single = normalize_screen(torch.from_numpy(pixels).float(), int(width), int(height))
    assert np.abs(single.numpy() - camera_reference["normalized"]).max() <= 1e-5


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_there_and_back(width: int, height: int, x: float, y: float):
    points = np.array([x, y])
    again = denormalize_screen(normalize_screen(points, width, height), width, height)
    assert np.allclose(again, points, atol=1e-6)
    tensor = torch.tensor([x, y], dtype=torch.float64)
    assert np.allclose(normalize_screen(tensor, width, height).numpy(), normalize_screen(points, width, height))


def test_corners_keep_the_aspect_ratio():
    corners = torch.tensor([[0.0, 0.0], [200.0, 100.0], [100.0, 50.0]])
    assert normalize_screen(corners, 200, 100).tolist() == [[-1.0, -0.5], [1.0, 0.5], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("points", "size", "message"),
    [
        (np.zeros((4, 3)), (10, 10), r"\[\.\.\., 2\]"),
        (np.zeros((4, 2), dtype=int), (10, 10), "floating-point"),
        (torch.zeros(4, 2), (0, 10), "positive size"),
    ],
)
def test_bad_input_gets_one_clear_error(points, size, message: str):
    for function in (normalize_screen, denormalize_screen):
        with pytest.raises(DataError, match=message):
            function(points, *size)
