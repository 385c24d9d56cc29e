"""What the sources mention beside a question: a hint to the one who answers, never an answer."""

from __future__ import annotations

from collections.abc import Sequence

from bartizan.model.errors import one_line
from bartizan.workflows.drafting.part import Part, shown
from bartizan.workflows.drafting.programs import mentions
from bartizan.workflows.drafting.sources import Facts


def learning(facts: Sequence[Facts], models: Sequence[Part]) -> None:
    """Say at `online_learning` which source goes on fitting: at the models it mentions, or at all that are not somebody else's."""
    own = [model for model in models if model.said.get("third_party") is not True]
    for fact in facts:
        if not fact.learns:
            continue
        named = set(mentions(fact, own))
        for model in own:
            if not named or model.id in named:
                _add(model, "online_learning", _lines(fact, "calls", fact.learns))


def execution(facts: Sequence[Facts], apps: Sequence[Part]) -> None:
    """Say at `executes_code` which source beside an application starts programs or runs text as code."""
    for app in apps:
        for fact in facts:
            if fact.runs and near(fact, app):
                _add(app, "executes_code", _lines(fact, "calls", fact.runs))


def tooling(facts: Sequence[Facts], apps: Sequence[Part], servers: Sequence[Part]) -> None:
    """Say at `tools` what sources beside an application register and which MCP servers are configured."""
    for app in apps:
        linked = app.said.get("tools")
        for fact in facts:
            if fact.tools and near(fact, app) and not (linked and fact.file.path in app.files):
                _add(app, "tools", f"{one_line(fact.file.path, 200)} registers: {shown(list(fact.tools))}.")
        if servers:
            _add(app, "tools", f"MCP servers are configured: {shown([server.id for server in servers])}.")
        if linked and "tools" in app.hints:
            app.notes.append(f"it may have more tools: {app.hints['tools']}")


def serving(endpoint: Part, named: Sequence[str], served: Sequence[Part]) -> None:
    """Note which models the source of an endpoint mentions that the applications it serves do not use."""
    used = {id for app in served for id in _listed(app, "uses")}
    beside = [id for id in named if id not in used]
    if beside:
        endpoint.notes.append(f"It may serve more: the source mentions {shown(beside)}")


def near(fact: Facts, app: Part) -> bool:
    """Whether the source lies in the folder of the application's sources or below it; the top counts only with its own files, and with
    those that register tools."""
    if not app.files:
        return False
    home = app.files[0].rpartition("/")[0]
    if fact.file.parent == home:
        return True
    return fact.file.path.startswith(f"{home}/") if home else bool(fact.tools)


def _listed(part: Part, field: str) -> list[str]:
    value = part.said.get(field)
    return value if isinstance(value, list) else []


def _add(part: Part, field: str, text: str) -> None:
    said = part.hints.get(field)
    part.hints[field] = text if said is None else f"{said} {text}"


def _lines(fact: Facts, verb: str, found: dict[str, int]) -> str:
    return f"{one_line(fact.file.path, 200)}:{min(found.values())} {verb} {shown(sorted(found))}."
