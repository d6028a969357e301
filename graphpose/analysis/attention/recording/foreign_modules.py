"""What is replaced in models that are not ours while they are captured; outputs come from the very code that runs without capture.

- `nn.MultiheadAttention`: its own `forward` runs as it is, the weights are computed beside it
- `nn.TransformerEncoderLayer`: in evaluation it may compute everything in one kernel and never call its attention; then the weights are
  computed from its input. The mode below would keep it from that kernel, so it is off within PyTorch's Transformer layers
- `F.scaled_dot_product_attention`, `F.multi_head_attention_forward`: seen by a `TorchFunctionMode` while a module that is neither
  PyTorch's nor ours is in its `forward` (calls from other methods, outside of any `forward`, are not seen)

Several calls of one module in one pass, which shared weights and loops over frames make, are attention of their own: `name`, `name:1`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode, _pop_mode_temporarily

from graphpose.analysis.attention.recording.foreign_weights import multi_head_weights, product_weights, unnested
from graphpose.analysis.attention.recording.patching import Patches
from graphpose.analysis.attention.recording.recorder import Recorder, aside
from graphpose.analysis.attention.recording.sites import ROOT, Sites, arranged, require_axis
from graphpose.nn.attention import CrossAttention, MultiHeadAttention

__all__ = ["ForeignModules"]

Method = Callable[..., Any]
_KNOWN = ("torch", "torch_geometric", "graphpose")
"""Packages whose modules do not call `scaled_dot_product_attention` unseen."""
_WHOLE = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.Transformer, MultiHeadAttention, CrossAttention)
"""Within these the mode is off: PyTorch's for the sake of their kernels, ours since `own_modules.py` looks at them."""


class _Products(TorchFunctionMode):
    """Shows calls of PyTorch's attention functions to `see` after they have run."""

    def __init__(self, see: Callable[[Method, tuple[Any, ...], dict[str, Any]], None]) -> None:
        super().__init__()
        self._see = see

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in (F.scaled_dot_product_attention, F.multi_head_attention_forward):
            self._see(func, args, kwargs or {})
        return output


