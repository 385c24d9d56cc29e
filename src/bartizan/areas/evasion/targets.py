"""What an attack needs of the model under attack, as small protocols: scores for rows, and gradients where it has them.

Rows are flat, (n, d), NumPy arrays or torch tensors. A target restores the model's own shape, takes care of batches, of a model left in
training mode and of the form of its outputs, and counts what it spends. Adapters (`adapters/torch_models.py`, `adapters/numpy_models.py`)
fit these protocols by shape alone: they import nothing from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from bartizan.areas.evasion.arrays import Array, namespace, one_hot, pick
from bartizan.areas.evasion.norms import Space

Cotangent = Callable[[Array], Array]
"""From logits (n, k) to the derivative of a per-row value by them, (n, k)."""


@runtime_checkable
class Classifies(Protocol):
    """A classifier that scores rows.

    `classes` is k. `gives` says what the user's model returns: 'logits' (any scores whose largest entry is the decision; log-probabilities
    count), 'probabilities' or 'labels'. `logits` always answers with scores: log-probabilities for 'probabilities', 0/1 rows for 'labels'.
    `forwards` and `backwards` count rows that went through the model in either direction.
    """

    classes: int
    gives: str
    forwards: int
    backwards: int

    def logits(self, x: Array) -> Array:
        """Scores (n, k) of rows (n, d), in the model's own precision."""
        ...

    def decide(self, x: Array) -> Array:
        """The model's own decisions (n,) for rows (n, d), from what it really returns: the last word on whether an example evades."""
        ...


@runtime_checkable
class Differentiates(Classifies, Protocol):
    """A classifier with gradients by its input."""

    def pull(self, x: Array, cotangent: Cotangent) -> tuple[Array, Array]:
        """Logits (n, k) of rows (n, d), and (n, d): `cotangent(logits)` pulled back to the input. One forward and one backward per row."""
        ...


class Searches(Protocol):
    """A black-box attack: it asks for scores or labels alone. The engine re-verifies every row that it returns."""

    def __call__(self, target: Classifies, x: Array, y: Array, space: Space, eps: Array, *, queries: int, seed: int) -> Array:
        """Candidates (n, d) inside `space` and `eps` (n,) of `x` (n, d) with labels `y` (n,); at most `queries` forwards a row."""
        ...


def runner_up(logits: Array, y: Array) -> Array:
    """The highest-scoring class other than `y` (n,), (n,)."""
    hidden = logits - one_hot(y, logits.shape[1], logits) * 1e30
    return namespace(logits).argmax(hidden, 1)


def margins(logits: Array, y: Array) -> Array:
    """Score of the true class less the highest other one, (n,): negative where the model is wrong."""
    return pick(logits, y) - pick(logits, runner_up(logits, y))


def margin_gradient(target: Differentiates, x: Array, y: Array, aim: Array | None = None) -> tuple[Array, Array]:
    """The margin of `y` over `aim` (n,) (default: over the runner-up), (n,), and its gradient by the input, (n, d)."""

    def cotangent(logits: Array) -> Array:
        other = runner_up(logits, y) if aim is None else aim
        return one_hot(y, logits.shape[1], logits) - one_hot(other, logits.shape[1], logits)

    logits, gradient = target.pull(x, cotangent)
    value = margins(logits, y) if aim is None else pick(logits, y) - pick(logits, aim)
    return value, gradient
