"""The data-flow diagram as SVG: zones as lanes, nodes, numbered arrows, a mark wherever a flow crosses a trust boundary."""

from __future__ import annotations

import unicodedata

from markupsafe import Markup

from bartizan.model.system import System
from bartizan.renderers.flow_layout import LANE_TOP, NODE_HEIGHT, NODE_WIDTH, Arrow, Box, Diagram, Lane, layout
from bartizan.renderers.wording import plural, printable

LARGE = 1000
"""Pixels from which a picture may shrink to the width of the page; a smaller one keeps its size and scrolls on a small screen."""

NAME_COLUMNS = 15
"""Characters of a name that fit on a line of a box in the widest of the usual fonts."""

_SVG = Markup(
    '<svg class="flows{size}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{label}">'
    '<defs><marker id="arrow-head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0.5L8 4L0 7.5z"/></marker></defs>{body}</svg>'
)
_LANE = Markup(
    '<g class="lane"><rect x="{x}" y="1" width="{width}" height="{height}" rx="8"/>'
    '<text class="zone" x="{tx}" y="22">{title}</text><text class="trust" x="{tx}" y="38">{trust}</text></g>'
)
_BOX = Markup(
    '<g class="box {shape}"><title>{full}</title><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{rx}"/>'
    '<text class="kind" x="{cx}" y="{ky}">{kind}</text>{title}</g>'
)
_NAME = Markup('<text class="name" x="{x}" y="{y}">{text}</text>')
_ARROW = Markup('<path class="flow{crossing}" d="{path}" marker-end="url(#arrow-head)"/>')
_CROSSING = Markup('<rect class="crossing" x="{x}" y="{y}" width="8" height="8" transform="rotate(45 {cx} {cy})"/>')
_NUMBER = Markup(
    '<g class="number{crossing}"><title>{full}</title><circle cx="{x}" cy="{y}" r="9"/><text x="{x}" y="{ty}">{number}</text></g>'
)


def flow_picture(system: System) -> Markup | None:
    """The diagram, or None where the flows are too many to stay legible or there are none."""
    diagram = layout(system)
    return _drawn(diagram) if diagram else None


def _drawn(diagram: Diagram) -> Markup:
    taken: list[tuple[float, float]] = []
    body = [
        *(_lane(lane, diagram.height) for lane in diagram.lanes),
        *(_arrow(arrow) for arrow in diagram.arrows),
        *(_box(box) for box in diagram.boxes),
        *(mark for arrow in diagram.arrows for mark in _crossings(arrow)),
        *(_number(arrow, diagram, taken) for arrow in diagram.arrows),
    ]
    crossing = sum(bool(arrow.crossings) for arrow in diagram.arrows)
    label = (
        f"Data-flow diagram: {plural(len(diagram.boxes), 'node')} in {plural(len(diagram.lanes), 'zone')}, "
        f"{plural(len(diagram.arrows), 'flow')}, {crossing} across a trust boundary. The table below says the same in words."
    )
    size = " large" if diagram.width > LARGE else ""
    return _SVG.format(size=size, width=_n(diagram.width), height=_n(diagram.height + 2), label=label, body=Markup("").join(body))


def _lane(lane: Lane, height: float) -> Markup:
    trust = f"trust: {lane.trust}" if lane.trust else "trust unknown"
    return _LANE.format(
        x=_n(lane.x + 3),
        width=_n(lane.width - 6),
        height=_n(height),
        tx=_n(lane.x + 16),
        title=fitted(lane.title, lane.width / 8 - 4),
        trust=trust,
    )


