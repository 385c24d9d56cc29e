"""Reading through an access policy beside reading without one: plain Polars, plain DuckDB, and Cedar asked row by row.

    python benchmarks/data/access.py [frame] [sql] [keyed] [decisions] [rows]

Seconds are processor seconds of one process, the best of three. Plain Polars and DuckDB read the same columns of the same rows, with the
filter written by hand, so that the ratio is what the policy costs: deciding, masking, sealing, recording.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cedarpy
import duckdb
import numpy as np
import polars as pl

from bartizan.areas.access.cedar import Rules, entities_of
from bartizan.areas.access.compiling import Table, View
from bartizan.areas.access.policy import load
from bartizan.areas.access.reading import open
from bartizan.areas.access.rows import to_polars

ROWS = 5_000_000
ASKED = 5_000
KEY = bytes(range(32))

POLICY = """\
access: 1
name: loans
purposes: [training, billing]
roles: {staff: [], scientist: [staff]}
principals:
  alice: {roles: [scientist], attributes: {region: north}}
columns:
  amount: {tags: [feature]}
  region: {tags: [feature]}
  zip: {mask: prefix, keep: 2}
  born: {mask: year}
  income: {mask: bucket, width: 10000}
  email: {mask: keyed}
policies: |
  permit (principal in Role::"scientist", action == Action::"read", resource in Tag::"feature")
  when { context.purpose == Purpose::"training" };
  permit (principal in Role::"scientist", action == Action::"mask", resource) when { context.purpose == Purpose::"training" };
  permit (principal in Role::"staff", action == Action::"rows", resource)
  when { resource.region == principal.region && resource.amount < 900 };
  forbid (principal, action == Action::"rows", resource) when { resource.zip like "9*" };
