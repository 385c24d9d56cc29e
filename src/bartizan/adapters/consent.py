"""What a manifest cannot allow by itself: asking hosts other than this machine, and running code that the project brings.

A manifest may come from a stranger; neither a request to a foreign host nor the code beside it is ours to send or run because a file says
so. Consent is therefore given outside the manifest: `bartizan assess --probe HOST`, which sets `BARTIZAN_PROBE_HOSTS`, host names joined by
commas, and `bartizan assess --run-code`, which sets `BARTIZAN_RUN_CODE` to 1.
"""

from __future__ import annotations

import ipaddress
import os

from bartizan.engine.targets import NoTarget
from bartizan.model.errors import InputError, Place

VARIABLE = "BARTIZAN_PROBE_HOSTS"
CODE_VARIABLE = "BARTIZAN_RUN_CODE"


def may_ask(host: str) -> bool:
    """Whether `host`, a name or an address, is on loopback or among those consented to."""
    named = {name.strip().lower() for name in os.environ.get(VARIABLE, "").split(",")} - {""}
    return host.lower() in named or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine and nothing else."""
    if host.lower() == "localhost":
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


def may_run_code() -> bool:
    """Whether whoever runs this consented to running the code that a project brings."""
    return os.environ.get(CODE_VARIABLE, "").strip() == "1"


def require_code(shown: str, place: Place | None) -> None:
    """Raise `NoTarget`, with the option that gives consent, where code of the project in `shown` may not be run."""
    if not may_run_code():
        cure = "if you trust that code: bartizan assess --run-code (other commands take --run-code, too)"
        raise NoTarget(f"needs to run the project's own code in '{shown}', and nobody consented to that", place=place, cure=cure)


def consent_to_code() -> None:
    """Let this process and those it starts run the code that the project names."""
    os.environ[CODE_VARIABLE] = "1"
