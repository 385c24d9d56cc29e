"""Where the nodes and arrows of a data-flow diagram go: zones as lanes from untrusted to trusted, nodes in columns inside them.

A layered layout (after Sugiyama, Tagawa and Toda 1981): an arrow over several columns gets a waypoint in each column it passes, so that it
runs between nodes; columns are ordered by the mean position of their neighbours. Pure and without randomness.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bartizan.model.system import SYSTEM_ID, Flow, System, Trust, elements_of, kind_of

NODE_WIDTH = 130
NODE_HEIGHT = 54
COLUMN = 178
LANE_TOP = 46
MOST_NODES = 40
MOST_FLOWS = 80
MOST_COLUMNS = 7
_GAP = 26


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A node: its element's id, title and kind, and the centre of its box in pixels."""

    id: str
    title: str
    kind: str
    x: float
    y: float


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A zone: its title and trust, and its left edge and width in pixels. `trust` is None for nodes without a declared zone."""

    title: str
    trust: Trust | None
    x: float
    width: float


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow: its number, its waypoints from source to target, and the points where it crosses from one lane to another."""

    number: int
    flow: Flow
    points: tuple[tuple[float, float], ...]
    crossings: tuple[tuple[float, float], ...]


class Diagram(msgspec.Struct, frozen=True, kw_only=True):
    """A whole layout in pixels."""

    width: float
    height: float
    lanes: tuple[Lane, ...]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


class _Item:
    """A node or a waypoint in a column while its place is being found."""

    __slots__ = ("column", "id", "near", "y")

    def __init__(self, id: str | None, column: int) -> None:
        self.id = id
        self.column = column
        self.near: list[_Item] = []
        self.y = 0.0

    @property
    def half(self) -> float:
        return NODE_HEIGHT / 2 if self.id is not None else 1.0


def layout(system: System) -> Diagram | None:
    """The diagram of a system's flows; None where there is nothing to draw or too much to stay legible."""
    nodes = {e.id: e for e in elements_of(system) if e.id != SYSTEM_ID}
    flows = [f for f in system.flows if f.source in nodes and f.target in nodes]
    if not nodes or not flows or len(nodes) > MOST_NODES or len(flows) > MOST_FLOWS:
        return None
    zones = _zones(system, {id: getattr(e, "zone", None) for id, e in nodes.items()})
    column_of, columns_of_lane = _columns(zones, flows)
    items = {id: _Item(id, column) for id, column in column_of.items()}
    chains = [_chain(items[f.source], items[f.target]) for f in flows]
    columns = _order([*items.values(), *(i for chain in chains for i in chain[1:-1])], sum(columns_of_lane))
    height = max(c[-1].y + c[-1].half for c in columns if c) + 24
    lanes = _lanes(system, list(zones), columns_of_lane)
    edges = [lane.x for lane in lanes[1:]]
    titles = {id: (getattr(e, "title", None) or id, str(kind_of(e))) for id, e in nodes.items()}
    boxes = tuple(Box(id=i, title=titles[i][0], kind=titles[i][1], x=_x(item.column), y=item.y) for i, item in items.items())
    ports = _ports(flows, chains)
    arrows = tuple(_arrow(n, f, chains[n - 1], ports[n - 1], edges) for n, f in enumerate(flows, 1))
    return Diagram(width=COLUMN * sum(columns_of_lane), height=height, lanes=lanes, boxes=boxes, arrows=arrows)


def _zones(system: System, zone_of: Mapping[str, str | None]) -> dict[str | None, list[str]]:
    """The nodes of each zone that holds any, least trusted zone first, undeclared last."""
    declared: list[str | None] = [z.id for z in sorted(system.zones, key=lambda z: z.trust.rank)]
    members: dict[str | None, list[str]] = {z: [] for z in [*declared, None]}
    for id, zone in zone_of.items():
        members[zone if zone in members else None].append(id)
    return {zone: ids for zone, ids in members.items() if ids}


