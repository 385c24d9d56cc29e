"""Pictures that back a finding, as images inside the page.

A picture goes into an `<img>` as a data address: a browser runs no script in it and loads nothing for it, whoever made it. Its words for
those who do not see it are the title and the description that the SVG carries.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from html import unescape

import msgspec

from bartizan.model.findings import Artefact, Finding
from bartizan.renderers.escape import cut
from bartizan.renderers.wording import printable

KINDS = {"image/svg+xml": b"<svg", "image/png": b"\x89PNG\r\n\x1a\n"}
"""Media types that are shown, and how their files start."""

MOST_BYTES = 1024 * 1024
"""Largest picture that is shown."""

CAPTION = 240
"""Longest words that stand below a picture; longer ones are its text alternative alone."""

PAGE_BYTES = 16 * 1024 * 1024
"""Most bytes of pictures that one page holds."""

_TITLE, _SUMMARY = (re.compile(f"<{tag}[^>]{{0,40}}>([^<]{{0,2000}})</{tag}>") for tag in ("title", "desc"))


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture: the address of its data, its title, and in words what it shows; `caption` are the words where they are short."""

    name: str
    address: str
    title: str
    words: str

    @property
    def caption(self) -> str:
        return self.words if 0 < len(self.words) <= CAPTION else self.title


def picture_of(artefact: Artefact, data: bytes | None) -> Picture | None:
    """The picture that `artefact` is; None where it is none, too large, not at hand or not what its media type says."""
    start = KINDS.get(artefact.media_type)
    if data is None or start is None or len(data) > MOST_BYTES or not data.startswith(start):
        return None
    head = data[:8000].decode("utf-8", "replace") if artefact.media_type == "image/svg+xml" else ""
    title, summary = (found.group(1) if (found := pattern.search(head)) else "" for pattern in (_TITLE, _SUMMARY))
    named = printable(unescape(title)) or artefact.name.rpartition(".")[0].replace("-", " ")
    return Picture(
        name=artefact.name,
        address=f"data:{artefact.media_type};base64,{base64.b64encode(data).decode('ascii')}",
        title=cut(named, 200),
        words=cut(printable(unescape(summary)), 700),
    )


class Album:
    """The pictures of one page: each is given out once, and no more than `PAGE_BYTES` of them."""

    def __init__(self, held: Mapping[str, bytes]) -> None:
        self._held, self._shown, self._left = held, set[str](), PAGE_BYTES

    def take(self, findings: Iterable[Finding]) -> tuple[Picture, ...]:
        """The pictures of `findings` that this page does not hold yet."""
        taken = []
        for artefact in (artefact for finding in findings for artefact in finding.artefacts):
            data = artefact.data if artefact.data is not None else self._held.get(artefact.digest)
            key = artefact.digest or (base64.b64encode(data).decode("ascii") if data is not None else artefact.name)
            picture = picture_of(artefact, data) if key not in self._shown else None
            if picture is None or data is None or len(data) > self._left:
                continue
            self._shown.add(key)
            self._left -= len(data)
            taken.append(picture)
        return tuple(taken)
