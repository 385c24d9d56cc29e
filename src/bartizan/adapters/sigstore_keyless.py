"""Sigstore without a key of one's own: a short-lived certificate for an identity, and an entry in a public log.

Signing asks the identity provider, the certificate authority and the log, so it needs the network; verifying needs the trusted root, which
is refreshed from the network unless `offline` is set. The package `sigstore` does the work (extra `sigstore`).
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from bartizan.model.errors import EvidenceError, InputError, MissingExtra, one_line

TOKEN = "SIGSTORE_ID_TOKEN"  # noqa: S105 - the name of the variable, not a token
"""The variable that holds an identity token, where the machine is not one whose identity can be asked for (CI)."""


def sign(payload: bytes) -> bytes:
    """The Sigstore bundle around the in-toto statement `payload`, signed for the identity of the token in `TOKEN` or of this CI job.

    Raises `MissingExtra`; `InputError` where there is no identity, or the network or a service refuses.
    """
    library = available()
    from sigstore import dsse, oidc, sign

    try:
        raw = os.environ.get(TOKEN) or oidc.detect_credential()
        if not raw:
            raise InputError("no identity to sign for", cure=f"run it in CI with an identity, set {TOKEN}, or sign with --key")
        context = sign.SigningContext.from_trust_config(library.models.ClientTrustConfig.production())
        with context.signer(oidc.IdentityToken(raw)) as signer:
            return str(signer.sign_dsse(dsse.Statement(payload)).to_json()).encode()
    except _failures(library) as error:
        raise InputError(f"keyless signing failed: {_said(error)}", cure="it needs the network; offline sign with --key") from error


def proved(data: bytes, identity: str, issuer: str, *, offline: bool = False) -> tuple[str, bytes]:
    """The payload's type and the payload of the bundle `data`, once it proves to be signed by `identity` as vouched for by `issuer`.

    Raises `MissingExtra`; `EvidenceError` where it is not; `InputError` where the trusted root cannot be had.
    """
    library = available()
    from sigstore.verify import Verifier, policy

    try:
        verifier = Verifier.production(offline=offline)
    except _failures(library) as error:
        raise InputError(
            f"the trusted root of Sigstore cannot be had: {_said(error)}", cure="use the one at hand with --offline, or a key with --key"
        ) from error
    try:
        bundle = library.models.Bundle.from_json(data)
        kind, payload = verifier.verify_dsse(bundle, policy.Identity(identity=identity, issuer=issuer))
    except (library.errors.Error, library.models.InvalidBundle, ValueError) as error:
        raise EvidenceError(f"is not signed by {one_line(identity, 100)}: {_said(error)}") from error
    return str(kind), bytes(payload)


def available() -> Any:
    """The package with the modules we use. Raises `MissingExtra`."""
    try:
        import sigstore
        import sigstore.errors
        import sigstore.models
        import sigstore.oidc
    except ImportError as error:
        raise MissingExtra("sigstore", error.name or "sigstore") from error
    assert isinstance(sigstore, ModuleType)
    return sigstore


def _failures(library: Any) -> tuple[type[BaseException], ...]:
    """What the package raises for a network that is not there, a service that refuses, and a token that is no good."""
    import requests  # type: ignore[import-untyped, unused-ignore]

    return (library.errors.Error, library.oidc.IssuerError, library.oidc.ExpiredIdentity, requests.RequestException, OSError, ValueError)


def _said(error: BaseException) -> str:
    return one_line(str(error) or type(error).__name__, 200)
