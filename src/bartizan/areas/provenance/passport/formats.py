"""How a file is read, by its name: as a table, as lines of text, or as one thing."""

from __future__ import annotations

from pathlib import PurePosixPath

TABLES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".txt": "text", ".text": "text", ".md": "text", ".log": "text",
}  # fmt: skip
PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def format_of(name: str) -> tuple[str, str | None]:
    """(format, compression) by the name of a file; the format `file` is one that is not read into rows."""
    suffixes = [s.lower() for s in PurePosixPath(name).suffixes]
    packed = PACKED.get(suffixes[-1]) if suffixes else None
    last = suffixes[-2] if packed and len(suffixes) > 1 else (suffixes[-1] if suffixes else "")
    kind = TABLES.get(last, "file")
    return ("file", None) if packed and kind in ("file", "parquet", "arrow") else (kind, packed)


def logical_name(name: str) -> str:
    """The name without the endings that say how rows are encoded: `2026/loans.csv.gz` and `2026/loans.parquet` are both `2026/loans`."""
    kind, packed = format_of(name)
    if kind == "file":
        return name
    for _ in range(2 if packed else 1):
        name = name[: -len(PurePosixPath(name).suffix)]
    return name
