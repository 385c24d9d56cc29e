"""The attack on a running endpoint: images within a radius, tables by plausible values, each question counted and spaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bartizan.areas.evasion.blackbox.attacks import black_box
from bartizan.areas.evasion.served import Served, numbers_of, served
from bartizan.areas.evasion.tabular_changes import plausible_changes
from bartizan.areas.evasion.tabular_inputs import Ints, is_number
from bartizan.areas.evasion.tabular_search import Asked, example, random_flips, search
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset


@dataclass(frozen=True)
class Plan:
    """What may be spent: `rows` attacked, `queries` a row, at `per_second` requests; `eps` for images, `k` for tables."""

    rows: int
    queries: int
    per_second: float
    eps: float
    k: int
    images: bool


@dataclass(frozen=True)
class Attacked:
    """What became of `rows` correct decisions, how the endpoint was asked, and whether it was seen to refuse beyond its quota."""

    rows: int
    flipped: int
    null: float
    method: str
    budget: dict[str, float]
    asked: int
    requests: int
    enforced: int | None
    examples: tuple[dict[str, Any], ...]
    constrained: bool
    discarded: Mapping[int, str] = field(default_factory=dict)


def attacked(job: Job, endpoint: Asset, model: Asset, plan: Plan) -> Attacked:
    """The attack that fits the data. Raises `InputError` where too few decisions are correct or answers are not as declared."""
    subject = served(job, endpoint, model, plan.per_second)
    try:
        places, discarded = _start(subject, plan, job.seed)
        numeric = all(is_number(subject.train[name]) for name in subject.train.columns)
        flipped, null, method, budget, examples = (_images if plan.images and numeric else _tables)(subject, places, plan, job.seed)
        enforced = _binding(subject, endpoint, subject.row(int(places[0])), plan)
    finally:
        subject.model.close()
    return Attacked(
        rows=len(places),
        flipped=flipped,
        null=null,
        method=method,
        budget=budget,
        asked=subject.model.forwards,
        requests=subject.model.requests,
        enforced=enforced,
        examples=tuple(examples),
        constrained=subject.rules is not None,
        discarded=discarded,
    )


def _start(subject: Served, plan: Plan, seed: int) -> tuple[Ints, dict[int, str]]:
    """Rows that the endpoint decides correctly and that keep the constraints, at most `plan.rows`, found with few questions."""
    order = np.random.default_rng(seed).permutation(len(subject.test))
    possible, discarded = subject.possible(np.sort(order[: 2 * plan.rows]))
    drawn = possible[np.random.default_rng(seed + 1).permutation(len(possible))[: plan.rows]]
    right = drawn[subject.decisions(subject.test.iloc[drawn]) == subject.labels[drawn]]
    if len(right) < len(drawn) / 4 or not len(right):
        cure = "declare how it is asked (inference: labels) and the data it was tested on"
        raise InputError(f"the endpoint decides {len(right)} of {len(drawn)} test rows as their labels say", cure=cure)
    return np.sort(right), discarded


def _binding(subject: Served, endpoint: Asset, row: Any, plan: Plan) -> int | None:
    """The declared daily quota, where the endpoint answers so many requests and refuses the next; None where that was not seen.

    What is left of the quota is used up first, if that takes no longer than a minute at the declared rate.
    """
    daily = endpoint.quota.requests_per_day if endpoint.quota is not None else None
    if daily is None or daily - subject.model.requests > 60 * plan.per_second:
        return None
    while subject.model.requests < daily:
        subject.model.ask([row])
    return daily if subject.model.requests == daily and subject.model.refuses(row) else None


Told = tuple[int, float, str, dict[str, float], list[dict[str, Any]]]


def _tables(subject: Served, places: Ints, plan: Plan, seed: int) -> Told:
    changes = plausible_changes(subject.train, frozenset(), max(1, plan.queries // plan.k), subject.rules)
    asked = Asked(subject, places, changes, labels_only=subject.model.gives == "labels")
    found = search(asked, plan.k, max(plan.k, plan.queries - 1), seed)
    null = random_flips(asked, plan.k, 1, seed + 1)
    rows = np.flatnonzero(found.flipped)[:5].tolist()
    shown = [{"row": int(subject.numbers[places[row]]), "changed": example(asked, row, found.changes[row])} for row in rows]
    what = "labels" if asked.labels_only else "scores"
    method = f"plausible values in at most {plan.k} features, led by {what}"
    return int(found.flipped.sum()), null, method, {"features": float(plan.k)}, shown


def _images(subject: Served, places: Ints, plan: Plan, seed: int) -> Told:
    x = numbers_of(subject.test.iloc[places])
    low, high = float(min(x.min(), numbers_of(subject.train).min())), float(max(x.max(), numbers_of(subject.train).max()))
    eps = plan.eps * (high - low)
    attack = "hopskipjump" if subject.model.gives == "labels" else "square"
    constraints = None if subject.rules is None else subject.rules.as_constraints()
    target = _Frames(subject)
    hunt = black_box(
        target, x, subject.labels[places], attack=attack, norm="linf", eps=eps, queries=plan.queries, bounds=(low, high),
        constraints=constraints, seed=seed,
    )  # fmt: skip
    signs = np.random.default_rng(seed + 1).choice([-1.0, 1.0], size=x.shape)
    moved = np.clip(x + eps * signs, low, high)
    if subject.rules is not None:
        moved = subject.rules.array().repair(x, moved)
    null = float((target.decide(moved) != subject.labels[places]).mean())
    return int((hunt.found & ~hunt.wrong).sum()), null, f"{attack}, linf", {"linf": plan.eps}, []


class _Frames:
    """A served model as a target for rows (n, d)."""

    def __init__(self, subject: Served) -> None:
        self.subject, self.classes, self.gives = subject, subject.classes, subject.model.gives
        self.backwards = 0

    @property
    def forwards(self) -> int:
        """Rows that were asked."""
        return self.subject.model.forwards

    def logits(self, x: Any) -> Any:
        """Scores (n, k)."""
        import pandas as pd

        scores = self.subject.probabilities(pd.DataFrame(x, columns=self.subject.test.columns))
        return np.log(np.maximum(scores, 1e-300)) if self.gives == "probabilities" else scores

    def decide(self, x: Any) -> Any:
        """Decisions (n,)."""
        return np.asarray(self.logits(x).argmax(axis=1), dtype=np.int64)
