"""Takes personal data out of texts and tables: removed, masked, replaced under a key, shifted, coarsened; and measures what is left.

Names and addresses in free text are searched by the tagger of `names` where it is installed, in every value of columns that keep text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec

from bartizan.areas.pii.columns import Column, column_words, scan_table
from bartizan.areas.pii.folding import pieces_of
from bartizan.areas.pii.groups import Likeness, likeness, mondrian
from bartizan.areas.pii.masking import Masker, Names, finder_of
from bartizan.areas.pii.pseudonyms import KEY_BYTES, Pseudonyms
from bartizan.areas.pii.reading import SURE
from bartizan.areas.pii.scan import scan_texts
from bartizan.model.errors import InputError


class Action(StrEnum):
    """What happens to a column.

    `keep`: nothing. `remove`: the column is left out. `mask`: what is found inside a value is replaced by the name of its kind.
    `pseudonym`: the whole value is replaced under the key. `format`: its digits are, in place. `shift`: dates move by days that hang on
    the subject. `year`: dates and years are cut to the year, `round`: numbers to two digits, `prefix`: codes to their first half.
    `generalise`: coarsened together with all such columns until k rows look alike.
    """

    KEEP = "keep"
    REMOVE = "remove"
    MASK = "mask"
    PSEUDONYM = "pseudonym"
    FORMAT = "format"
    SHIFT = "shift"
    YEAR = "year"
    ROUND = "round"
    PREFIX = "prefix"
    GENERALISE = "generalise"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: `actions` by column (the others are chosen), and the strength of the groups (`generalise`).

    `subject` names the column that says whose row it is: dates of one subject move together. `days` is the widest shift. `names` says what
    happens to names in free text.
    """

    actions: Mapping[str, Action] = {}
    k: int = 10
    diversity: int = 1
    closeness: float = 1.0
    sensitive: tuple[str, ...] = ()
    subject: str | None = None
    days: int = 365
    names: Names = Names.AUTO


class Result(msgspec.Struct, frozen=True):
    """The new `columns`, what was done to each, hits that a scan of the result still finds by column, and how rows hide in their groups.

    `names` says whether names in free text were searched, before and after.
    """

    columns: dict[str, list[Any]]
    done: dict[str, Action]
    residual: dict[str, dict[str, int]]
    before: Likeness | None
    after: Likeness | None
    names: bool = False


_TURNS = 200  # encryptions after which a value gets a pseudonym instead: one social security number in a hundred thousand
_COARSE = {"date_of_birth": Action.YEAR, "postcode": Action.PREFIX, "location": Action.ROUND}
_QUASI = frozenset({"age", "sex", "postcode", "date_of_birth", "origin", "location"})
_WHOLE_NAMES = frozenset({"person_name", "identity_number", "address", "device", "email", "phone", "us_ssn"})


def plan(found: Mapping[str, Column], wish: Wish) -> dict[str, Action]:
    """The action for each column: that of the wish, else what the content and the name call for.

    Secrets and addresses are removed, columns of identifiers become pseudonyms, identifiers inside text are masked, dates of birth become
    years, postcodes prefixes. Raises `InputError` for an action on a column that is not there.
    """
    for name in (*wish.actions, *wish.sensitive, *([wish.subject] if wish.subject else [])):
        if name not in found:
            raise InputError(f"there is no column '{name}'", cure="known: " + ", ".join(list(found)[:20]))
    return {name: Action(wish.actions[name]) if name in wish.actions else _chosen(column) for name, column in found.items()}


def _chosen(column: Column) -> Action:
    kind = column.main
    if kind is not None and (kind.startswith("secret") or kind in ("address", "url_with_credentials")):
        return Action.REMOVE
    if kind in _COARSE:
        return _COARSE[kind]
    held = column.kinds.get(kind or "")
    if held is not None and held.whole * 2 >= held.values:
        return Action.PSEUDONYM
    if column.kinds:
        return Action.MASK
    return Action.PSEUDONYM if column.named_personal and column.named in _WHOLE_NAMES else Action.KEEP


