"""The weights of PyTorch's own attention, recomputed from what it was called with.

    scaled_dot_product_attention(Q, K, V)    softmax(s Q K^T + B),     s = 1 / sqrt(d) or as given, B from masks and causality
    nn.MultiheadAttention                    the same for each head, as its `need_weights=True` gives them

Dropout is left out: these are the weights before it. A query that may look at nothing has weights of 0, as PyTorch has it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["multi_head_weights", "product_weights", "unnested"]


def product_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Weights `[..., H, L, S]` of a call of `F.scaled_dot_product_attention`; inputs of three axes have one head."""
    if query.ndim == 3:
        query, key = query.unsqueeze(1), key.unsqueeze(1)
        attn_mask = attn_mask.unsqueeze(1) if attn_mask is not None and attn_mask.ndim == 3 else attn_mask
    if query.dtype not in (torch.float32, torch.float64):
        query, key = query.float(), key.float()
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale) @ key.mT
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    if attn_mask is not None:
        blocked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if blocked else scores + attn_mask
    return _safe(torch.softmax(scores, dim=-1))


def _safe(weights: Tensor) -> Tensor:
    """Rows without anything to look at are NaN after the softmax; PyTorch makes them 0."""
    return torch.where(weights.isnan().all(-1, keepdim=True), 0.0, weights)


def unnested(x: Tensor, length: int | None = None) -> tuple[Tensor, Tensor | None]:
    """A nested tensor `[B, (L), C]` -> the padded one, and its padding mask `[B, L]`; any other as it is.

    L is `length`, None: that of the longest sample. Padding is zeros; nothing attends to it, and as queries its rows mean nothing.
    """
    if not x.is_nested:
        return x, None
    lengths = torch.tensor([len(one) for one in x.unbind()], device=x.device)
    size = None if length is None else (len(lengths), length, x.size(2))
    padded = torch.nested.to_padded_tensor(x, 0.0, size)
    return padded, torch.arange(padded.shape[1], device=x.device) >= lengths[:, None]


def multi_head_weights(
    module: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    length: int | None = None,
) -> Tensor:
    """Weights `[B, H, L, S]` of a call of `module`; inputs without a batch have B = 1, nested ones are padded to `length`."""
    query, padded = unnested(query, length)
    key, value = unnested(key, length)[0], unnested(value, length)[0]
    key_padding_mask = padded if key_padding_mask is None else key_padding_mask
    if module.batch_first and query.ndim == 3:
        query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
    own = module.out_proj.weight.dtype
    dtype = own if own in (torch.float32, torch.float64) else torch.float32

    def cast(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.to(dtype)

    apart: dict[str, Any] = {}
    if not module._qkv_same_embed_dim:
        apart = {"use_separate_proj_weight": True, "q_proj_weight": cast(module.q_proj_weight)}
        apart |= {"k_proj_weight": cast(module.k_proj_weight), "v_proj_weight": cast(module.v_proj_weight)}
    if attn_mask is not None and attn_mask.dtype != torch.bool:
        attn_mask = cast(attn_mask)
    _, weights = F.multi_head_attention_forward(
        query.to(dtype),
        key.to(dtype),
        value.to(dtype),
        module.embed_dim,
        module.num_heads,
        cast(module.in_proj_weight),
        cast(module.in_proj_bias),
        cast(module.bias_k),
        cast(module.bias_v),
        module.add_zero_attn,
        module.dropout,
        module.out_proj.weight.to(dtype),
        cast(module.out_proj.bias),
        training=False,  # before dropout; and no random number is drawn
        key_padding_mask=F._canonical_mask(
            mask=key_padding_mask,
            mask_name="key_padding_mask",
            other_type=F._none_or_dtype(attn_mask),
            other_name="attn_mask",
            target_type=dtype,
        ),
        need_weights=True,
        attn_mask=attn_mask,
        average_attn_weights=False,
        is_causal=is_causal,
        **apart,
    )
    assert weights is not None
    return _safe(weights.float() if weights.ndim == 4 else weights.float().unsqueeze(0))
