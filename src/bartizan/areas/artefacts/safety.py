"""The verdict on a model file: safe, needs a policy, or unsafe, each with what in the file led to it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec


class Safety(Enum):
    """What loading a file may do. Only `SAFE` passes a gate; the order from good to bad is that of the members.

    `SAFE`: every reading that a loader would take stays within what was reviewed. `NEEDS_POLICY`: nothing known to be dangerous, and
    something that nobody reviewed (or that could not be read to its end). `UNSAFE`: what runs code or reaches files, network or processes.
    """

    SAFE = "safe"
    NEEDS_POLICY = "needs-policy"
    UNSAFE = "unsafe"

    @property
    def rank(self) -> int:
        """0 for the best, 2 for the worst."""
        return _RANKS[self]


_RANKS = {safety: rank for rank, safety in enumerate(Safety)}


def worst(found: Iterable[Safety]) -> Safety:
    """The worst of the verdicts; `SAFE` where there is none."""
    return max(found, key=lambda safety: safety.rank, default=Safety.SAFE)


class UseKind(Enum):
    """What a pickle does with a global, by the opcode that does it."""

    REFERENCE = "reference"
    """Looked up by name, which imports its module."""
    NEW = "new"
    """An instance made by `__new__` alone (NEWOBJ, NEWOBJ_EX, `copyreg.__newobj__`, `copyreg._reconstructor`)."""
    CALL = "call"
    """Called with arguments (REDUCE, INST, OBJ): a function runs, a class is constructed."""
    BUILD = "build"
    """State is put into an instance or what a call gave back (`__setstate__`, `__dict__`, slots)."""
    APPEND = "append"
    """Items are appended to what is no plain list (`extend`, `append`)."""
    SETITEM = "setitem"
    """Items are set in what is no plain dict (`__setitem__`)."""
    ADD = "add"
    """Items are added to what is no plain set (`update`, `add`)."""
    INSIDE = "inside"
    """The looked-up thing itself is changed: state built into a class, function or module, or items set in it."""
    EXTENSION = "extension"
    """A number of the extension registry, which stands for a name that the loading process decides."""
    UNKNOWN = "unknown"
    """A name or a callee that cannot be told from the stream, because it is computed."""


class Argument(msgspec.Struct, frozen=True):
    """One argument of a call, as far as the stream tells it.

    `kind`: `text` (a string constant, in `text`), `constant` (any other constant), `bytes` (a bytes constant, its `span` of offsets),
    `name` (a global, in `text` as `module:name`), `data` (a tuple, list, set or dict), `result` (what a call or a class gave back, its
    global in `text`), `method` (a method of an object, its name in `text`), `encoded` (bytes written as text, its `span`), `missing` (no
    such argument), `unknown`. `key` is the attribute that it becomes, where it is an item of a state.
    """

    kind: str
    text: str = ""
    span: tuple[int, int] | None = None
    key: str = ""


class Use(msgspec.Struct, frozen=True):
    """One use of a global: `module` and the dotted `name` as the loader would look them up, and the byte `offset` of the opcode.

    Uses that differ in nothing but their place are one use, at the first place. `arguments` are those a policy asks to see, by position
    (the others are left out as `missing`); `argument` says what a state that is built in holds out of the ordinary: the name of an
    attribute like `__setstate__`, or `?` for one that is computed.
    """

    module: str
    name: str
    kind: UseKind
    offset: int
    argument: str | None = None
    arguments: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Reason(msgspec.Struct, frozen=True):
    """Why a verdict is not better: one sentence, the byte offset in the data that was judged, and the use where it is one."""

    text: str
    offset: int | None = None
    use: Use | None = None
    safety: Safety = Safety.UNSAFE


class Ruling(msgspec.Struct, frozen=True):
    """A verdict and its reasons, worst first. A safe ruling has no reasons."""

    verdict: Safety
    reasons: tuple[Reason, ...] = ()

    @classmethod
    def of(cls, reasons: Iterable[Reason]) -> Ruling:
        """The ruling that follows from reasons: as bad as the worst of them, safe without any."""
        ordered = sorted(reasons, key=lambda reason: (-reason.safety.rank, reason.offset or 0))
        return cls(worst(reason.safety for reason in ordered), tuple(ordered))

    @classmethod
    def joined(cls, rulings: Iterable[Ruling]) -> Ruling:
        """One ruling of several (the members of an archive, the readings of a stream)."""
        return cls.of(reason for ruling in rulings for reason in ruling.reasons)
