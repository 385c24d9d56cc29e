"""Small pictures of numbers: strips on a scale from left to right, stretched to the width that the page gives them.

Every picture has a text alternative. Colours come from classes of the page's style sheet, so that they follow light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup

from bartizan.model.findings import Measure
from bartizan.model.risks import Risk
from bartizan.renderers.escape import cut
from bartizan.renderers.wording import between, interval, percent, printable, quantity

_STRIP = Markup(
    '<svg class="strip {kind}" viewBox="0 0 100 {height}" preserveAspectRatio="none" role="img" aria-label="{label}">{body}</svg>'
)
_RECT = Markup('<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"/>')
_LINE = Markup('<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')


def risk_bar(risk: Risk) -> Markup:
    """Inherent risk as an outline, residual as a bar with its interval, on a scale from 0 to 100 % a year."""
    level = risk.residual.level
    body = [
        _rect("track", 0, 100, 6, 4),
        _rect("was", 0, _share(risk.inherent.mean), 6, 4),
        _rect(f"bar {level}", 0, _share(risk.residual.mean), 4, 8),
        _rect("range", *_span(_share(risk.residual.low), _share(risk.residual.high)), 7, 2),
    ]
    label = (
        f"Inherent {percent(risk.inherent.mean)}, residual {percent(risk.residual.mean)}, {between(risk.residual.low, risk.residual.high)}"
    )
    return _strip("risk-bar", 16, label, body)


def step_bar(kind: str, before: float, after: float, label: str, low: float | None = None, high: float | None = None) -> Markup:
    """One bar of a waterfall: from `before` to `after` in [0, 1]; `low` and `high` draw an interval over it."""
    body = [_rect("track", 0, 100, 6, 4), _rect(f"bar {kind}", *_span(_share(before), _share(after)), 3, 10)]
    if low is not None and high is not None:
        body.append(_rect("range", *_span(_share(low), _share(high)), 7, 2))
    return _strip("step-bar", 16, label, body)


def measure_bar(measure: Measure) -> Markup:
    """The interval of a measure against its limit: shaded is what lies beyond the limit, the dotted line is the null control."""
    marks = [m for m in (measure.value, measure.low, measure.high, measure.limit, measure.null) if m is not None and math.isfinite(m)]
    if not marks:
        return Markup("")
    left, right = min(0.0, *marks), max(*marks, 0.0)
    right = right + (right - left) * 0.12 or 1.0

    def x(value: float) -> float:
        return 100 * (min(max(value, left), right) - left) / (right - left) if math.isfinite(value) else 0.0

    body = [_rect("track", 0, 100, 7, 4)]
    if measure.limit is not None:
        beyond = (x(measure.limit), 100.0) if measure.higher_is_worse else (0.0, x(measure.limit))
        body.append(_rect("beyond", *_span(*beyond), 2, 14))
    body.append(_rect("range", *_span(x(measure.low), x(measure.high)), 7, 4))
    if measure.null is not None:
        body.append(_line("null", x(measure.null), 2, 16))
    if measure.limit is not None:
        body.append(_line("limit", x(measure.limit), 0, 18))
    body.append(_rect("point", min(x(measure.value), 99.0) - 0.5, 1.5, 4, 10))
    label = f"{quantity(measure, measure.value)}, interval {interval(measure)}"
    if measure.limit is not None:
        label += f", limit {quantity(measure, measure.limit)}"
    return _strip("measure-bar", 18, label, body)


def share_bar(part: int, total: int) -> Markup:
    """`part` of `total` as a filled strip."""
    width = 100 * part / total if total > 0 else 0.0
    return _strip("share-bar", 6, f"{part} of {total}", [_rect("track", 0, 100, 0, 6), _rect("bar", 0, min(width, 100.0), 0, 6)])


def _strip(kind: str, height: int, label: str, body: Iterable[Markup]) -> Markup:
    return _STRIP.format(kind=kind, height=height, label=cut(printable(label), 300), body=Markup("").join(body))


def _rect(kind: str, x: float, width: float, y: float, height: float) -> Markup:
    return _RECT.format(kind=kind, x=_short(x), y=_short(y), width=_short(width), height=_short(height))


def _line(kind: str, x: float, top: float, bottom: float) -> Markup:
    return _LINE.format(kind=kind, x=_short(x), top=_short(top), bottom=_short(bottom))


def _span(start: float, end: float, least: float = 0.8) -> tuple[float, float]:
    """Left edge and width of a bar between two points, wide enough to be seen and inside the picture."""
    left, width = min(start, end), max(abs(end - start), least)
    return min(left, 100 - width), width


def _share(p: float) -> float:
    return 100 * min(max(p, 0.0), 1.0) if math.isfinite(p) else 0.0


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