def quasi_identifiers(found: Mapping[str, Column]) -> tuple[str, ...]:
    """Columns that together could single a person out, by their names and content."""
    return tuple(name for name, column in found.items() if column.main in _QUASI or column.named in _QUASI)


def anonymise(columns: Mapping[str, Iterable[Any]], wish: Wish | None = None, *, key: bytes | None = None) -> Result:
    """A copy of the table `columns` without personal data, as `wish` says; `key` makes pseudonyms repeatable (else a key used once).

    Raises `InputError` for a wish that names no column or cannot be met.
    """
    wish = wish or Wish()
    table = {name: values.tolist() if hasattr(values, "tolist") else list(values) for name, values in columns.items()}
    found = scan_table(table)
    done = plan(found, wish)
    masker = Masker(Pseudonyms(key or secrets.token_bytes(KEY_BYTES)), finder_of(wish.names))
    if masker.finder is not None:
        free = [name for name in table if done[name] is Action.KEEP and name not in wish.actions]
        done |= {name: action for name in free if (action := _named(table[name], found[name], masker)) is not None}
        pure = [name for name in free if done[name] is Action.PSEUDONYM]
        found |= {name: msgspec.structs.replace(found[name], named="person_name") for name in pure}
    subjects = [str(value) for value in table[wish.subject]] if wish.subject else None
    new = {
        name: _changed(name, table[name], done[name], (found[name], masker), (subjects, wish))
        for name in table
        if done[name] is not Action.REMOVE
    }
    quasi = [name for name, action in done.items() if action is Action.GENERALISE]
    before = after = None
    if quasi:
        before = likeness(table, quasi, wish.sensitive)
        new |= mondrian(table, quasi, wish.k, sensitive=wish.sensitive, diversity=wish.diversity, closeness=wish.closeness).columns
        after = likeness({**table, **new}, quasi, wish.sensitive)
    text = [name for name in new if done[name] in (Action.KEEP, Action.MASK)]
    left = _left(new, {name: found[name] for name in text}, masker)
    return Result(new, done, left, before, after, masker.finder is not None)


def _named(values: list[Any], column: Column, masker: Masker) -> Action | None:
    """What a column that would be kept calls for because of the names in it; None where there are none.

    In short values, which categories and titles are as well, only names of persons count, and half of them must be nothing else; in few
    sentences that are often repeated, half must bear one for sure.
    """
    assert masker.finder is not None
    texts = list({value: None for value in values if isinstance(value, str) and " " in value})
    hits = masker.find(texts)
    if column.free_text:
        return Action.MASK if any(hits) else None
    whole = sum(
        any(hit.kind == "person_name" and hit.value == text.strip() for hit in held) for text, held in zip(texts, hits, strict=True)
    )
    if whole * 2 >= max(column.values, 1):
        return Action.PSEUDONYM
    sure = sum(any(hit.kind == "person_name" and hit.score >= SURE for hit in held) for held in hits)
    return Action.MASK if column.repeats_names(sure) else None


def residual(columns: Mapping[str, Iterable[Any]]) -> dict[str, dict[str, int]]:
    """What a scan still finds, names apart: column, kind, rows."""
    left = {name: {kind: held.rows for kind, held in column.kinds.items()} for name, column in scan_table(columns).items()}
    return {name: kinds for name, kinds in left.items() if kinds}


def _left(new: Mapping[str, list[Any]], texts: Mapping[str, Column], masker: Masker) -> dict[str, dict[str, int]]:
    """What a scan of `new` still finds: column, kind, rows; with names in the columns of free text among `texts`."""
    left = residual(new)
    if masker.finder is None:
        return left
    for name, column in texts.items():
        if not column.free_text:
            continue
        counts = Counter(value for value in new[name] if isinstance(value, str) and value)
        kinds: Counter[str] = Counter()
        for (_, count), hits in zip(counts.items(), masker.find(list(counts), hint=column_words(name)), strict=True):
            kinds.update(dict.fromkeys({hit.kind for hit in hits}, count))
        if kinds:
            left[name] = {**left.get(name, {}), **kinds}
    return left


