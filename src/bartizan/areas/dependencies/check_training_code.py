"""The check that training code opens no door."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.adapters.files import local_path
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Finding, Job, Severity, Verdict, about_of
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.dependencies.training_code.remarks import Remark

SHOWN = 50
"""Most places that a finding points at."""

RULES_OF = {
    "insecure-training-configuration": ("remote-code", "tls-off", "debug-server", "missing-seed", "world-writable", "broad-credentials",
                                        "shell-load", "unsafe-load"),
    "secrets-exposure": ("secret", "notebook-output"),
    "unpinned-revision": ("unpinned-revision",),
}  # fmt: skip
"""Which rules speak to which threat."""


@check(
    "dependencies.training_code",
    threats=list(RULES_OF),
    controls=["training-config-lint"],
    kinds={Kind.PIPELINE, Kind.REPOSITORY, Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    cost=Cost.FAST,
    reads=["produced_by"],
)
def training_code(job: Job, target: Asset) -> Iterator[Finding]:
    """What in training code opens a door: remote code, missing verification, open servers, missing seeds, wide permissions, secrets.

    Python, notebooks, scripts and settings are parsed, never run; each remark has its line and its repair. A pass means that no rule
    speaks, not that the code is harmless.
    """
    from bartizan.areas.dependencies.training_code.lint import lint

    nodes = [node for node in (target, *job.related) if isinstance(node, Asset)]
    uris = {uri: node for node in nodes for uri in _code(node)}
    if not uris:
        raise InputError(f"no code of '{target.id}' is declared", place=target.at, cure="declare it: code: train.py")
    remarks: list[Remark] = []
    unread: list[str] = []
    for uri, node in uris.items():
        found, broken = lint(local_path(job.root, uri, node.at), root=job.root)
        remarks += found
        unread += broken
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), [r for r in remarks if r.rule in RULES_OF[threat]], unread)


def _code(node: Asset) -> list[str]:
    uris = [node.code] + ([node.uri] if node.kind in (Kind.PIPELINE, Kind.REPOSITORY) else [])
    return [uri for uri in uris if uri]


def _finding(job: Job, about: tuple[str, str], remarks: list[Remark], unread: list[str]) -> Finding:
    bad = [r for r in remarks if not r.allowed]
    verdict = Verdict.FAIL if bad else (Verdict.INCONCLUSIVE if unread else Verdict.PASS)
    listed = "; ".join(f"{r.place} {r.text}" for r in bad[:6]) + (f"; and {len(bad) - 6} more" if len(bad) > 6 else "")
    reasons = [f"{listed}." if bad else "No rule speaks; that is no proof that the code is harmless."]
    reasons += [f"{len(unread)} files cannot be parsed, {unread[0]} among them."] if unread else []
    reasons += [f"{len(remarks) - len(bad)} remarks are allowed with a reason."] if len(bad) < len(remarks) else []
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=max((r.severity for r in bad), key=lambda s: s.rank, default=Severity.INFO),
        title=f"{len(bad)} remarks on the code" if bad else "No remark on the code",
        why=" ".join(reasons),
        remedy=" ".join(dict.fromkeys(r.fix for r in bad)) or ("Repair the files that cannot be parsed." if unread else ""),
        places=tuple(r.place for r in bad[:SHOWN]),
        details={"remarks": [{"rule": r.rule, "at": str(r.place), "text": r.text} for r in bad[:SHOWN]]}
        | ({"probability_cap": 0.3} if verdict is Verdict.PASS else {}),
    )
