"""Package lists inside a container image, layer by layer, without unpacking or running it.

Reads the archives of `docker save` and OCI layouts (OCI image specification, 'Image Layout'): of every layer the status file of dpkg, the
installed list of apk, METADATA of Python distributions and os-release; later layers replace and delete (whiteouts) what earlier ones hold.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any

from bartizan.areas.dependencies.inventory import Installed, from_metadata
from bartizan.model.errors import InputError, Place, Refused, one_line

MAX_MEMBERS = 2_000_000
MAX_LIST = 64 * 1024 * 1024
MAX_LISTS = 512 * 1024 * 1024
MAX_LAYERS = 500

_PACKAGE_FILE = re.compile(
    r"(?:var/lib/dpkg/status|var/lib/dpkg/status\.d/[^/]+|lib/apk/db/installed|(?:usr/lib|etc)/os-release|"
    r".*\.dist-info/METADATA|.*\.egg-info/PKG-INFO|var/lib/rpm/(?:rpmdb\.sqlite|Packages|Packages\.db))"
)
_BROKEN = (tarfile.TarError, zlib.error, LZMAError, EOFError, OSError, ValueError)

Files = dict[str, bytes]


def is_image(path: Path) -> bool:
    """Whether `path` is an archive with an image's manifest in it."""
    try:
        with tarfile.open(path, "r:*") as archive:
            for count, member in enumerate(archive):
                if member.name.removeprefix("./") in ("manifest.json", "oci-layout"):
                    return True
                if count > 10_000:
                    return False
    except _BROKEN:
        return False
    return False


def packages_of_archive(path: Path) -> list[Installed]:
    """The packages of the image in the archive at `path`. Raises `InputError` where it is broken."""
    try:
        with tarfile.open(path, "r:*") as archive:
            members = {member.name.removeprefix("./"): member for member in archive if member.isfile()}

            def opened(name: str) -> IO[bytes]:
                member = members.get(name)
                stream = archive.extractfile(member) if member is not None else None
                if stream is None:
                    raise InputError(f"names '{one_line(name, 80)}', which it does not hold", place=path.name)
                return stream

            layers = _layers(opened, members)
            return _packages(_merged((opened(layer) for layer in layers), path.name), path.name)
    except _BROKEN as error:
        raise InputError(f"is no readable image: {error}", place=path.name) from None


def packages_of_layout(folder: Path) -> list[Installed]:
    """The packages of the image in the OCI layout `folder`."""

    def opened(name: str) -> IO[bytes]:
        file = folder / name
        if file.is_symlink() or not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"names '{one_line(name, 80)}', which it does not hold", place=folder.name)
        return file.open("rb")

    try:
        layers = _layers(opened, {"index.json": True})
        return _packages(_merged((opened(layer) for layer in layers), folder.name), folder.name)
    except _BROKEN as error:
        raise InputError(f"is no readable image: {error}", place=folder.name) from None


def _layers(opened: Any, names: Mapping[str, object]) -> list[str]:
    """The layers' names, lowest first."""
    if "manifest.json" in names:
        document = _json(opened("manifest.json"))
        layers = [layer for image in document for layer in image["Layers"]] if isinstance(document, list) else []
    else:
        document = _json(opened("index.json"))
        layers = []
        for entry in document["manifests"][:MAX_LAYERS]:
            manifest = _json(opened(_blob(entry["digest"])))
            layers += [_blob(layer["digest"]) for layer in manifest.get("layers", ())]
    if not layers or len(layers) > MAX_LAYERS or not all(isinstance(layer, str) for layer in layers):
        raise ValueError("it names no layers")
    return layers


def _json(stream: IO[bytes]) -> Any:
    with stream:
        data = stream.read(MAX_LIST)
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _blob(digest: object) -> str:
    match = re.fullmatch(r"(sha256|sha512):([0-9a-f]{64,128})", str(digest))
    if match is None:
        raise ValueError("a digest is malformed")
    return f"blobs/{match[1]}/{match[2]}"


def _merged(layers: Iterator[IO[bytes]], name: str) -> Files:
    files: Files = {}
    budget = MAX_LISTS
    for stream in layers:
        with stream:
            for path, data in _of_layer(stream):
                folder, _, base = path.rpartition("/")
                if data is None:
                    gone = f"{folder}/" if base == ".wh..wh..opq" else f"{folder}/{base.removeprefix('.wh.')}".lstrip("/")
                    for known in [k for k in files if k == gone or k.startswith(f"{gone.rstrip('/')}/")]:
                        del files[known]
                    continue
                budget -= len(data)
                if budget < 0:
                    raise Refused("its package lists are larger than any real ones", place=name)
                files[path] = data
    return files


def _of_layer(stream: IO[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Each package list of a layer, and None for what the layer deletes."""
    head = stream.read(4)
    stream.seek(0)
    if head == b"\x28\xb5\x2f\xfd":
        raise InputError("a layer is packed with zstd, which is not read", cure="save the image with gzip layers, or pass an SBOM of it")
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for count, member in enumerate(archive):
            if count > MAX_MEMBERS:
                raise ValueError("a layer holds too many files")
            path = member.name.removeprefix("./").lstrip("/")
            if path.rpartition("/")[2].startswith(".wh."):
                yield path, None
            elif member.isfile() and _PACKAGE_FILE.fullmatch(path):
                if member.size > MAX_LIST:
                    raise ValueError(f"{one_line(path, 80)} is too large")
                content = archive.extractfile(member)
                yield path, content.read() if content is not None else b""


def _packages(files: Files, image: str) -> list[Installed]:
    release = _release(files)
    found = []
    for path in sorted(files):
        place = Place(f"{image}:{one_line(path, 200)}")
        if path.endswith(("/METADATA", "/PKG-INFO")):
            found.append(from_metadata(files[path], place))
        elif path.startswith("var/lib/dpkg/"):
            found += _stanzas(files[path], ("Package", "Version", "Status", "Source"), f"Debian{release}", place)
        elif path == "lib/apk/db/installed":
            found += _stanzas(files[path], ("P", "V", "", "o"), f"Alpine{release}", place)
        elif "/rpm/" in path:
            found.append(Installed("(packages of rpm)", None, place, "rpm"))
    return found


def _release(files: Files) -> str:
    text = (files.get("etc/os-release") or files.get("usr/lib/os-release") or b"").decode("utf-8", "replace")
    values = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', text, re.MULTILINE))
    version = values.get("VERSION_ID", "")
    if values.get("ID") == "alpine":
        version = "v" + ".".join(version.split(".")[:2])
    return f":{version}" if version else ""


def _stanzas(data: bytes, keys: tuple[str, str, str, str], ecosystem: str, place: Place) -> Iterator[Installed]:
    """The packages of a status file in paragraphs; advisories name the source package, so that name is taken where it is given."""
    name_key, version_key, status_key, source_key = keys
    for stanza in io.StringIO(data.decode("utf-8", "replace")).read().split("\n\n"):
        values = dict(line.split(":", 1) for line in stanza.splitlines() if ":" in line and not line.startswith((" ", "\t")))
        name, version = values.get(name_key, "").strip(), values.get(version_key, "").strip()
        if not name or (status_key and status_key in values and " installed" not in values[status_key]):
            continue
        source = re.match(r"\s*(\S+)(?:\s+\(([^)]+)\))?", values.get(source_key, ""))
        yield Installed(source[1] if source else name, (source[2] if source and source[2] else version) or None, place, ecosystem)
