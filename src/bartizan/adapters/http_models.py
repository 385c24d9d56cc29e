"""A classifier behind an HTTP endpoint as an attack target: rows go out as JSON, labels or probabilities come back, within stated limits.

The other side is not trusted: an answer is read up to a size, must be JSON of the declared shape, and is never followed to another address.
Hosts other than this machine are asked only with the consent of whoever runs this (`adapters.consent`). The declared rate is kept by
spacing requests; a refusal for haste (429) or trouble of the server (5xx, a broken connection) is retried a bounded number of times.
"""

from __future__ import annotations

import http.client
import json
import math
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.adapters.consent import may_ask
from bartizan.adapters.numpy_models import as_scores
from bartizan.model.errors import InputError, Refused

RETRIED = frozenset({429, 500, 502, 503, 504})


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to ask one endpoint; declared by the user.

    `rows_at` is the key of the request under which the rows stand ('' : the rows alone are the body), `columns` the names that make each
    row an object instead of a list, `constant` what is sent beside them; with `single` a request holds one row, not a list of them, and
    `answers_at` leads to its one answer. `answers_at` is the way to the answers in the response, keys and
    positions joined by dots ('' : the response itself); with `answer_at` the way inside each answer. `gives` says what an answer is:
    'labels', 'probabilities' or 'logits'; `labels` lists the class names in order, None: labels are numbers. `batch`: most rows of one
    request; `per_second`: most requests; `headers` are sent as they are (keys of access belong there, from the environment). Limits:
    `seconds` a request, `retries` after a failure, `most_bytes` of one response, `most_wait` seconds that a 429 may ask for.
    """

    url: str
    gives: str = "labels"
    classes: int = 2
    labels: tuple[str, ...] | None = None
    rows_at: str = "instances"
    columns: tuple[str, ...] = ()
    single: bool = False
    constant: dict[str, Any] = {}
    answers_at: str = "predictions"
    answer_at: str = ""
    batch: int = 64
    per_second: float = 10.0
    headers: dict[str, str] = {}
    seconds: float = 10.0
    retries: int = 3
    most_bytes: int = 4 * 1024 * 1024
    most_wait: float = 30.0


class HttpModel:
    """An endpoint as a target: `logits` of rows, each row counted in `forwards`, each request in `requests`.

    Raises `InputError` for a declaration that cannot be, `Refused` for a host that nobody consented to.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        shape: Sequence[int],
        *,
        dtype: Any = np.float64,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(endpoint.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"'{endpoint.url}' is no http address", cure="write http://host:port/path")
        if not may_ask(parts.hostname):
            raise Refused(f"'{parts.hostname}' is another machine", cure=f"if it is yours to attack, allow it: --probe {parts.hostname}")
        if endpoint.gives not in ("labels", "probabilities", "logits"):
            raise InputError(f"an endpoint gives labels, probabilities or logits, not '{endpoint.gives}'")
        if endpoint.batch < 1 or not endpoint.per_second > 0 or endpoint.retries < 0:
            raise InputError("batch and per_second are positive, retries not negative")
        self.endpoint, self.parts, self.shape, self.dtype = endpoint, parts, tuple(shape), np.dtype(dtype)
        self.classes = len(endpoint.labels) if endpoint.labels else endpoint.classes
        self.gives = endpoint.gives
        self.forwards = self.backwards = self.requests = 0
        self._clock, self._sleep, self._next = clock, sleep, -math.inf
        self._connection: http.client.HTTPConnection | None = None

    def rows(self, x: Any) -> npt.NDArray[Any]:
        """The caller's inputs (n, *shape) as flat rows."""
        return np.asarray(x).astype(self.dtype, copy=False).reshape(len(x), -1)

    def logits(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Scores (n, k) of rows (n, d); 0/1 rows where the endpoint gives labels. Raises `InputError` for an answer that does not fit."""
        rows: list[Any] = x.reshape(len(x), *self.shape).tolist()
        names = self.endpoint.columns
        return self.ask([dict(zip(names, row, strict=True)) for row in rows] if names else rows)

    def ask(self, rows: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Scores (n, k) of rows as JSON knows them, objects or lists. Raises `InputError` for an answer that does not fit."""
        parts = [np.zeros((0, self.classes))]
        batch = 1 if self.endpoint.single else self.endpoint.batch
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            self.forwards += len(part)
            parts.append(self._scores(self._post(self._body(part)), len(part)))
        return np.concatenate(parts)

    def refuses(self, row: Any) -> bool:
        """Whether one more question is refused for haste (429), asked once and without waiting longer than the declared rate."""
        self._pause(0.0)
        status, _, _ = self._once(self._body([row]))
        return status == 429

    def decide(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The endpoint's decisions (n,) as class numbers: one question each."""
        return np.asarray(self.logits(x).argmax(axis=1), dtype=np.int64)

    def close(self) -> None:
        """Ends the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _body(self, part: Sequence[Any]) -> bytes:
        rows: Any = part[0] if self.endpoint.single else list(part)
        whole: Any = {**self.endpoint.constant, self.endpoint.rows_at: rows} if self.endpoint.rows_at else rows
        if not self.endpoint.rows_at and isinstance(rows, dict):
            whole = {**self.endpoint.constant, **rows}
        return json.dumps(whole, allow_nan=False).encode()

    def _post(self, body: bytes) -> Any:
        """The decoded answer to `body`, asked again after a failure that may pass, each time after a longer wait."""
        wait, trouble = 0.0, ""
        for attempt in range(self.endpoint.retries + 1):
            self._pause(wait)
            wait = min(0.25 * 2**attempt, self.endpoint.most_wait)
            try:
                status, after, content = self._once(body)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                trouble = f"{type(error).__name__}: {error}"
                continue
            if status == 200:
                return self._decoded(content)
            trouble = f"status {status}"
            if status not in RETRIED:
                break
            if after is not None and after > self.endpoint.most_wait:
                trouble += f", to be asked again after {after:g} s"
                break
            wait = max(wait, after or 0.0)
        raise InputError(f"the endpoint did not answer: {trouble}", place=self._place(), cure="check address, access and quota")

    def _pause(self, wait: float) -> None:
        """Waits for the declared rate, and `wait` seconds more where the last attempt failed."""
        due = max(self._next, self._clock() + wait)
        if (pause := due - self._clock()) > 0:
            self._sleep(pause)
        self._next = max(self._clock(), due) + 1.0 / self.endpoint.per_second

    def _once(self, body: bytes) -> tuple[int, float | None, bytes]:
        self.requests += 1
        if self._connection is None:
            host, port = str(self.parts.hostname), self.parts.port
            if self.parts.scheme == "https":
                context = ssl.create_default_context()
                self._connection = http.client.HTTPSConnection(host, port, timeout=self.endpoint.seconds, context=context)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=self.endpoint.seconds)
        path = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        headers: Mapping[str, str] = {"Content-Type": "application/json", "Accept": "application/json", **self.endpoint.headers}
        self._connection.request("POST", path, body, dict(headers))
        response = self._connection.getresponse()
        content = self._content(response)
        return response.status, _seconds(response.getheader("Retry-After")), content

    def _content(self, response: http.client.HTTPResponse) -> bytes:
        """The body, read within the limits of size and time: a server that drips bytes does not hold us."""
        limit, until = self.endpoint.most_bytes, time.monotonic() + self.endpoint.seconds
        pieces, size = [], 0
        while piece := response.read1(min(65_536, limit + 1 - size)):
            pieces.append(piece)
            size += len(piece)
            if size > limit or time.monotonic() > until:
                self.close()
                what = f"more than {limit} bytes" if size > limit else f"longer than {self.endpoint.seconds:g} s"
                raise InputError(f"the endpoint answers with {what}", place=self._place(), cure="raise the limit if you trust it")
        if response.length or response.will_close:
            self.close()  # cut short, or not to be used again
        response.close()
        return b"".join(pieces)

    def _decoded(self, content: bytes) -> Any:
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"the endpoint's answer is no JSON: {error}", place=self._place()) from None

    def _scores(self, answer: Any, n: int) -> npt.NDArray[np.float64]:
        found = _walk(answer, self.endpoint.answers_at)
        found = [found] if self.endpoint.single else found
        if not isinstance(found, list) or len(found) != n:
            got = f"{len(found)} answers" if isinstance(found, list) else "no list"
            cure = "declare answers_at, the way to the list of answers"
            raise InputError(f"the endpoint gave {got} at '{self.endpoint.answers_at}' to {n} rows", place=self._place(), cure=cure)
        each = [_walk(one, self.endpoint.answer_at) for one in found]
        try:
            return as_scores(self._values(each), n, self.gives, self.classes)
        except InputError as error:
            raise InputError(error.what, place=self._place(), cure=error.cure) from None
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"the endpoint's answers are no {self.gives}: {error}", place=self._place()) from None

    def _values(self, each: list[Any]) -> npt.NDArray[Any]:
        names = self.endpoint.labels
        if self.gives != "labels":
            if names and all(isinstance(one, dict) for one in each):
                each = [[one.get(name) for name in names] for one in each]
            return np.asarray(each, dtype=np.float64)
        if names is None:
            if not all(isinstance(one, int) and not isinstance(one, float) for one in each):
                raise TypeError("a label is not a whole number; declare the names in labels")
            return np.asarray(each, dtype=np.int64)
        known = {name: place for place, name in enumerate(names)}
        places = [known.get(str(one), -1) for one in each]
        if -1 in places:
            raise ValueError(f"'{str(each[places.index(-1)])[:40]}' is not among the declared labels")
        return np.asarray(places, dtype=np.int64)

    def _place(self) -> str:
        return f"{self.parts.scheme}://{self.parts.netloc.rpartition('@')[2]}{self.parts.path}"


def _walk(value: Any, way: str) -> Any:
    """What stands at `way`, keys and positions joined by dots; None where there is nothing."""
    for step in filter(None, way.split(".")):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _seconds(header: str | None) -> float | None:
    """`Retry-After` in seconds; None where it is missing or a date."""
    text = (header or "").strip()
    return float(text) if text.isdecimal() and len(text) < 10 else None
