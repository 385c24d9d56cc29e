"""The tools of agents as parts: what sources register, and the servers of the Model Context Protocol that a configuration names."""

from __future__ import annotations

import json
from collections.abc import Iterable

from bartizan.model.errors import one_line
from bartizan.workflows.drafting.folder import Holdings
from bartizan.workflows.drafting.part import Part, slug
from bartizan.workflows.drafting.sources import Facts

_CONFIGURATIONS = frozenset({"mcp.json", ".mcp.json", "mcp_config.json", "claude_desktop_config.json"})
_LOOK = 256 * 1024
_MOST = 40


def registered(facts: Iterable[Facts]) -> dict[tuple[str, str], Part]:
    """A part for every tool that a source registers, by the source's path and the tool's name."""
    parts = {}
    for fact in facts:
        for name, line in fact.tools.items():
            part = Part(id=slug(name, "tool"), kind="tool", said={"title": name, "code": fact.file.path})
            part.notes.append(f"{fact.file.path}:{line} registers it")
            parts[fact.file.path, name] = part
    return parts


def servers(holdings: Holdings) -> list[Part]:
    """A part for every server that an MCP configuration names. Arguments, environment and addresses may hold secrets and are left out."""
    parts = []
    for file in holdings.files:
        if file.name.lower() not in _CONFIGURATIONS:
            continue
        for name, entry in list(_entries(holdings.text(file, _LOOK)).items())[:_MOST]:
            title = one_line(name, 100)
            if not title:
                continue
            part = Part(id=slug(title, "tool"), kind="tool", said={"title": title, "uri": file.path})
            remote = isinstance(entry, dict) and ("url" in entry or "serverUrl" in entry)
            part.notes.append(f"{file.path} names it as an MCP server {'at an address' if remote else 'started as a program'}")
            parts.append(part)
    return parts


def _entries(text: str) -> dict[str, object]:
    """The servers of a configuration: the mapping `mcpServers`, or `servers` as some editors call it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    found = value.get("mcpServers", value.get("servers"))
    return found if isinstance(found, dict) else {}