def _columns(zones: Mapping[str | None, Sequence[str]], flows: Sequence[Flow]) -> tuple[dict[str, int], list[int]]:
    """The column of each node and how many columns each lane has: inside a lane by depth along its own flows."""
    depths = [_depths(ids, flows) for ids in zones.values()]
    most = 3
    while most > 1 and sum(min(most, max(d.values()) + 1) for d in depths) > MOST_COLUMNS:
        most -= 1
    column_of: dict[str, int] = {}
    counts: list[int] = []
    for depth in depths:
        levels = max(depth.values()) + 1
        count = min(most, levels)
        column_of |= {id: sum(counts) + d * count // levels for id, d in depth.items()}
        counts.append(count)
    return column_of, counts


def _depths(ids: Sequence[str], flows: Sequence[Flow]) -> dict[str, int]:
    """Longest distance of each node from the start of its lane's flows; the flow that closes a cycle does not count."""
    inside = set(ids)
    onward: dict[str, list[str]] = {id: [] for id in ids}
    for flow in flows:
        reached, todo = {flow.target}, [flow.target]
        while todo:
            for follower in onward.get(todo.pop(), ()):
                if follower not in reached:
                    reached.add(follower)
                    todo.append(follower)
        if flow.source in inside and flow.target in inside and flow.source not in reached:
            onward[flow.source].append(flow.target)
    depth = dict.fromkeys(ids, 0)
    for _ in ids:
        for id in ids:
            for follower in onward[id]:
                depth[follower] = max(depth[follower], depth[id] + 1)
    return depth


def _chain(source: _Item, target: _Item) -> list[_Item]:
    """Source, one waypoint for each column between, target; linked as neighbours."""
    step = 1 if target.column > source.column else -1
    between = [_Item(None, c) for c in range(source.column + step, target.column, step)] if target.column != source.column else []
    chain = [source, *between, target]
    for a, b in itertools.pairwise(chain):
        a.near.append(b)
        b.near.append(a)
    return chain


def _order(items: Iterable[_Item], count: int) -> list[list[_Item]]:
    """Items in columns, each with its height: sorted by the mean height of the neighbours, then pushed apart."""
    columns: list[list[_Item]] = [[] for _ in range(count)]
    for item in items:
        columns[item.column].append(item)
    for column in columns:
        _spread(column)
    for sweep in range(8):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wish = {id(item): _wish(item) for item in column}
            column.sort(key=lambda item: wish[id(item)])
            for item in column:
                item.y = wish[id(item)]
            _spread(column)
    top = min(c[0].y - c[0].half for c in columns if c)
    for column in columns:
        for item in column:
            item.y += LANE_TOP + 18 - top
    return columns


def _wish(item: _Item) -> float:
    other = [n.y for n in item.near if n.column != item.column]
    return sum(other) / len(other) if other else item.y


def _spread(column: Sequence[_Item]) -> None:
    """Push items apart to their least distance and keep the column's middle where it was."""
    if not column:
        return
    middle = sum(i.y for i in column) / len(column)
    for above, below in itertools.pairwise(column):
        gap = _GAP
        below.y = max(below.y, above.y + above.half + below.half + gap)
    shift = middle - sum(i.y for i in column) / len(column)
    for item in column:
        item.y += shift


def _lanes(system: System, zones: Sequence[str | None], counts: Sequence[int]) -> tuple[Lane, ...]:
    known = {z.id: z for z in system.zones}
    lanes = []
    for n, (zone, count) in enumerate(zip(zones, counts, strict=True)):
        declared = known.get(zone) if zone is not None else None
        title = (declared.title or declared.id) if declared else "zone not declared"
        lanes.append(Lane(title=title, trust=declared.trust if declared else None, x=COLUMN * sum(counts[:n]), width=COLUMN * count))
    return tuple(lanes)


def _x(column: int) -> float:
    return COLUMN * column + COLUMN / 2


def _ports(flows: Sequence[Flow], chains: Sequence[Sequence[_Item]]) -> list[tuple[float, float]]:
    """For each flow the offsets from its nodes' middles at which it leaves and arrives: the arrows of one side keep apart."""
    sides: dict[tuple[str, int], list[tuple[float, int, int]]] = {}
    for n, (flow, chain) in enumerate(zip(flows, chains, strict=True)):
        for end, (item, other) in enumerate(((chain[0], chain[1]), (chain[-1], chain[-2]))):
            side = (other.column > item.column) - (other.column < item.column)
            sides.setdefault((flow.source if end == 0 else flow.target, side or 1), []).append((other.y, n, end))
    offsets = [[0.0, 0.0] for _ in flows]
    for entries in sides.values():
        step = min(14.0, (NODE_HEIGHT - 10) / len(entries))
        for place, (_, n, end) in enumerate(sorted(entries)):
            offsets[n][end] = (place - (len(entries) - 1) / 2) * step
    return [(a, b) for a, b in offsets]


def _arrow(number: int, flow: Flow, chain: Sequence[_Item], ports: tuple[float, float], edges: Sequence[float]) -> Arrow:
    half = NODE_WIDTH / 2
    source, target = chain[0], chain[-1]
    side = -1 if target.column < source.column else 1
    back = side if target.column == source.column else -side
    points = [
        (_x(source.column) + side * half, source.y + ports[0]),
        *((_x(i.column), i.y) for i in chain[1:-1]),
        (_x(target.column) + back * half, target.y + ports[1]),
    ]
    crossings = []
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        crossings += [(e, y1 + (y2 - y1) * _rise((e - x1) / (x2 - x1))) for e in edges if min(x1, x2) < e < max(x1, x2)]
    return Arrow(number=number, flow=flow, points=tuple(points), crossings=tuple(crossings))


def _rise(share: float) -> float:
    """Height, as a share, of the arrow's curve at a share of its width: the cubic with level ends and handles at half width."""
    low, high = 0.0, 1.0
    for _ in range(20):
        t = (low + high) / 2
        if 1.5 * t * (1 - t) ** 2 + 1.5 * t * t * (1 - t) + t**3 < share:
            low = t
        else:
            high = t
    return 3 * low * low * (1 - low) + low**3