def _changed(
    name: str, values: list[Any], action: Action, context: tuple[Column, Masker], more: tuple[list[str] | None, Wish]
) -> list[Any]:
    column, masker = context
    names = masker.pseudonyms
    subjects, wish = more
    kind = column.main or name
    if action is Action.SHIFT:
        whose = subjects or [""] * len(values)
        return [names.shifted(str(v), s, wish.days) if _filled(v) else v for v, s in zip(values, whose, strict=True)]
    if action is Action.MASK:
        clean = masker.masked((_text(value) for value in values if _filled(value)), hint=column_words(name))
        return [_like(value, clean[_text(value)]) if _filled(value) else value for value in values]
    if action is Action.FORMAT:
        return _formatted(values, name, kind, names)
    change = _CHANGES.get(action)
    if change is None:
        return values
    once = cache(lambda text: change(kind, text, names))
    return [once(_text(value)) if _filled(value) else value for value in values]


def _filled(value: Any) -> bool:
    return value is not None and value == value and value != ""


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _like(value: Any, clean: str) -> Any:
    """What stands for `value`: a list or a mapping again where it was one and the text is still JSON, else the text."""
    if not isinstance(value, dict | list):
        return clean
    try:
        return json.loads(clean)
    except ValueError:
        return clean


def anonymise_text(text: str, *, key: bytes | None = None, names: Names = Names.AUTO) -> str:
    """`text` with every hit replaced by `[kind letters]`; scanned again until nothing is found. Names as `names` says."""
    return clean_text(text, Masker(Pseudonyms(key or secrets.token_bytes(KEY_BYTES)), finder_of(names)))


def clean_text(text: str, masker: Masker) -> str:
    """`text` as `masker` cleans it. Raises `InputError` where something with a shape is left."""
    pieces = pieces_of(text)
    by_piece = masker.masked(pieces)
    clean = "".join(by_piece[piece] for piece in pieces)
    if len(pieces) > 1 and scan_texts([clean])[0]:  # something goes over several lines
        clean = masker.masked([clean])[clean]
    if scan_texts([clean])[0]:
        raise InputError("the text still shows personal data after several passes", cure="remove the passage")
    return clean


def _pseudonym(kind: str, text: str, names: Pseudonyms) -> str:
    return names.token(kind, text)


def _formatted(values: list[Any], name: str, kind: str, names: Pseudonyms) -> list[Any]:
    """The digits encrypted in place, again until the result is no valid number of any kind; a pseudonym where there is no such form."""
    pending = list({_text(value): None for value in values if _filled(value)})
    new: dict[str, str] = {}
    for turn in range(_TURNS):
        tried = [names.digits(kind, text, turn) for text in pending]
        hits = scan_texts([text or "" for text in tried], hint=f"{column_words(name)} {kind.replace('_', ' ')}")
        for text, changed, found in zip(pending, tried, hits, strict=True):
            if changed is None:
                new[text] = names.token(kind, text)
            elif not found:
                new[text] = changed
        pending = [text for text in pending if text not in new]
        if not pending:
            break
    new |= {text: names.token(kind, text) for text in pending}
    return [new[_text(value)] if _filled(value) else value for value in values]


_YEAR = re.compile(r"(?<!\d)(?:18|19|20)\d\d(?!\d)")


def _year(_kind: str, text: str, _names: Pseudonyms) -> str | None:
    found = _YEAR.search(text)
    return found[0] if found else None


def _rounded(_kind: str, text: str, _names: Pseudonyms) -> str | None:
    try:
        return f"{float(text):.2g}"
    except ValueError:
        return None


def _prefix(_kind: str, text: str, _names: Pseudonyms) -> str:
    kept = text.strip()[: max(1, min(3, len(text.strip()) // 2))]
    return kept + "*" * (len(text.strip()) - len(kept))


_CHANGES: dict[Action, Callable[[str, str, Pseudonyms], str | None]] = {
    Action.PSEUDONYM: _pseudonym,
    Action.YEAR: _year,
    Action.ROUND: _rounded,
    Action.PREFIX: _prefix,
}
