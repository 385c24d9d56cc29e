"""Makes the pages of the reference from the code: commands, checks, catalogue, manifest."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from bartizan import catalog as catalogue
from bartizan.cli.app import COMMANDS, bartizan
from bartizan.engine import registry
from bartizan.manifest import schema
from bartizan.model.checks import Check


def write(folder: Path) -> None:
    """Write all generated pages into `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in pages():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def pages() -> Iterator[tuple[str, str]]:
    """The name and the text of every generated page."""
    yield "cli", cli_page()
    yield "checks", checks_page()
    yield "threats", threats_page()
    yield "controls", controls_page()
    yield "frameworks", frameworks_page()
    yield "manifest", manifest_page()


def cli_page() -> str:
    """Every command with its help, as the program prints it."""
    parts = ["# Commands", _help(bartizan, "bartizan")]
    for name in COMMANDS:
        command = importlib.import_module(f"bartizan.cli.{name}").command
        parts.append(f"## bartizan {name}\n\n{_help(command, f'bartizan {name}')}")
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name)
            for sub in command.list_commands(context):
                child = command.get_command(context, sub)
                assert child is not None
                parts.append(f"### bartizan {name} {sub}\n\n{_help(child, f'bartizan {name} {sub}')}")
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
    return f"```text\n{command.get_help(context)}\n```"


def checks_page() -> str:
    """Every check with its threats, parameters and cost."""
    parts = [
        "# Checks",
        "Each is run by `bartizan assess` where its threats fire. Parameters are set in the manifest under `appetite.tolerances`.",
    ]
    parts.extend(_check(check) for check in registry.load().values())
    return "\n\n".join(parts) + "\n"


def _check(check: Check) -> str:
    rows = [
        ("threats", ", ".join(f"`{t}`" for t in check.threats)),
        ("verifies", ", ".join(f"`{c}`" for c in check.controls) or "-"),
        ("runs on", ", ".join(sorted(check.kinds))),
        ("phases", ", ".join(sorted(check.phases))),
        ("cost", str(check.cost)),
        ("install", f"`pip install 'bartizan[{check.extra}]'`" if check.extra else "core"),
    ]
    text = f"## {check.id}\n\n{check.title}\n\n{check.summary}\n\n" + _table(("", ""), rows)
    if check.parameters:
        text += "\n\n" + _table(("parameter", "type", "default"), [(f"`{p.name}`", p.type, f"`{p.default}`") for p in check.parameters])
    return text


def threats_page() -> str:
    """Every threat of the catalogue, family by family."""
    catalog = catalogue.load()
    covered = {threat for check in registry.load().values() for threat in check.threats}
    parts = ["# Threats", f"{len(catalog.threats)} threats; those with an automatic check in this version are marked."]
    for family in dict.fromkeys(t.family for t in catalog.threats.values()):
        parts.append(f"## {family}")
        for t in catalog.threats.values():
            if t.family == family:
                facts = [
                    f"STRIDE {''.join(t.stride)}; against {', '.join(t.against)}; {', '.join(t.refs) or 'no outside reference'}.",
                    t.summary,
                    f"*Example.* {t.example}",
                    "*Mitigations.* " + " ".join(f"{m.rstrip('.')}." for m in t.mitigations),
                    "*Checked automatically.*" if t.id in covered else f"*Gap.* {t.gap}",
                ]
                parts.append(f"### {t.id}\n\n**{t.title}.** " + "\n\n".join(facts))
    return "\n\n".join(parts) + "\n"


def controls_page() -> str:
    """Every control with the threats it mitigates and the checks that verify it."""
    catalog, checks = catalogue.load(), registry.load()
    rows = [
        (
            f"`{c.id}`",
            c.title,
            ", ".join(c.phases),
            ", ".join(t.id for t in catalog.mitigated_by(c.id)),
            ", ".join(k.id for k in checks.values() if c.id in k.controls) or "-",
        )
        for c in catalog.controls.values()
    ]
    return "# Controls\n\n" + _table(("control", "title", "phases", "mitigates", "verified by"), rows) + "\n"


def frameworks_page() -> str:
    """Every framework with the entries that the catalogue refers to."""
    parts = [
        "# Frameworks",
        "Identifiers, titles and dates are facts of their publishers; what bartizan says about them is its own reading.",
    ]
    for f in catalogue.load().frameworks.values():
        rows = [(f"`{c.id}`", c.title or "-", str(c.applies_from or "")) for c in f.clauses]
        scope = "all entries" if f.complete else "the entries that the catalogue refers to"
        parts.append(
            f"## {f.title} ({f.version})\n\n`{f.id}`, {f.publisher}; {scope}. {f.note or ''}\n\n"
            + _table(("id", "title", "applies from"), rows)
        )
    return "\n\n".join(parts) + "\n"


INSIDE = {
    "constraints": "Constraints", "constraints, sums": "WeightedSum", "constraints, cost": "Price", "inference": "Inference",
    "quota": "Quota", "budget of an actor": "ActorBudget",
}  # fmt: skip
"""Groups of keys that stand inside other entries, with their name in the schema."""


def manifest_page() -> str:
    """Every section and key of the manifest, from its JSON Schema."""
    whole = schema()
    parts = [
        "# Manifest",
        "Every key of `bartizan.yaml`. `bartizan schema` prints the JSON Schema for editors. What is left out is unknown, never 'no'.",
    ]
    for name, section in whole["properties"].items():
        parts.append(f"## {name}\n\n{_object(_resolve(section.get('items', section), whole), whole)}")
    for key, name in INSIDE.items():
        parts.append(f"## Inside: {key}\n\n{_object(whole['$defs'][name], whole)}")
    return "\n\n".join(parts) + "\n"


def _object(section: dict[str, Any], whole: dict[str, Any]) -> str:
    lines = [section.get("description", "").split("\n\n")[0]]
    required = set(section.get("required", ()))
    rows = [
        (f"`{key}`" + (" (required)" if key in required else ""), _type(value, whole))
        for key, value in section.get("properties", {}).items()
    ]
    return "\n\n".join([*lines, _table(("key", "value"), rows) if rows else _type(section, whole)])


def _resolve(section: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    reference = section.get("$ref")
    return whole["$defs"][reference.rpartition("/")[2]] if reference else section


def _type(value: dict[str, Any], whole: dict[str, Any]) -> str:
    value = _resolve(value, whole)
    for union in ("anyOf", "oneOf"):
        if union in value:
            return " or ".join(dict.fromkeys(_type(v, whole) for v in value[union] if v.get("type") != "null"))
    if "enum" in value:
        return ", ".join(f"`{v}`" for v in value["enum"] if v is not None)
    if "const" in value:
        return f"`{value['const']}`"
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}), whole)}"
    return str(value.get("title") or value.get("format") or value.get("type") or "any")


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines.extend("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows)
    return "\n".join(lines)
