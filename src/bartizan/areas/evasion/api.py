"""The evasion attack as one call: native arrays in and out, several radii at once, and a verdict on whether to trust the number."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from bartizan.areas.evasion.arrays import Array, integers, is_torch, like, namespace, to_numpy
from bartizan.areas.evasion.inputs import checked_bounds, checked_images, checked_labels, checked_radii
from bartizan.areas.evasion.norms import Space, known_norm
from bartizan.areas.evasion.result import AtRadius, Outcome, Passes, Result, Trust
from bartizan.areas.evasion.search import Search, begin_search
from bartizan.areas.evasion.targets import Classifies, Differentiates, Searches
from bartizan.areas.evasion.whitebox.strategies import STRATEGIES
from bartizan.model.errors import InputError, UnknownName

if TYPE_CHECKING:
    from bartizan.areas.evasion.whitebox.universal import Pattern


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about an attack that has a good default.

    `steps` per stage and `targets` aimed at in turn belong to the cascade; `restarts` are further random starts. `batch`: most rows of one
    pass. `mean`, `std`: the model is fed (x - mean) / std. `gives`: 'logits' or 'probabilities', None: read off the outputs. `queries`:
    forwards per image of a black-box search, where one is needed. `search`: the black-box attack; `repair`: constraints, see `norms.Space`.
    `diagnose` False skips the trust diagnostics: the result is then never called trustworthy.
    """

    steps: int = 20
    targets: int = 3
    restarts: int = 0
    batch: int = 128
    seed: int = 0
    mean: Any = None
    std: Any = None
    gives: str | None = None
    queries: int = 500
    search: Searches | None = None
    repair: Callable[[Array, Array], Array] | None = None
    diagnose: bool = True
    confidence: float = 0.95


def attack(
    model: Any,
    x: Any,
    y: Any,
    *,
    eps: float | Sequence[float],
    norm: str = "linf",
    bounds: tuple[Any, Any] = (0.0, 1.0),
    strategy: str = "cascade",
    **options: Any,
) -> Result:
    """How many of the inputs `x` can be changed by at most `eps` so that `model` errs, and the examples that do it.

    `model`: a torch module or callable, or a target (see `target_of`). `x`: (n, ...) floats inside `bounds`; `y`: (n,) class numbers.
    `eps`: one radius or several, in the units of `x` (l0: the count of entries). `norm`: linf, l2, l1 or l0. `strategy`: 'cascade' (the
    strongest), fgsm, pgd, apgd-ce, apgd-dlr, apgd-margin, or a minimum-norm attack: fmn, pulled, cw, deepfool, sigma-zero; 'search' asks
    for scores alone. `options`: the fields of `Options`. Every example is verified by the model's own decision inside radius and range.
    Deterministic for a seed. Raises InputError for inputs that do not fit the model, UnknownName for a name that is none.
    """
    radii, norm = checked_radii(eps), known_norm(norm)
    if strategy not in STRATEGIES:
        raise UnknownName("strategy", strategy, tuple(STRATEGIES))
    target, rows, labels, space, chosen = _ready(model, x, y, norm, bounds, options)
    with session_of(target, chosen.seed):
        search = begin_search(target, rows, labels, space, radii, STRATEGIES[strategy](chosen, norm), chosen)
        trust = search.run(diagnosed=chosen.diagnose)
    return _result(search, checked_images(x), trust, strategy, chosen)


NEAREST = {"linf": "fmn", "l2": "fmn", "l1": "pulled", "l0": "sigma-zero"}
"""The minimum-norm attack of each norm."""


def minimum_norm(
    model: Any, x: Any, y: Any, *, norm: str = "l2", bounds: tuple[Any, Any] = (0.0, 1.0), strategy: str | None = None, **options: Any
) -> Result:
    """The nearest evading input to each of `x` that a minimum-norm attack finds; arguments and errors as for `attack`.

    The result has one radius, the whole range: its `distances` (n,) are upper bounds on the distance to the decision boundary.
    """
    x, norm = checked_images(x), known_norm(norm)
    low, high = checked_bounds(x, bounds)
    reach = Space(norm=norm, low=low, high=high).widest((1, int(np.prod(x.shape[1:]))))
    return attack(model, x, y, eps=reach, norm=norm, bounds=bounds, strategy=strategy or NEAREST[norm], **options)


def universal(
    model: Any, x: Any, y: Any, *, eps: float, norm: str = "linf", bounds: tuple[Any, Any] = (0.0, 1.0), steps: int = 60, **options: Any
) -> Pattern:
    """One perturbation of norm <= `eps` for all inputs, fitted on half of `x` and measured on the other; arguments as for `attack`."""
    from bartizan.areas.evasion.whitebox.universal import fit_universal

    target, rows, labels, space, chosen = _ready(model, x, y, known_norm(norm), bounds, options)
    (radius,) = checked_radii(eps)
    with session_of(target, chosen.seed):
        return fit_universal(target, rows, labels, space, radius, steps=steps, seed=chosen.seed)


