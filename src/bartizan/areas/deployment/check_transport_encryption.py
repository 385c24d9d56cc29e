"""The check that an endpoint's declared address speaks TLS, with a certificate that a careful client accepts."""

from __future__ import annotations

from collections.abc import Iterator

from bartizan.areas.deployment.addresses import has_url
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Asset, Kind, Phase

CAP = 0.05
"""Chance that a campaign succeeds, at most, while the check passes: hops behind the endpoint are not seen."""

SECONDS = 5.0
"""Longest wait for the connection and the handshake."""


@check(
    "deployment.transport_encryption",
    threats=["output-tampering"],
    controls=["transport-encryption"],
    kinds={Kind.ENDPOINT},
    phases={Phase.DEPLOYMENT, Phase.OPERATION},
    cost=Cost.LIVE,
    applies=has_url,
    valid_days=1,
)
def transport_encryption(job: Job, target: Asset) -> Iterator[Finding]:
    """A live handshake whether the declared address speaks TLS 1.2 or newer with a certificate that verifies.

    Asks the host of the declared url alone; off this machine only with `--probe HOST`. Fails for an address in clear text that others than
    this machine can reach, and for a certificate that the system's trust store refuses. Sends no request.
    """
    from bartizan.adapters.consent import require
    from bartizan.areas.deployment.http_client import split

    if target.url is None:
        raise InputError(f"'{target.id}' has no url", place=target.at, cure="declare where it answers: url: https://host/path")
    origin, _ = split(target.url.strip(), target.at)
    if origin.scheme == "https":
        require(origin.host, origin, target.at)
        verdict, title, why, remedy = _handshake(origin.host, origin.port)
    elif _loopback(origin.host):
        verdict, title = Verdict.UNKNOWN, f"{target.id} is declared on this machine, in clear text"
        why = "What is sent never leaves this machine here; how callers reach it in production was not seen."
        remedy = "Declare the url that callers use, and run again."
    else:
        verdict, title = Verdict.FAIL, f"{target.id} is declared in clear text: {origin}"
        why = "Whoever sits on the way can change the question and the answer unseen."
        remedy = "Serve it over https, redirect http, and declare the https url."
    for threat in job.threats:
        yield Finding(
            check=job.check,
            asset=target.id,
            threat=threat,
            verdict=verdict,
            severity=Severity.HIGH if verdict is Verdict.FAIL else Severity.INFO,
            title=title,
            why=why,
            remedy=remedy,
            places=(target.at,) if target.at else (),
            details={"probability_cap": CAP} if verdict is Verdict.PASS else {},
        )


def _loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _handshake(host: str, port: int) -> tuple[Verdict, str, str, str]:
    """Verdict, title, why and remedy of a TLS handshake with `host` at `port`, verified as a careful client would."""
    import socket
    import ssl

    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with socket.create_connection((host, port), timeout=SECONDS) as plain, context.wrap_socket(plain, server_hostname=host) as wrapped:
            spoken = wrapped.version() or "TLS"
    except ssl.SSLCertVerificationError as error:
        why = f"A careful client breaks off: {error.verify_message}. One that does not can be talked to by anybody on the way."
        return (
            Verdict.FAIL,
            f"The certificate of {host} does not verify",
            why,
            "Install a certificate for this name from an authority that callers trust.",
        )
    except ssl.SSLError as error:
        why = f"The handshake failed: {error.reason or error}."
        return Verdict.FAIL, f"{host} speaks no TLS 1.2 or newer on port {port}", why, "Enable TLS 1.2 and 1.3, and nothing older."
    except OSError as error:
        why = f"No connection: {error.strerror or error}."
        return Verdict.UNKNOWN, f"{host} did not answer on port {port}", why, "Start the service and run again."
    return Verdict.PASS, f"{host} speaks {spoken} with a certificate that verifies", "The handshake was verified; no request was sent.", ""
