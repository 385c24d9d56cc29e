"""What a check is handed to work on: the declared node, or a live object that an adapter makes of it.

An adapter is an entry point of the group `bartizan.adapters`. Its name is a target protocol (`Predicts`); it loads a
function `adapter(job, needs) -> object | None` that answers None where the node is not for it. An adapter that supplies several
protocols is registered under each of their names. The first one, by name of its module, that answers is taken.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from bartizan.model.checks import Check
from bartizan.model.errors import BartizanError
from bartizan.model.findings import Job
from bartizan.model.system import kind_of

GROUP = "bartizan.adapters"


class NoTarget(BartizanError):
    """No installed adapter makes what the check needs of this node."""


def target_of(job: Job, check: Check) -> Any:
    """The target for `check`: the node of the job where it needs no protocol. Raises `NoTarget`, and whatever an adapter raises."""
    if not check.needs:
        return job.subject
    points = [{point.value: point for point in entry_points(group=GROUP, name=name)} for name in check.needs]
    shared = set.intersection(*(set(found) for found in points))
    for value in sorted(shared):
        target = points[0][value].load()(job, check.needs)
        if target is not None:
            return target
    wanted = " and ".join(check.needs)
    raise NoTarget(f"no adapter supplies {wanted} for the {kind_of(job.subject)} '{job.subject.id}'")
