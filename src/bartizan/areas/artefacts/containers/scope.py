"""What one scan of one file carries along: the limits that it may spend and the reasons that it found."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bartizan.areas.artefacts.safety import Reason, Ruling, Safety, Use
from bartizan.model.errors import one_line

if TYPE_CHECKING:
    from bartizan.areas.artefacts.pickles.policy import Policy

MIB = 1024 * 1024


class LimitReached(Exception):
    """The file asks for more than a scan may spend. The text says of what; the verdict can then no longer be safe."""


@dataclass
class Limits:
    """What the scan of one file may spend: bytes that come out of compression, entries of archives, archives inside archives,
    seconds of processor time."""

    unpacked: int = 1024 * MIB
    entries: int = 100_000
    depth: int = 6
    seconds: float = 8.0


@dataclass(frozen=True)
class Piece:
    """A run of bytes that a loader could be given: a file, an entry of an archive, what a compressed stream holds.

    `name` leads to it from the file (empty for the file itself), `base` is where its first byte lies in the file (None where it was
    unpacked), `depth` how many layers lie around it.
    """

    data: memoryview
    name: str = ""
    base: int | None = 0
    depth: int = 0

    def __len__(self) -> int:
        return len(self.data)

    def head(self, size: int = 4096, start: int = 0) -> bytes:
        """At most `size` bytes from `start` on."""
        return bytes(self.data[start : start + size])

    def part(self, start: int, end: int | None = None, name: str | None = None) -> Piece:
        """The bytes from `start` to `end`, one layer deeper; it keeps the name unless another is given."""
        base = None if self.base is None else self.base + start
        return Piece(self.data[start:end], self.name if name is None else name, base, self.depth + 1)

    def inner(self, name: str) -> str:
        """The name of an entry of this piece."""
        return f"{self.name}!{name}" if self.name else name

    @property
    def last_name(self) -> str:
        """The file name alone, in lower case."""
        return self.name.replace("\\", "/").replace("!", "/").rpartition("/")[2].lower()


@dataclass
class Scope:
    """Collects what the readings of one file find, and watches over the limits."""

    policy: Policy
    file: str = ""
    limits: Limits = field(default_factory=Limits)
    reasons: list[Reason] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.process_time)
    unpacked: int = 0
    entries: int = 0
    defined: tuple[str, ...] = ()
    """Modules that an archive defines itself, for a loader that is not Python: uses of theirs are nothing to review."""

    def recognise(self, name: str) -> None:
        """Note a format that the file has, or that something in it has; the first is the file's own."""
        if name not in self.formats:
            self.formats.append(name)

    def unsafe(self, text: str, piece: Piece, offset: int | None = None, use: Use | None = None) -> None:
        """Something that runs code or reaches outside when loaded."""
        self._add(Safety.UNSAFE, text, piece, offset, use)

    def unsure(self, text: str, piece: Piece, offset: int | None = None, use: Use | None = None) -> None:
        """Something that nobody reviewed, or that could not be read to its end."""
        self._add(Safety.NEEDS_POLICY, text, piece, offset, use)

    def rule(self, reasons: Iterable[Reason], piece: Piece) -> None:
        """Take over reasons whose offsets count from the start of `piece`."""
        for reason in reasons:
            if not (self.defined and reason.use is not None and _below(reason.use.module, self.defined)):
                self._add(reason.safety, reason.text, piece, reason.offset, reason.use)

    def _add(self, safety: Safety, text: str, piece: Piece, offset: int | None, use: Use | None) -> None:
        known = piece.base is not None
        place = f"{piece.name}: " if piece.name else ""
        inside = f" (byte {offset} of what is packed there)" if offset is not None and not known else ""
        absolute = piece.base + offset if piece.base is not None and offset is not None else piece.base if piece.name else None
        reason = Reason(one_line(f"{place}{text}{inside}"), absolute, use, safety)
        if reason not in self.reasons[-200:]:
            self.reasons.append(reason)

    def note(self, text: str) -> None:
        """Something worth telling that does not change the verdict."""
        if len(self.notes) < 20 and text not in self.notes:
            self.notes.append(one_line(text, 200))

    def ruling(self) -> Ruling:
        """The verdict so far."""
        return Ruling.of(self.reasons)

    def spend_bytes(self, count: int) -> None:
        """Count bytes that came out of compression. Raises `LimitReached`."""
        self.unpacked += count
        if self.unpacked > self.limits.unpacked:
            raise LimitReached(f"it unpacks to more than {self.limits.unpacked // MIB} MiB")
        self.check_time()

    def spend_entries(self, count: int = 1) -> None:
        """Count entries of archives. Raises `LimitReached`."""
        self.entries += count
        if self.entries > self.limits.entries:
            raise LimitReached(f"its archives hold more than {self.limits.entries} entries")
        if self.entries % 64 == 0:
            self.check_time()

    def check_depth(self, piece: Piece) -> None:
        """Raises `LimitReached` where archives lie in archives too deep."""
        if piece.depth > 2 * self.limits.depth:
            raise LimitReached(f"more than {self.limits.depth} archives lie in one another")

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.limits.seconds - (time.process_time() - self.began)

    def check_time(self) -> None:
        """Raises `LimitReached` when the time is used up."""
        if self.left < 0:
            raise LimitReached(f"reading it takes longer than {self.limits.seconds:g} seconds")


def _below(module: str, roots: tuple[str, ...]) -> bool:
    return any(module == root or module.startswith(root + ".") for root in roots)
