"""What an auditor takes away: one file with the evidence, the keys, the manifest and the report."""

from __future__ import annotations

from pathlib import Path

from bartizan.evidence import Store, export_bundle
from bartizan.model.report import Chain
from bartizan.renderers import formats
from bartizan.workflows import register
from bartizan.workflows.assess import plan
from bartizan.workflows.project import Project

REPORTS = ("html", "json")


def bundle(project: Project, store: Store, target: Path) -> Chain:
    """Write the bundle to `target`; return the state of the chain that it holds."""
    made = register.report(project, store, plan(project))
    extra = {"manifest/" + project.manifest.name: project.manifest.read_bytes()}
    for form in REPORTS:
        extra["report/report" + formats.FORMATS[form][1]] = formats.render(made, form).encode()
    export_bundle(store, target, extra)
    return made.chain
