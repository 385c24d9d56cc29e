"""`bartizan init`: a manifest drafted from what a folder holds, with a question for everything that no file proves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bartizan.manifest.addresses import check_uri
from bartizan.model.errors import InputError, Place, one_line
from bartizan.workflows.drafting import artefacts, hints, infrastructure, programs, toolboxes
from bartizan.workflows.drafting.corpora import corpora
from bartizan.workflows.drafting.folder import MAX_ENTRIES, Holdings, walk
from bartizan.workflows.drafting.pages import page
from bartizan.workflows.drafting.part import Part, shown, unique
from bartizan.workflows.drafting.sources import Facts, facts_of

MAX_PARTS = 200
"""Most entries of one section; a larger folder is better described by hand."""


def draft(folder: Path, *, name: str | None = None) -> str:
    """The text of a manifest for the system in `folder`, called `name` (default: the folder's name).

    Nothing is executed, imported or loaded: files are told by their names, their first bytes and the syntax of their source. The same
    folder gives the same text. Raises `InputError` where `folder` is not one.
    """
    if not folder.is_dir():
        raise InputError("no such folder", place=str(folder))
    holdings = walk(folder)
    facts = sorted(facts_of(holdings), key=lambda fact: fact.file.path)
    remarks = _remarks(holdings)
    datasets = _fitting([*artefacts.datasets(holdings), *corpora(holdings, facts)], remarks)
    assets = _fitting(_assets(holdings, facts, remarks), remarks)
    _hint(facts, assets, datasets)
    called = one_line(name if name is not None else folder.resolve().name, 200).encode("utf-8", "replace").decode()
    return page(called or "unnamed", datasets, assets, remarks)


def _assets(holdings: Holdings, facts: Sequence[Facts], remarks: list[str]) -> list[Part]:
    """The assets in the order in which a reader meets them, with ids that are final, so that one may name another."""
    tracked = infrastructure.mlflow(holdings)
    covered = tuple(str(part.said["uri"]) for part in tracked)
    named, kept = programs.named_models(facts), programs.stores(facts)
    models = [*artefacts.models(holdings, covered), *(part for part in tracked if part.kind == "model"), *named.values()]
    stores = list({id(part): part for part in kept.values()}.values())
    rest = [
        *(part for part in tracked if part.kind == "registry"),
        *programs.pipelines(facts),
        *infrastructure.interfaces(holdings),
        *infrastructure.containers(holdings),
        *infrastructure.clusters(holdings),
        *infrastructure.dependencies(holdings),
    ]
    registered = toolboxes.registered(facts)
    first = _fitting([*models, *stores, *registered.values(), *toolboxes.servers(holdings)], remarks)
    unique(first)
    present = {id(part) for part in first}
    apps = programs.applications(
        facts,
        {library: part.id for library, part in kept.items() if id(part) in present},
        {model: part.id for model, part in named.items() if id(part) in present},
        {key: part.id for key, part in registered.items() if id(part) in present},
    )
    apps = _fitting(apps, remarks)
    unique([*first, *apps])
    return [*first, *apps, *programs.endpoints(facts, apps), *rest]


def _fitting(parts: list[Part], remarks: list[str]) -> list[Part]:
    """The parts whose address a manifest can hold, at most `MAX_PARTS`; what is left out is remarked on."""
    fitting = []
    for part in parts:
        try:
            for field in ("uri", "code"):
                if field in part.said:
                    check_uri(str(part.said[field]), field, Place("draft"))
        except InputError as error:
            remarks.append(f"Left out, because its name does not fit a manifest: {error.what}")
            continue
        fitting.append(part)
    if len(fitting) > MAX_PARTS:
        remarks.append(f"Only the first {MAX_PARTS} of {len(fitting)} entries of one section are drafted.")
    return fitting[:MAX_PARTS]


def _hint(facts: Sequence[Facts], assets: list[Part], datasets: list[Part]) -> None:
    """Say beside a question what the source mentions; ids are made unique over both sections first."""
    unique([*assets, *datasets])
    models = [part for part in assets if part.kind == "model"]
    apps = [part for part in assets if part.kind in ("llm-app", "agent")]
    hints.learning(facts, models)
    hints.execution(facts, apps)
    hints.tooling(facts, apps, [part for part in assets if part.kind == "tool" and "uri" in part.said])
    by_code = {fact.file.path: fact for fact in facts}
    trainers = {part.id: programs.mentions(by_code[str(part.said["code"])], datasets) for part in assets if part.kind == "pipeline"}
    for part in assets:
        fact = by_code.get(str(part.said.get("code")))
        if fact is None:
            continue
        named = programs.mentions(fact, models)
        if named and "serves" not in part.said:
            part.hints["produces" if part.kind == "pipeline" else "serves"] = f"The source mentions: {shown(named)}"
        elif "serves" in part.said:
            hints.serving(part, named, [app for app in apps if fact.file.path in app.files])
        for model in models:
            if part.kind == "pipeline" and model.id in named and trainers[part.id]:
                model.hints["trained_on"] = f"{one_line(str(part.said['code']), 200)} mentions it with: {shown(trainers[part.id])}"


def _remarks(holdings: Holdings) -> list[str]:
    remarks = []
    if holdings.cut:
        remarks.append(f"The folder is larger than {MAX_ENTRIES:,} entries or very deep: only a part was looked at.")
    if holdings.unnamed:
        remarks.append(f"Left out: {holdings.unnamed} files whose names are not printable text.")
    return remarks
