"""Torch classifiers as attack targets: flat rows in, logits and input gradients out, weights never differentiated, passes counted.

Fits the protocols of `areas/evasion/targets.py` by shape. While a `session` is open the model is in evaluation mode, its weights need no
gradient and torch's random numbers are seeded; all of it is put back afterwards. What a forward pass hides from its gradient (rounding,
thresholds, integer types, detached parts) can be passed straight through: `torch_repairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from bartizan.adapters.torch_repairs import reading_softmax, straight_through
from bartizan.model.errors import InputError

GIVES = ("logits", "probabilities", "labels")


class TorchModel:
    """A torch classifier under attack.

    `model` maps a batch (n, *shape) to logits or probabilities (n, k), to one score per row (n,) or (n, 1), or to an object with `.logits`.
    `mean`, `std` (per channel or scalars): the model is fed (x - mean) / std. `gives` None: read off the outputs. `batch`: most rows of one
    pass. `repeats` > 1 averages that many passes of a random model (expectation over transformation). `repair` passes non-differentiable
    steps straight through in `pull`, and there alone.
    """

    def __init__(
        self,
        model: Callable[[Any], Any],
        example: Any,
        *,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        gives: str | None = None,
        batch: int = 256,
    ) -> None:
        self.model = model
        self.shape = tuple(example.shape[1:])
        self.batch = batch
        self.repeats = 1
        self.repair = False
        self.forwards = 0
        self.backwards = 0
        self.device, self.dtype = _home(model, example)
        self.shift = None if mean is None else self._channels(mean, "mean")
        self.scale = None if std is None else self._channels(std, "std")
        if self.scale is not None and bool((self.scale <= 0).any()):
            raise InputError("std must be positive in every channel")
        self.was_training = _training(model)
        self.single = False
        self.gives = gives or "logits"
        self.classes = 0
        self._read(example, gives)

    def rows(self, x: Any) -> Any:
        """The caller's inputs (n, *shape), array or tensor, as flat rows on the model's device and in its precision."""
        if not isinstance(x, torch.Tensor):
            x = torch.as_tensor(x)
        return x.detach().to(device=self.device, dtype=self.dtype).reshape(len(x), -1)

    @contextmanager
    def session(self, seed: int) -> Iterator[None]:
        """Evaluation mode, weights without gradients, seeded random numbers; everything is put back at the end."""
        modules = list(self.model.modules()) if isinstance(self.model, torch.nn.Module) else []
        modes = [module.training for module in modules]
        weights = [p for module in modules[:1] for p in module.parameters() if p.requires_grad]
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            try:
                for module in modules:
                    module.training = False
                for weight in weights:
                    weight.requires_grad_(False)
                yield
            finally:
                for module, mode in zip(modules, modes, strict=True):
                    module.training = mode
                for weight in weights:
                    weight.requires_grad_(True)

    def logits(self, x: Any) -> Any:
        """Scores (n, k) of flat rows (n, d); the mean over `repeats` passes."""
        with torch.no_grad():
            return torch.cat([self._plain(part) for part in self._parts(x)])

    def decide(self, x: Any) -> Any:
        """The model's own decisions (n,): the largest output, or whether a single one is beyond its threshold. One pass each."""
        with torch.no_grad():
            outputs = torch.cat([self._outputs(self._shaped(part)) for part in self._parts(x)])
        if self.single:
            return (outputs[:, 0] > (0.5 if self.gives == "probabilities" else 0.0)).long()
        return outputs.argmax(1)

    def pull(self, x: Any, cotangent: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Logits (n, k) and `cotangent(logits)` pulled back to flat rows (n, d): zero where no gradient arrives."""
        logits, gradients = [], []
        start = 0
        for part in self._parts(x):
            scores, gradient = self._pull(part, partial(_part_of, cotangent, start, len(x)))
            logits.append(scores)
            gradients.append(gradient)
            start += len(part)
        return torch.cat(logits), torch.cat(gradients)

    def _pull(self, part: Any, cotangent: Callable[[Any], Any]) -> tuple[Any, Any]:
        leaf = part.detach().requires_grad_(True)
        gradient: Any = None
        try:
            with torch.enable_grad():
                scores, raw = self._scores(leaf)
            weights = cotangent(scores.detach())
            if raw.requires_grad:
                copies = weights.repeat(self.repeats, 1) / self.repeats if self.repeats > 1 else weights
                (gradient,) = torch.autograd.grad(raw, leaf, grad_outputs=copies, allow_unused=True)
        except torch.OutOfMemoryError:
            raise
        except (
            RuntimeError,
            TypeError,
            IndexError,
        ):  # a step without a derivative, or one that a repair does not fit: the forward pass decides
            with torch.no_grad():
                scores = self._plain(part)
        self.backwards += len(part) * self.repeats
        return scores.detach(), torch.zeros_like(part) if gradient is None else torch.nan_to_num(gradient.detach())

    def _plain(self, part: Any) -> Any:
        """Scores without any repair."""
        repair, self.repair = self.repair, False
        try:
            return self._scores(part)[0]
        finally:
            self.repair = repair

    def _parts(self, x: Any) -> Any:
        return x.split(max(1, self.batch // self.repeats)) if len(x) else [x]

    def _shaped(self, part: Any) -> Any:
        """Flat rows in the model's shape, normalised."""
        shaped = part.reshape(len(part), *self.shape)
        if self.shift is not None:
            shaped = shaped - self.shift
        return shaped if self.scale is None else shaped / self.scale

    def _outputs(self, shaped: Any) -> Any:
        """What the model returns, (n, k), k = 1 for a single score; counted."""
        self.forwards += len(shaped)
        return _matrix(self.model(shaped), len(shaped))

    def _scores(self, part: Any) -> tuple[Any, Any]:
        """Mean scores (n, k) over the repeats, and the scores of all repeats that a gradient is pulled through."""
        shaped = self._shaped(part if self.repeats == 1 else part.repeat(self.repeats, 1))
        with straight_through(self.model, self.repair), reading_softmax(self.gives == "probabilities") as read:
            outputs = self._outputs(shaped)
            raw = self._as_logits(outputs, read.before(outputs))
        mean = raw if self.repeats == 1 else raw.reshape(self.repeats, len(part), -1).mean(0)
        return mean, raw

    def _as_logits(self, outputs: Any, before: Any) -> Any:
        """Scores whose largest entry is the decision and whose gradients do not vanish, from logits or probabilities."""
        if self.gives == "probabilities":
            if before is not None:
                outputs = before
            elif self.single:
                outputs = torch.logit(outputs, eps=1e-7)
            else:
                outputs = torch.log(outputs.clamp_min(1e-30))
        if self.single:
            return torch.cat([torch.zeros_like(outputs), outputs], 1)
        return outputs

    def _channels(self, values: float | Sequence[float], name: str) -> Any:
        """`mean` or `std`, shaped to apply per channel of (n, channels, ...)."""
        tensor = torch.as_tensor(values, dtype=self.dtype, device=self.device)
        if tensor.ndim == 0:
            return tensor
        if tensor.ndim > 1 or not self.shape or len(tensor) not in (1, self.shape[0]):
            raise InputError(
                f"{name} has {tuple(tensor.shape)} entries for inputs of shape {self.shape}", cure="give one, or one per channel"
            )
        return tensor.reshape(1, -1, *[1] * (len(self.shape) - 1))

    def _read(self, example: Any, gives: str | None) -> None:
        """Runs the model on a few inputs to learn the form of its outputs; errors name what is wrong with it."""
        if gives is not None and gives not in GIVES[:2]:
            raise InputError(f"a torch model gives logits or probabilities, not '{gives}'")
        rows = self.rows(example)[:64]
        with self.session(0), torch.no_grad():
            try:
                outputs = self._outputs(self._shaped(rows))
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                raise InputError(f"the model does not take inputs of shape {self.shape}: {error}", cure=_shape_cure(self.shape)) from error
        self.forwards = 0
        self.single = outputs.shape[1] == 1
        self.classes = 2 if self.single else int(outputs.shape[1])
        if gives is None:
            self.gives = "probabilities" if _are_probabilities(outputs) else "logits"


def _home(model: Any, example: Any) -> tuple[Any, Any]:
    """Device and floating type: those of the model's first floating parameter or buffer, else of the example, never of integers."""
    if isinstance(model, torch.nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.device, tensor.dtype
    if isinstance(example, torch.Tensor):
        return example.device, example.dtype if example.is_floating_point() else torch.float32
    return torch.device("cpu"), torch.float32


def _training(model: Any) -> bool:
    return isinstance(model, torch.nn.Module) and any(module.training for module in model.modules())


def _matrix(outputs: Any, n: int) -> Any:
    """A model's answer as (n, k) floats; InputError for everything that is no score per class."""
    outputs = getattr(outputs, "logits", outputs)
    if not isinstance(outputs, torch.Tensor):
        raise InputError(f"the model returns {type(outputs).__name__}, not a tensor of scores", cure="wrap it: lambda x: model(x)[0]")
    if outputs.ndim == 1 and len(outputs) == n:
        outputs = outputs[:, None]
    if outputs.ndim != 2 or len(outputs) != n:
        raise InputError(f"the model returns shape {tuple(outputs.shape)} for {n} inputs", cure="it must return (n, classes)")
    if not outputs.is_floating_point():
        if outputs.shape[1] == 1:
            raise InputError("the model returns labels, not scores", cure="return logits, or attack it as a black box: gives='labels'")
        outputs = outputs.float()
    if bool(torch.isnan(outputs).any()):
        raise InputError("the model returns NaN", cure="check the range and normalisation of its inputs")
    return outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs


def _are_probabilities(outputs: Any) -> bool:
    """Whether rows look like probabilities: in [0, 1], summing to 1; a single column in [0, 1] counts too."""
    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    return inside and (outputs.shape[1] == 1 or bool(((outputs.sum(1) - 1).abs() < 1e-3).all()))


def _shape_cure(shape: tuple[int, ...]) -> str:
    if len(shape) == 3 and shape[-1] in (1, 3, 4) and shape[0] not in (1, 3, 4):
        return "torch models take channels first: x.permute(0, 3, 1, 2)"
    return "give x as (images, *shape of one input)"


def _part_of(cotangent: Callable[[Any], Any], start: int, n: int, values: Any) -> Any:
    """`cotangent` for the rows of one part: it was made for all n rows."""
    if start == 0 and len(values) == n:
        return cotangent(values)
    padded = values.new_zeros((n, values.shape[1]))
    padded[start : start + len(values)] = values
    return cotangent(padded)[start : start + len(values)]
