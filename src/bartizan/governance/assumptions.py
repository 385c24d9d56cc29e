"""The numbers that no measurement gives, in one place: how often attacks come, what a threat's maturity suggests, how levels are drawn.

They are judgements, chosen once for all threats and kept few. A measurement replaces the prior, a declaration replaces exposure and
budget; the waterfall of each risk names those that were used. Change one here and every risk state, and so every decision, changes too.
"""

from __future__ import annotations

from types import MappingProxyType

from bartizan.model.findings import Severity
from bartizan.model.system import Level, Trust
from bartizan.model.threats import Maturity

CAMPAIGNS_PER_YEAR = MappingProxyType({Trust.NONE: 1.0, Trust.PARTNER: 0.5, Trust.INTERNAL: 0.2, Trust.RESTRICTED: 0.1})
"""Median attack campaigns a year by the least trusted zone from which a node can be reached. What has no zone counts as `none`."""

CAMPAIGN_SPREAD = 1.0
"""Standard deviation of the logarithm of campaigns a year where exposure gives the median: a factor of about 5 either way at 90 %."""

DECLARED_SPREAD = 0.5
"""The same where the actors' own `campaigns_per_year` gives the median: a factor of about 2.3 either way."""

PRIOR_TRIALS = 4.0
"""Weight of the prior of success, in trials."""

PRIOR_SUCCESS = MappingProxyType({Maturity.THEORETICAL: 0.005, Maturity.DEMONSTRATED: 0.04, Maturity.COMMON: 0.15})
"""Prior mean of the chance that one attempt succeeds."""

CAMPAIGN_DAYS = 30.0
"""Days that a campaign lasts: a budget of queries a day times this is the budget of a campaign."""

QUERIES_PER_DAY = 10_000.0
"""Queries a day of an actor whose budget nobody declared."""

QUERIES_PER_ATTEMPT = 1_000.0
"""Queries that one attempt at a loss takes."""

ATTEMPTS_WITHOUT_QUERIES = 3
"""Attempts in a campaign that does not spend queries, or against what no declared actor reaches by a flow."""

OFFLINE_FAMILIES = frozenset({"supply-chain", "training", "governance", "data-governance", "operation"})
"""Families of threats whose attempts are not queries, whatever flows reach the node: no quota caps them."""

MOST_ATTEMPTS = 3_000
"""Attempts are counted up to here; beyond it they change no level."""

PASS_CAP = 0.5
"""Chance that a campaign succeeds, at most, while a configuration check passes that declares no `probability_cap` of its own."""

FAIL_FLOOR = MappingProxyType({Severity.INFO: 0.0, Severity.LOW: 0.1, Severity.MEDIUM: 0.3, Severity.HIGH: 0.6, Severity.CRITICAL: 0.9})
"""Chance that a campaign succeeds, at least, while a configuration check fails, by the severity of its finding."""

UNDECLARED_IMPACT = Level.HIGH
"""Impact of what nobody has declared an impact for."""

PROBABILITY_BANDS = (0.05, 0.20, 0.70)
"""Bounds between the four bands of the probability of at least one loss a year; a bound belongs to the band above it."""

MATRIX = MappingProxyType(
    {
        Level.LOW: (Level.LOW, Level.LOW, Level.LOW, Level.MEDIUM),
        Level.MEDIUM: (Level.LOW, Level.MEDIUM, Level.MEDIUM, Level.HIGH),
        Level.HIGH: (Level.LOW, Level.MEDIUM, Level.HIGH, Level.CRITICAL),
        Level.CRITICAL: (Level.MEDIUM, Level.HIGH, Level.CRITICAL, Level.CRITICAL),
    }
)
"""Level of a risk by impact (rows) and band of probability (columns, lowest first)."""


def level_of(probability: float, impact: Level) -> Level:
    """The ordinal level of a risk; never lower for a higher probability or impact."""
    return MATRIX[impact][sum(probability >= bound for bound in PROBABILITY_BANDS)]
