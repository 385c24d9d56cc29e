"""The keys of a project: one that signs now, in a file of mode 0600 in a folder of mode 0700, and the public halves of all there ever were.

signing.pem          the private key (PKCS#8)
next.pem             the one that takes over, while a rotation is under way
public/<id>.pem      every public key that was ever in use
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bartizan.evidence.files import open_regular, sync_folder, write_atomically
from bartizan.evidence.signing import PublicKey, Signer
from bartizan.evidence.times import stamp
from bartizan.model.errors import EvidenceError

if TYPE_CHECKING:
    from bartizan.evidence.store import Store


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of a keyring: its id, since when its file exists (RFC 3339, UTC), whether it signs now, and itself as PEM."""

    id: str
    created: str
    current: bool
    pem: str


class Keyring:
    """The keys in `folder`, usually `.bartizan/keys`."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._current = self.folder / "signing.pem"
        self._next = self.folder / "next.pem"
        self._public = self.folder / "public"

    def signer(self) -> Signer:
        """The key that signs, created on first use. Raises `EvidenceError` where its file is open to others."""
        self._ready()
        if not self._current.exists():
            self._create(self._current)
        signer = self._load(self._current)
        self._publish(signer.public)
        return signer

    def public(self) -> list[Held]:
        """All public keys, the signing one first, then the newest first. Makes no key; raises `EvidenceError` for a damaged file."""
        current = self._load(self._current).id if self._current.exists() else ""
        found = []
        for path in self._public.glob("*.pem"):
            try:
                with open_regular(path) as file:
                    key = PublicKey.load(file.read(), str(path))
                    created = dt.datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, dt.UTC)
            except OSError as error:
                raise EvidenceError(f"the public key cannot be read: {error.strerror}", place=str(path)) from error
            found.append(Held(id=key.id, created=stamp(created), current=key.id == current, pem=key.pem().decode("ascii")))
        return sorted(sorted(found, key=lambda k: k.created, reverse=True), key=lambda k: not k.current)

    def export(self, path: Path) -> PublicKey:
        """Write the public half of the signing key to `path` as PEM, for verifiers."""
        key = self.signer().public
        write_atomically(Path(path), key.pem(), 0o644)
        return key

    def rotate(self, store: Store | None = None) -> Signer:
        """Replace the signing key; the old one signs the handover into the chain of `store`, then its private half is deleted.

        Without `store` the one in the folder above is used, where there is one. Cut short at any point, the next use of the store or
        of this function finishes what was begun. Raises `EvidenceError`.
        """
        from bartizan.evidence.store import DATABASE, Store

        old = self.signer()
        if store is None and (self.folder.parent / DATABASE).exists():
            with Store.open(self.folder.parent, key=old) as opened:
                return self.rotate(opened)
        if not self._next.exists():
            self._create(self._next)
        new = self._load(self._next)
        self._publish(new.public)
        if store is not None:
            store.hand_over(new)
        self._take_over()
        return self.signer()

    def _ready(self) -> None:
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            if stat.S_IMODE(self.folder.stat().st_mode) & 0o022:
                raise EvidenceError("others can write to the folder of the keys", place=str(self.folder), cure=f"chmod 700 {self.folder}")
            self._public.mkdir(exist_ok=True)
        except OSError as error:
            raise EvidenceError(f"cannot be made: {error.strerror}", place=str(self.folder)) from error
        write_atomically(self.folder / ".gitignore", b"*\n", 0o644, replace=False)

    def _create(self, path: Path) -> None:
        """A new private key at `path`, unless another process was faster."""
        write_atomically(path, Signer.generate().pem(), 0o600, replace=False)

    def _load(self, path: Path) -> Signer:
        try:
            opened = open_regular(path, follow=False)
        except OSError as error:
            cause = "a link, not a file" if error.errno == errno.ELOOP else error.strerror
            raise EvidenceError(f"the private key cannot be read: {cause}", place=str(path)) from error
        with opened as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise EvidenceError(f"others can read the private key (mode {mode:o})", place=str(path), cure=f"chmod 600 {path}")
            return Signer.load(file.read(), str(path), self._successor)

    def _publish(self, key: PublicKey) -> None:
        path = self._public / f"{key.id}.pem"
        if not path.exists():
            write_atomically(path, key.pem(), 0o644, replace=False)

    def _successor(self, id: str) -> Signer | None:
        """The key in `next.pem` if it has this id, which the chain says took over already: the rotation is finished here."""
        if not self._next.exists():
            current = self._load(self._current)
            return current if current.id == id else None
        new = self._load(self._next)
        if new.id != id:
            return None
        self._take_over()
        return self._load(self._current)

    def _take_over(self) -> None:
        try:
            os.replace(self._next, self._current)
        except FileNotFoundError:
            return  # another process finished the rotation
        sync_folder(self.folder)
