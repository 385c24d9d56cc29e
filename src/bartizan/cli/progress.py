"""Progress of long work: one line on standard error, redrawn in place, gone when the work is done."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from bartizan.cli.show import fit
from bartizan.engine.ports import Progress


class Line:
    """One line on standard error that is redrawn, and gone at the end."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._began = time.monotonic()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._quiet:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self, text: str) -> None:
        """Draw the seconds since the beginning and `text`."""
        if not self._quiet:
            line = f"{time.monotonic() - self._began:4.0f} s  {text}"
            sys.stderr.write("\r" + fit(line, 100).rstrip() + "\x1b[K")
            sys.stderr.flush()


class Ticker:
    """Listens to the runner and keeps one line true: how many of how many, what runs now, since when."""

    def __init__(self, *, quiet: bool) -> None:
        self._line = Line(quiet=quiet)
        self._running: dict[int, str] = {}
        self._done = 0

    def __enter__(self) -> Ticker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._line.__exit__(kind, error, trace)

    def tell(self, news: Progress) -> None:
        """Take in one event and redraw."""
        if news.kind == "started":
            self._running[news.index] = f"{news.job.check} on {news.job.subject.id}"
        else:
            self._running.pop(news.index, None)
            self._done += 1
        self._line.show(f"{self._done}/{news.total}  {', '.join(self._running.values())}")
