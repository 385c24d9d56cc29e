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
    parts: dict[str, Part] = {}
    for folder in sorted(whole):
        naming = next((fact for fact in keeping if _names(fact, folder)), None)
        if naming is not None and not _inside(folder, parts):
            parts[folder] = _part(folder, whole[folder], "rag")
            parts[folder].notes.append(f"{naming.file.path} names it and uses {shown(sorted(naming.vectors))}")
    for folder in sorted(direct):
        near = next((fact for fact in keeping if _near(fact.file.parent, folder)), None)
        if near is not None and direct[folder] >= _FEW and not _inside(folder, parts):
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
        steps = file.parent.split("/")
        whole.update("/".join(steps[:i]) for i in range(1, len(steps) + 1))
    return direct, whole


def _part(folder: str, documents: int, stage: str | None) -> Part:
    part = Part(id=slug(folder.rpartition("/")[2], "documents"), kind="dataset", said={"uri": folder}, names=[folder])
    if stage is not None:
        part.said = {"stage": stage, **part.said}
    part.notes.append(f"{documents} document{'' if documents == 1 else 's'} (text, Markdown or PDF)")
    return part


def _names(fact: Facts, folder: str) -> bool:
    """Whether a text in the source is this folder, seen from the top or from the source's own folder, or a pattern of files in it."""
    paths = {folder}
    if fact.file.parent and folder.startswith(f"{fact.file.parent}/"):
        paths.add(folder[len(fact.file.parent) + 1 :])
    for text in fact.strings:
        plain = text.removeprefix("./").rstrip("/")
        if any(plain == path or (plain.startswith(f"{path}/") and "\n" not in plain) for path in paths):
            return True
    return False


def _near(home: str, folder: str) -> bool:
    """Whether the folder is the source's own, lies below it, or beside it."""
    above = folder.rpartition("/")[0]
    return folder == home or above in (home, home.rpartition("/")[0]) or (bool(home) and folder.startswith(f"{home}/"))


def _inside(folder: str, chosen: dict[str, Part]) -> bool:
    return any(folder == other or folder.startswith(f"{other}/") or other.startswith(f"{folder}/") for other in chosen)
