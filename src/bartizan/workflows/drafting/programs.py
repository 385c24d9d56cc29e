"""From what source files prove to parts of the system: endpoints, language-model applications, agents, stores, pipelines, models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from bartizan.model.errors import one_line
from bartizan.model.system import Task
from bartizan.workflows.drafting.part import Part, shown, slug
from bartizan.workflows.drafting.sources import Facts, libraries


def endpoints(facts: Sequence[Facts], apps: Sequence[Part] = ()) -> list[Part]:
    """A part for every file that makes a web application; it serves the one of `apps` that the same file is part of."""
    behind = {path: app.id for app in apps for path in app.files}
    parts = []
    for fact in facts:
        if not fact.web or fact.notebook:
            continue
        stem = fact.file.name.removesuffix(".py")
        generic = stem in ("app", "main", "api", "server", "service", "__init__")
        named = slug(fact.title or (f"{fact.file.parent.rpartition('/')[2]} {stem}" if generic else stem), "api")
        part = Part(id=named, kind="endpoint", said={"code": fact.file.path}, names=[fact.file.name])
        if fact.title and one_line(fact.title):
            part.said = {"title": one_line(fact.title, 200), **part.said}
        part.notes.append(_because(fact, fact.web))
        if fact.file.path in behind:
            part.said["serves"] = [behind[fact.file.path]]
            part.id = f"{named}-api" if named == behind[fact.file.path] else named
            part.notes.append(f"{fact.file.path} is also the source of {behind[fact.file.path]}")
        parts.append(part)
    return parts


def applications(
    facts: Sequence[Facts], stores: dict[str, str], models: dict[str, str], tools: dict[tuple[str, str], str] | None = None
) -> list[Part]:
    """A part for every folder whose sources call language models: an agent where they run an agent loop or hand tools to the model.

    `stores` and `models` are the ids of the stores and models drafted, by library and by name, `tools` those of the tools by source and
    name. An agent has the tools that a source registers which also runs its loop or asks the model.
    """
    asking = sorted((f for f in facts if f.language or f.agent), key=lambda f: (f.file.parent, f.file.path))
    parts = []
    for parent, group in groupby(asking, key=lambda f: f.file.parent):
        members = list(group)
        agent = any(member.agent for member in members)
        code = members[0].file.path if len(members) == 1 or not parent else parent
        stem = members[0].file.name.rpartition(".")[0] if len(members) == 1 or not parent else parent.rpartition("/")[2]
        part = Part(id=slug(stem, "assistant"), kind="agent" if agent else "llm-app", said={"code": code})
        used = sorted({models[m.name] for member in members for m in member.models if m.name in models})
        kept = sorted({stores[library] for member in members for library in member.vectors if library in stores})
        if used:
            part.said["uses"] = used
        if kept:
            part.said["retrieves_from"] = kept
        part.files = [member.file.path for member in members]
        called = [(tools or {}).get((member.file.path, name)) for member in members for name in member.tools]
        if agent and any(called):
            part.said["tools"] = [tool for tool in called if tool is not None]
        part.notes += [_because(member, {**member.language, **member.agent, **member.vectors}) for member in members[:6]]
        parts.append(part)
    return parts


def stores(facts: Iterable[Facts]) -> dict[str, Part]:
    """A part for every vector store that the sources use, by library; two libraries for one store share it."""
    parts: dict[str, Part] = {}
    by_title: dict[str, Part] = {}
    for fact in facts:
        for library, line in sorted(fact.vectors.items()):
            title = libraries().vectors[library]
            part = by_title.get(title)
            if part is None:
                part = Part(id=slug(title, "store"), kind="store", said={"title": title, "holds": ["embeddings"]})
                by_title[title] = part
            if len(part.notes) < 6:
                part.notes.append(f"{fact.file.path}:{line} imports {library}")
            parts[library] = part
    return parts


def named_models(facts: Iterable[Facts]) -> dict[str, Part]:
    """A part for every model that a source names with a literal, by that name."""
    parts: dict[str, Part] = {}
    for fact in facts:
        vendors = sorted({libraries().hosted[library] for library in fact.language if library in libraries().hosted})
        for model in fact.models:
            name = one_line(model.name, 200)
            if not name or name in parts or not re.fullmatch(r"[\w./:@+-]+", name, re.ASCII):
                continue
            part = Part(id=slug(name.rpartition("/")[2], "model"), kind="model", said={"title": name}, names=[name])
            if model.hub:
                part.said["uri"] = f"hf:{name}"
            elif len(vendors) == 1 and not fact.elsewhere:
                part.said |= {"source": vendors[0], "third_party": True}
            if model.task in {str(task) for task in Task}:
                part.said["task"] = str(model.task)
            if model.revision:
                part.said["revision"] = one_line(model.revision, 200)
            extra = ", with trust_remote_code" if model.remote_code else ""
            part.notes.append(f"{fact.file.path}:{model.line} names it{extra}")
            parts[name] = part
    return parts


def pipelines(facts: Iterable[Facts]) -> list[Part]:
    """A part for every source that fits a model and saves something, and for every notebook that fits one."""
    parts = []
    for fact in facts:
        if fact.trains and (fact.saves or fact.notebook):
            stem = fact.file.name.rpartition(".")[0]
            part = Part(id=slug(stem, "training"), kind="pipeline", said={"code": fact.file.path}, names=[fact.file.name])
            where = "of its code cells" if fact.notebook else "of it"
            part.notes.append(f"line {fact.trains} {where} fits a model")
            parts.append(part)
    return parts


def mentions(fact: Facts, parts: Iterable[Part]) -> list[str]:
    """The ids of those parts whose file names stand in the source as text: a hint, no proof of what it does with them."""
    said = "\n".join(sorted(fact.strings))
    return [part.id for part in parts if any(len(name) > 3 and name in said for name in part.names)]


def _because(fact: Facts, found: dict[str, int]) -> str:
    line = min(found.values(), default=0)
    return f"{fact.file.path}:{line} uses {shown(sorted(found))}"
