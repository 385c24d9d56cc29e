"""Says in words what differs between two policies: names and uses that came, and those that went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

Document = dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """One name: what may be done with it `before` and `after`; None where it may not even be looked up."""

    name: str
    before: tuple[str, ...] | None
    after: tuple[str, ...] | None

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.name}: {_words(self.after)}, new in this policy"
        if self.after is None:
            return f"- {self.name}: was {_words(self.before)}, no longer allowed"
        came = [use for use in self.after if use not in self.before]
        went = [use for use in self.before if use not in self.after]
        parts = ([f"now also {', '.join(came)}"] if came else []) + ([f"no longer {', '.join(went)}"] if went else [])
        return f"~ {self.name}: {'; '.join(parts) or 'other rules for its arguments'}"


def changes(old: Document, new: Document) -> tuple[Change, ...]:
    """The names that differ, widened ones first: what came needs a review, what went does not."""
    before, after = _table(old), _table(new)
    found = [
        Change(name, before[name][0] if name in before else None, after[name][0] if name in after else None)
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    return tuple(sorted(found, key=lambda change: (not _widened(change), change.name)))


def packages(old: Document, new: Document) -> Iterator[str]:
    """The packages of both, where version or files differ, in words."""
    before, after = ({str(p.get("name")): p for p in (d.get("about") or {}).get("packages") or ()} for d in (old, new))
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield f"{name}: {'came' if was is None else 'went'}"
        elif was.get("sha256") != now.get("sha256"):
            yield f"{name}: {was.get('version')} became {now.get('version')}, with other files"


def _widened(change: Change) -> bool:
    return change.after is not None and (change.before is None or bool(set(change.after) - set(change.before)))


def _table(document: Document) -> dict[str, tuple[tuple[str, ...], str]]:
    table: dict[str, tuple[tuple[str, ...], str]] = {}
    for row in document.get("allow") or ():
        rules = str(sorted((str(key), str(value)) for key, value in row.items() if key not in ("modules", "names", "uses", "why")))
        for module in str(row.get("modules", "")).split():
            for name in str(row.get("names", "")).split():
                table[f"{module}.{name}"] = (tuple(str(row.get("uses", "")).split()), rules)
    return table


def _words(uses: tuple[str, ...] | None) -> str:
    return ", ".join(uses) if uses else "looked up"
