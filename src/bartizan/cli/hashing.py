"""What the commands that read large files share: one line of progress, and the digests remembered from last time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.cli.show import fit

if TYPE_CHECKING:
    from bartizan.areas.provenance.signing.cache import Cache


@contextmanager
def bar(word: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A listener that keeps one line on standard error true; None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    began = time.monotonic()

    def tell(done: int, whole: int) -> None:
        speed = done / max(time.monotonic() - began, 1e-3) / 1e6
        sys.stderr.write("\r" + fit(f"{word}  {done / 1e6:,.0f} of {whole / 1e6:,.0f} MB  {speed:,.0f} MB/s", 80).rstrip() + "\x1b[K")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


@contextmanager
def bytes_bar(word: str, path: Path, *, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """The same for work that tells the bytes it has done of `path`."""
    whole = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    with bar(word, quiet=quiet) as tell:
        if tell is None:
            yield None
        else:
            yield lambda done: tell(min(done, whole), whole)


def remembered(trust: bool) -> Cache | None:
    """The digests of last time, where the user trusts the times of files."""
    if not trust:
        return None
    from bartizan.areas.provenance.signing.cache import Cache, usual_place

    return Cache(usual_place())
