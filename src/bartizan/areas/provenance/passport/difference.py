"""What changed from one passport to another, in words: by file, by column, by rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from bartizan.areas.provenance.passport.formats import logical_name
from bartizan.areas.provenance.passport.statement import Answer, Details, FileRecord, Profile
from bartizan.areas.provenance.passport.trees import BLOCK
from bartizan.model.errors import one_line


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is another. `kind` is added, removed, renamed, re-encoded, swapped, schema, rows, values, lineage or
    answer; re-encoded and
    renamed files hold the same rows."""

    kind: str
    text: str
    file: str = ""
    column: str = ""

    @property
    def harmless(self) -> bool:
        """Whether every row is as it was."""
        return self.kind in ("re-encoded", "renamed")


def differences(old: Details, new: Details) -> tuple[Change, ...]:
    """What changed from `old` to `new`, file by file; nothing where they say the same."""
    return tuple(_differences(old, new))


def _differences(old: Details, new: Details) -> Iterator[Change]:
    pairs, gone, come = _matched(old.files, new.files)
    swapped: set[str] = set()
    contents = {(f.schema, f.rows, f.root): f.name for f in old.files}
    for before, after in pairs:
        source = contents.get(_content(after))
        if before.name == after.name and not _same(before, after) and source not in (None, before.name) and before.name not in swapped:
            other = next((a for b, a in pairs if b.name == source), None)
            if other is not None and _content(other) == _content(before):
                swapped |= {before.name, other.name}
                yield Change(kind="swapped", text=f"{_shown(before.name)} and {_shown(other.name)} changed places", file=before.name)
                continue
        if before.name not in swapped:
            yield from between(before, after)
    yield from (Change(kind="removed", text=f"{_shown(f.name)} is gone ({_rows(f)})", file=f.name) for f in gone)
    yield from (Change(kind="added", text=f"{_shown(f.name)} is new ({_rows(f)})", file=f.name) for f in come)
    if old.parents != new.parents:
        names = ", ".join(one_line(p.name, 60) for p in new.parents) or "nothing"
        yield Change(kind="lineage", text=f"it is now made from {names}")
    yield from _answers(old.answers, new.answers)


def _answers(old: Sequence[Answer], new: Sequence[Answer]) -> Iterator[Change]:
    """Where a check that spoke both times now says something else."""
    before = {a.check: a for a in old if a.verdict is not None}
    for answer in new:
        earlier = before.get(answer.check)
        if earlier is not None and answer.verdict is not None and answer.verdict != earlier.verdict:
            text = f"{answer.check} said {earlier.verdict} and says {answer.verdict}: {one_line(answer.title, 160)}"
            yield Change(kind="answer", text=text)


def between(old: FileRecord, new: FileRecord) -> Iterator[Change]:
    """What changed in one file."""
    name = new.name
    shown = "the file" if name == "." else _shown(name)
    if old.name != name:
        yield Change(kind="renamed", text=f"{_shown(old.name)} is now called {_shown(name)}", file=name)
    if (old.sha256, old.size) == (new.sha256, new.size):
        return
    if _content(old) == _content(new):
        form = f" ({old.format} to {new.format})" if old.format != new.format else ""
        yield Change(kind="re-encoded", text=f"{shown} was written anew{form}; every row is as it was", file=name)
        return
    if old.format == "file" or new.format == "file":
        yield Change(kind="values", text=f"{shown} has another content ({old.size} bytes, now {new.size})", file=name)
        return
    yield from _schema(old, new, shown)
    yield from _row_counts(old, new, shown)
    yield from _values(old, new, shown)


def _schema(old: FileRecord, new: FileRecord, shown: str) -> Iterator[Change]:
    before, after = {c.name: c for c in old.columns}, {c.name: c for c in new.columns}
    appeared = {c.digest: c for c in new.columns if c.name not in before}
    renamed = {c.name: appeared[c.digest].name for c in old.columns if c.name not in after and c.digest in appeared}
    for column in old.columns:
        name = _shown(column.name)
        if column.name in renamed:
            text = f"{shown}: column {name} is now called {_shown(renamed[column.name])}"
        elif column.name not in after:
            text = f"{shown}: column {name} is gone"
        elif after[column.name].type != column.type:
            text = f"{shown}: column {name} was {column.type} and is {after[column.name].type}"
        else:
            continue
        yield Change(kind="schema", text=text, file=new.name, column=column.name)
    for column in new.columns:
        if column.name not in before and column.name not in renamed.values():
            yield Change(kind="schema", text=f"{shown}: column {_shown(column.name)} is new", file=new.name, column=column.name)
    kept = [renamed.get(c.name, c.name) for c in old.columns if c.name in after or c.name in renamed]
    if kept != [c.name for c in new.columns if c.name in set(kept)]:
        yield Change(kind="schema", text=f"{shown}: the columns stand in another order", file=new.name)


