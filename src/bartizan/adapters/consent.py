"""Which hosts live work may ask: this machine always, another only with the consent of whoever runs it.

A manifest may come from a stranger, and a request to a foreign host is not ours to send because a file says so. Consent is therefore given
outside the manifest: `bartizan assess --probe HOST`, which sets `BARTIZAN_PROBE_HOSTS`, host names joined by commas.
"""

from __future__ import annotations

import ipaddress
import os

from bartizan.model.errors import InputError, Place

VARIABLE = "BARTIZAN_PROBE_HOSTS"


def may_ask(host: str) -> bool:
    """Whether `host`, a name or an address, is on loopback or among those consented to."""
    named = {name.strip().lower() for name in os.environ.get(VARIABLE, "").split(",")} - {""}
    if host.lower() in named | {"localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require(host: str, shown: object, place: Place | None) -> None:
    """Raise `InputError`, with the option that gives consent, where `host` may not be asked; `shown` is how to name the address."""
    if not may_ask(host):
        cure = f"if it is yours to test: bartizan assess --probe {host}"
        raise InputError(f"{shown} is not on this machine, and nobody consented to asking it", place=place, cure=cure)


def consent(hosts: tuple[str, ...]) -> None:
    """Let live work of this process and of those it starts ask `hosts`, besides those consented to before."""
    if hosts:
        os.environ[VARIABLE] = ",".join(filter(None, (os.environ.get(VARIABLE), *hosts)))