def patch(
    model: Any, x: Any, y: Any, *, size: tuple[int, int], bounds: tuple[Any, Any] = (0.0, 1.0), steps: int = 150, **options: Any
) -> Pattern:
    """A patch of `size` (height, width) pasted at random places, fitted on half of `x`, measured on the other; else as for `attack`."""
    from bartizan.areas.evasion.whitebox.universal import fit_patch

    target, rows, labels, space, chosen = _ready(model, x, y, "linf", bounds, options)
    with session_of(target, chosen.seed):
        return fit_patch(target, rows, labels, space, size, steps=steps, seed=chosen.seed)


def _ready(
    model: Any, x: Any, y: Any, norm: str, bounds: tuple[Any, Any], options: dict[str, Any]
) -> tuple[Any, Array, Array, Space, Options]:
    """Target, flat rows inside the range, labels, space and options of a call, all checked."""
    chosen = _options(options)
    x = checked_images(x)
    low, high = checked_bounds(x, bounds)
    target = target_of(model, x, mean=chosen.mean, std=chosen.std, gives=chosen.gives, batch=chosen.batch)
    labels = checked_labels(y, len(x), target.classes)
    rows = rows_of(target, x)
    space = Space(norm=norm, low=like(low, rows), high=like(high, rows), repair=chosen.repair)
    return target, space.clip(rows), integers(labels, rows), space, chosen


def _options(options: dict[str, Any]) -> Options:
    """`Options` of keyword arguments; UnknownName for a misspelt one, InputError for one out of range."""
    for name in options:
        if name not in Options.__struct_fields__:
            raise UnknownName("option", name, Options.__struct_fields__)
    chosen = Options(**options)
    for name, least in (("steps", 1), ("targets", 0), ("restarts", 0), ("batch", 1), ("queries", 1), ("seed", 0)):
        if not isinstance(getattr(chosen, name), int | np.integer) or getattr(chosen, name) < least:
            raise InputError(f"{name} must be a whole number >= {least}, not {getattr(chosen, name)}")
    return chosen


def target_of(
    model: Any, x: Any, *, mean: Any = None, std: Any = None, gives: str | None = None, batch: int = 256
) -> Classifies | Differentiates:
    """`model` as an attack target: a target as it is, a torch model through its adapter, others through the NumPy adapters.

    `x` is a batch of its inputs; it tells the shape and is run once to learn the form of the outputs.
    """
    if isinstance(model, Classifies):
        return model
    if is_torch(x) or _is_torch_module(model):
        from bartizan.adapters.torch_models import TorchModel

        return TorchModel(model, x if is_torch(x) else _as_tensor(x), mean=mean, std=std, gives=gives, batch=batch)
    if mean is not None or std is not None:
        raise InputError("mean and std are for torch models", cure="put the scaling into the model's own pipeline")
    found: Classifies = importlib.import_module("bartizan.adapters.numpy_models").numpy_target(model, x, gives=gives)
    return found


def _is_torch_module(model: Any) -> bool:
    return any(kind.__module__.partition(".")[0] == "torch" for kind in type(model).__mro__)


def _as_tensor(x: Any) -> Any:
    import torch

    return torch.as_tensor(x)


def rows_of(target: Any, x: Any) -> Array:
    """`x` as flat rows in the target's own array kind and precision."""
    rows = getattr(target, "rows", None)
    return rows(x) if rows is not None else np.asarray(to_numpy(x)).reshape(len(x), -1)


def session_of(target: Any, seed: int) -> AbstractContextManager[Any]:
    """The target's session (evaluation mode, seeded random numbers), if it has one."""
    session = getattr(target, "session", None)
    return session(seed) if session is not None else nullcontext()


def native(rows: Array, x: Any) -> Any:
    """Flat rows in the type, shape, device and precision of the caller's `x`."""
    if is_torch(x):
        tensor = rows if is_torch(rows) else namespace(x).as_tensor(rows)
        return tensor.to(device=x.device, dtype=x.dtype).reshape(x.shape)
    return to_numpy(rows).astype(x.dtype).reshape(x.shape)


def _result(search: Search, x: Any, trust: Trust, strategy: str, options: Options) -> Result:
    """What the search found, as structs in the caller's types."""
    at = []
    for place, eps in enumerate(search.radii):
        broken = search.broken[place] & ~search.wrong
        outcomes = tuple(Outcome.WRONG if w else Outcome.BROKEN if b else Outcome.ROBUST for w, b in zip(search.wrong, broken, strict=True))
        rows = search.found[place]
        at.append(
            AtRadius(
                eps=eps, n=len(x), robust=outcomes.count(Outcome.ROBUST), outcomes=outcomes, adversarial=native(rows, x),
                distances=search.space.distance(search.x, rows), confidence=options.confidence,
            )
        )  # fmt: skip
    passes = Passes(images=len(x), forwards=search.target.forwards, backwards=search.target.backwards)
    return Result(
        norm=search.space.norm, strategy=strategy, clean=int((~search.wrong).sum()), n=len(x), at=tuple(at), passes=passes,
        trust=trust, seed=options.seed,
    )  # fmt: skip
