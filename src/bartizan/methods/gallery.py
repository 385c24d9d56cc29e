"""A sheet of pictures with captions as one SVG file that needs nothing else: what a check found, for people to look at."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bartizan.methods.drawing import paper, text

_HEAD = 28
_SIDE = 96
_COLUMNS = 8
_LINE = 15
MAX_SHOWN = 48
"""Most pictures of one sheet."""


def gallery(
    images: npt.NDArray[np.float32], captions: Sequence[Sequence[str]], *, title: str = "Pictures", low: float = 0.0, high: float = 1.0
) -> bytes:
    """SVG of the first images (n, channels, height, width) with values in [low, high], each above its caption lines.

    Of other than 1 or 3 channels the first is shown; large ones are shown with every so many of their pixels. `title` says what they are.
    The same images give the same bytes.
    """
    shown = images[:MAX_SHOWN]
    lines = max((len(caption) for caption in captions[:MAX_SHOWN]), default=0)
    height = _SIDE + lines * _LINE + 14
    rows = max(1, -(-len(shown) // _COLUMNS))
    parts = [text(6, 18, title, room=_COLUMNS * (_SIDE + 12) - 12, size=13)]
    for place, (image, caption) in enumerate(zip(shown, captions, strict=False)):
        x, y = 6 + (place % _COLUMNS) * (_SIDE + 12), _HEAD + (place // _COLUMNS) * height
        address = base64.b64encode(_png(_shades(image, low, high))).decode("ascii")
        parts.append(
            f'<image x="{x}" y="{y}" width="{_SIDE}" height="{_SIDE}" style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{address}"/>'
        )
        parts += [text(x, y + _SIDE + _LINE * (n + 1), words, room=_SIDE + 8) for n, words in enumerate(caption)]
    summary = "; ".join(", ".join(caption) for caption in captions[: len(shown)])
    return paper(_COLUMNS * (_SIDE + 12), _HEAD + rows * height, title, summary, parts)


def _shades(image: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.uint8]:
    kept = image[:3] if image.shape[0] == 3 else image[:1]
    step = max(1, -(-max(kept.shape[1:]) // _SIDE))
    shares = np.clip((kept[:, ::step, ::step] - low) / max(high - low, 1e-12), 0.0, 1.0)
    shades: npt.NDArray[np.uint8] = np.rint(shares * 255.0).astype(np.uint8)
    return shades


def _png(shades: npt.NDArray[np.uint8]) -> bytes:
    """An 8-bit image (1 or 3, height, width) as PNG (ISO/IEC 15948)."""
    lines = shades.transpose(1, 2, 0).reshape(shades.shape[1], -1)
    data = np.hstack([np.zeros((len(lines), 1), dtype=np.uint8), lines]).tobytes()
    head = struct.pack(">IIBBBBB", shades.shape[2], shades.shape[1], 8, 2 if shades.shape[0] == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    body = (struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)
