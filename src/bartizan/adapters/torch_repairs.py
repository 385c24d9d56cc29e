"""Gradients where a torch model hides them: non-differentiable steps passed straight through, the scores before a final softmax.

The straight-through estimator is the identity case of BPDA (Athalye, Carlini and Wagner, Obfuscated gradients, ICML 2018): forwards the
step as it is, backwards as if it were the identity. Works on functions called anywhere inside the model, without touching its code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

ROUNDING = {"round", "floor", "ceil", "trunc", "fix", "sign", "sgn", "floor_divide", "__floordiv__"}
COMPARING = {"gt": 1.0, "ge": 1.0, "__gt__": 1.0, "__ge__": 1.0, "lt": -1.0, "le": -1.0, "__lt__": -1.0, "__le__": -1.0}
CASTING = {"to", "type", "int", "long", "short", "byte", "char", "bool"}
DETACHING = {"detach", "numpy"}


def _live(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.requires_grad


def passed_through(hard: Any, soft: Any) -> Any:
    """The value of `hard` with the gradient of `soft`."""
    return hard.to(soft.dtype) + (soft - soft.detach())


def _answer(memory: dict[str, Any], func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One call inside the model: as it is, or with a gradient that passes straight through it."""
    name = getattr(func, "__name__", "")
    if "paused" in memory or name == "__get__":
        return func(*args, **kwargs)
    if "left" in memory:
        args = _returned(memory, args)
    if name == "where" and len(args) == 3 and _live(args[0]):
        return args[0] * args[1] + (1 - args[0]) * args[2]
    if not args or not _live(args[0]):
        return func(*args, **kwargs)
    x = args[0]
    if name in DETACHING:
        memory["left"] = x
        return func(x.detach(), *args[1:], **kwargs)
    if name in ROUNDING or (name in {"div", "true_divide"} and kwargs.get("rounding_mode")):
        plain = torch.div(x, args[1]) if name in {"floor_divide", "__floordiv__", "div"} else x
        return passed_through(func(x.detach(), *args[1:], **kwargs), plain)
    if name in COMPARING:
        return passed_through(func(x.detach(), *args[1:], **kwargs), COMPARING[name] * x)
    if name in CASTING:
        out = func(x, *args[1:], **kwargs)
        cast = isinstance(out, torch.Tensor) and not out.is_floating_point()
        return passed_through(out, x) if cast else out
    return func(*args, **kwargs)


def _returned(memory: dict[str, Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """What left torch (`numpy()`, `detach()`) and comes back changed as a first argument of the same shape: with its gradient."""
    first, left = args[0] if args else None, memory["left"]
    if not isinstance(first, torch.Tensor) or not first.is_floating_point() or first.requires_grad:
        return args
    if first.shape != left.shape or first.data_ptr() == left.data_ptr():
        return args
    del memory["left"]
    return (passed_through(first, left), *args[1:])


def _watch(self: Any, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:  # noqa: ARG001
    return _answer(self.memory, func, args, kwargs or {})


_StraightThrough: Any = type("_StraightThrough", (TorchFunctionMode,), {"__torch_function__": _watch})


def _reconnect(mode: Any) -> Callable[..., Any]:
    """A forward hook: a module of unchanged shape whose output lost the gradient is passed straight through."""

    def hook(module: Any, inputs: tuple[Any, ...], output: Any) -> Any:  # noqa: ARG001
        if not inputs or not _live(inputs[0]) or not isinstance(output, torch.Tensor) or output.requires_grad:
            return None
        if output.shape != inputs[0].shape:
            return None
        mode.memory = {"paused": True}
        try:
            return passed_through(output, inputs[0])
        finally:
            mode.memory = {}

    return hook


@contextmanager
def straight_through(model: Any, active: bool) -> Iterator[None]:
    """While open, what `model` does without gradient is passed straight through. Nothing happens where not `active`."""
    if not active:
        yield
        return
    mode = _StraightThrough()
    mode.memory = {}
    hook = _reconnect(mode)
    hooks = [m.register_forward_hook(hook) for m in model.modules()] if isinstance(model, torch.nn.Module) else []
    try:
        with mode:
            yield
    finally:
        for handle in hooks:
            handle.remove()


class SoftmaxReader:
    """Remembers what the last softmax or sigmoid was given."""

    def __init__(self) -> None:
        self.given: Any = None
        self.made: Any = None

    def before(self, outputs: Any) -> Any:
        """The scores whose softmax `outputs` are, None where `outputs` came from something else."""
        if self.made is None or self.made.numel() != outputs.numel() or self.made.data_ptr() != outputs.data_ptr():
            return None
        return self.given.reshape(outputs.shape)


def _remember(self: Any, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:  # noqa: ARG001
    out = func(*args, **(kwargs or {}))
    if getattr(func, "__name__", "") in {"softmax", "sigmoid"} and args and isinstance(args[0], torch.Tensor):
        self.reader.given, self.reader.made = args[0], out
    return out


_SoftmaxWatch: Any = type("_SoftmaxWatch", (TorchFunctionMode,), {"__torch_function__": _remember})


@contextmanager
def reading_softmax(active: bool) -> Iterator[SoftmaxReader]:
    """While open, the reader knows the scores before a final softmax: their gradients do not vanish where the softmax saturates."""
    reader = SoftmaxReader()
    if not active:
        yield reader
        return
    mode = _SoftmaxWatch()
    mode.reader = reader
    with mode:
        yield reader
