"""Charts of what checks of data find, as SVG: rates with intervals, distributions, heat maps, groups of rows, outliers.

They are drawn here and not by a library: those that draw well are heavy to load, and a finding's picture has to be the same bytes each
time. No chart takes a value of the data, only names of columns, numbers of rows and counts. However much is given, a chart stays small:
what it leaves out it says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bartizan.methods.drawing import box, number, paper, percent, stroke, text

WIDTH = 760.0
"""Pixels across."""

MOST_BARS = 60
MOST_PANELS = 24
MOST_CELLS = 40
"""Most rows, and most columns, of a heat map."""

MOST_GROUPS = 12
MOST_POINTS = 1500
_TOP = 34.0
_LEVELS = ("#eaf2f8", "#c6dcec", "#92c0de", "#5b9dc9", "#2c78ab", "#0b4f7d")


@dataclass(frozen=True)
class Bar:
    """A line of a chart of rates: its name, a note beside it, and for each measure (value, low, high) in [0, 1], None where unknown."""

    name: str
    note: str
    rates: tuple[tuple[float, float, float] | None, ...]


def rates(title: str, summary: str, measures: Sequence[str], blocks: Sequence[tuple[str, Sequence[Bar]]]) -> bytes:
    """SVG of bars with their intervals: a block with a heading for each of `blocks`, in it a line a bar, a panel for each of `measures`."""
    names, notes = 200.0, 84.0
    each = (WIDTH - names - notes) / max(1, len(measures))
    tops = [_reach(blocks, place) for place in range(len(measures))]
    parts = [text(10, 20, title, room=WIDTH - 20, size=13)]
    for place, measure in enumerate(measures):
        parts.append(text(names + notes + place * each, _TOP + 8, measure, room=each - 8))
        parts.append(text(names + notes + place * each, _TOP + 21, f"0 to {percent(tops[place])}", room=each - 8, kind="soft", size=10))
    y, left = _TOP + 24, MOST_BARS
    for heading, bars in blocks:
        if left <= 0:
            break
        parts.append(text(10, y + 15, heading, room=WIDTH - 20, size=12))
        y += 22
        for bar in bars[:left]:
            parts.append(text(18, y + 12, bar.name, room=names - 24))
            parts.append(text(names + notes - 12, y + 12, bar.note, room=notes - 14, kind="soft", anchor="end"))
            for place, rate in enumerate(bar.rates):
                parts += _rate(names + notes + place * each, y, each - 10, rate, tops[place])
            y += 20
        left -= len(bars)
        y += 6
    y = _more(parts, y, sum(len(bars) for _, bars in blocks) - MOST_BARS, "bars")
    return paper(WIDTH, y + 10, title, summary, parts)


def _reach(blocks: Sequence[tuple[str, Sequence[Bar]]], place: int) -> float:
    """The end of a scale: the least of 1, 2, 5, 10, 20, 50 and 100 % that holds every interval."""
    highs = [bar.rates[place][2] for _, bars in blocks for bar in bars if bar.rates[place] is not None]  # type: ignore[index]
    return next((end for end in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if max(highs, default=1.0) <= end), 1.0)


def _rate(x: float, y: float, width: float, rate: tuple[float, float, float] | None, top: float) -> Iterator[str]:
    if rate is None:
        yield text(x, y + 12, "–", kind="soft")
        return
    room = width - 52
    value, low, high = (x + room * min(max(part, 0.0), top) / top for part in rate)
    yield box(x, y + 3, room, 12, "pale")
    yield box(x, y + 3, value - x, 12, "mark")
    yield stroke(
        f"M{number(low)} {number(y + 9)}H{number(high)}M{number(low)} {number(y + 5)}v8M{number(high)} {number(y + 5)}v8", "edge", 1.4
    )
    yield text(x + width, y + 13, percent(rate[0]), room=50, anchor="end")


@dataclass(frozen=True)
class Histogram:
    """One distribution: `counts` of equal steps from `left` to `right` with `middle` between, or of values by how frequent they are."""

    name: str
    counts: tuple[int, ...]
    left: str = ""
    middle: str = ""
    right: str = ""
    note: str = ""


def histograms(title: str, summary: str, panels: Sequence[Histogram]) -> bytes:
    """SVG of one small chart for each of `panels`, four in a row."""
    across, width, height = 4, WIDTH / 4, 128.0
    parts = [text(10, 20, title, room=WIDTH - 20, size=13)]
    for place, panel in enumerate(panels[:MOST_PANELS]):
        x, y = 10 + place % across * width, _TOP + place // across * height
        parts += _panel(x, y, width - 20, panel)
    y = _TOP + -(-min(len(panels), MOST_PANELS) // across) * height
    y = _more(parts, y, len(panels) - MOST_PANELS, "columns")
    return paper(WIDTH, y + 6, title, summary, parts)


def _panel(x: float, y: float, width: float, panel: Histogram) -> Iterator[str]:
    counts, top = panel.counts[:40], max(panel.counts[:40], default=0) or 1
    step = width / max(len(counts), 4)
    yield text(x, y + 12, panel.name, room=width)
    yield text(x, y + 26, panel.note, room=width, kind="soft", size=10)
    for place, count in enumerate(counts):
        tall = max(58.0 * count / top, 1.0 if count else 0.0)
        if tall:
            yield box(x + place * step, y + 92 - tall, max(step - 1, 0.8), tall, "mark")
    yield stroke(f"M{number(x)} {number(y + 92.5)}h{number(width)}", "edge")
    yield text(x, y + 105, panel.left, room=width / 3, kind="soft", size=10)
    yield text(x + width / 2, y + 105, panel.middle, room=width / 3, kind="soft", size=10, anchor="middle")
    yield text(x + width, y + 105, panel.right, room=width / 3, kind="soft", size=10, anchor="end")


def heat_map(
    title: str, summary: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]], *, counts: bool = False
) -> bytes:
    """SVG of a table of shares in [0, 1]: the darker a cell the more, with the number in it; an empty cell for None.

    counts: the cells are numbers of things, coloured by their share of the greatest
    """
    shown, kept = rows[:MOST_CELLS], list(columns[:MOST_CELLS])
    names, head = 180.0, 24.0 + 0.66 * min(118.0, max((6.2 * len(name) for name in kept), default=0.0))
    each = min(90.0, (WIDTH - names - 60) / max(1, len(kept)))
    greatest = (
        max((cell for _, cells in shown for cell in cells if cell is not None and math.isfinite(cell)), default=1.0) if counts else 1.0
    )
    parts = [text(10, 20, title, room=WIDTH - 20, size=13)]
    for place, name in enumerate(kept):
        x, y = names + (place + 0.5) * each, _TOP + head - 8
        parts.append(f'<g transform="rotate(-40 {number(x)} {number(y)})">{text(x, y, name, room=118)}</g>')
    for at, (name, cells) in enumerate(shown):
        y = _TOP + head + at * 22
        parts.append(text(names - 8, y + 15, name, room=names - 16, anchor="end"))
        for place, cell in enumerate(cells[: len(kept)]):
            parts += _cell((names + place * each, y, each), cell, greatest or 1.0, counts=counts)
    y = _TOP + head + len(shown) * 22
    y = _more(parts, y, len(rows) - MOST_CELLS, "rows")
    y = _more(parts, y, len(columns) - MOST_CELLS, "columns")
    return paper(WIDTH, y + 10, title, summary, parts)


def _cell(place: tuple[float, float, float], cell: float | None, greatest: float, *, counts: bool) -> Iterator[str]:
    x, y, each = place
    if cell is None or not math.isfinite(cell):
        yield box(x + 1, y + 1, each - 2, 20, "pale")
        return
    level = min(int(min(max(cell / greatest, 0.0), 1.0) * len(_LEVELS)), len(_LEVELS) - 1)
    yield f'<rect x="{number(x + 1)}" y="{number(y + 1)}" width="{number(each - 2)}" height="20" fill="{_LEVELS[level]}"/>'
    shown = f"{cell:,.0f}" if counts else percent(cell)
    ink = "#fff" if level >= 3 else "#1d2227"
    if each >= 24:
        drawn = text(x + each / 2, y + 15, shown, room=each, anchor="middle", size=10)
        yield drawn.replace('class="ink"', f'fill="{ink}"')


def groups_of_rows(title: str, summary: str, total: int, groups: Sequence[Sequence[int]], notes: Sequence[str] = ()) -> bytes:
    """SVG of groups of rows that belong together: a line for each, on it a dot at each of its rows between the first and the last of
    `total`. Copies that stand side by side are thus told from those that are spread over the set."""
    names, room = 96.0, WIDTH - 96.0 - 150.0
    shown = groups[:MOST_GROUPS]
    parts = [text(10, 20, title, room=WIDTH - 20, size=13)]
    for place, rows in enumerate(shown):
        y = _TOP + 12 + place * 20
        parts.append(text(10, y + 4, f"{len(rows):,} rows", room=names - 12))
        parts.append(stroke(f"M{number(names)} {number(y)}h{number(room)}", "rule"))
        step = max(1, len(rows) // 200)
        spots = sorted({number(names + room * min(max(row, 0), total) / max(total - 1, 1)) for row in rows[::step]}, key=float)
        parts += [f'<circle class="mark" cx="{x}" cy="{number(y)}" r="3.5"/>' for x in spots]
        note = notes[place] if place < len(notes) else f"from row {min(rows):,}" if len(rows) else ""
        parts.append(text(names + room + 12, y + 4, note, room=136, kind="soft"))
    y = _TOP + 12 + len(shown) * 20
    parts.append(text(names, y + 6, "row 0", kind="soft"))
    parts.append(text(names + room, y + 6, f"row {max(total - 1, 0):,}", kind="soft", anchor="end"))
    y = _more(parts, y + 10, len(groups) - MOST_GROUPS, "groups")
    return paper(WIDTH, y + 10, title, summary, parts)


def outlier_plot(title: str, summary: str, scores: Sequence[tuple[int, float]], odd: Sequence[tuple[int, float]], cut: float) -> bytes:
    """SVG of rows by their number, from left to right, and their distance from the others, upwards on a scale of powers.

    scores: (row, distance) of ordinary rows, as small dots; of more than 1,500 every so many is drawn
    odd: those beyond `cut`, as triangles; the cut is a dashed line
    """
    left, room, high = 56.0, WIDTH - 76.0, 220.0
    usual, beyond = _thinned(scores), sorted((one for one in odd if math.isfinite(one[1])), key=lambda one: -one[1])[:MOST_POINTS]
    values = [value for _, value in (*usual, *beyond)] + [cut]
    low, top = math.log10(max(min(values), 1e-3)), math.log10(max(*values, 1e-3))
    top += 0.06 * (top - low)
    last = max((row for row, _ in (*usual, *beyond)), default=1) or 1

    def spot(row: int, value: float) -> tuple[float, float]:
        return left + room * row / last, _TOP + high * (1.0 - (math.log10(max(value, 1e-3)) - low) / max(top - low, 1e-9))

    parts = [text(10, 20, title, room=WIDTH - 20, size=13)]
    for power in range(math.ceil(low - 1e-9), math.floor(top + 1e-9) + 1):
        y = spot(0, 10.0**power)[1]
        parts.append(stroke(f"M{number(left)} {number(y)}h{number(room)}", "rule"))
        parts.append(text(left - 6, y + 4, f"{10.0**power:g}", anchor="end", kind="soft"))
    parts += [
        f'<circle class="mark" cx="{number(x)}" cy="{number(y)}" r="1.6" fill-opacity="0.5"/>' for x, y in (spot(*one) for one in usual)
    ]
    y = spot(0, cut)[1]
    parts.append(stroke(f"M{number(left)} {number(y)}h{number(room)}", "cut", 1.5))
    parts.append(text(left - 6, y - 3, f"cut {cut:.2f}", anchor="end", kind="soft", size=10))
    parts += [f'<path class="odd" d="M{number(x)} {number(y - 5)}l4.5 8h-9z"/>' for x, y in (spot(*one) for one in beyond)]
    parts.append(text(left, _TOP + high + 18, "row 0", kind="soft"))
    parts.append(
        text(left + room / 2, _TOP + high + 18, "distance to the nearest others; 1 is the median row", kind="soft", anchor="middle")
    )
    parts.append(text(left + room, _TOP + high + 18, f"row {last:,}", kind="soft", anchor="end"))
    return paper(WIDTH, _TOP + high + 30, title, summary, parts)


def _thinned(scores: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    step = max(1, -(-len(scores) // MOST_POINTS))
    return [one for one in scores[::step] if math.isfinite(one[1])]


def _more(parts: list[str], y: float, left: int, what: str) -> float:
    if left <= 0:
        return y
    parts.append(text(10, y + 14, f"and {left:,} {what} more", kind="soft"))
    return y + 20
