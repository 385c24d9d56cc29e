"""The check that a running endpoint does not let its callers search their way to another decision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.areas.evasion.tasks import NO_ROWS, PICTURES
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, Measure, Verdict, about_of
from bartizan.model.statistics import clopper_pearson, judge
from bartizan.model.system import Actor, Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.evasion.endpoint_attack import Attacked

ENFORCED = "enforced_queries_per_day"
"""What a passing finding says where the endpoint was seen to refuse the question after its declared daily quota."""

MOST_ROWS, FEWEST_ROWS = 60, 5


def _can_be_asked(node: Asset, _: Any) -> bool:
    return node.url is not None and node.inference is not None


@check(
    "evasion.endpoint_black_box",
    threats=["black-box-evasion"],
    kinds={Kind.ENDPOINT, Kind.SERVICE},
    phases={Phase.DEPLOYMENT, Phase.OPERATION},
    extra="sklearn",
    cost=Cost.LIVE,
    reads=["served", "training_sets", "test_sets", "callers"],
    applies=_can_be_asked,
    valid_days=7,
)
def endpoint_black_box(
    job: Job, target: Asset, *, queries: int = 200, eps: float = 0.1, k: int = 2, seconds: float = 300.0, tolerance: float = 0.1
) -> Iterator[Finding]:
    """A live attack through the endpoint, with the questions that a caller has and at the rate that is allowed.

    The endpoint is asked as its `inference` says; elsewhere than on this machine only with `--probe HOST`. Images are attacked within a
    radius (Square with scores, HopSkipJump with labels), tables by plausible values in a few features; all keep the model's `constraints`.
    One row costs no more questions than the declared budget of the actors that call, all rows no more than the declared quota and
    `seconds` at its rate. The control is random changes of the same size. Where what is left of a declared daily quota is soon used up, one
    question more shows whether it binds. Fails where the share of decisions flipped is beyond `tolerance`.

    queries: the most questions for one row, where no actor declares a smaller budget
    eps: the radius for images, in ranges of all pixels
    k: the most features that may be changed in one row of a table
    seconds: how long the attack may take
    tolerance: the share of correct decisions that may flip
    """
    from bartizan.adapters.consent import require
    from bartizan.areas.evasion.endpoint_attack import Plan, attacked

    if target.url is None or target.inference is None:
        raise InputError(f"'{target.id}' has no url or no inference", place=target.at, cure="declare where and how it is asked")
    if k < 1 or not eps > 0 or not seconds > 0:
        raise InputError("k, eps and seconds must be above 0", place=target.at)
    require(_host(target), target.url, target.at)
    models = {node.id: node for node in job.related if isinstance(node, Asset) and node.kind is Kind.MODEL}
    about = about_of(job)
    rate, total = _allowed(job, target, seconds / max(1, len(about)))
    each = _for_one_row(job, queries)
    rows = min(MOST_ROWS, total // (each + 3))
    if rows < FEWEST_ROWS:
        what = f"{total} questions in {seconds:g} s at the declared rate do for {rows} rows of {each} questions"
        raise InputError(what, place=target.at, cure="raise seconds or the quota for the test, or lower queries")
    for threat, asset in about:
        model = models.get(asset)
        if model is None or model.task in NO_ROWS:
            raise InputError(f"'{asset}' is no model of tables or images that it serves", place=target.at, cure="declare serves:")
        plan = Plan(rows=rows, queries=each, per_second=rate, eps=eps, k=k, images=model.task in PICTURES)
        yield _finding(job, (threat, asset), target, attacked(job, target, model, plan), (each, tolerance))


def _host(target: Asset) -> str:
    from urllib.parse import urlsplit

    return urlsplit(target.url or "").hostname or ""


def _allowed(job: Job, target: Asset, seconds: float) -> tuple[float, int]:
    """Requests a second, and the questions that time, quota and the budget of the run leave."""
    quota = target.quota
    rate = 10.0
    if quota is not None and quota.requests_per_minute is not None:
        rate = quota.requests_per_minute / 60
    if not rate > 0:
        raise InputError(f"'{target.id}' allows no request", place=target.at, cure="declare the quota that holds for the test")
    several = 1 if target.inference is None or target.inference.single else 64
    limits = [int(rate * seconds) * several]
    if quota is not None and quota.requests_per_day is not None:
        limits.append(quota.requests_per_day * several)
    if job.budget.queries is not None:
        limits.append(job.budget.queries)
    return rate, min(limits)


def _for_one_row(job: Job, queries: int) -> int:
    """The questions that the best equipped caller has for one row in a day."""
    declared = [actor.budget.queries_per_day for actor in job.related if isinstance(actor, Actor) and actor.budget is not None]
    known = [budget for budget in declared if budget is not None]
    return max(2, min(queries, max(known))) if known and len(known) == len(declared) else max(2, queries)


def _finding(job: Job, about: tuple[str, str], target: Asset, found: Attacked, limits: tuple[int, float]) -> Finding:
    from bartizan.areas.evasion.telling import bound, severity, with_discarded

    queries, tolerance = limits
    flipped, n = found.flipped, found.rows
    ruling = judge(flipped, n, tolerance, job.confidence)
    low, high = clopper_pearson(flipped, n, job.confidence)
    measure = Measure(
        name="correct decisions flipped through the endpoint", value=flipped / n, low=low, high=high, confidence=job.confidence, n=n,
        k=flipped, limit=tolerance, null=found.null, role="attack-success", method=f"Clopper-Pearson; {found.method}",
    )  # fmt: skip
    details: dict[str, Any] = {"asked": found.asked, "requests": found.requests, "examples": list(found.examples)}
    if found.enforced is not None:
        details[ENFORCED] = found.enforced
    bind = "" if found.enforced is None else f" After {found.enforced} requests of the day the endpoint refused the next."
    told = Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=ruling.verdict,
        severity=severity(ruling.verdict, ruling),
        title=f"{flipped} of {n} decisions of '{target.id}' flip within {queries} questions each",
        why=f"{bound(ruling, tolerance, how=' under this attack')} Method: {found.method}. {found.asked} rows were asked in "
        f"{found.requests} requests. Random changes of the same size flip {found.null:.1%}.{bind}",
        remedy="" if ruling.verdict is Verdict.PASS else _remedy(ruling.verdict),
        measures=(measure,),
        attacker=Attacker(knowledge=Knowledge.BLACK_BOX, queries=queries, budget=found.budget),
        needed=ruling.needed,
        places=(target.at,) if target.at else (),
        details=details,
    )
    return with_discarded(told, found.discarded, found.constrained)


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "Raise seconds, or the quota for the time of the test, so that more rows can be attacked, and run again."
    return (
        "Limit the questions of each caller a day and enforce it, look for series of nearly equal questions, show the decision without "
        "the score where the purpose allows, and verify what callers state; then attack again."
    )
