"""What earlier runs of a check kept to be tried again, handed to the next run of the same check on the same node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from bartizan.model.errors import EvidenceError
from bartizan.model.findings import EXAMPLES, Artefact, Job
from bartizan.model.risks import Evidence

MOST_ARTEFACTS, MOST_BYTES = 8, 64 * 1024**2
"""Most artefacts, and bytes of them, that one job gets: the newest."""


def with_earlier(
    jobs: Sequence[Job], records: Iterable[Evidence], read: Callable[[str], bytes], *, known: Collection[str] = ()
) -> tuple[Job, ...]:
    """`jobs`, each with the artefacts of type `EXAMPLES` that `records`, oldest first, hold of the same check on the same node.

    `read(digest)` gives the bytes of one; what it cannot read stays without data, for the check to tell. Jobs whose digest is in `known`
    will not run and get none.
    """
    kept: dict[tuple[str, str], dict[str, Artefact]] = {}
    for record in records:
        for finding in record.findings:
            for artefact in finding.artefacts:
                if artefact.media_type == EXAMPLES:
                    place = kept.setdefault((record.job.check, record.job.subject.id), {})
                    place.pop(artefact.digest, None)
                    place[artefact.digest] = artefact
    return tuple(
        job if job.digest in known or (job.check, job.subject.id) not in kept
        else msgspec.structs.replace(job, earlier=_read(reversed(kept[job.check, job.subject.id].values()), read))
        for job in jobs
    )  # fmt: skip


def _read(artefacts: Iterable[Artefact], read: Callable[[str], bytes]) -> tuple[Artefact, ...]:
    found: list[Artefact] = []
    left = MOST_BYTES
    for artefact in artefacts:
        if len(found) == MOST_ARTEFACTS or artefact.size > left:
            break
        left -= artefact.size
        try:
            data: bytes | None = read(artefact.digest)
        except EvidenceError:
            data = None
        found.append(msgspec.structs.replace(artefact, data=data))
    return tuple(found)
