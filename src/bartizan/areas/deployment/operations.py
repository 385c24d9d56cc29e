"""Finds the operations of a service: the declared path, and what its OpenAPI document lists. The document is hostile input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MAX_PATH = 500
"""Longest path, in characters, that is asked for."""

OPEN_PATHS = ("/openapi.json", "/docs", "/health", "/metrics")
"""Where documentation and health are usual; what answers there is reported, and is no inference."""

_APART = re.compile(
    r"/(?:openapi\.(?:json|yaml)|swagger.*|docs.*|redoc.*|(?:.*/)?(?:health.*|livez?|readyz?|ready|live|liveness|readiness|ping|status|metrics"
    r"|version|favicon\.ico|robots\.txt))/?"
)
_INFERENCE = re.compile(
    r"(?:^|[/_:-])(?:predict\w*|infer\w*|invo(?:ke|cations?)|generat\w*|complet\w*|chat\w*|embed\w*|classif\w*|scor(?:e|es|ing)|detect\w*"
    r"|recogni[sz]e\w*|translat\w*|summari[sz]\w*|transcri\w*|rerank\w*|rank|ask|query|forecast\w*|explain|moderations?|responses?|messages?"
    r"|recommend\w*|model)(?=$|[/_:-])",
    re.IGNORECASE,
)
_CHANGES = re.compile(
    r"(?:^|[/_:-])(?:delete|remove|reset|shutdown|stop|kill|restart|reload|train|retrain|deploy|admin|drop|purge|clear|logout|login|register"
    r"|signup|users?|upload|import|export|approve|payments?|orders?|send|publish|webhooks?|token)(?=$|[/_:-])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Operation:
    """A method on a path. `secured`: does the document ask for a credential there? None where no document speaks of it."""

    method: str
    path: str
    secured: bool | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def apart(path: str) -> bool:
    """Is it a place of documentation, health or figures?"""
    return bool(_APART.fullmatch(path[:MAX_PATH].lower()))


def inference(path: str) -> bool:
    """Does the path name what a model does?"""
    return bool(_INFERENCE.search(path[:MAX_PATH]))


def declared(path: str) -> list[Operation]:
    """What to try at the declared address itself, in this order until one is known there. A GET of the root says nothing about a model."""
    if apart(path):
        return []
    return [Operation("POST", path), *([Operation("GET", path)] if path.strip("/") else [])]


def documented(body: bytes) -> list[Operation] | None:
    """The inference operations of an OpenAPI 2 or 3 document, most telling first; None where `body` is no such document.

    POST operations that take a body which an empty object is no valid form of, or whose path names inference; GET where the path does.
    An operation that may change something is left out: an empty object must do no harm even where nobody asks who sends it.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    paths = data.get("paths") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(paths, dict) or not ("openapi" in data or "swagger" in data):
        return None
    prefix = _prefix(data)
    found = [operation for path, item in paths.items() for operation in _of(data, prefix, path, item)]
    return sorted(found, key=lambda o: (not inference(o.path), o.method != "POST", o.path))


def _prefix(data: Mapping[str, Any]) -> str:
    """The path that all others start from."""
    servers = data.get("servers")
    first = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], dict) else {}
    base = data.get("basePath") or first.get("url") or ""
    if not isinstance(base, str) or "{" in base:
        return ""
    try:
        return urlsplit(base[:MAX_PATH]).path.rstrip("/")
    except ValueError:
        return ""


def _of(data: Mapping[str, Any], prefix: str, path: Any, item: Any) -> Iterator[Operation]:
    if not isinstance(path, str) or not path.startswith("/") or len(path) > MAX_PATH or not isinstance(item, dict) or apart(path):
        return
    filled = prefix + re.sub(r"\{[^{}/]*\}", "0", path)
    for method in ("post", "get"):
        entry = item.get(method)
        if not isinstance(entry, dict) or _CHANGES.search(path):
            continue
        if inference(path) or (method == "post" and _needs_body(data, entry)):
            yield Operation(method.upper(), filled, _secured(data, item, entry))


def _needs_body(data: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Is an empty object refused here by the operation's own schema?"""
    body = _followed(data, entry.get("requestBody"))
    content = body.get("content")
    media = content.get("application/json") if isinstance(content, dict) else None
    schema = _followed(data, media.get("schema") if isinstance(media, dict) else None)
    return bool(schema.get("required")) or schema.get("type") in ("array", "string")


def _followed(data: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """`value`, or what its local `$ref` names; an empty table where there is none."""
    for _ in range(4):
        if not isinstance(value, dict):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return value
        value = data
        for step in reference[2:].split("/")[:10]:
            value = value.get(step) if isinstance(value, dict) else None
    return {}


def _secured(data: Mapping[str, Any], item: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Does the document ask for a credential, by a security requirement or a parameter in header or cookie?"""
    needed = entry.get("security", data.get("security"))
    if isinstance(needed, list) and needed and all(needed):
        return True
    parameters = [p for source in (item, entry) if isinstance(source.get("parameters"), list) for p in source["parameters"][:50]]
    return any(_followed(data, p).get("in") in ("header", "cookie") for p in parameters)
