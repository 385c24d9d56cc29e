"""What the files that configure storage say, each read by its kind; and who else on this machine can read the content itself."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bartizan.adapters.files import files_below, local_path, read_text, sealed, shown
from bartizan.areas.provenance.storage_rules import Said, Store, Weakness, cloudformation, compose, policy, terraform
from bartizan.areas.provenance.storage_values import Lined, read
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Severity

MAX_BYTES = 1024 * 1024
"""Largest configuration file, in bytes, that is read."""

MAX_FILES = 300
"""Most configuration files that are read."""

SUFFIXES = (".tf", ".json", ".yaml", ".yml", ".template")
_RELEVANT = re.compile(r"""["']?\b(Statement|Resources|services)["']?\s*:""")


class Configured(msgspec.Struct, frozen=True):
    """What the files of a configuration say together. `unread` names those that could not be judged, each with the reason."""

    said: tuple[Said, ...]
    unread: tuple[str, ...]

    def about(self, bucket: str | None) -> Configured:
        """What is said of `bucket`, or may be."""
        kept = [one for one in self.said if bucket is None or _store(one) in (None, bucket)]
        return Configured(tuple(kept), self.unread)

    @property
    def stores(self) -> tuple[Store, ...]:
        return tuple(one for one in self.said if isinstance(one, Store))

    @property
    def weaknesses(self) -> tuple[Weakness, ...]:
        return tuple(one for one in self.said if isinstance(one, Weakness))


def configured(root: str, declared: Sequence[str], place: Place | None) -> Configured:
    """What the `declared` files and folders say. Raises `InputError`, `Refused` where one is not there or leads out of the project."""
    files = [file for uri in declared for file in _files(root, local_path(root, uri, place))]
    said: list[Said] = []
    unread: list[str] = [f"{len(files) - MAX_FILES} of {len(files)} files"] if len(files) > MAX_FILES else []
    for file in files[:MAX_FILES]:
        try:
            said.extend(_judged(read_text(root, file, MAX_BYTES), file, shown(root, file)))
        except InputError as error:
            unread.append(str(error))
    return Configured(tuple(said), tuple(unread))


def bucket_of(uri: str | None) -> str | None:
    """The bucket or container that a remote `uri` names; None for local paths and for addresses of other kinds."""
    try:
        parts = urlsplit(uri or "")
        host = parts.hostname or ""
    except ValueError:
        return None
    if parts.scheme in ("s3", "s3a", "s3n", "gs", "gcs", "minio"):
        return parts.netloc or None
    if parts.scheme in ("abfs", "abfss", "wasb", "wasbs"):
        return parts.username or None
    if parts.scheme in ("http", "https") and host.endswith(".amazonaws.com"):
        return host.partition(".s3")[0] if ".s3" in host else parts.path.strip("/").partition("/")[0] or None
    if parts.scheme == "https" and host == "storage.googleapis.com":
        return parts.path.strip("/").partition("/")[0] or None
    return None


def open_files(root: str, path: Path, *, named: str) -> Iterator[Weakness]:
    """The files of `path` that every account of this machine can read or write, as its modes and those of all folders above say.

    A sealed file may be read by anybody. `named` is the store's name in the findings.
    """
    if not _reachable(path if path.is_dir() else path.parent):
        return
    for file in files_below(root, path):
        mode = file.stat().st_mode
        if not mode & (stat.S_IROTH | stat.S_IWOTH) or not _reachable(file.parent, path):
            continue
        place = Place(shown(root, file))
        cure = f"Close it: chmod -R o-rwx {shown(root, path)}."
        if mode & stat.S_IWOTH:
            yield Weakness(f"every account of the machine can change it ({stat.filemode(mode)})", Severity.HIGH, place, cure, named)
        elif not sealed(file):
            yield Weakness(f"every account of the machine can read it ({stat.filemode(mode)})", Severity.MEDIUM, place, cure, named)


def _reachable(folder: Path, top: Path | None = None) -> bool:
    """Whether every account may enter `folder`: it and all above it (up to `top`) let others through."""
    for one in (folder, *folder.parents):
        if not os.stat(one).st_mode & stat.S_IXOTH:
            return False
        if one == top:
            break
    return True


def _files(root: str, path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in files_below(root, path) if file.suffix.lower() in SUFFIXES]


def _judged(text: str, file: Path, name: str) -> list[Said]:
    if file.name.endswith(".tf.json"):
        raise InputError("is Terraform in JSON, which is not read", place=name)
    if file.suffix.lower() == ".tf":
        from bartizan.areas.provenance.storage_hcl import blocks_of

        return list(terraform(blocks_of(text, name), name))
    if not _RELEVANT.search(text):
        return []
    value: Any = read(text, name)
    if not isinstance(value, Lined):
        return []
    if "Statement" in value:
        return list(policy(value, name, 0))
    if "Resources" in value:
        return list(cloudformation(value, name))
    return list(compose(value, name)) if "services" in value else []


def _store(one: Said) -> str | None:
    return one.store if isinstance(one, Weakness) else one.name
