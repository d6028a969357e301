"""The attention, the block, drop path and the linear layer do what their formulas say."""

import pytest
import torch
from torch import nn

from graphpose.nn import DropPath, Linear, MultiHeadAttention, TransformerBlock
from graphpose.nn.short_attention import ShortAttention


def test_fused_and_explicit_attention_agree_with_and_without_bias() -> None:
    attention = MultiHeadAttention(32, 4).double()
    x = torch.randn(5, 9, 32, dtype=torch.float64)
    for bias in (None, torch.randn(1, 4, 9, 9, dtype=torch.float64)):
        explicit, weights = attention.forward_with_weights(x, bias)
        torch.testing.assert_close(attention(x, bias), explicit, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(weights.sum(-1), torch.ones(5, 4, 9, dtype=torch.float64))


@pytest.mark.parametrize("tokens", [1, 5, 128, 200])
def test_short_and_fused_attention_agree_forward_and_backward(tokens: int) -> None:
    """Up to 128 tokens the batched products are taken, beyond the fused kernel; a bias of zeros always takes the fused one."""
    attention = MultiHeadAttention(24, 3).double()
    x = torch.randn(2, tokens, 24, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(2, tokens, 24, dtype=torch.float64)
    results = []
    for bias in (None, torch.zeros(1, 3, tokens, tokens, dtype=torch.float64)):
        y = attention(x, bias)
        results.append((y, *torch.autograd.grad(y, [x, *attention.parameters()], gradient)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_short_attention_passes_gradcheck() -> None:
    qkv = torch.randn(2, 4, 3, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: ShortAttention.apply(t, 2), (qkv,))


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_attention_works_under_function_transforms() -> None:
    attention = MultiHeadAttention(8, 2)
    x = torch.randn(3, 2, 5, 8)
    torch.testing.assert_close(torch.func.vmap(attention)(x), torch.stack([attention(one) for one in x]))


def test_attention_is_pytorchs_own() -> None:
    ours, theirs = MultiHeadAttention(24, 3), nn.MultiheadAttention(24, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.load_state_dict(ours.proj.state_dict())
    x = torch.randn(4, 7, 24)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0], rtol=1e-5, atol=1e-6)


def test_attention_bias_has_a_gradient() -> None:
    bias = torch.zeros(1, 2, 5, 5, requires_grad=True)
    MultiHeadAttention(8, 2)(torch.randn(3, 5, 8), bias).square().sum().backward()
    assert bias.grad is not None and bias.grad.abs().sum() > 0


def test_block_permutes_with_its_tokens_and_keeps_samples_apart() -> None:
    block = TransformerBlock(16, 4).eval()
    x = torch.randn(2, 3, 6, 16)
    order = torch.randperm(6)
    torch.testing.assert_close(block(x[:, :, order]), block(x)[:, :, order], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(block(x[1:]), block(x)[1:], rtol=1e-5, atol=1e-5)
    along = block(x.transpose(1, 2).contiguous(), axis=1).transpose(1, 2)
    torch.testing.assert_close(along, block(x), rtol=1e-5, atol=1e-5)


def test_drop_path_keeps_the_mean_and_drops_whole_samples() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25)
    x = torch.ones(20000, 2, 3)
    y = drop(torch.zeros_like(x), x)
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 4 / 3]))
    assert (y.amax((1, 2)) == y.amin((1, 2))).all()
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(drop.eval()(x, x), 2 * x)
    with pytest.raises(ValueError, match="drop path rate"):
        DropPath(1.0)


def test_channels_must_be_divisible_by_heads() -> None:
    with pytest.raises(ValueError, match="channels=10, heads=4"):
        MultiHeadAttention(10, 4)


@pytest.mark.parametrize(("features", "wide"), [(16, False), (512, True)])
def test_linear_is_torchs_linear_forward_and_backward(features: int, wide: bool) -> None:
    """512 to 130 features take the convolution kernel, 16 the matrix product."""
    ours, theirs = Linear(features, 130), nn.Linear(features, 130)
    assert ours._convolution_is_faster(torch.zeros(1, features)) is wide
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 5, features).transpose(0, 1)  # not contiguous
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    outputs = [layer(value) for layer, value in zip((ours, theirs), inputs, strict=True)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-5)
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-4)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, dict(theirs.named_parameters())[name].grad, rtol=1e-4, atol=1e-4)
