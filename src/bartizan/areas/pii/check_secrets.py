"""The check that no keys lie open in a store of the system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.adapters.files import files_below, local_path, read_text, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Severity, Verdict, about_of
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.pii.columns import Column

SHOWN = 20
"""Most places that a finding lists."""
_LARGEST = 16 * 1024**2


@check(
    "pii.secrets",
    threats=["secrets-exposure"],
    kinds={Kind.STORE},
    phases={Phase.DATA, Phase.OPERATION},
    cost=Cost.FAST,
)
def secrets(job: Job, target: Asset) -> Iterator[Finding]:
    """Keys, tokens, passwords and private keys in the files of a store that the manifest places below its folder.

    Twenty shapes of well-known issuers, private keys, passwords in addresses and literals behind a name for secrets. Values are never
    shown. Files that hold no text, or more than 16 MiB, are not read and said so.
    """
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare the folder that it lies in")
    found: list[tuple[Place, str, str]] = []
    read, unread = 0, 0
    for file in files_below(job.root, local_path(job.root, target.uri, target.at)):
        text = None if file.stat().st_size > _LARGEST else read_text(job.root, file)
        if text is None or "\0" in text[:4096]:
            unread += 1
            continue
        read += 1
        found += _in(job.root, file, text)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), found, (read, unread))


def findings(job: Job, maps: Mapping[str, Mapping[str, Column]], skipped: Sequence[str]) -> Iterator[Finding]:
    """What the columns of each file (`maps`) of a data set say; `skipped` are the files that hold no text."""
    held = [(file, column, kind) for file, columns in maps.items() for column in columns.values() for kind in column.kinds if _is_key(kind)]
    found = [(Place(file), kind, f"{column.kinds[kind].rows} rows of {column.name or 'lines'}") for file, column, kind in held]
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), found, (len(maps), len(skipped)))


def _is_key(kind: str) -> bool:
    return kind.startswith("secret.") or kind == "url_with_credentials"


def _in(root: str, file: Path, text: str) -> Iterator[tuple[Place, str, str]]:
    from bartizan.areas.pii.scan import scan_text

    for hit in scan_text(text):
        if _is_key(hit.kind):
            yield Place(shown(root, file), text.count("\n", 0, hit.start) + 1), hit.kind, hit.redacted[:40]


def _finding(job: Job, about: tuple[str, str], found: list[tuple[Place, str, str]], files: tuple[int, int]) -> Finding:
    read, unread = files
    verdict = Verdict.FAIL if found else Verdict.PASS if read and not unread else Verdict.INCONCLUSIVE
    kinds = sorted({kind.removeprefix("secret.") for _, kind, _ in found})
    why = [f"{read} files were read as they are now; earlier versions were not."]
    why += [f"{unread} files hold no text, or too much, and were not read."] if unread else []
    why += [f"Kinds: {', '.join(kinds)}."] if found else []
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=Severity.CRITICAL if found else Severity.INFO,
        title=f"{len(found)} keys or passwords lie open" if found else f"No key or password found in {read} files",
        why=" ".join(why),
        remedy="Replace every one of them at its issuer, then remove it; keep keys in a secret store." if found else "",
        places=tuple(place for place, _, _ in found[:SHOWN]),
        details={"found": [{"at": str(place), "kind": kind, "shape": shape} for place, kind, shape in found[:SHOWN]]}
        | ({"probability_cap": 0.1} if verdict is Verdict.PASS else {}),
    )
