"""What a gradient attack maximises: a value per row and its derivative by the logits, in closed form for either array library.

Every loss is a function (logits (n, k), y (n,), aim (n,)) -> (value (n,), cotangent (n, k)); aim -1 means untargeted. A value is positive
for the margin losses exactly where the model errs.
"""

from __future__ import annotations

from collections.abc import Callable

from bartizan.areas.evasion.arrays import Array, column, is_torch, namespace, one_hot, order_rows, pick
from bartizan.areas.evasion.targets import runner_up
from bartizan.model.errors import UnknownName

Loss = Callable[[Array, Array, Array], tuple[Array, Array]]


def margin(logits: Array, y: Array, aim: Array) -> tuple[Array, Array]:
    """Score of the aim, or of the runner-up, less that of the true class (Carlini and Wagner, 2017, f6). Free of scale: never saturates."""
    xp = namespace(logits)
    other = xp.where(aim < 0, runner_up(logits, y), aim)
    k = logits.shape[1]
    return pick(logits, other) - pick(logits, y), one_hot(other, k, logits) - one_hot(y, k, logits)


def cross_entropy(logits: Array, y: Array, aim: Array) -> tuple[Array, Array]:
    """-log softmax of the true class, or +log softmax of the aim. Saturates where the scores are far apart."""
    xp = namespace(logits)
    top = logits - column(xp.amax(logits, 1) if is_torch(logits) else logits.max(1))
    log_p = top - column(xp.log(xp.exp(top).sum(1)))
    p, k = xp.exp(log_p), logits.shape[1]
    aimed = aim >= 0
    of = xp.where(aimed, aim, y)
    sign = xp.where(aimed, pick(logits, y) * 0 + 1, pick(logits, y) * 0 - 1)
    return sign * pick(log_p, of), column(sign) * (one_hot(of, k, logits) - p)


def logit_ratio(logits: Array, y: Array, aim: Array) -> tuple[Array, Array]:
    """Difference-of-logits ratio, untargeted or targeted (Croce and Hein, AutoAttack, ICML 2020, eq. 6 and 7).

    With fewer than 3 classes (4 where targeted) the denominator does not exist and the loss is the margin.
    """
    xp = namespace(logits)
    k = logits.shape[1]
    if k < 4:
        return margin(logits, y, aim)
    order = order_rows(-logits)
    first, third, fourth = order[:, 0], order[:, 2], order[:, 3]
    aimed = aim >= 0
    other = xp.where(aimed, aim, xp.where(first == y, order[:, 1], first))
    top = pick(logits, first)
    below = xp.where(aimed, (pick(logits, third) + pick(logits, fourth)) / 2, pick(logits, third))
    scale = top - below + 1e-12
    value = (pick(logits, other) - pick(logits, y)) / scale
    towards = one_hot(other, k, logits) - one_hot(y, k, logits)
    half = (one_hot(third, k, logits) + one_hot(fourth, k, logits)) / 2
    low_part = xp.where(column(aimed), half, one_hot(third, k, logits))
    slope = one_hot(first, k, logits) - low_part
    return value, towards / column(scale) - column(value / scale) * slope


LOSSES: dict[str, Loss] = {"margin": margin, "ce": cross_entropy, "dlr": logit_ratio}


def loss_named(name: str) -> Loss:
    """The loss of that name; UnknownName for any other."""
    if name not in LOSSES:
        raise UnknownName("loss", name, tuple(LOSSES))
    return LOSSES[name]
