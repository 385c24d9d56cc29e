"""The line that says how far work on a data set is: on a terminal alone, redrawn in place, gone at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bartizan.cli.show import fit
from bartizan.model.errors import one_line

if TYPE_CHECKING:
    from bartizan.methods.one_pass import Listener, Progress

WIDTH = 100
EVERY = 0.1
"""Seconds between two drawings."""

NEWS = 1.0
"""Seconds before a speed means anything."""


def told(name: str, number: int = 0, count: int = 0) -> None:
    """Show on a terminal which check runs: the `number` from 1 of `count`."""
    if sys.stderr.isatty():
        _draw(f"check {number}/{count}  {name}" if count else f"checking  {name}")


@contextmanager
def progress() -> Iterator[Listener | None]:
    """A listener that keeps one line on a terminal's standard error true: the file, rows, speed and time left."""
    if not sys.stderr.isatty():
        yield None
        return
    began, drawn = time.monotonic(), 0.0

    def tell(news: Progress) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn >= EVERY:
            drawn = now
            _draw(line(news, now - began))

    try:
        yield tell
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def line(news: Progress, seconds: float) -> str:
    """How far a reading is after so many seconds, in one line."""
    parts = [f"file {news.number + 1}/{news.files}", one_line(news.name, 40), f"{news.rows:,} rows"]
    fresh = news.done - news.known
    if news.size and fresh > 0 and seconds >= NEWS:
        speed = fresh / seconds
        left = max(news.size - news.done, 0) / speed
        parts += [f"{speed / 1e6:.1f} MB/s", f"{news.done / news.size:.0%}", f"{_clock(left)} left"]
    return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _draw(text: str) -> None:
    sys.stderr.write("\r" + fit(text, WIDTH).rstrip() + "\x1b[K")
    sys.stderr.flush()
