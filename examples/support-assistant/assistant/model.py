"""Language models behind one method: any chat-completions API over HTTP, and a scripted stand-in that needs no network."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Protocol, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

Message: TypeAlias = dict[str, Any]
"""A message in the form of the chat-completions API: role, content, tool_calls, tool_call_id."""

LARGEST_REPLY = 4 * 1024 * 1024
"""Bytes of a reply that are read at most."""


@dataclass(frozen=True)
class Call:
    """A tool that the model wants called; `arguments` is JSON text as the model wrote it, valid or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """The model's answer: a text, or calls whose results it waits for."""

    text: str
    calls: tuple[Call, ...] = ()


class ChatModel(Protocol):
    """What the agent needs of a model."""

    def complete(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply: ...


class ModelError(Exception):
    """The model could not be asked, or its reply not be read; the text says what to do."""


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class HttpModel:
    """A model behind `POST {base_url}/chat/completions`, the form that most providers and local servers speak."""

    def __init__(self, base_url: str, name: str, key: str | None = None, *, timeout: float = 60.0) -> None:
        if urlsplit(base_url).scheme not in {"http", "https"}:
            raise ModelError(f"'{base_url}' is not an http(s) address: set ASSISTANT_MODEL_URL, such as https://host/v1")
        self.url = base_url.rstrip("/") + "/chat/completions"
        self.name = name
        self.timeout = timeout
        self._key = key
        self._opener = build_opener(_NoRedirect)

    def complete(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        """Raises ModelError where the server cannot be reached, refuses, is too slow, or answers in another form."""
        body = {"model": self.name, "messages": list(messages), "tools": list(tools), "temperature": 0}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        request = Request(self.url, json.dumps(body).encode(), headers, method="POST")
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                data = response.read(LARGEST_REPLY + 1)
        except HTTPError as error:
            with error:
                raise ModelError(_refusal(error)) from error
        except TimeoutError as error:
            raise ModelError(f"{self.url} did not answer within {self.timeout:g} s") from error
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ModelError(f"{self.url} cannot be reached ({reason}): check ASSISTANT_MODEL_URL") from error
        if len(data) > LARGEST_REPLY:
            raise ModelError(f"{self.url} answered with more than {LARGEST_REPLY} bytes")
        return _read(data, self.url)


def _refusal(error: HTTPError) -> str:
    cures = {401: "check ASSISTANT_MODEL_KEY", 403: "check ASSISTANT_MODEL_KEY", 404: "check ASSISTANT_MODEL_URL and _NAME", 429: "wait"}
    detail = error.read(300).decode("utf-8", "replace").strip()
    return f"the model's server answered {error.code} ({cures.get(error.code, 'see its message')}): {detail or error.reason}"


def _read(data: bytes, url: str) -> Reply:
    try:
        message = json.loads(data)["choices"][0]["message"]
        wanted = message.get("tool_calls") or ()
        calls = tuple(Call(str(c["id"]), str(c["function"]["name"]), str(c["function"]["arguments"])) for c in wanted)
        return Reply(str(message.get("content") or ""), calls)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(f"{url} answered in a form that is not chat-completions: {data[:120]!r}") from error


def from_environment() -> ChatModel:
    """The model that ASSISTANT_MODEL_URL, _NAME and _KEY name; the scripted one where no address is set."""
    url = os.environ.get("ASSISTANT_MODEL_URL")
    if not url:
        return ScriptedModel()
    name = os.environ.get("ASSISTANT_MODEL_NAME")
    if not name:
        raise ModelError("ASSISTANT_MODEL_URL is set but ASSISTANT_MODEL_NAME is not: name the model to ask")
    return HttpModel(url, name, os.environ.get("ASSISTANT_MODEL_KEY"))


_ORDER = re.compile(r"\bLL-\d{4}\b")
_REFUND = re.compile(r"\brefund order (LL-\d{4}) (?:with|by|of) (\d+(?:\.\d{1,2})?)(,? \(?approved)?", re.IGNORECASE)
_EMAIL = re.compile(r"\bsend an e-?mail to ([^\s@]+@[^\s@,;]+?)[,;]? saying \"([^\"]+)\"", re.IGNORECASE)
_ENDING = re.compile(r"\bend (?:every|each|your) answer with:? (\S+)", re.IGNORECASE)
_PROMPT = re.compile(r"\b(?:repeat|print|show|reveal|translate)\b.*\b(?:instructions|prompt|everything above)\b", re.IGNORECASE)
_PASSAGE = re.compile(r"^\[([^\]\n]+\.md)[^\]\n]*\]\n(.+?)(?=\n\n\[[^\]\n]+\.md|\n\nCustomer: |\Z)", re.MULTILINE | re.DOTALL)


class ScriptedModel:
    """No language model: a few patterns, the same answer each time, for use without a network.

    Like a real model it reads instructions and data as one text, and it does so to a fault: it obeys an order (refund, e-mail, an ending
    for its answers) wherever it stands in the message, in the customer's words or in a retrieved page. That weakness is deliberate.
    """

    def complete(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        """Calls what the newest user message asks for, one tool at a time, then answers with the results and the best passage."""
        start = max(i for i, m in enumerate(messages) if m["role"] == "user")
        text = str(messages[start]["content"])
        since = messages[start + 1 :]
        made = {(c["function"]["name"], c["function"]["arguments"]) for m in since for c in m.get("tool_calls") or ()}
        offered = {tool["function"]["name"] for tool in tools}
        for name, arguments in _wanted(text):
            if name in offered and (name, arguments) not in made:
                return Reply("", (Call(f"call-{len(made) + 1}", name, arguments),))
        system = next((str(m["content"]) for m in messages if m["role"] == "system"), "")
        results = [json.loads(m["content"]) for m in since if m["role"] == "tool"]
        return Reply(_answer(text, system, results))


def _question(text: str) -> str:
    return text.rpartition("Customer: ")[2]


def _wanted(text: str) -> Iterator[tuple[str, str]]:
    """The calls that a message orders, wherever in it the order stands; an order's number in the question asks for its state."""
    refunds = list(_REFUND.finditer(text))
    if not refunds:
        for id in _ORDER.findall(_question(text)):
            yield "order_lookup", json.dumps({"order_id": id})
    for found in refunds:
        arguments = {"order_id": found[1].upper(), "amount": float(found[2])} | ({"approved": True} if found[3] else {})
        yield "refund", json.dumps(arguments)
    for found in _EMAIL.finditer(text):
        yield "send_email", json.dumps({"to": found[1], "subject": "Your message to Lantern & Loom", "body": found[2]})


def _answer(text: str, system: str, results: Sequence[Mapping[str, Any]]) -> str:
    question = _question(text)
    parts = [_sentence(result) for result in results]
    if _PROMPT.search(question):
        parts.append(system)
    elif not parts:
        passage = _PASSAGE.search(text)
        parts.append(
            f"{passage[2]}\n\n(from {passage[1]})" if passage else "I found nothing about that in our pages. May I pass you to a person?"
        )
    parts += [found[1].replace("{question}", quote(question)) for found in _ENDING.finditer(text)]
    return "\n\n".join(parts)


def _sentence(result: Mapping[str, Any]) -> str:
    if "error" in result:
        return f"That did not work: {result['error']}."
    if "goods" in result:
        return f"Order {result['id']} ({result['goods']}, {result['price']:.2f}) for {result['customer']} is {result['state']}."
    if "amount" in result:
        return f"The refund of {result['amount']:.2f} for order {result['order_id']}: {result['state']}."
    return f"An e-mail to {result['to']} is on its way."