def _row_counts(old: FileRecord, new: FileRecord, shown: str) -> Iterator[Change]:
    if old.rows == new.rows:
        return
    words = f"{shown}: {old.rows} rows, now {new.rows} ({new.rows - old.rows:+d})"
    same = _same_blocks(old, new)
    if old.schema == new.schema and same:
        words += f"; the first {same * BLOCK} are as they were"
    yield Change(kind="rows", text=words, file=new.name)


def _values(old: FileRecord, new: FileRecord, shown: str) -> Iterator[Change]:
    after = {c.name: c for c in new.columns}
    changed = [
        (c, after[c.name]) for c in old.columns if c.name in after and c.type == after[c.name].type and c.digest != after[c.name].digest
    ]
    if old.rows != new.rows:
        drifted = [(b, a) for b, a in changed if _moved(b, a, old.rows, new.rows)]
        yield from (Change(kind="values", text=f"{shown}: {_told(b, a)}", file=new.name, column=b.name) for b, a in drifted)
        return
    if old.schema == new.schema and not changed:
        yield Change(kind="values", text=f"{shown}: the rows stand in another order", file=new.name)
    where = _where(old, new) if old.schema == new.schema else ""
    for before, now in changed:
        yield Change(kind="values", text=f"{shown}: {_told(before, now)}{where}", file=new.name, column=before.name)


def _told(before: Profile, after: Profile) -> str:
    facts = []
    if before.nulls != after.nulls:
        facts.append(f"{before.nulls} empty cells, now {after.nulls}")
    if before.mean is not None and after.mean is not None and before.mean != after.mean:
        facts.append(f"mean {before.mean:g}, now {after.mean:g}")
    return f"column {_shown(before.name)} has other values" + (f" ({'; '.join(facts)})" if facts else "")


def _moved(before: Profile, after: Profile, rows_before: int, rows_after: int) -> bool:
    """Whether the mean moved by more than a tenth of the spread, or the share of empty cells by more than one in a hundred."""
    if abs(before.nulls / max(rows_before, 1) - after.nulls / max(rows_after, 1)) > 0.01:
        return True
    if before.mean is None or after.mean is None or before.deviation is None:
        return (before.mean is None) != (after.mean is None)
    return abs(after.mean - before.mean) > 0.1 * before.deviation


def _where(old: FileRecord, new: FileRecord) -> str:
    """In which rows, as far as the blocks tell."""
    if not old.blocks or len(old.blocks) != len(new.blocks):
        return ""
    other = [n for n, (a, b) in enumerate(zip(old.blocks, new.blocks, strict=True)) if a != b]
    if not other or len(other) > 3:
        return ""
    return ", in rows " + ", ".join(f"{n * BLOCK} to {min((n + 1) * BLOCK, new.rows) - 1}" for n in other)


def _same_blocks(old: FileRecord, new: FileRecord) -> int:
    """How many whole blocks at the beginning are the same."""
    limit = min(old.rows, new.rows) // BLOCK
    pairs = zip(_blocks(old)[:limit], _blocks(new)[:limit], strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), limit)


def _blocks(file: FileRecord) -> Sequence[str]:
    return file.blocks or (file.root,)


def _matched(
    old: Sequence[FileRecord], new: Sequence[FileRecord]
) -> tuple[list[tuple[FileRecord, FileRecord]], list[FileRecord], list[FileRecord]]:
    """Pairs by name, then by logical name, then by content; and what stays alone on either side."""
    left, right = {f.name: f for f in old}, {f.name: f for f in new}
    pairs = [(left.pop(name), right.pop(name)) for name in list(left) if name in right]
    keys: tuple[Callable[[FileRecord], str], ...] = (lambda f: logical_name(f.name), lambda f: str(_content(f)))
    for key in keys:
        waiting = {key(f): f for f in right.values()}
        for file in list(left.values()):
            other = waiting.pop(key(file), None)
            if other is not None:
                pairs.append((left.pop(file.name), right.pop(other.name)))
    return pairs, list(left.values()), list(right.values())


def _same(a: FileRecord, b: FileRecord) -> bool:
    return (a.sha256, a.size) == (b.sha256, b.size)


def _content(file: FileRecord) -> tuple[str, int, str]:
    return file.schema, file.rows, file.root


def _rows(file: FileRecord) -> str:
    return f"{file.size} bytes" if file.format == "file" else f"{file.rows} rows"


def _shown(name: str) -> str:
    return f"'{one_line(name, 120)}'"