class ForeignModules:
    """Looks on at a model that is not ours.

    Args:
        model: any module.
        recorder: takes the weights.
        sites: what the caller says of its modules.
        joints: J.
    """

    def __init__(self, model: nn.Module, recorder: Recorder, sites: Sites, joints: int) -> None:
        self._model = model
        self._recorder = recorder
        self._sites = sites
        self._joints = joints
        self._mode = _Products(self._function)
        self._entered = self._seeing = False  # whether the mode is on PyTorch's stack, and whether it looks
        self._inside: list[str] = []  # names of the modules whose forward is running
        self._called: set[nn.Module] = set()
        self._batch: int | None = None
        self._length: int | None = None  # tokens of the encoder that is running, those that are padding among them
        self.ran = False

    def watch(self, patches: Patches) -> None:
        """Replaces `forward` of the modules that are to be seen."""
        for name, module in self._model.named_modules():
            kind = type(module)
            if kind.forward is nn.MultiheadAttention.forward:
                patches.wrap(module, "forward", self._multi_head(name, module))
            elif kind.forward is nn.TransformerEncoderLayer.forward:
                patches.wrap(module, "forward", self._encoder_layer(name, module))
            elif isinstance(module, nn.TransformerEncoder):
                patches.wrap(module, "forward", self._encoder)
            elif isinstance(module, _WHOLE):
                patches.wrap(module, "forward", self._native)
            elif kind.__module__.partition(".")[0] not in _KNOWN:
                patches.wrap(module, "forward", self._foreign(name))
        for name in ("forward", "lift"):
            if callable(getattr(self._model, name, None)):
                patches.wrap(self._model, name, self._root)

    def take_own(self, name: str, weights: Tensor) -> None:
        """Records weights of our own attention over tokens whose axes the caller has to name."""
        self._take(name or ROOT, "graphpose attention", lambda: weights)

    def take(self, name: str, what: str, make: Callable[[], Tensor]) -> None:
        """Records weights `[..., H, N, M]` of a call of the module `name` if the caller says what it attends over."""
        self._take(self._recorder.called(name or ROOT), what, make)

    def _take(self, name: str, what: str, make: Callable[[], Tensor]) -> None:
        known, site = self._sites.find(name, what)
        if not known:
            self._sites.miss(name)
        if site is None or self._recorder.place.skip:
            return
        if site.layer is None and not self._recorder.selection.wants(site.axis, self._recorder.layer_of(name)):
            return
        with aside():
            weights = arranged(make(), site, self._batch, self._joints, name)
        require_axis(weights, site.axis, self._joints, name)
        expected = self._joints if site.axis == "frames" else 1
        shared = weights.shape[1] == 1 != expected
        self._recorder.weights(name, site.axis, weights, layer=site.layer, shared=shared)

    # ------------------------------------------------------------------ replacements
    def _root(self, method: Method) -> Method:
        """The model itself: B is the size of the first tensor that it is called with."""

        def forward(*args: Any, **options: Any) -> Any:
            tensors = (value for value in (*args, *options.values()) if isinstance(value, Tensor) and value.ndim)
            first = next(tensors, None)
            self._batch = None if first is None else len(first)
            self.ran = True
            with self._recorder.a_pass():
                output = method(*args, **options)
            self._sites.require_named()
            return output

        return forward

    def _foreign(self, name: str) -> Callable[[Method], Method]:
        def make(method: Method) -> Method:
            def forward(*args: Any, **options: Any) -> Any:
                self._inside.append(name)
                try:
                    with self._recorder.a_pass(always=False), self._on():
                        return method(*args, **options)
                finally:
                    self._inside.pop()

            return forward

        return make

    @contextlib.contextmanager
    def _looking(self, seeing: bool, entered: bool) -> Iterator[None]:
        before = self._seeing, self._entered
        self._seeing, self._entered = seeing, entered
        try:
            yield
        finally:
            self._seeing, self._entered = before

    @contextlib.contextmanager
    def _on(self) -> Iterator[None]:
        """With the mode, entered once also where a mode of the model (`with torch.device(...)`) lies above it."""
        with contextlib.nullcontext() if self._entered else self._mode, self._looking(True, True):
            yield

    @contextlib.contextmanager
    def _off(self) -> Iterator[None]:
        """Without the mode, which PyTorch's Transformer layers take as a reason not to use their fast kernels.

        Below a mode of the model it stays, since that one keeps them from these kernels anyway, and does not look.
        """
        on_top = _get_current_function_mode() is self._mode
        with (
            _pop_mode_temporarily() if on_top else contextlib.nullcontext(),
            self._looking(False, self._entered and not on_top),
        ):
            yield

    def _native(self, method: Method) -> Method:
        def forward(*args: Any, **options: Any) -> Any:
            with self._off():
                return method(*args, **options)

        return forward

    def _encoder(self, method: Method) -> Method:
        """In evaluation it may go on with nested tensors, as long as the longest sample; the record is as long as its input."""
        native = self._native(method)

        def forward(src: Tensor, *args: Any, **options: Any) -> Any:
            before, self._length = self._length, None if src.is_nested or src.ndim != 3 else src.shape[1]
            try:
                return native(src, *args, **options)
            finally:
                self._length = before

        return forward

    def _multi_head(self, name: str, module: Any) -> Callable[[Method], Method]:
        def make(method: Method) -> Method:
            def forward(*args: Any, **options: Any) -> Any:
                self._called.add(module)
                with self._off():
                    output = method(*args, **options)
                    self.take(
                        name,
                        "nn.MultiheadAttention",
                        lambda: multi_head_weights(module, *args, **options | {"length": self._length}),
                    )
                return output

            return forward

        return make

    def _encoder_layer(self, name: str, module: Any) -> Callable[[Method], Method]:
        """A layer of PyTorch; where its fast kernel has run, its attention is computed again from its input."""
        attention = f"{name}.self_attn" if name else "self_attn"

        def weights(src: Tensor, src_mask: Tensor | None, src_key_padding_mask: Tensor | None) -> Tensor:
            src, padded = unnested(src, self._length)
            x = module.norm1(src) if module.norm_first else src
            blocked = padded if src_key_padding_mask is None else src_key_padding_mask
            return multi_head_weights(module.self_attn, x, x, x, key_padding_mask=blocked, attn_mask=src_mask)

        def make(method: Method) -> Method:
            def forward(
                src: Tensor,
                src_mask: Tensor | None = None,
                src_key_padding_mask: Tensor | None = None,
                is_causal: bool = False,
            ) -> Any:
                self._called.discard(module.self_attn)
                with self._off():
                    output = method(src, src_mask, src_key_padding_mask, is_causal)
                    if module.self_attn not in self._called:
                        kind = "nn.MultiheadAttention of nn.TransformerEncoderLayer"
                        self.take(attention, kind, lambda: weights(src, src_mask, src_key_padding_mask))
                return output

            return forward

        return make

    def _function(self, func: Method, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        """A call of one of PyTorch's attention functions, by the innermost module that is running."""
        if not self._seeing:
            return
        name = self._inside[-1]
        if func is F.scaled_dot_product_attention:
            self.take(name, "scaled_dot_product_attention", lambda: product_weights(*args, **options))
            return

        def weights() -> Tensor:
            call = inspect.signature(F.multi_head_attention_forward).bind(*args, **options)
            call.arguments |= {"training": False, "need_weights": True, "average_attn_weights": False}
            found: Tensor = F.multi_head_attention_forward(*call.args, **call.kwargs)[1]  # type: ignore[assignment]
            return found if found.ndim == 4 else found.unsqueeze(0)

        self.take(name, "multi_head_attention_forward", weights)
