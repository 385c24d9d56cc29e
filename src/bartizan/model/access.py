"""What is recorded when somebody asks for data: who, for what, by which policy, and what was given; and when rows are deleted."""

from __future__ import annotations

import msgspec


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One decision or one answer under it.

    `principal` asked for `dataset` for `purpose`. `act` is `open`, `refused` or the way in which data was given (`frame`, `batches`, `sql`,
    `aggregate`, `done`). `policy` is the SHA-256 (hex) of the policy's file, `data` that of the data's fingerprint, `source` its name.
    `clear`, `masked` and `aggregated` are the columns that were permitted so; what stands in none of them was denied, in `denied` where
    somebody opens, and was not read otherwise. `query` is the SHA-256 of what was asked. `rows` is how many rows were given, None while
    that is open. `opened` is the number of the entry that opened, None for that entry itself. `why` says why something was refused.
    """

    principal: str
    purpose: str
    dataset: str
    source: str
    policy: str
    data: str
    act: str = "open"
    clear: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    aggregated: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    query: str = ""
    rows: int | None = None
    opened: int | None = None
    why: str = ""


class Purge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows that were deleted from `dataset`: `removed` of them, `left` stay. `before` and `after` are the SHA-256 (hex) of the statements
    of its passports, `certificate` that of the certificate's; `kinds` say of what the rule was made, and nobody's name stands here."""

    dataset: str
    before: str
    after: str
    certificate: str
    removed: int
    left: int
    kinds: tuple[str, ...] = ()
