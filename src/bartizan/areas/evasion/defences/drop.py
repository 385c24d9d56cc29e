"""Before and after: clean and robust accuracy of a model and of its versions on the same inputs, and a gate on the robust drop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from bartizan.areas.evasion.defences.rates import Rate, rate_of
from bartizan.model.beta import log_tails
from bartizan.model.errors import InputError
from bartizan.model.findings import Verdict
from bartizan.model.statistics import lower_bound, upper_bound


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table, on the same inputs as the original's row.

    `robust`: right, and standing both against the attack on this very model and against the examples made for the original. `lost` and
    `gained` count the inputs that only the original, and only this model, keeps robust; `drop` is their difference as a share, with
    one-sided bounds `drop_low` and `drop_high` at 95 % each. `trust` says why the attack on it cannot be believed; empty where it can.
    """

    name: str
    clean: Rate
    robust: Rate
    lost: int = 0
    gained: int = 0
    drop: float = 0.0
    drop_low: float = 0.0
    drop_high: float = 0.0
    trust: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The model before, and its versions after, under changes of `norm` up to `eps`."""

    before: Version
    after: tuple[Version, ...]
    eps: float
    norm: str

    def __str__(self) -> str:
        """A table in plain text: model, clean accuracy, robust accuracy, change of both in points."""
        lines = [f"{'model':<24}{'clean':>8}{'robust':>8}{'clean +/-':>11}{'robust +/-':>12}"]
        for row in (self.before, *self.after):
            clean, robust = row.clean.value - self.before.clean.value, row.robust.value - self.before.robust.value
            lines.append(f"{row.name:<24}{row.clean.value:>8.1%}{row.robust.value:>8.1%}{100 * clean:>+11.1f}{100 * robust:>+12.1f}")
        return "\n".join(lines)


def version(name: str, clean: int, before: Sequence[bool], after: Sequence[bool], trust: str = "") -> Version:
    """The row of a version with `clean` right inputs, from which inputs stand before and after, both (n,)."""
    n = len(before)
    lost = sum(bool(old) and not new for old, new in zip(before, after, strict=True))
    gained = sum(bool(new) and not old for old, new in zip(before, after, strict=True))
    low = lower_bound(lost, n, 0.975) - upper_bound(gained, n, 0.975)
    high = upper_bound(lost, n, 0.975) - lower_bound(gained, n, 0.975)
    return Version(
        name=name, clean=rate_of(clean, n), robust=rate_of(sum(map(bool, after)), n), lost=lost, gained=gained, drop=(lost - gained) / n,
        drop_low=low, drop_high=high, trust=trust,
    )  # fmt: skip


class DropRuling(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one version; `p` is that of the exact one-sided test of what it lost against what it gained (McNemar)."""

    name: str
    verdict: Verdict
    p: float
    why: str


def drop_gate(table: Comparison, *, tolerance: float = 0.02, confidence: float = 0.95) -> tuple[DropRuling, ...]:
    """Whether each version kept its robustness, whatever its clean accuracy did.

    FAIL: it lost robust inputs beyond chance (exact McNemar test) and more than `tolerance` of all in these counts, or its drop is beyond
    `tolerance` with confidence. PASS: the drop is within `tolerance` with confidence and the attack can be believed. Otherwise
    INCONCLUSIVE: measure on more inputs.
    """
    if not 0.0 <= tolerance < 1.0 or not 0.5 < confidence < 1.0:
        raise InputError(f"need 0 <= tolerance < 1 and a confidence above one half, not {tolerance} and {confidence}", place="drop gate")
    return tuple(_ruling(row, table.before, tolerance, confidence) for row in table.after)


def gain_gate(before: Version, row: Version, *, confidence: float = 0.95) -> DropRuling:
    """Whether a defence made the model harder to evade: `row` is the model behind it, under the attack that knows the defence.

    FAIL: it gained no robust inputs over what it lost. PASS: it gained beyond chance (exact McNemar test, whose p is told) and both attacks
    can be believed. Otherwise INCONCLUSIVE.
    """
    p = sign_test(row.gained, row.lost + row.gained)
    story, doubt = _story(row, before, p), row.trust or before.trust
    if row.gained <= row.lost and not before.trust:
        return DropRuling(name=row.name, verdict=Verdict.FAIL, p=p, why=story)
    verdict = Verdict.PASS if p <= 1.0 - confidence and not doubt else Verdict.INCONCLUSIVE
    return DropRuling(name=row.name, verdict=verdict, p=p, why=f"{story}; {doubt}" if doubt else story)


def _story(row: Version, before: Version, p: float) -> str:
    clean = 100 * (row.clean.value - before.clean.value)
    change = 0.0 - 100 * row.drop  # not -0.0
    return f"robust accuracy {change:+.1f} points ({row.lost} lost, {row.gained} gained, p = {p:.2g}); clean {clean:+.1f} points"


def _ruling(row: Version, before: Version, tolerance: float, confidence: float) -> DropRuling:
    p = sign_test(row.lost, row.lost + row.gained)
    story = _story(row, before, p)
    if (row.drop > tolerance and p <= 1.0 - confidence) or row.drop_low > tolerance:
        return DropRuling(name=row.name, verdict=Verdict.FAIL, p=p, why=story)
    if row.trust:
        return DropRuling(name=row.name, verdict=Verdict.INCONCLUSIVE, p=p, why=f"{story}; {row.trust}")
    verdict = Verdict.PASS if row.drop_high <= tolerance else Verdict.INCONCLUSIVE
    return DropRuling(name=row.name, verdict=verdict, p=p, why=story)


def sign_test(k: int, n: int) -> float:
    """The probability of at least `k` heads in `n` tosses of a fair coin."""
    if k == 0:
        return 1.0
    if k == n:
        return 0.5**n
    return math.exp(log_tails(float(k), n - k + 1.0, 0.5, 0.5)[0])
