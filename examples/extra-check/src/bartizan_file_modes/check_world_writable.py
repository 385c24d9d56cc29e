"""The check that data and model files cannot be changed by everybody on the machine."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from bartizan.adapters.files import files_below, local_path, shown
from bartizan.engine.registry import check
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Severity, Verdict, about_of
from bartizan.model.system import Asset, Dataset, Kind, Phase


@check(
    "file_modes.world_writable",
    threats=["dataset-tampering", "malicious-artefact"],
    controls=["dataset-rbac"],
    kinds={Kind.DATASET, Kind.MODEL},
    phases={Phase.DATA, Phase.DEPLOYMENT},
    valid_days=1.0,  # permissions are no part of a file's digest, so a pass counts for a day only
)
def world_writable(job: Job, target: Dataset | Asset, *, groups: bool = False) -> Iterator[Finding]:
    """Files of a data set or model that every user of the machine may overwrite.

    Looks at the permission bits of each file below the declared uri.

    groups: also object to files that the members of their group may overwrite
    """
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where its files lie")
    unwanted = stat.S_IWOTH | (stat.S_IWGRP if groups else 0)
    files = list(files_below(job.root, local_path(job.root, target.uri, target.at)))
    open_to_all = [path for path in files if path.stat().st_mode & unwanted]
    names = [shown(job.root, path) for path in open_to_all]
    for threat, asset in about_of(job):
        if open_to_all:
            yield Finding(
                check=job.check,
                asset=asset,
                threat=threat,
                verdict=Verdict.FAIL,
                severity=Severity.HIGH,
                title=f"{len(names)} of {len(files)} files of {target.id} can be overwritten by others",
                why=f"Their permission bits let others write: {', '.join(names[:5])}",
                remedy=f"chmod o-w{',g-w' if groups else ''} on these files",
                places=tuple(Place(name) for name in names[:20]),
            )
        else:
            yield Finding(
                check=job.check,
                asset=asset,
                threat=threat,
                verdict=Verdict.PASS,
                title=f"none of {len(files)} files of {target.id} can be overwritten by others",
                why="No permission bit of any file lets others write.",
            )
