"""A picture of one evasion: the original, the changed image and the difference, side by side, as a grey PNG without any library."""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np

from bartizan.areas.evasion.tabular_inputs import Floats

_PIXEL = 16
"""Screen pixels along each side of one image pixel, for images of 8 by 8; larger ones get fewer."""


def side_by_side(original: Floats, changed: Floats, low: float, high: float) -> bytes | None:
    """PNG of two flat square images (d,) with values in [low, high] and of their difference, stretched to all greys; None for others."""
    side = math.isqrt(len(original))
    if side * side != len(original) or side < 4 or side > 256 or not high > low:
        return None
    panels = [(image - low) / (high - low) for image in (original, changed)]
    change = panels[1] - panels[0]
    panels.append(0.5 + change / (2.0 * max(float(np.abs(change).max()), 1e-12)))
    gap = np.ones((side, 1))
    row = np.hstack([part for panel in panels for part in (panel.reshape(side, side), gap)][:-1])
    grey = np.rint(np.clip(row, 0.0, 1.0) * 255.0).astype(np.uint8)
    scale = max(1, _PIXEL * 8 // side)
    return _png(np.kron(grey, np.ones((scale, scale), dtype=np.uint8)))


def _png(grey: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> bytes:
    """An 8-bit grey image (height, width) as PNG (ISO/IEC 15948)."""
    height, width = grey.shape
    lines = np.hstack([np.zeros((height, 1), dtype=np.uint8), grey]).tobytes()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
