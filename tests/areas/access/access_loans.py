"""A table of loans with personal data, and a policy in which everything happens."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

ROWS = 200
KEY = bytes(range(32))

POLICY = """\
access: 1
name: loans
purposes: [training, billing, audit]
roles: {staff: [], scientist: [staff], clerk: [staff], owner: []}
principals:
  alice: {roles: [scientist], attributes: {region: north, level: 3}}
  bob: {roles: [clerk], attributes: {region: south, level: 1}}
  olga: {roles: [owner], attributes: {region: north, level: 9}}
  eve: {attributes: {region: north, level: 0}}
columns:
  id: {type: integer, tags: [key]}
  amount: {type: integer, tags: [feature]}
  region: {tags: [feature]}
  zip: {tags: [quasi], mask: prefix, keep: 2}
  born: {type: date, tags: [quasi], mask: year}
  income: {type: integer, tags: [sensitive], mask: bucket, width: 10000}
  email: {tags: [direct], mask: keyed}
  ssn: {tags: [direct]}
  note: {tags: [direct], mask: constant, value: "-"}
smallest_group: 10
policies: |
  @id("features for training")
  permit (principal in Role::"scientist", action == Action::"read", resource in Tag::"feature")
  when { context.purpose == Purpose::"training" };
  permit (principal in Role::"scientist", action == Action::"read", resource == Column::"id")
  when { context.purpose == Purpose::"training" };
  @id("masked for training")
  permit (principal in Role::"scientist", action == Action::"mask", resource)
  when { context.purpose == Purpose::"training" };
  permit (principal in Role::"scientist", action == Action::"aggregate", resource == Column::"income")
  when { context.purpose == Purpose::"training" };
  @id("billing")
  permit (principal in Role::"clerk", action == Action::"read", resource)
  when { context.purpose == Purpose::"billing" }
  unless { resource in Tag::"sensitive" };
  permit (principal in Role::"owner", action, resource) when { context.purpose == Purpose::"audit" };
  @id("own region")
  permit (principal in Role::"staff", action == Action::"rows", resource)
  when { resource.region == principal.region };
  @id("no large loans")
  forbid (principal in Role::"clerk", action == Action::"rows", resource) when { resource.amount >= 900 };
"""


def loans(rows: int = ROWS) -> dict[str, list[object]]:
    """Every value of a personal column stands in one row alone."""
    return {
        "id": list(range(rows)),
        "amount": [(i * 37) % 1000 for i in range(rows)],
        "region": [["north", "south"][i % 2] for i in range(rows)],
        "zip": [f"{10000 + i * 7:05d}" for i in range(rows)],
        "born": [dt.date(1950, 1, 1) + dt.timedelta(days=i * 31) for i in range(rows)],
        "income": [20_001 + i * 137 for i in range(rows)],
        "email": [f"person{i}@example.org" for i in range(rows)],
        "ssn": [f"9{i:08d}" for i in range(rows)],
        "note": [f"called on day {i}" for i in range(rows)],
    }


def write(folder: Path, kind: str = "parquet", policy: str = POLICY) -> Path:
    pl = pytest.importorskip("polars")
    pytest.importorskip("cedarpy")
    pytest.importorskip("duckdb")
    path = folder / f"loans.{kind}"
    frame = pl.DataFrame(loans())
    frame.write_parquet(path) if kind == "parquet" else frame.write_csv(path)
    (folder / f"{path.name}.access.yaml").write_text(policy)
    return path
