"""The paper that pictures are drawn on: SVG files that need nothing else, readable by screen readers, in light and in dark.

Colours are those of Okabe and Ito (2008), which people with any colour vision tell apart, and nothing is said by colour alone. All text is
escaped, put on one line and cut to the room it has; the same picture is the same bytes.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from html import escape

_STYLE = (
    ".paper{fill:#fff}.ink{fill:#1d2227}.soft{fill:#565f67}.on{fill:#fff}.mark{fill:#0072b2}.odd{fill:#d55e00}.pale{fill:#e4e7e3}"
    ".rule{stroke:#dcdfdc;fill:none}.edge{stroke:#1d2227;fill:none}.cut{stroke:#d55e00;fill:none;stroke-dasharray:5 3}"
    "@media(prefers-color-scheme:dark){.paper{fill:#1b1f23}.ink{fill:#e6e8ea}.soft{fill:#a9b1b8}.mark{fill:#56b4e9}.odd{fill:#e69f00}"
    ".pale{fill:#2c333a}.rule{stroke:#333a41}.edge{stroke:#e6e8ea}.cut{stroke:#e69f00}}"
)
_NARROW, _WIDE = 6.2, 11.5
"""Pixels that a letter of 11 pixels takes at most, on average, and one of an East Asian script."""


def paper(width: float, height: float, title: str, summary: str, parts: Iterable[str]) -> bytes:
    """The SVG of `parts` (markup made by the functions here) on a sheet of `width` by `height` pixels.

    `title` is what the picture is and `summary` what it shows, for those who do not see it.
    """
    size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t d" '
        'font-family="system-ui,sans-serif" font-size="11">',
        f'<title id="t">{escape(line(title, 200))}</title>',
        f'<desc id="d">{escape(line(summary, 600))}</desc>',
        f'<style>{_STYLE}</style><rect class="paper" width="100%" height="100%"/>',
    )
    return ("\n".join((*head, *parts)) + "\n</svg>\n").encode()


def text(x: float, y: float, words: str, *, room: float = 400.0, kind: str = "ink", anchor: str = "start", size: float = 11.0) -> str:
    """`words` at a place, cut to `room` pixels; the whole of a text that was cut, up to 200 characters, is its tooltip."""
    whole = line(words, 200)
    shown = fitted(whole, room * 11.0 / size)
    more = f"<title>{escape(whole)}</title>" if shown != whole else ""
    how = (f' text-anchor="{anchor}"' if anchor != "start" else "") + (f' font-size="{number(size)}"' if size != 11.0 else "")
    return f'<text class="{kind}" x="{number(x)}" y="{number(y)}"{how}>{more}{escape(shown)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str, extra: str = "") -> str:
    """A filled rectangle; `extra` are further attributes, which must not hold foreign text."""
    return f'<rect class="{kind}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"{extra}/>'


def stroke(path: str, kind: str, width: float = 1.0) -> str:
    """A line along an SVG path."""
    return f'<path class="{kind}" d="{path}" stroke-width="{number(width)}"/>'


def line(words: str, limit: int) -> str:
    """`words` on one line of at most `limit` characters: what hides, reorders or breaks text is U+FFFD, as in CVE-2021-42574."""
    kept = " ".join(words[: 4 * limit].split())
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    kept = "".join("\ufffd" if unicodedata.category(c) in hidden else c for c in kept)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def fitted(words: str, room: float) -> str:
    """`words`, or as many of its first letters and an ellipsis as `room` pixels hold at the usual size."""
    left = room
    for place, letter in enumerate(words):
        left -= _WIDE if unicodedata.east_asian_width(letter) in "WF" else _NARROW
        if left < 0.0:
            return words[: max(place - 1, 0)] + "…"
    return words


def number(value: float) -> str:
    """A length with one digit after the point at most."""
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"


def percent(share: float) -> str:
    """A share as people read it: 0 %, <0.1 %, 3.2 %, 47 %."""
    if not math.isfinite(share):
        return "?"
    if 0.0 < share < 0.001:
        return "<0.1 %"
    return f"{share:.1%}".replace("%", " %") if 0.0 < share < 0.0995 else f"{share:.0%}".replace("%", " %")
