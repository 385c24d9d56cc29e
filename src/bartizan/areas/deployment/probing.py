"""Asks a service as a stranger, and again with a credential made up for the purpose, and says what the answers prove.

Only GET, and POST with an empty JSON object. A status proves something only where it differs from the answer for a path that does not
exist: servers that answer everything alike prove nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bartizan.areas.deployment.http_client import Answer, Client, NoAnswer, Spent
from bartizan.areas.deployment.operations import OPEN_PATHS, Operation, declared, documented

MAX_OPERATIONS = 14
"""Most operations that are tried, so that all requests together stay within 40."""

BOGUS = {"Authorization": "Bearer not-a-credential", "X-API-Key": "not-a-credential"}
"""Credentials that no service has given out."""

_REFUSED = frozenset({401, 403, 407})
_NOT_THERE = frozenset({None, 404, 405, 501})
_VALIDATED = frozenset({400, 415, 422})
_ABOUT_CREDENTIALS = re.compile(
    rb"(?i)auth|token|api[-_ ]?key|credential|jwt|segments|signature|login|permission|forbidden|header|bearer|secret"
)


class Proof(StrEnum):
    """What the answers of one operation prove.

    `open`: it answered a stranger. `validates`: it judged a stranger's input and nothing says that it asks for a credential.
    `validates-first`: it did so although its document asks for one, so that whether the model is reached was not seen.
    `any-key`: it refused a stranger, and accepted a made-up credential. `guarded`: it refused both. `nothing`: no proof.
    """

    OPEN = "open"
    VALIDATES = "validates"
    VALIDATES_FIRST = "validates-first"
    ANY_KEY = "any-key"
    GUARDED = "guarded"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Tried:
    """One operation, the statuses of its answers (None: no answer) and what they prove."""

    operation: Operation
    proof: Proof
    anonymous: int | None = None
    bogus: int | None = None


@dataclass
class Probed:
    """All that was seen: the operations tried, how many were found, what else is open, whether a document was read."""

    tried: list[Tried] = field(default_factory=list)
    known: int = 0
    exposed: list[tuple[str, int]] = field(default_factory=list)
    documented: bool = False
    cut: bool = False
    problem: str = ""

    def having(self, *proofs: Proof) -> list[Tried]:
        return [one for one in self.tried if one.proof in proofs]


def probe(client: Client, path: str, seed: int) -> Probed:
    """Probe the service that `client` asks, declared at `path`. Raises `NoAnswer` where nothing answers at all."""
    seen = Probed()
    try:
        listed = _documented(client, path, _exposed(client, seen))
        seen.documented = listed is not None
        known = listed and (path in ("", "/") or path in {operation.path for operation in listed})
        guesses = [] if known else declared(path)
        seen.known = len(listed or ())
        control = _controls(client, seed, {operation.method for operation in (*guesses, *(listed or ()))})
        _try_declared(client, guesses, control, seen)
        for operation in (listed or ())[: MAX_OPERATIONS - len(seen.tried)]:
            seen.tried.append(_try(client, operation, control, seen))
    except Spent as error:
        seen.cut, seen.problem = True, error.what
    return seen


def _try_declared(client: Client, guesses: Sequence[Operation], control: dict[str, Answer | None], seen: Probed) -> None:
    """Try the declared address. It counts as an operation where the server knows it there, or where no document lists others."""
    last = None
    for operation in guesses:
        last = _try(client, operation, control, seen)
        if last.anonymous not in _NOT_THERE:
            break
    if last is not None and (last.anonymous not in _NOT_THERE or not seen.known):
        seen.tried.append(last)
        seen.known += 1


def _exposed(client: Client, seen: Probed) -> bytes | None:
    """Ask for documentation, health and figures as a stranger. Returns the OpenAPI document where there is one."""
    document = None
    for index, path in enumerate(OPEN_PATHS):
        try:
            answer = client.ask("GET", path)
        except NoAnswer:
            if not index:
                raise
            continue
        if answer.status == 200:
            seen.exposed.append((path, answer.status))
            if path == "/openapi.json" and answer.whole:
                document = answer.body
    return document


def _documented(client: Client, path: str, document: bytes | None) -> list[Operation] | None:
    """The operations of the OpenAPI document below the declared path, or of `document`, that at the root; None where there is neither."""
    above = documented(document) if document is not None else None
    if not path.strip("/"):
        return above
    try:
        answer = client.ask("GET", path.rstrip("/") + "/openapi.json")
    except NoAnswer:
        return above
    below = documented(answer.body) if answer.status == 200 and answer.whole else None
    return below or above


def _controls(client: Client, seed: int, methods: set[str]) -> dict[str, Answer | None]:
    """The answers for a path that does not exist, by method."""
    nowhere = "/" + hashlib.sha256(f"bartizan {seed}".encode()).hexdigest()[:24]
    found: dict[str, Answer | None] = {}
    for method in sorted(methods):
        try:
            found[method] = client.ask(method, nowhere, body=_body(method))
        except NoAnswer:
            found[method] = None
    return found


def _body(method: str) -> bytes | None:
    return b"{}" if method == "POST" else None


def _try(client: Client, operation: Operation, control: dict[str, Answer | None], seen: Probed) -> Tried:
    try:
        anonymous = client.ask(operation.method, operation.path, body=_body(operation.method))
    except NoAnswer as error:
        seen.problem = error.what
        return Tried(operation, Proof.NOTHING)
    if anonymous.status not in _REFUSED | _VALIDATED and not _succeeded(anonymous):
        return Tried(operation, Proof.NOTHING, anonymous.status)
    if not _telling(anonymous, control.get(operation.method)):
        return Tried(operation, Proof.NOTHING, anonymous.status)
    if _succeeded(anonymous):
        return Tried(operation, Proof.OPEN, anonymous.status)
    try:
        bogus = client.ask(operation.method, operation.path, headers=dict(BOGUS), body=_body(operation.method))
    except NoAnswer as error:
        seen.problem = error.what
        return Tried(operation, Proof.NOTHING, anonymous.status)
    return Tried(operation, _judged(operation, anonymous, bogus), anonymous.status, bogus.status)


def _succeeded(answer: Answer) -> bool:
    """Was the request served? A page for people is no answer of a model, nor is an error about credentials that calls itself a success."""
    if not 200 <= answer.status < 300 or answer.media_type in ("text/html", "application/xhtml+xml"):
        return False
    return not (b'"error' in answer.body[:2000] and _ABOUT_CREDENTIALS.search(answer.body[:2000]))


def _telling(answer: Answer, control: Answer | None) -> bool:
    """Does the answer say something about this operation? A refusal always does: a guard in front of everything guards this too."""
    return answer.status in _REFUSED or control is None or (answer.status, answer.body) != (control.status, control.body)


def _judged(operation: Operation, anonymous: Answer, bogus: Answer) -> Proof:
    """From the answers to a stranger (refused or validated) and to a made-up credential."""
    if anonymous.status in _REFUSED:
        if _succeeded(bogus) or (bogus.status in _VALIDATED and _about_input(bogus)):
            return Proof.ANY_KEY
        return Proof.GUARDED if bogus.status in _REFUSED else Proof.NOTHING
    if bogus.status in _REFUSED:
        return Proof.GUARDED  # the first answer asked for the credential itself, as frameworks do for a missing header
    if not _about_input(anonymous):
        return Proof.NOTHING
    return Proof.VALIDATES_FIRST if operation.secured else Proof.VALIDATES


def _about_input(answer: Answer) -> bool:
    """Does a validation answer speak of the body that was sent, and not of a credential?"""
    locations = _locations(answer.body)
    if locations:
        return all(one and one[0] in ("body", "query", "path") for one in locations)
    return bool(answer.body.strip()) and not _ABOUT_CREDENTIALS.search(answer.body)


def _locations(body: bytes) -> Sequence[Sequence[object]]:
    """Where a validation answer of the usual form (`{"detail": [{"loc": ["body", "age"], ...}]}`) finds its faults."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    detail = data.get("detail") if isinstance(data, dict) else None
    entries = [entry for entry in detail if isinstance(entry, dict)] if isinstance(detail, list) else []
    return [entry["loc"] for entry in entries if isinstance(entry.get("loc"), list)]
