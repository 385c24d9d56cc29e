"""A damaged file ends the reading with one line, and no thread of Arrow is left inside Python to abort the program."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path

from bartizan.areas.provenance.passport.reading import _Joined


def test_what_was_stopped_gives_nothing_more() -> None:
    joined = _Joined(b"ab", io.BytesIO(b"cdef"))
    buffer = bytearray(3)
    assert joined.readinto(buffer) == 2
    assert joined.readinto(buffer) == 3
    joined.stop()
    assert joined.readinto(buffer) == 0


def test_a_truncated_file_ends_with_2_and_its_name(tmp_path: Path) -> None:
    rows = "a,b\n" + "".join(f"{i},x{i * 7 % 1009}\n" for i in range(600_000))
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(rows.encode(), 1)[:-200_000])
    command = [sys.executable, "-m", "bartizan", "data", "record", "rows.csv.gz", "--key", "k.pem"]
    for more in (["--new-key", "ed25519"], []):
        done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2, done.stderr
        assert "rows.csv.gz: cannot be read as csv" in done.stderr
    assert not (tmp_path / "rows.csv.gz.passport.jsonl").exists()
