"""Purging rows with proof beside a plain rewrite by Polars: seconds of processor time, rows a second, and what each leaves behind.

    python benchmarks/data/purge.py [--rows 1000000] [--repeats 3]

Both write the same table (eight columns: numbers, text, a category, a date) without the rows older than 365 days, from csv and from
Parquet. Polars filters a lazy scan and sinks it. `bartizan data purge` also compares the old data with its passport, hashes every row that
goes or stays, reads the new file back and compares it row for row, makes its passport, and signs a certificate with proofs for 1,000 rows.
The quality of both: how many lines of the csv file that stay are byte for byte as they were, and whether a removed row is still there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from bartizan.areas.access.purging import Wish
from bartizan.areas.access.retention import Expiry
from bartizan.areas.provenance.passport.statement import passport_path
from bartizan.areas.provenance.signing.keys import PrivateKey
from bartizan.workflows.data_purge import Order, purge
from bartizan.workflows.dataset_passport import record

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
CUTOFF = NOW - dt.timedelta(days=365)


def table(rows: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    ages = random.integers(0, 400, rows)
    return pl.DataFrame(
        {
            "id": np.arange(rows),
            "age": random.integers(18, 90, rows),
            "income": random.normal(40_000, 9_000, rows).round(2),
            "score": random.random(rows),
            "state": random.choice(["open", "paid", "late"], rows),
            "name": [f"person {n}" for n in range(rows)],
            "city": random.choice([f"city {n}" for n in range(500)], rows),
            "made": [(NOW.date() - dt.timedelta(days=int(age))) for age in ages],
        }
    )


def measured(work: Callable[[Path], None], folder: Path, repeats: int) -> float:
    """Least processor seconds of `work` on a new folder each time."""
    seconds = []
    for number in range(repeats):
        place = folder / f"run-{number}"
        place.mkdir()
        began = time.process_time()
        work(place)
        seconds.append(time.process_time() - began)
        shutil.rmtree(place)
    return min(seconds)


def by_polars(source: Path, target: Path) -> None:
    if source.suffix == ".csv":
        pl.scan_csv(source, try_parse_dates=True).filter(pl.col("made") >= CUTOFF.date()).sink_csv(target)
    else:
        pl.scan_parquet(source).filter(pl.col("made") >= CUTOFF.date()).sink_parquet(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    key = PrivateKey.generate("ed25519")
    wish = Wish(expiry=Expiry(column="made", days=365), before=NOW.isoformat())
    held = table(asked.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("csv", "parquet"):
            source = folder / f"people.{kind}"
            held.write_csv(source) if kind == "csv" else held.write_parquet(source)
            began = time.process_time()
            record(source, passport_path(source), key)
            recorded = time.process_time() - began
            plain = measured(lambda place, s=source, k=kind: by_polars(s, place / f"new.{k}"), folder, asked.repeats)
            ours = measured(lambda place, s=source, k=kind: _purge(s, place / f"new.{k}", key, wish), folder, asked.repeats)
            print(f"\n{kind}: {asked.rows:,} rows, {source.stat().st_size / 1e6:.0f} MB")
            print(f"  polars rewrite          {plain:7.2f} CPU s  {asked.rows / plain / 1e6:6.2f} Mrows/s  no proof")
            print(f"  bartizan data record    {recorded:7.2f} CPU s  {asked.rows / recorded / 1e6:6.2f} Mrows/s")
            print(f"  bartizan data purge     {ours:7.2f} CPU s  {asked.rows / ours / 1e6:6.2f} Mrows/s  {ours / plain:.1f} x polars")
            _quality(source, folder, key, wish, kind)


def _purge(source: Path, target: Path, key: PrivateKey, wish: Wish) -> None:
    done = purge(source, key, Order(wish=wish, output=target))
    assert done.removed
    assert done.proofs == 1000


def _quality(source: Path, folder: Path, key: PrivateKey, wish: Wish, kind: str) -> None:
    place = folder / "quality"
    place.mkdir()
    by_polars(source, place / f"polars.{kind}")
    _purge(source, place / f"ours.{kind}", key, wish)
    gone = pl.read_parquet(source) if kind == "parquet" else pl.read_csv(source, try_parse_dates=True)
    gone = gone.filter(pl.col("made") < CUTOFF.date())
    for who in ("polars", "ours"):
        new = place / f"{who}.{kind}"
        kept = pl.read_parquet(new) if kind == "parquet" else pl.read_csv(new, try_parse_dates=True)
        same = ""
        if kind == "csv":
            old = set(source.read_bytes().splitlines())
            same = f", {sum(line in old for line in new.read_bytes().splitlines()):,} of {len(kept) + 1:,} lines byte for byte"
        still = kept.filter(pl.col("id").is_in(gone["id"].implode())).height
        print(f"  {who:7} {len(kept):,} rows left, {len(gone):,} gone, {still} still there{same}")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
