"""The reviewed policy of globals as data: which names a pickle may use, in which ways, and which are known to be dangerous.

What ships lies in `data/policy/*.yaml`. A file holds a list of entries under `allow` and of refusals under `deny`:

    allow:
    - modules: collections          # one or more, separated by blanks; `sklearn.**` is sklearn and every module below it
      names: OrderedDict Counter    # one or more names, dotted for nested ones
      uses: new call build setitem  # what may be done with them; looking them up always may
      arguments: {0: called}        # rules for arguments by position, see `RULES`
      state_items: {0: called}      # the same for a state that is a tuple
      state_keys: {name: constant}  # the same for a state that is a dict with no other keys than these
      methods: _entropy             # what may be looked up in an instance, to be kept
      confined: true                # it may only be called, not kept as a value, since its arguments decide
      makes: 0                      # the class of what comes out stands at this position of the arguments
      attributes: __wrapped__       # attributes with two underscores that a state may set
      state: any                    # the state may be a computed object
      why: what was looked at in the review
    deny:
    - modules: os posix
      names: "*"
      uses: call                    # refused in these ways only; without it in every way
      why: what it does

A denial wins over an entry, and an exact module over a pattern.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from bartizan.areas.artefacts.pickles.analysis import Watched
from bartizan.areas.artefacts.safety import UseKind
from bartizan.model.errors import InputError

RULES = frozenset(
    {
        "called",
        "made",
        "constant",
        "plain",
        "encoding",
        "torch-legacy",
        "numpy-name",
        "object",
        "type-name",
        "generator",
        "generator-maker",
        "plain-or-made",
        "rebuild",
        "any",
        "string",
        "absent",
        "array",
        "method",
        "argument-parser",
        "array-class",
    }
)
"""Rules for one argument.

`called`: if it is a global, it must be allowed to be called, with any arguments. `made`: or made without its constructor. `constant`: a
string, number or None. `plain`: anything but a global or a computed object. `plain-or-made`: or what came of a call. `encoding`: the name
of a text encoding. `torch-legacy`: bytes that are a safe torch file of the old format. `numpy-name`: the module numpy or the name of
something in it. `object`: `builtins.object` or another plain class of builtins. `type-name`: a string, a class that may be made, or plain
data, as numpy's types are described. `generator`: as `called`, or one of numpy's generators. `generator-maker`: numpy's own maker of
generators. `rebuild`: what rebuilds a tensor in `torch._utils`. `any`: whatever stands there. `string`: text or bytes. `absent`: there is
none. `array`: an array of numpy. `method`: a method looked up as `methods` allows. `argument-parser`: the text that scipy itself writes for
a distribution. `array-class`: as `made`, or `numpy.memmap`, which is not called there.
"""

_BY_CONTENT = frozenset({"encoding", "torch-legacy", "numpy-name", "argument-parser"})
"""Rules for which the text or the bytes of the argument decide."""

_USES = {kind.value: kind for kind in UseKind}


class Entry(msgspec.Struct, frozen=True):
    """What may be done with a name."""

    uses: frozenset[UseKind]
    why: str
    arguments: Mapping[int, str] = {}
    state_items: Mapping[int, str] = {}
    makes: int = -1
    confined: bool = False
    attributes: frozenset[str] = frozenset()
    any_state: bool = False
    state_keys: Mapping[str, str] = {}
    methods: frozenset[str] = frozenset()


class Denial(msgspec.Struct, frozen=True):
    """Why a name is refused, and in which uses (empty: in all)."""

    why: str
    uses: frozenset[UseKind] = frozenset()


class Policy:
    """Allowed and denied names. Immutable; `digest` names its content."""

    def __init__(self, sources: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        self._allowed: dict[tuple[str, str], Entry] = {}
        self._below: dict[tuple[str, str], Entry] = {}
        self._denied: dict[tuple[str, str], list[Denial]] = {}
        self._sources = tuple(sources)
        for place, document in sources:
            for row in _rows(document, "allow", place):
                self._allow(row, place)
            for row in _rows(document, "deny", place):
                self._deny(row, place)
        self.digest = hashlib.sha256(msgspec.json.encode([document for _, document in sources], order="deterministic")).hexdigest()
        everything = [*self._allowed.items(), *self._below.items()]
        self.watch = _Watch(
            {
                key: _watched(entry)
                for key, entry in everything
                if entry.arguments or entry.state_items or entry.state_keys or entry.methods or entry.makes >= 0 or entry.confined
            }
        )

    @classmethod
    def shipped(cls) -> Policy:
        """The reviewed policy that comes with bartizan."""
        return _shipped()

    def with_(self, extra: Iterable[Path]) -> Policy:
        """This policy and the entries of the files `extra`, which may add names but lift no denial. Raises `InputError`."""
        from bartizan.documents import read

        return Policy([*self._sources, *((str(path), _document(read(path).value, str(path))) for path in extra)])

    def entry(self, module: str, name: str) -> Entry | None:
        """What is allowed for a name; None where nothing is."""
        found = self._allowed.get((module, name))
        if found is not None or not self._below:
            return found
        while module:
            found = self._below.get((module, name))
            if found is not None:
                return found
            module = module.rpartition(".")[0]
        return None

    def denial(self, module: str, name: str, kind: UseKind) -> str | None:
        """Why a use is known to be dangerous; None where it is not."""
        head = name
        while head:
            for denial in self._denied.get((module, head), ()):
                if not denial.uses or kind in denial.uses:
                    return denial.why
            head = head.rpartition(".")[0]
        while module:
            for denial in self._denied.get((module, "*"), ()):
                if not denial.uses or kind in denial.uses:
                    return denial.why
            module = module.rpartition(".")[0]
        return None

    def _allow(self, row: Mapping[str, Any], place: str) -> None:
        entry = Entry(
            uses=_uses(row, place),
            why=str(row.get("why", "")),
            arguments={int(position): rule for position, rule in _rules(row, "arguments", place).items()},
            state_items={int(position): rule for position, rule in _rules(row, "state_items", place).items()},
            state_keys=_rules(row, "state_keys", place),
            methods=frozenset(str(row.get("methods", "")).split()),
            confined=bool(row.get("confined", False)),
            makes=int(row.get("makes", -1)),
            attributes=frozenset(str(row.get("attributes", "")).split()),
            any_state=row.get("state") == "any",
        )
        for module in _words(row, "modules", place):
            table, key = (self._below, module[:-3]) if module.endswith(".**") else (self._allowed, module)
            for name in _words(row, "names", place):
                known = table.get((key, name))
                table[key, name] = entry if known is None else _both(known, entry)

    def _deny(self, row: Mapping[str, Any], place: str) -> None:
        denial = Denial(str(row.get("why", "")), _uses(row, place))
        for module in _words(row, "modules", place):
            for name in _words(row, "names", place):
                self._denied.setdefault((module, name), []).append(denial)


class _Watch(dict[tuple[str, str], Watched]):
    """What to watch by (module, name), where a pattern's module stands for every one below it."""

    def get(self, key: tuple[str, str], default: Any = None) -> Any:
        module, name = key
        while module:
            found = super().get((module, name))
            if found is not None:
                return found
            module = module.rpartition(".")[0]
        return default