"""


def make(folder: Path) -> Path:
    random = np.random.default_rng(0)
    path = folder / "loans.parquet"
    zips = np.char.zfill(np.arange(100_000).astype("U"), 5)
    frame = pl.DataFrame(
        {
            "amount": random.integers(0, 1000, ROWS),
            "region": np.array(["north", "south", "east"])[random.integers(0, 3, ROWS)],
            "zip": zips[random.integers(0, 100_000, ROWS)],
            "born": np.datetime64("1950-01-01") + random.integers(0, 20_000, ROWS).astype("timedelta64[D]"),
            "income": random.integers(10_000, 200_000, ROWS),
            "email": pl.Series(random.integers(0, ROWS, ROWS)).cast(pl.String) + "@example.org",
        }
    )
    frame.write_parquet(path)
    path.with_name("loans.parquet.access.yaml").write_text(POLICY)
    return path


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    seconds, found = [], None
    for _ in range(times):
        start = time.process_time()
        found = work()
        seconds.append(time.process_time() - start)
    return min(seconds), found


def told(name: str, plain: float, ours: float, more: str = "") -> None:
    print(f"{name}: plain {plain:.2f} s, through the policy {ours:.2f} s, ratio {ours / plain:.2f}{more}", flush=True)


def by_hand(path: Path) -> pl.LazyFrame:
    seen = (pl.col("region") == "north") & (pl.col("amount") < 900) & ~pl.col("zip").str.starts_with("9")
    return pl.scan_parquet(path).filter(seen)


def frame(path: Path) -> None:
    for names in (["amount", "region"], ["amount", "region", "zip", "born", "income"]):
        plain, left = best(lambda names=names: by_hand(path).select(names).collect(engine="streaming"))

        def through(names: list[str] = names) -> pl.DataFrame:
            with open(path, "alice", "training", key=KEY) as reader:
                return reader.frame(names)

        ours, right = best(through)
        assert len(left) == len(right)
        assert left["amount"].equals(right["amount"])
        told(f"frame, {len(names)} columns, {len(names[2:])} masked, {len(right):,} of {ROWS:,} rows", plain, ours)


def sql(path: Path) -> None:
    where = "region = 'north' AND amount < 900 AND zip NOT LIKE '9%'"
    text = "SELECT left(zip, 2) AS zip, count(*) AS n, avg(amount) AS mean FROM {} GROUP BY 1 ORDER BY 1"

    def by_duckdb() -> pl.DataFrame:
        with duckdb.connect(config={"threads": 2}) as connection:
            source = f"(SELECT * FROM read_parquet('{path}') WHERE {where})"
            return connection.sql(text.format(source)).pl()

    plain, left = best(by_duckdb)

    def through() -> pl.DataFrame:
        with open(path, "alice", "training", key=KEY) as reader:
            return reader.sql(text.format("loans"))

    ours, right = best(through)
    assert left["n"].equals(right["n"])
    assert np.allclose(left["mean"], right["mean"])
    told("sql, two columns grouped", plain, ours)


def keyed(path: Path) -> None:
    plain, left = best(lambda: by_hand(path).select("email").collect(engine="streaming"))

    def through() -> pl.DataFrame:
        with open(path, "alice", "training", key=KEY) as reader:
            return reader.frame(["email"])

    ours, right = best(through)
    assert left["email"].n_unique() == right["email"].n_unique()
    told("keyed hashes", plain, ours, f", {len(right) / ours / 1e6:.2f} million cells a second, {right['email'].n_unique():,} different")


def decisions(path: Path) -> None:
    policy = load(path.with_name("loans.parquet.access.yaml"))
    table = Table(path, policy.columns)
    rules = Rules(policy, table.types)
    ours, found = best(lambda: [rules.decide("alice", "training") for _ in range(200)])
    made = 200 * sum(len(ruled) for ruled in found[0].values())
    entities = json.dumps(entities_of(policy, list(table.types)))
    request = {
        "principal": {"type": "User", "id": "alice"},
        "action": {"type": "Action", "id": "read"},
        "resource": {"type": "Column", "id": "amount"},
        "context": {"purpose": {"__entity": {"type": "Purpose", "id": "training"}}},
    }
    plain, _ = best(lambda: [cedarpy.is_authorized(request, policy.policies, entities) for _ in range(500)])
    opened, _ = best(lambda: View(Rules(policy, table.types), table, "alice", "training", key=KEY))
    fast, slow = made / ours, 500 / plain
    print(f"decisions: {fast:,.0f} a second in batches, {slow:,.0f} asked one by one from text, ratio {fast / slow:.0f}")
    print(f"compiling the policy for one principal and purpose: {opened * 1000:.1f} ms")


def rows(path: Path) -> None:
    policy = load(path.with_name("loans.parquet.access.yaml"))
    table = Table(path, policy.columns)
    view = View(Rules(policy, table.types), table, "alice", "training", key=KEY)
    few = pl.scan_parquet(path).head(ASKED).collect()
    handle = cedarpy.PolicySet.from_str(policy.policies)
    known = cedarpy.Entities.from_json_str(json.dumps(entities_of(policy, list(table.types))))

    def cell(value: Any) -> Any:
        return {"__extn": {"fn": "datetime", "arg": value.isoformat()}} if isinstance(value, dt.date) else value

    def row_by_row() -> list[bool]:
        answers = []
        for n, row in enumerate(few.iter_rows(named=True)):
            uid = {"type": "Row", "id": str(n)}
            entity = {"uid": uid, "attrs": {name: cell(value) for name, value in row.items()}, "parents": []}
            request = {
                "principal": {"type": "User", "id": "alice"},
                "action": {"type": "Action", "id": "rows"},
                "resource": uid,
                "context": {"purpose": {"__entity": {"type": "Purpose", "id": "training"}}},
            }
            answers.append(cedarpy.is_authorized(request, handle, known.with_added_json_str(json.dumps([entity]))).allowed)
        return answers

    plain, asked = best(row_by_row)
    kept = few.select(to_polars(view.condition).fill_null(False).alias("kept"))["kept"].to_list()
    assert kept == asked
    condition = to_polars(view.condition)
    ours, _ = best(lambda: pl.scan_parquet(path).filter(condition).select(pl.len()).collect(engine="streaming"))
    slow, fast = ASKED / plain, ROWS / ours
    print(f"rows: Cedar row by row {slow:,.0f} a second, compiled {fast:,.0f} a second, ratio {fast / slow:,.0f}")
    print(f"      the same {sum(kept):,} of {ASKED:,} rows")


def main() -> None:
    parts = {"frame": frame, "sql": sql, "keyed": keyed, "decisions": decisions, "rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder))
        for name in sys.argv[1:] or parts:
            parts[name](path)


if __name__ == "__main__":
    main()
