"""`bartizan threats`: derive what can go wrong from the manifest."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from bartizan.cli.options import NewFile, format_option, project_argument, write
from bartizan.cli.show import json_text, table
from bartizan.model.errors import InputError, one_line
from bartizan.workflows.project import Project, find

MAY_SHOWN = 8
"""Threats that hang on a question and are shown beside those that fire."""


@click.command("threats", epilog="Example: bartizan threats examples/credit-scoring --format mermaid")
@project_argument
@format_option("table", "markdown", "json", "mermaid", "csv")
@click.option("--output", "-o", type=NewFile(), help="Write to this file.")
@click.option(
    "--questions", is_flag=True, help="List the open questions instead: what the manifest does not say and the answer depends on."
)
def command(path: Path, form: str, output: Path | None, questions: bool) -> None:
    """Derive the threats to the declared system from its parts, flows and trust zones. Each says why it fires."""
    project = find(path)
    if questions:
        write(questions_in(project, form), output)
    elif form == "table":
        write(people(project), output)
    else:
        renderer = importlib.import_module(f"bartizan.renderers.threats_{form}")
        write(renderer.render(project.system, project.model, project.catalog.threats), output)


def questions_in(project: Project, form: str) -> str:
    """The open questions as a table or as JSON. Raises `InputError` for a format that has no place for them."""
    questions = project.model.questions
    if form == "json":
        return json_text(questions)
    if form != "table":
        raise InputError(f"no list of questions as {form}", place="--questions", cure="use --format table or json")
    return table(("node", "field", "question"), [(q.element, q.field, q.text) for q in questions])


def people(project: Project) -> str:
    """The threats as a table, and how many questions are open."""
    threats = project.catalog.threats
    rows = [(i.threat, i.element, "".join(threats[i.threat].stride), "; ".join(i.because[:2])) for i in project.model.certain]
    lines = [table(("threat", "against", "stride", "fires because"), rows)]
    possible, questions = len(project.model.possible), len(project.model.questions)
    lines.append("")
    if project.model.possible:
        may = [(i.threat, i.element, "".join(threats[i.threat].stride), i.questions[0].text) for i in project.model.possible[:MAY_SHOWN]]
        lines += [table(("may apply", "against", "stride", "the answer decides"), may), ""]
    found = f"{len(rows)} threats to {one_line(project.system.name)}."
    lines.append(f"{found} {possible} more hang on {questions} open questions: --questions lists them.")
    return "\n".join(lines)
