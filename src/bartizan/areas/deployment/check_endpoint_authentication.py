"""The check that a running service answers nobody without a credential."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.areas.deployment.addresses import has_url
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, one_line
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.deployment.probing import Probed, Tried

CAP = 0.05
"""Chance that a campaign succeeds, at most, while the check passes: a stolen or guessed credential is not tried."""

SECONDS, REQUESTS = 15.0, 40
"""Limits of one probe."""


_REFUSE = (
    "Refuse with 401 whoever brings no valid credential, before the body is read, at the gateway or in one dependency of all operations; "
    "then run again."
)


@check(
    "deployment.endpoint_authentication",
    threats=["unauthenticated-inference"],
    controls=["authentication"],
    kinds={Kind.ENDPOINT, Kind.SERVICE, Kind.LLM_APP, Kind.AGENT},
    phases={Phase.DEPLOYMENT, Phase.OPERATION},
    cost=Cost.LIVE,
    applies=has_url,
    valid_days=1,
)
def endpoint_authentication(job: Job, target: Asset) -> Iterator[Finding]:
    """A live probe whether a service serves callers without a credential, or with any credential.

    Asks the server of the declared url, and no other, at most 40 times within 15 seconds; elsewhere only with `--probe HOST`. It asks
    the declared path and the operations for inference that its OpenAPI document lists, by GET or by POST with an empty JSON object, as a
    stranger and with a made-up credential.
    Fails where an operation serves the request or judges its input instead of refusing the caller; passes where all refuse.
    """
    from bartizan.adapters.consent import require
    from bartizan.areas.deployment.http_client import Client, NoAnswer, split
    from bartizan.areas.deployment.probing import probe

    if target.url is None:
        raise InputError(f"'{target.id}' has no url", place=target.at, cure="declare where it answers: url: http://127.0.0.1:8080/predict")
    origin, path = split(target.url.strip(), target.at)
    require(origin.host, origin, target.at)
    try:
        seen = probe(Client(origin, seconds=SECONDS, requests=REQUESTS), path, job.seed)
    except NoAnswer as error:
        seen, silent = None, error.what
    for threat in job.threats:
        if seen is None:
            yield _unknown(job, target, threat, f"{origin} did not answer: {silent}", "The probe needs the running service.", {})
        else:
            yield _finding(job, target, threat, seen)


def _finding(job: Job, target: Asset, threat: str, seen: Probed) -> Finding:
    from bartizan.areas.deployment.probing import Proof

    guarded = seen.having(Proof.GUARDED)
    reached = seen.having(Proof.OPEN, Proof.ANY_KEY, Proof.VALIDATES, Proof.VALIDATES_FIRST)
    if not reached and (len(guarded) < len(seen.tried) or not guarded or seen.cut):
        return _unknown(job, target, threat, f"Nothing was proved about callers of {target.id}", _unproved(seen, guarded), _details(seen))
    n = len(seen.tried)
    left = max(0, seen.known - n)
    if reached:
        verdict, title = Verdict.FAIL, f"{len(reached)} of {n} operations of {target.id} were reached without a valid credential"
        why, remedy = _reasons(seen), _REFUSE
    elif left:
        verdict, title = Verdict.INCONCLUSIVE, f"{n} of {seen.known} operations of {target.id} refuse strangers, {left} were not tried"
        why = f"One run tries {n} operations; those tried answered 401 or 403 to a stranger and to a made-up credential."
        remedy = "Declare endpoints of fewer operations, each with the url of its part of the service."
    else:
        verdict, title = Verdict.PASS, f"All {n} operations of {target.id} refuse strangers"
        why = f"A stranger and a made-up credential were refused by {_listed(guarded)}; how credentials are kept was not looked at."
        remedy = ""
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=verdict,
        severity=_severity(seen) if reached else Severity.INFO,
        title=title,
        why=why + _beside(seen),
        remedy=remedy,
        needed=left if verdict is Verdict.INCONCLUSIVE else None,
        measures=(_measure(job, len(reached), n),),
        places=(target.at,) if target.at else (),
        details=_details(seen) | ({"probability_cap": CAP} if verdict is Verdict.PASS else {}),
    )


def _severity(seen: Probed) -> Severity:
    """High where a request was served, a made-up credential accepted, or input judged where the document asks for no credential."""
    from bartizan.areas.deployment.probing import Proof

    unguarded = [one for one in seen.having(Proof.VALIDATES) if one.operation.secured is False]
    return Severity.HIGH if unguarded or seen.having(Proof.OPEN, Proof.ANY_KEY) else Severity.MEDIUM


def _unknown(job: Job, target: Asset, threat: str, title: str, why: str, details: dict[str, Any]) -> Finding:
    url = one_line(target.url or "", 200)
    return Finding(
        check=job.check,
        asset=target.id,
        threat=threat,
        verdict=Verdict.UNKNOWN,
        title=one_line(title, 200),
        why=why,
        remedy=f"Start the service at {url} and run again."
        if not details
        else "Declare the url of the operation that reaches the model, or serve its OpenAPI document at /openapi.json, and run again.",
        places=(target.at,) if target.at else (),
        details=details,
    )


def _measure(job: Job, k: int, n: int) -> Measure:
    low, high = clopper_pearson(k, n, job.confidence)
    return Measure(
        name="operations reached without a valid credential",
        value=k / n,
        low=low,
        high=high,
        confidence=job.confidence,
        n=n,
        k=k,
        limit=0.0,
        unit="share of operations",
        method="live requests, one as a stranger and one with a made-up credential each",
    )


def _details(seen: Probed) -> dict[str, Any]:
    return {
        "operations": [
            {"operation": one_line(str(t.operation), 200), "proof": str(t.proof), "anonymous": t.anonymous, "bogus": t.bogus}
            for t in seen.tried
        ],
        "known": seen.known,
        "documented": seen.documented,
        "exposed": [path for path, _ in seen.exposed],
    }


def _listed(tried: list[Tried]) -> str:
    shown = ", ".join(f"{one_line(str(t.operation), 100)} ({t.anonymous})" for t in tried[:6])
    return shown + (f" and {len(tried) - 6} more" if len(tried) > 6 else "")


def _reasons(seen: Probed) -> str:
    from bartizan.areas.deployment.probing import Proof

    served, any_key = seen.having(Proof.OPEN), seen.having(Proof.ANY_KEY)
    validating = seen.having(Proof.VALIDATES, Proof.VALIDATES_FIRST)
    parts = [f"Without any credential the service served {_listed(served)}."] if served else []
    if any_key:
        parts.append(f"A made-up credential was accepted by {_listed(any_key)}, which refuse a stranger.")
    if validating:
        parts.append(
            f"Without any credential the input was judged by {_listed(validating)}: whoever calls reaches the code behind the interface; "
            "whether a complete request is served was not tried."
        )
    return " ".join(parts)


def _unproved(seen: Probed, guarded: list[Tried]) -> str:
    silent = [t for t in seen.tried if t not in guarded]
    parts = [f"{len(guarded)} of {len(seen.tried)} operations tried refuse strangers."] if guarded else []
    if silent:
        parts.append(f"These answers prove neither that a stranger is served nor that he is refused: {_listed(silent)}.")
    if not seen.tried:
        parts.append("No operation for inference was found: the declared url has no path of its own and no OpenAPI document was read.")
    if seen.problem:
        parts.append(f"The probe had to stop or skip: {seen.problem}.")
    return " ".join(parts) + _beside(seen)


def _beside(seen: Probed) -> str:
    return f" Open to strangers besides: {', '.join(path for path, _ in seen.exposed)}." if seen.exposed else ""
