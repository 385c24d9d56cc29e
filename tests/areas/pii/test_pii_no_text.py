"""Bytes that are no text are said to be skipped, and are not judged clean."""

import random
from pathlib import Path

from bartizan.areas.pii.files import scan_file


def test_random_bytes_are_skipped(tmp_path: Path) -> None:
    draw = random.Random(1)
    (tmp_path / "noise.bin").write_bytes(bytes(draw.randrange(1, 256) for _ in range(200)))
    (tmp_path / "umlauts.txt").write_text("Grüße aus Köln, schöne Straße", encoding="utf-8")
    maps, skipped = scan_file(tmp_path, tmp_path)
    assert skipped == ("noise.bin",)
    assert set(maps) == {"umlauts.txt"}
