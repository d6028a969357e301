"""PyTorch's attention in all its forms: the weights that are recorded are those that it used."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from foreign_model import SITES, SpaceTime
from torch import Tensor, nn
from zoo import FIVE

from graphpose.analysis import Site, capture


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("lengths", [(4, 6), (4, 5), (2, 2)])
@pytest.mark.parametrize("norm_first", [False, True])
def test_padding_of_a_whole_encoder(grad: bool, lengths: tuple[int, int], norm_first: bool) -> None:
    """Without gradients the encoder turns padded tokens into nested tensors, which may be shorter than its input."""
    torch.manual_seed(0)

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not norm_first)

        def forward(self, x: Tensor, padding: Tensor) -> Tensor:
            output: Tensor = self.encoder(x, src_key_padding_mask=padding)
            return output

    model, x = Padded().eval(), torch.randn(2, 6, 8)
    padding = torch.arange(6) >= torch.tensor(lengths)[:, None]
    with torch.set_grad_enabled(grad):
        plain = model(x, padding)
        with capture(model, skeleton=FIVE, sites={"*": "frames"}) as record:
            assert torch.equal(model(x, padding), plain)
    first = record.find(layer=0)[0]
    assert first.weights.shape == (2, 1, 2, 6, 6) and first.across is None
    encoder_layer: Any = model.encoder.layers[0]
    tokens = encoder_layer.norm1(x) if norm_first else x
    _, weights = encoder_layer.self_attn(
        tokens, tokens, tokens, key_padding_mask=padding, need_weights=True, average_attn_weights=False
    )
    for window, length in enumerate(lengths):
        torch.testing.assert_close(first.weights[window, 0, :, :length], weights[window, :, :length].detach())
    for one in record.attention:
        for window, length in enumerate(lengths):
            assert not one.weights[window, ..., length:].any()
        torch.testing.assert_close(one.weights.sum(-1), torch.ones(2, 1, 2, 6))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.7},
        {"attn_mask": torch.ones(4, 4).tril().bool()},
        {"attn_mask": torch.randn(2, 4, 4)},
        {"attn_mask": torch.eye(4).bool().logical_not() & (torch.arange(4) > 0)[:, None], "scale": 2.0},
    ],
    ids=["plain", "causal", "scale", "mask", "bias", "nothing to look at"],
)
def test_masks_causality_and_scale(options: dict[str, Any]) -> None:
    """Values that are the unit vectors make the output the weights themselves."""
    torch.manual_seed(0)
    model = SpaceTime(**options).eval()
    calls: list[Tensor] = []
    original = F.scaled_dot_product_attention
    with torch.no_grad():
        with capture(model, skeleton=FIVE, sites=SITES) as record:
            x = torch.randn(2, 4, 5, 2)
            model(x)
        tokens = model.spatial(model.embed(x).flatten(0, 1)).unflatten(0, (2, 4)).transpose(1, 2).flatten(0, 1)
        q, k, _ = model.temporal.qkv(tokens).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        calls.append(original(q, k, torch.eye(4).expand(10, 2, 4, 4), **options))
    torch.testing.assert_close(record.attention[1].weights.flatten(0, 1), calls[0], rtol=1e-5, atol=1e-6)


def test_grouped_queries_and_inputs_of_three_axes() -> None:
    class Grouped(nn.Module):
        def forward(self, q: Tensor, k: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, k, k, enable_gqa=True)

    q, k = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8)
    with capture(Grouped(), skeleton=FIVE, sites={"(root)": "joints"}) as record:
        Grouped()(q, k)  # another one, which is nobody's business
        assert not record.attention
    model = Grouped()
    with capture(model, skeleton=FIVE, sites={"(root)": "joints"}) as record:
        model(q, k)
    expected = torch.softmax(q @ k.repeat_interleave(2, 1).mT / math.sqrt(8), -1)
    torch.testing.assert_close(record.attention[0].weights[:, 0], expected)

    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            first = F.scaled_dot_product_attention(x, x, x)
            return F.scaled_dot_product_attention(first, first, first)

    model_of_two, x = Plain(), torch.randn(6, 5, 8)
    with capture(model_of_two, skeleton=FIVE, sites={"(root)": "joints", "(root):1": None}) as record:
        model_of_two(x)
    [one] = record.attention
    assert one.weights.shape == (6, 1, 1, 5, 5)
    torch.testing.assert_close(one.weights[:, 0, 0], torch.softmax(x @ x.mT / math.sqrt(8), -1))


def test_multi_head_attention_called_plainly() -> None:
    """Masks, keys of another width, tokens first, and a call that asks for weights itself."""

    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cross = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, dropout=0.5)

        def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
            output: tuple[Tensor, Tensor] = self.cross(q, k, v, attn_mask=mask, need_weights=True)
            return output

    model = Crossed().train()
    q, k, v = torch.randn(5, 3, 8), torch.randn(7, 3, 6), torch.randn(7, 3, 4)
    mask = torch.rand(5, 7) > 0.7
    mask[:, 0] = False
    torch.manual_seed(2)
    plain = model(q, k, v, mask)
    torch.manual_seed(2)
    arrange = Site("joints", arrange=lambda weights: weights.unflatten(0, (3, 1)), layer=4)
    with capture(model, skeleton=FIVE, sites={"cross": arrange}) as record:
        seen = model(q, k, v, mask)
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))
    [one] = record.attention
    expected = model.eval().cross(q, k, v, attn_mask=mask, average_attn_weights=False)[1]
    torch.testing.assert_close(one.weights[:, 0], expected.detach())
    assert one.layer == 4 and not one.weights[..., mask].any()


def test_functions_that_are_imported_by_name() -> None:
    from torch.nn.functional import multi_head_attention_forward, scaled_dot_product_attention

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.MultiheadAttention(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            own = self.weights
            mixed, _ = multi_head_attention_forward(
                x, x, x, 8, 2, own.in_proj_weight, own.in_proj_bias, None, None, False, 0.0,
                own.out_proj.weight, own.out_proj.bias, need_weights=False,
            )  # fmt: skip
            return scaled_dot_product_attention(mixed, mixed, mixed)

    model, x = Named().eval(), torch.randn(5, 3, 8)  # tokens first
    plain = model(x)
    with capture(model, skeleton=FIVE, sites={"(root)": Site("joints", lambda w: w[:, None]), "*:1": None}) as record:
        assert torch.equal(model(x), plain)
    [one] = record.attention
    expected = model.weights(x, x, x, average_attn_weights=False)[1]
    torch.testing.assert_close(one.weights[:, 0], expected.detach())


@pytest.mark.parametrize("half", [False, True])
def test_low_precision_is_looked_at_in_float32(half: bool) -> None:
    model, x = SpaceTime().eval(), torch.randn(2, 4, 5, 2)
    if half:
        model, x = model.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=not half), torch.no_grad():
        plain = model(x)
        with capture(model, skeleton=FIVE, sites=SITES) as record:
            assert torch.equal(model(x), plain)
    for one in record.attention:
        torch.testing.assert_close(one.weights.sum(-1), torch.ones(one.weights.shape[:-1]))
