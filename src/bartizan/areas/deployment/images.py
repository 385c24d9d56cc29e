"""Reads the name of a container image and says how firmly it is tied to one image."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bartizan.model.errors import one_line
from bartizan.model.findings import Severity

_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
REMEDY = "Pin each image by digest (name:tag@sha256:...) and let a bot propose updates."


@dataclass(frozen=True)
class Image:
    """An image reference as the OCI distribution specification writes it; tag and digest are empty where they are not given."""

    name: str
    tag: str
    digest: str

    @property
    def pinned(self) -> bool:
        return bool(_DIGEST.fullmatch(self.digest))

    @property
    def moving(self) -> bool:
        """Does it follow whatever is newest?"""
        return not self.digest and self.tag in ("", "latest")

    @property
    def nonroot(self) -> bool:
        """Does the tag say that the image runs without root, as those of distroless images do?"""
        return "nonroot" in re.split(r"[-_.]", self.tag)


def parse(reference: str) -> Image:
    """The parts of `reference`: `[registry[:port]/]name[:tag][@digest]`."""
    rest, _, digest = reference.partition("@")
    head, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    return Image(f"{head}{slash}{name}", tag, digest)


def loose(reference: str) -> tuple[str, Severity] | None:
    """What is wrong with naming the image `reference`, and how bad it is; None where a digest pins it."""
    image, shown = parse(reference), one_line(reference, 120)
    if image.pinned:
        return None
    if image.digest:
        return f"the digest of image {shown} is malformed", Severity.MEDIUM
    if image.moving:
        return f"image {shown} follows whatever is newest", Severity.HIGH
    return f"image {shown} is named by a tag that can be moved", Severity.MEDIUM
