"""Reads advisories from where they are published: OSV's archive of an ecosystem, or a file, folder or address in its form."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

import yaml

from bartizan.areas.dependencies.advisories.osv import Advisory, convert, parse
from bartizan.model.errors import InputError, Refused, one_line

ARCHIVE = "https://osv-vulnerabilities.storage.googleapis.com/{ecosystem}/all.zip"
"""Where OSV publishes all advisories of an ecosystem (OSV documentation, 'Data dumps')."""

MAX_DOWNLOAD = 1024**3
MAX_RECORD = 16 * 1024**2
MAX_UNPACKED = 8 * 1024**3
MAX_RECORDS = 1_000_000
TIMEOUT = 60.0
_CHUNK = 1024 * 1024

Progress = Callable[[str, int], None]
"""Told what is counted (`bytes` or `records`) and how many there are so far."""


def _quiet(what: str, count: int) -> None:
    del what, count


def advisories_from(source: str | None, ecosystem: str, progress: Progress = _quiet) -> Iterator[Advisory]:
    """The advisories of `source`: an address, a zip archive, a folder or one record; OSV's own archive where it is None.

    Raises `InputError` for what cannot be reached or read, `Refused` for what is too large or would be fetched without TLS.
    """
    address = source if source is not None else ARCHIVE.format(ecosystem=quote(ecosystem.partition(":")[0]))
    if "://" in address:
        with tempfile.TemporaryFile(prefix="bartizan-") as file:
            _download(address, file, progress)
            file.seek(0)
            yield from _counted(_archive(file, address), progress)
        return
    path = Path(address)
    if path.is_dir():
        yield from _counted(_folder(path), progress)
    elif zipfile.is_zipfile(path) if path.is_file() else False:
        with path.open("rb") as file:
            yield from _counted(_archive(file, path.name), progress)
    elif path.is_file():
        yield _record(path)
    else:
        raise InputError("is not there", place=address, cure="name a folder, a zip archive or an https address of OSV records")


def _counted(found: Iterator[Advisory], progress: Progress) -> Iterator[Advisory]:
    for count, advisory in enumerate(found, start=1):
        if count > MAX_RECORDS:
            raise Refused(f"more than {MAX_RECORDS} advisories")
        if count % 1000 == 0:
            progress("records", count)
        yield advisory


def _download(address: str, file: IO[bytes], progress: Progress) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise Refused("advisories are fetched over https alone: whoever changes them on the way hides a hole", place=one_line(address, 200))
    request = urllib.request.Request(address, headers={"User-Agent": "bartizan"})  # noqa: S310  (the scheme was looked at)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            received = 0
            while chunk := answer.read(_CHUNK):
                received += len(chunk)
                if received > MAX_DOWNLOAD:
                    raise Refused(f"is larger than {MAX_DOWNLOAD} bytes", place=one_line(address, 200))
                file.write(chunk)
                progress("bytes", received)
            expected = answer.headers.get("Content-Length")
    except (urllib.error.URLError, OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or error
        cure = "check the network, or name a copy: bartizan advisories update --from FILE"
        raise InputError(f"cannot be fetched: {cause}", place=one_line(address, 200), cure=cure) from None
    if expected is not None and expected.isdigit() and int(expected) != received:
        raise InputError(f"ended after {received} of {expected} bytes", place=one_line(address, 200), cure="fetch it again")


def _archive(file: IO[bytes], name: str) -> Iterator[Advisory]:
    unpacked = 0
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.is_dir() or not entry.filename.endswith(".json"):
                    continue
                unpacked += entry.file_size
                if entry.file_size > MAX_RECORD or unpacked > MAX_UNPACKED:
                    raise Refused("unpacks to more than advisories ever hold", place=f"{name}:{one_line(entry.filename, 80)}")
                with archive.open(entry) as stream:
                    yield parse(stream.read(MAX_RECORD + 1), f"{name}:{one_line(entry.filename, 80)}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"is no readable zip archive: {error}", place=name, cure="fetch it again") from None


def _folder(path: Path) -> Iterator[Advisory]:
    for file in sorted(path.rglob("*")):
        if file.suffix in (".json", ".yaml", ".yml") and file.is_file() and not file.is_symlink() and ".git" not in file.parts:
            yield _record(file)


def _record(path: Path) -> Advisory:
    if path.stat().st_size > MAX_RECORD:
        raise Refused(f"is larger than {MAX_RECORD} bytes", place=path.name)
    data = path.read_bytes()
    if path.suffix == ".json":
        return parse(data, path.name)
    try:
        return convert(yaml.load(data, Loader=_Loader), path.name)  # noqa: S506  (a safe loader, made below)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"is no YAML: {one_line(str(error), 120)}", place=path.name) from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader without dates and numbers: a version such as 1.10 stays a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
