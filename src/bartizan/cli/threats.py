"""`bartizan threats`: derive what can go wrong from the manifest."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from bartizan.cli.options import format_option, project_argument, write
from bartizan.cli.show import table
from bartizan.workflows.project import Project, find


@click.command("threats", epilog="Example: bartizan threats examples/credit-scoring --format mermaid")
@project_argument
@format_option("table", "markdown", "json", "mermaid", "csv")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write to this file.")
@click.option(
    "--questions", is_flag=True, help="List the open questions instead: what the manifest does not say and the answer depends on."
)
def command(path: Path, form: str, output: Path | None, questions: bool) -> None:
    """Derive the threats to the declared system from its parts, flows and trust zones. Each says why it fires."""
    project = find(path)
    if questions:
        rows = [(q.element, q.field, q.text) for q in project.model.questions]
        write(table(("node", "field", "question"), rows), output)
    elif form == "table":
        write(people(project), output)
    else:
        renderer = importlib.import_module(f"bartizan.renderers.threats_{form}")
        write(renderer.render(project.system, project.model, project.catalog.threats), output)


def people(project: Project) -> str:
    """The threats as a table, and how many questions are open."""
    threats = project.catalog.threats
    rows = [(i.threat, i.element, "".join(threats[i.threat].stride), "; ".join(i.because[:2])) for i in project.model.certain]
    lines = [table(("threat", "against", "stride", "fires because"), rows)]
    possible, questions = len(project.model.possible), len(project.model.questions)
    lines.append("")
    lines.append(
        f"{len(rows)} threats to {project.system.name}. {possible} more hang on {questions} open questions: --questions lists them."
    )
    return "\n".join(lines)
