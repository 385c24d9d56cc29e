"""What changed between two bills of materials, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from bartizan.model.bill import Bill, Part


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change: `what` is added, removed or changed, `part` names the part, `text` says it in words."""

    what: str
    part: str
    text: str


def differences(before: Bill, after: Bill) -> tuple[Change, ...]:
    """The changes from `before` to `after`: parts, versions, files by their hashes, licences, relations, figures. The day is no change."""
    return tuple(_changes(before, after))


def _changes(before: Bill, after: Bill) -> Iterator[Change]:
    old, new = _by_name(before), _by_name(after)
    for name in sorted(old.keys() - new.keys()):
        yield Change(what="removed", part=name, text=f"{_kind(old[name])} {_called(old[name])} is gone")
    for name in sorted(new.keys() - old.keys()):
        yield Change(what="added", part=name, text=f"{_kind(new[name])} {_called(new[name])} is new")
    for name in sorted(old.keys() & new.keys()):
        for text in _of_part(old[name], new[name]):
            yield Change(what="changed", part=name, text=f"{_kind(new[name])} {name}: {text}")
    makers = ({s.ref: s for s in before.steps}, {s.ref: s for s in after.steps})
    for ref in sorted(makers[0].keys() | makers[1].keys()):
        if makers[0].get(ref) != makers[1].get(ref):
            what = "removed" if ref not in makers[1] else ("added" if ref not in makers[0] else "changed")
            yield Change(
                what=what, part=ref, text=f"the pipeline {ref} is {'gone' if what == 'removed' else 'new' if what == 'added' else what}"
            )


def _by_name(bill: Bill) -> Mapping[str, Part]:
    """Parts under a name that outlives a version: a package's name without it, else the reference."""
    return {part.purl.partition("@")[0] or part.ref: part for part in bill.parts}


def _kind(part: Part) -> str:
    return {"machine-learning-model": "model", "data": "data set"}.get(part.kind, str(part.kind))


def _called(part: Part) -> str:
    return f"{part.name} {part.version}".strip()


def _of_part(old: Part, new: Part) -> Iterator[str]:
    for field in ("version", "licence", "owner", "source", "url", "task", "sensitivity", "title"):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield f"{field} was {before or 'not said'}, is {after or 'not said'}"
    yield from _of_files({f.path: f.sha256 for f in old.files}, {f.path: f.sha256 for f in new.files})
    for field, words in (("needs", "needs"), ("ancestors", "is made from"), ("trained_on", "is trained on"), ("tested_on", "is tested on")):
        before, after = set(getattr(old, field)), set(getattr(new, field))
        yield from (f"no longer {words} {name}" for name in sorted(before - after))
        yield from (f"now {words} {name}" for name in sorted(after - before))
    for name in sorted(old.facts.keys() | new.facts.keys()):
        if old.facts.get(name) != new.facts.get(name):
            yield f"{name} was {old.facts.get(name, 'not said')}, is {new.facts.get(name, 'not said')}"
    figures = {(m.check, m.name): m.value for m in old.metrics}
    for metric in new.metrics:
        earlier = figures.get((metric.check, metric.name))
        if earlier is not None and earlier != metric.value:
            yield f"{metric.name} was {earlier:.4g}, is {metric.value:.4g} ({metric.check})"


def _of_files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    yield from (f"file {path} is gone" for path in sorted(old.keys() - new.keys()))
    yield from (f"file {path} is new" for path in sorted(new.keys() - old.keys()))
    yield from (f"file {path} has other content" for path in sorted(old.keys() & new.keys()) if old[path] != new[path])
