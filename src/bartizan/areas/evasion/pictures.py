"""Pictures of findings without any library: changed images beside their originals as PNG, and accuracy against radius as SVG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

_SIDE = 160
"""Screen pixels that the longer side of one image gets at least."""

Points = Sequence[tuple[float, float]]


def triptych(original: npt.NDArray[Any], changed: npt.NDArray[Any], low: float, high: float) -> bytes | None:
    """PNG of two images (channels, height, width) in [low, high] and of their difference, stretched to all shades.

    Of other than 1 or 3 channels the first is shown. None where these are no images.
    """
    if (
        original.ndim != 3
        or original.shape != changed.shape
        or not high > low
        or max(original.shape[1:]) > 512
        or min(original.shape[1:]) < 4
    ):
        return None
    kept = 3 if original.shape[0] == 3 else 1
    panels = [(image[:kept].astype(np.float64) - low) / (high - low) for image in (original, changed)]
    change = panels[1] - panels[0]
    panels.append(0.5 + change / (2.0 * max(float(np.abs(change).max()), 1e-12)))
    gap = np.ones((kept, original.shape[1], 1))
    row = np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=2)
    shades = np.rint(np.clip(row, 0.0, 1.0) * 255.0).astype(np.uint8)
    scale = max(1, _SIDE // max(original.shape[1:]))
    return png(shades.repeat(scale, axis=1).repeat(scale, axis=2))


def png(shades: npt.NDArray[np.uint8]) -> bytes:
    """An 8-bit image (1 or 3, height, width) as PNG (ISO/IEC 15948)."""
    kind = 2 if shades.shape[0] == 3 else 0
    lines = shades.transpose(1, 2, 0).reshape(shades.shape[1], -1)
    data = np.hstack([np.zeros((len(lines), 1), dtype=np.uint8), lines]).tobytes()
    head = struct.pack(">IIBBBBB", shades.shape[2], shades.shape[1], 8, kind, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    body = (struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


_COLOURS = ("#1f5fa8", "#b3541e", "#3a7d44", "#6b4f9e")
_LEFT, _TOP, _WIDTH, _HEIGHT = 52.0, 14.0, 380.0, 200.0


def curve(lines: Sequence[tuple[str, Points]], *, across: str = "radius") -> bytes:
    """SVG of accuracy in [0, 1] against a number at least 0: one line for each (name, points); the same data gives the same bytes."""
    reach = max((x for _, points in lines for x, _ in points), default=0.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="470" height="{268 + 16 * len(lines)}" font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="#fff"/><g stroke="#ddd">{"".join(_ruler(k / 4) for k in range(5))}</g>',
        *(_text(_LEFT - 6, _down(k / 4) + 4, f"{k * 25} %", "end") for k in range(5)),
        *(_text(_LEFT + _WIDTH * k / 4, _TOP + _HEIGHT + 16, f"{reach * k / 4:.3g}", "middle") for k in range(5)),
        _text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 34, across, "middle"),
    ]
    for place, (name, points) in enumerate(lines):
        colour = _COLOURS[place % len(_COLOURS)]
        spots = [(_LEFT + _WIDTH * x / reach, _down(y)) for x, y in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
        parts.append(f'<rect x="{_LEFT:g}" y="{_TOP + _HEIGHT + 44 + 16 * place:g}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(_LEFT + 16, _TOP + _HEIGHT + 53 + 16 * place, name, "start"))
    return ("\n".join(parts) + "\n</svg>\n").encode()


def _down(share: float) -> float:
    return _TOP + _HEIGHT * (1.0 - min(1.0, max(0.0, share)))


def _ruler(share: float) -> str:
    return f'<path d="M{_LEFT:g} {_down(share):g}h{_WIDTH:g}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