def _both(first: Entry, second: Entry) -> Entry:
    """Two entries for one name: the uses of both under the rules of both."""
    return Entry(
        uses=first.uses | second.uses,
        why=first.why,
        arguments={**second.arguments, **first.arguments},
        state_items={**second.state_items, **first.state_items},
        confined=first.confined or second.confined,
        makes=max(first.makes, second.makes),
        attributes=first.attributes | second.attributes,
        any_state=first.any_state or second.any_state,
        state_keys=first.state_keys or second.state_keys,
        methods=first.methods | second.methods,
    )


def _watched(entry: Entry) -> Watched:
    positions = tuple(sorted(entry.arguments))
    detailed = frozenset(position for position, rule in entry.arguments.items() if rule in _BY_CONTENT)
    class_ = entry.confined and bool(entry.uses) and UseKind.CALL not in entry.uses
    return Watched(
        positions=positions,
        detailed=detailed,
        makes=entry.makes,
        state=tuple(sorted(entry.state_items)),
        confined=entry.confined,
        keys=frozenset(key for key, rule in entry.state_keys.items() if rule in _BY_CONTENT) if entry.state_keys else None,
        takes=frozenset(key for key, rule in entry.state_keys.items() if rule == "array-class"),
        methods=entry.methods,
        slow=class_ or bool(entry.state_keys) or "torch-legacy" in entry.arguments.values(),
    )


def _rules(row: Mapping[str, Any], key: str, place: str) -> dict[str, str]:
    rules = {str(position): str(rule) for position, rule in (row.get(key) or {}).items()}
    unknown = set(rules.values()) - RULES
    if unknown:
        raise InputError(f"unknown rule '{min(unknown)}' for an argument", place=place, cure="known: " + ", ".join(sorted(RULES)))
    return rules


def _rows(document: Mapping[str, Any], key: str, place: str) -> list[Mapping[str, Any]]:
    rows = document.get(key) or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"'{key}' of a policy is a list of entries", place=place)
    return rows


def _words(row: Mapping[str, Any], key: str, place: str) -> list[str]:
    value = row.get(key)
    words = [str(word) for word in value] if isinstance(value, list) else str(value or "").split()
    if not words:
        raise InputError(f"an entry of a policy needs '{key}'", place=place)
    return words


def _uses(row: Mapping[str, Any], place: str) -> frozenset[UseKind]:
    words = str(row.get("uses", "")).split()
    unknown = [word for word in words if word not in _USES]
    if unknown:
        raise InputError(f"unknown use '{unknown[0]}'", place=place, cure="known: " + ", ".join(sorted(_USES)))
    return frozenset(_USES[word] for word in words)


def _document(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or set(value) - {"allow", "deny", "about"}:
        raise InputError("a policy has 'allow' and 'deny'", place=place)
    return value


@cache
def _shipped() -> Policy:
    from bartizan.documents import read

    folder = Path(__file__).parent / "data" / "policy"
    return Policy([(path.name, _document(read(path).value, path.name)) for path in sorted(folder.glob("*.yaml"))])
