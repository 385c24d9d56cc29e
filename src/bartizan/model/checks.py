"""A check: the description by which the planner, the command line, the docs and the reports know it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from bartizan.model.findings import Finding
from bartizan.model.system import Kind, Phase


class Cost(StrEnum):
    """What a check costs: `instant` reads configuration, `fast` takes seconds, `slow` minutes; `live` touches a running service."""

    INSTANT = "instant"
    FAST = "fast"
    SLOW = "slow"
    LIVE = "live"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A typed parameter of a check, read from its signature; `type` is a JSON Schema type name."""

    name: str
    type: str
    default: Any
    help: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a check without running it. `run(job, target, **parameters)` yields findings.

    `reads` names the relations (`model.traits.RELATIONS`), followed from node to node, whose nodes the check also reads; `valid_days` is
    how long a finding on something that cannot be digested (a live endpoint) counts, None where digests decide.
    """

    id: str
    title: str
    summary: str
    threats: tuple[str, ...]
    controls: tuple[str, ...]
    kinds: frozenset[Kind]
    phases: frozenset[Phase]
    needs: tuple[str, ...] = ()
    extra: str | None = None
    cost: Cost = Cost.FAST
    reads: tuple[str, ...] = ()
    applies: Callable[..., bool] | None = None
    parameters: tuple[Parameter, ...] = ()
    valid_days: float | None = None
    version: str = "1"
    distribution: str = "bartizan"
    module: str = ""
    run: Callable[..., Iterator[Finding]]