def _box(box: Box) -> Markup:
    shape = "actor" if box.kind == "actor" else "data" if box.kind in {"dataset", "store", "registry"} else "process"
    lines = _lines(box.title)
    heights = (box.y + 4, box.y + 19) if len(lines) > 1 else (box.y + 11,)
    return _BOX.format(
        shape=shape,
        full=printable(f"{box.title[:600]} ({box.kind})"),
        x=_n(box.x - NODE_WIDTH / 2),
        y=_n(box.y - NODE_HEIGHT / 2),
        width=NODE_WIDTH,
        height=NODE_HEIGHT,
        rx={"actor": NODE_HEIGHT // 2, "data": 0, "process": 7}[shape],
        cx=_n(box.x),
        ky=_n(box.y - (13 if len(lines) > 1 else 6)),
        kind=box.kind,
        title=Markup("").join(_NAME.format(x=_n(box.x), y=_n(y), text=line) for y, line in zip(heights, lines, strict=False)),
    )


def _lines(title: str) -> list[str]:
    """A title on one line of a box, or on two, the second cut."""
    words = " ".join(printable(title[:200]).split()).split(" ")
    first = words.pop(0)
    while words and len(first) + 1 + len(words[0]) <= NAME_COLUMNS:
        first += " " + words.pop(0)
    return [fitted(line, NAME_COLUMNS) for line in (first, " ".join(words)) if line]


def _arrow(arrow: Arrow) -> Markup:
    (x, y), *rest = arrow.points
    path = f"M{_n(x)} {_n(y)}"
    for to_x, to_y in rest:
        if to_x == x:
            path += f"C{_n(x + 34)} {_n(y)} {_n(x + 34)} {_n(to_y)} {_n(to_x)} {_n(to_y)}"
        else:
            middle = _n((x + to_x) / 2)
            path += f"C{middle} {_n(y)} {middle} {_n(to_y)} {_n(to_x)} {_n(to_y)}"
        x, y = to_x, to_y
    return _ARROW.format(crossing=" crosses" if arrow.crossings else "", path=path)


def _crossings(arrow: Arrow) -> list[Markup]:
    return [_CROSSING.format(x=_n(x - 4), y=_n(y - 4), cx=_n(x), cy=_n(y)) for x, y in arrow.crossings]


def _number(arrow: Arrow, diagram: Diagram, taken: list[tuple[float, float]]) -> Markup:
    """The flow's number on its arrow, at the first place where it hides neither a node, a crossing nor another number."""
    places = [p for t in (0.5, 0.35, 0.65, 0.22, 0.78) for p in _along(arrow, t)]
    blocked = [*taken, *(c for other in diagram.arrows for c in other.crossings)]
    free = [p for p in places if not _hidden(p, diagram, blocked)]
    x, y = (free or places)[0]
    taken.append((x, y))
    flow = arrow.flow
    full = f"{flow.source[:200]} to {flow.target[:200]}: {', '.join(flow.data or ('data not declared',))[:400]}"
    crossing = " crosses" if arrow.crossings else ""
    return _NUMBER.format(crossing=crossing, full=printable(full), x=_n(x), y=_n(y), ty=_n(y + 3.8), number=arrow.number)


def _along(arrow: Arrow, t: float) -> list[tuple[float, float]]:
    """The point at `t` of each piece of the curve, nearest to the source first."""
    found = []
    for (x1, y1), (x2, y2) in zip(arrow.points, arrow.points[1:], strict=False):
        bend = 3 * t * (1 - t) * 34 if x1 == x2 else 0.0
        x = x1 + bend if x1 == x2 else x1 + (x2 - x1) * (1.5 * t * (1 - t) ** 2 + 1.5 * t * t * (1 - t) + t**3)
        found.append((x, y1 + (y2 - y1) * (3 * t * t * (1 - t) + t**3)))
    return found


def _hidden(place: tuple[float, float], diagram: Diagram, blocked: list[tuple[float, float]]) -> bool:
    x, y = place
    over_node = any(abs(x - b.x) < NODE_WIDTH / 2 + 11 and abs(y - b.y) < NODE_HEIGHT / 2 + 11 for b in diagram.boxes)
    return over_node or y < LANE_TOP or any(abs(x - bx) < 17 and abs(y - by) < 17 for bx, by in blocked)


def fitted(text: str, columns: float) -> str:
    """`text` cut to a width in characters, wide East Asian ones counted twice."""
    folded = " ".join(printable(text[:200]).split())
    width = 0
    for place, character in enumerate(folded):
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > columns:
            return folded[: max(place - 1, 0)] + "…"
    return folded


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
