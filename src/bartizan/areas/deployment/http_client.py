"""A small HTTP client for probing one server: bounded in time, bytes and requests, without credentials, proxies or cookies.

Built on `http.client`. Its sockets know a deadline, so that a server that answers one byte at a time cannot hold it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from bartizan.model.errors import BartizanError, InputError, Place, one_line

MAX_BODY = 256 * 1024
"""Most bytes of one answer's body that are read."""

_AGENT = "bartizan-check (authentication probe)"
_FAILURES = (OSError, http.client.HTTPException, ValueError)
"""What talking to a foreign server may raise: sockets and TLS, malformed answers, names that cannot be encoded."""


class NoAnswer(BartizanError):
    """A request that got no answer; `what` says why."""


class Spent(BartizanError):
    """The requests or the time that a probe may use are used up."""


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the media type in lower case, at most `MAX_BODY` bytes of body; `whole` says that it was all of it."""

    status: int
    media_type: str
    body: bytes
    whole: bool


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port of a server."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def split(url: str, place: Place | None) -> tuple[Origin, str]:
    """The origin and the path of a declared address. Raises `InputError` where it is no http(s) address or holds credentials."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"'{one_line(url, 120)}' is not an address: {error}", place=place) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"'{one_line(url, 120)}' is no http or https address", place=place, cure="declare url: http://host:port/path")
    if parts.username is not None or parts.password is not None:
        raise InputError("the url holds credentials", place=place, cure="remove them: the probe must ask as a stranger")
    default = 443 if parts.scheme == "https" else 80
    return Origin(parts.scheme, parts.hostname, default if port is None else port), parts.path or "/"


class Client:
    """Asks one origin, never another. `seconds` and `requests` bound all that it does, `each` the seconds of one request."""

    def __init__(self, origin: Origin, *, seconds: float = 15.0, requests: int = 40, each: float = 4.0) -> None:
        self.origin = origin
        self.asked = 0
        self._until = time.monotonic() + seconds
        self._requests = requests
        self._each = each

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
        """The answer to one request; a redirect that keeps method and origin (307, 308) is followed once.

        Raises `NoAnswer` where there is none, `Spent` where the limits are reached.
        """
        answer, location = self._once(method, path, headers or {}, body)
        if answer.status in (307, 308) and location:
            target = self._same_origin(path, location)
            if target is not None and target != path:
                answer, _ = self._once(method, target, headers or {}, body)
        return answer

    def _same_origin(self, path: str, location: str) -> str | None:
        try:
            origin, target = split(urljoin(f"{self.origin}{_quoted(path)}", location[:2000]), None)
        except (InputError, ValueError):
            return None
        return target if origin == self.origin else None

    def _once(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> tuple[Answer, str]:
        left = self._until - time.monotonic()
        if self.asked >= self._requests or left <= 0.05:
            raise Spent(f"{self.asked} requests were made", place=str(self.origin))
        self.asked += 1
        connection = _connection(self.origin, time.monotonic() + min(self._each, left))
        sent = {"User-Agent": _AGENT, "Accept": "application/json, */*;q=0.1", "Connection": "close", **headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, _quoted(path), body=body, headers=sent)
            with connection.getresponse() as response:
                content, whole = _content(response)
                media_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()[:100]
                return Answer(response.status, media_type, content, whole), response.getheader("Location") or ""
        except _FAILURES as error:
            raise NoAnswer(_said(error), place=str(self.origin)) from None
        finally:
            connection.close()


def _content(response: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """What of the body came in time, and whether that is all of it."""
    parts: list[bytes] = []
    size = 0
    try:
        while size <= MAX_BODY:
            part = response.read1(MAX_BODY + 1 - size)
            if not part:
                return b"".join(parts), True
            parts.append(part)
            size += len(part)
    except _FAILURES:
        return b"".join(parts), False
    return b"".join(parts)[:MAX_BODY], False


def _quoted(path: str) -> str:
    """`path` as it may stand in a request line: one leading slash, nothing that ends the line."""
    return "/" + quote(unquote(path[:2000]).lstrip("/"), safe="/:@!$&'()*+,;=-._~{}")


def _said(error: BaseException) -> str:
    """What went wrong, in words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be verified: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {error.reason or 'handshake failed'}"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, OSError):
        return f"no connection: {error.strerror or type(error).__name__}"
    return f"no HTTP answer: {type(error).__name__}"


def _connection(origin: Origin, until: float) -> http.client.HTTPConnection:
    if origin.scheme == "https":
        return _TimedTlsConnection(origin.host, origin.port, until)
    return _TimedConnection(origin.host, origin.port, until)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _TimedSocket(socket.socket):
    """A socket each of whose reads ends at the deadline."""

    until = 0.0

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_left(self.until))
        return super().recv_into(*args, **kwargs)


class _TimedTlsSocket(ssl.SSLSocket):
    """The same over TLS."""

    until = 0.0

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_left(self.until))
        return super().recv_into(*args, **kwargs)


class _TimedConnection(http.client.HTTPConnection):
    """A connection that ends at the deadline `until` of the monotonic clock."""

    def __init__(self, host: str, port: int, until: float) -> None:
        super().__init__(host, port)
        self.until = until

    def connect(self) -> None:
        found = _connected(self.host, self.port, self.until)
        timed = _TimedSocket(fileno=found.detach())
        timed.until = self.until
        timed.settimeout(_left(self.until))
        self.sock = timed


class _TimedTlsConnection(_TimedConnection):
    """The same over TLS, with the certificate verified against the machine's authorities."""

    def connect(self) -> None:
        context = ssl.create_default_context()
        context.sslsocket_class = _TimedTlsSocket
        found = _connected(self.host, self.port, self.until)
        found.settimeout(_left(self.until))
        try:
            secured = context.wrap_socket(found, server_hostname=self.host)
        except BaseException:
            found.close()
            raise
        assert isinstance(secured, _TimedTlsSocket)
        secured.until = self.until
        self.sock = secured


def _connected(host: str, port: int, until: float) -> socket.socket:
    """A connection to the first address of `host` that takes one."""
    last: OSError = ConnectionRefusedError()
    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:4]:
        try:
            return socket.create_connection((str(address[0]), int(address[1])), timeout=_left(until))
        except OSError as error:
            last = error
    raise last
