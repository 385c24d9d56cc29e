"""Folders of documents that a program with a vector store may read: what a retrieval-augmented application is fed with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bartizan.workflows.drafting.folder import Holdings
from bartizan.workflows.drafting.infrastructure import installs
from bartizan.workflows.drafting.part import Part, shown, slug
from bartizan.workflows.drafting.sources import Facts

_DOCUMENTS = frozenset({".md", ".txt", ".rst", ".pdf", ".docx"})
_ABOUT = frozenset({"readme", "license", "licence", "changelog", "contributing", "notice", "authors", "security", "code_of_conduct"})
_FEW = 3
"""So many documents in one folder near a vector store are worth a question."""


def corpora(holdings: Holdings, facts: Sequence[Facts]) -> list[Part]:
    """A part for every folder of documents that a source with a vector store names, and a question for those that lie near one."""
    keeping = [fact for fact in facts if fact.vectors]
    if not keeping:
        return []
    direct, whole = _counted(holdings)
    named = [(fact, _named(fact)) for fact in keeping]
    parts: dict[str, Part] = {}
    around: set[str] = set()
    for folder in sorted(whole):
        naming = next((fact for fact, names in named if folder in names), None)
        if naming is not None and parts.keys().isdisjoint(_way(folder)):
            parts[folder] = _part(folder, whole[folder], "rag")
            parts[folder].notes.append(f"{naming.file.path} reads its files and uses {shown(sorted(naming.vectors))}")
            around.update(_way(folder))
    for folder in sorted(direct):
        near = next((fact for fact in keeping if _near(fact.file.parent, folder)), None)
        if near is not None and direct[folder] >= _FEW and folder not in around and parts.keys().isdisjoint(_way(folder)):
            parts[folder] = _part(folder, direct[folder], None)
            parts[folder].hints["stage"] = f"It lies near {near.file.path}, which uses {shown(sorted(near.vectors))}: rag if that reads it."
    return [parts[folder] for folder in sorted(parts)]


def _counted(holdings: Holdings) -> tuple[Counter[str], Counter[str]]:
    """How many documents lie in a folder itself, and how many in it and below."""
    direct: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for file in holdings.files:
        stem = file.name.lower().partition(".")[0]
        if file.suffix not in _DOCUMENTS or not file.parent or stem in _ABOUT or installs(file.name):
            continue
        direct[file.parent] += 1
        whole.update(_way(file.parent))
    return direct, whole


def _part(folder: str, documents: int, stage: str | None) -> Part:
    part = Part(id=slug(folder.rpartition("/")[2], "documents"), kind="dataset", said={"uri": folder}, names=[folder])
    if stage is not None:
        part.said = {"stage": stage, **part.said}
    part.notes.append(f"{documents} document{'' if documents == 1 else 's'} (text, Markdown or PDF)")
    return part


def _named(fact: Facts) -> set[str]:
    """The folders whose files the source reads, each seen from the top and from its own folder; of a pattern the part before it."""
    found = set()
    for text in fact.folders:
        steps = text.removeprefix("./").rstrip("/").split("/")
        fixed = next((i for i, step in enumerate(steps) if any(sign in step for sign in "*?[")), len(steps))
        found.add("/".join(steps[:fixed]))
    home = f"{fact.file.parent}/" if fact.file.parent else ""
    return {path for path in found | {f"{home}{path}" for path in found} if path}


def _way(path: str) -> list[str]:
    """The folder and those that it lies in, the topmost first."""
    steps = path.split("/")
    return ["/".join(steps[:i]) for i in range(1, len(steps) + 1)]


def _near(home: str, folder: str) -> bool:
    """Whether the folder is the source's own, lies below it, or beside it."""
    above = folder.rpartition("/")[0]
    return folder == home or above in (home, home.rpartition("/")[0]) or (bool(home) and folder.startswith(f"{home}/"))
