"""When things were collected and received, and the rule that finds back-dated collection.

`received` is the store's clock at the moment of the append and never decreases along the chain or across checkpoints. `started` and
`finished` come from whoever ran the check. A result must be recorded soon after it was collected, therefore:

1. started <= finished <= received + SKEW;
2. finished >= received - MAX_LATENCY;
3. finished >= floor - SKEW, where the floor is the time of the newest checkpoint or key rotation before the entry: what was collected
   before that moment had to be in the chain by then. A checkpoint kept elsewhere is such a floor as well, which binds even the owner of
   the key.

A result that arrives late for an honest reason (collected on a machine without a network) is recorded with that reason inside the signed
statement; verification then warns instead of failing. Jobs may *start* at any time before they finish: they run in parallel and for hours.
"""

from __future__ import annotations

import datetime as dt

from bartizan.model.errors import EvidenceError

SKEW = dt.timedelta(minutes=5)
"""By how much two honest clocks may differ, and how long a finished result may wait for the store."""

MAX_LATENCY = dt.timedelta(hours=24)
"""Longest time between the end of a check and its arrival in the store."""


def now() -> dt.datetime:
    """The present moment, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


def stamp(moment: dt.datetime) -> str:
    """`moment` as RFC 3339 in UTC with microseconds: a fixed length, so that texts order as times do."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def moment(text: str) -> dt.datetime:
    """The moment that RFC 3339 `text` names. Raises `EvidenceError` where it is none or lacks its offset."""
    try:
        parsed = dt.datetime.fromisoformat(text)
        if parsed.tzinfo is None:
            raise ValueError("no offset from UTC")
        return parsed.astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise EvidenceError(f"'{text}' is not a time of RFC 3339: {error}") from error


def dating_problem(started: str, finished: str, received: str, floor: dt.datetime | None, late: str) -> tuple[str, bool] | None:
    """What is wrong with the times of a check result, and whether a stated reason for lateness excuses it; None where all is well.

    `floor` is the time of the newest checkpoint or rotation before it, `late` the stated reason or empty.
    """
    begun, ended, taken = moment(started), moment(finished), moment(received)
    if begun > ended:
        return f"it says it started {started}, after it finished {finished}", False
    if ended > taken + SKEW:
        return f"it says it was collected {finished}, after it was received {received}", False
    if ended < taken - MAX_LATENCY:
        return f"back-dated: collected {finished} but received {received}, more than {_hours(MAX_LATENCY)} later", bool(late)
    if floor is not None and ended < floor - SKEW:
        return f"back-dated: collected {finished}, before the checkpoint or rotation of {stamp(floor)} that it came after", bool(late)
    return None


def _hours(span: dt.timedelta) -> str:
    return f"{span.total_seconds() / 3600:g} h"
