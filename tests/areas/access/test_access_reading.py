"""Reading through a policy: five ways round it see nothing masked, nor does a side channel, and every answer is on record."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from access_loans import KEY, POLICY, ROWS, loans, write

from bartizan.areas.access.policy import load
from bartizan.areas.access.queries import Limits, Query, lock, sealed
from bartizan.areas.access.reading import Reader, open
from bartizan.areas.access.retention import Expiry
from bartizan.evidence import Store, verify_store
from bartizan.model.errors import BartizanError, EvidenceError, InputError, Refused, UnknownName

pl = pytest.importorskip("polars")
pytest.importorskip("cedarpy")
duckdb = pytest.importorskip("duckdb")

LOANS = loans()
NORTH = range(0, ROWS, 2)


@pytest.fixture
def alice(data: Path) -> Iterator[Reader]:
    with open(data, "alice", "training", key=KEY) as reader:
        yield reader


def secrets_in(value: Any) -> list[str]:
    """What a text form of an answer gives away of the columns that alice sees masked: each value stands in one row alone."""
    text = str(value.rows() if hasattr(value, "rows") else value)
    words = set(re.findall(r"[\w@.]+(?: on day \d+)?", text)) | set(re.findall(r"\d{4}-\d\d-\d\d", text))
    dates = {tuple(map(int, found)) for found in re.findall(r"datetime\.date\((\d+), (\d+), (\d+)\)", text)}
    words |= {f"{y:04d}-{m:02d}-{d:02d}" for y, m, d in dates}
    return [str(v) for name in ("zip", "born", "income", "email", "ssn", "note") for v in LOANS[name] if str(v) in words]


def test_the_finder_of_secrets_finds_them(data: Path) -> None:
    raw = pl.read_parquet(data) if data.suffix == ".parquet" else pl.read_csv(data)
    assert len(secrets_in(raw)) == 6 * ROWS


def test_columns_rows_and_masks(alice: Reader) -> None:
    shown = {d.column: (str(d.shown), d.mask, d.aggregate) for d in alice.decisions}
    assert shown["amount"] == ("clear", "", False)
    assert shown["income"] == ("masked", "bucket", True)
    assert shown["ssn"] == ("masked", "empty", False)
    frame = alice.frame()
    assert frame["id"].to_list() == list(NORTH)
    assert set(frame["zip"]) == {LOANS["zip"][i][:2] for i in NORTH}
    assert frame["born"].to_list() == [LOANS["born"][i].year for i in NORTH]
    assert frame["income"].to_list() == [LOANS["income"][i] // 10_000 * 10_000 for i in NORTH]
    assert frame["ssn"].null_count() == len(NORTH)
    assert set(frame["note"]) == {"-"}
    assert frame["email"].n_unique() == len(NORTH)
    assert all(re.fullmatch("[0-9a-f]{32}", value) for value in frame["email"])
    assert secrets_in(frame) == []
    assert alice.frame(["note"]).height == len(NORTH)  # a constant alone is not one row


def test_keyed_hashes_join_under_one_key_and_need_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    with open(path, "alice", "training", key=KEY) as a, open(path, "alice", "training", key=KEY) as b:
        first = a.frame(["email"])
        assert first.equals(b.frame(["email"]))
    with open(path, "alice", "training", key=bytes(32)) as other:
        assert not set(other.frame(["email"])["email"]) & set(first["email"])
    with pytest.raises(InputError, match="masked by a keyed hash"):
        open(path, "alice", "training")


RAW_SQL = [
    "SELECT * FROM read_parquet('{path}')",
    "SELECT * FROM read_csv('{path}')",
    "SELECT * FROM read_text('{path}')",
    "SELECT * FROM '{path}'",
    'FROM "{path}"',
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM parquet_metadata('{path}')",
    "SELECT * FROM sniff_csv('{path}')",
    "COPY loans TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "ATTACH '{folder}/x.db' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "EXPORT DATABASE '{folder}/out'",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_columns()",
    "WITH a AS (WITH duckdb_columns AS (SELECT 1) SELECT 1) SELECT * FROM duckdb_columns",
    "SELECT * FROM information_schema.columns",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('loans')",
    "SELECT * FROM secret",
    "SELECT 1; SELECT 2",
    "CREATE TABLE x AS SELECT 1",
    "SHOW TABLES",
    "DESCRIBE loans",
    "EXPLAIN ANALYZE SELECT * FROM loans",
]


def test_raw_sql_reaches_nothing_else(alice: Reader, data: Path) -> None:
    secret = pl.read_parquet(data) if data.suffix == ".parquet" else pl.read_csv(data)  # a variable that a replacement scan would find
    for text in RAW_SQL:
        with pytest.raises(BartizanError) as told:
            alice.sql(text.format(path=data, folder=data.parent))
        assert secrets_in(str(told.value)) == [], text
    assert len(secret) == ROWS
    assert not (data.parent / "out.csv").exists()


def test_the_sealed_database_is_a_wall_of_its_own(data: Path) -> None:
    """The same without the look at the text: nothing of the file comes out, nothing is written."""
    connection = sealed(Limits())
    connection.register("loans", pl.DataFrame({"masked": ["-"]}).to_arrow())
    lock(connection)
    secret = pl.read_parquet(data) if data.suffix == ".parquet" else pl.read_csv(data)
    for text in RAW_SQL:
        try:
            answer = str(connection.execute(text.format(path=data, folder=data.parent)).fetchall())
        except duckdb.Error as error:
            answer = str(error)
        assert secrets_in(answer) == [], text
    connection.close()
    assert len(secret) == ROWS
    assert not (data.parent / "out.csv").exists()
    assert not (data.parent / "x.db").exists()


def test_a_join_on_a_masked_column_matches_masks_alone(alice: Reader) -> None:
    for name in ("zip", "email", "ssn", "note"):
        values = ", ".join(f"('{value}')" for value in LOANS[name])
        found = alice.sql(f"SELECT count(*) FROM loans JOIN (VALUES {values}) AS known(value) ON loans.{name} = known.value")
        assert found.row(0) == (0,), name
    values = ", ".join(f"({value})" for value in LOANS["income"])
    assert alice.sql(f"SELECT count(*) FROM loans JOIN (VALUES {values}) AS known(value) ON income = value").row(0) == (0,)


STARS = [
    "SELECT * FROM loans",
    "FROM loans",
    "SELECT l FROM loans l",
    "SELECT COLUMNS('.*') FROM loans",
    "SELECT * EXCLUDE (id) FROM loans ORDER BY email, ssn",
    "SELECT DISTINCT ON (email) * FROM loans",
    "TABLE loans",
    "SELECT to_json(l) FROM loans l",
    "WITH everything AS (SELECT * FROM loans) SELECT * FROM everything",
    "SELECT array_agg(l) FROM loans l",
    "SELECT id, (SELECT list(b.email) FROM loans b WHERE b.id = a.id) FROM loans a",
    "SELECT string_agg(ssn, ','), max(email), min(zip), mode(born), histogram(income) FROM loans GROUP BY id",
]


def test_a_star_gives_masks(alice: Reader) -> None:
    for text in STARS:
        answer = alice.sql(text)
        assert len(answer)
        assert secrets_in(answer) == [], text


ORDINARY = [
    "SELECT CAST(amount AS DECIMAL(10, 2)), TRY_CAST(zip AS INT), amount::VARCHAR, [amount], {'a': amount} FROM loans LIMIT 1",
    "SELECT region, sum(amount) FILTER (WHERE id > 3) OVER (PARTITION BY region ORDER BY id ROWS 1 PRECEDING) FROM loans LIMIT 1",
    "SELECT region, sum(amount) FROM loans GROUP BY ROLLUP (region) HAVING count(*) > 1 ORDER BY 1 DESC NULLS LAST LIMIT 90%",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r EXCEPT SELECT 2 ORDER BY n",
    "SELECT a.id, b.id FROM loans a ASOF JOIN (SELECT 5 AS id) b ON a.id >= b.id LIMIT 1",
    "SELECT * FROM loans a JOIN loans b USING (id) LIMIT 1",
    "SELECT id, up FROM loans, LATERAL (SELECT id + 1 AS up) WHERE EXISTS (SELECT 1 FROM loans WHERE amount > 1) LIMIT 1",
    "SELECT DISTINCT ON (region) id, CASE WHEN amount BETWEEN 1 AND 2 THEN 'x' ELSE coalesce(zip, '-') END FROM loans ORDER BY id",
    "SELECT [x * 2 FOR x IN [1, 2]], list_transform([1], lambda y: y + 1), extract(year FROM DATE '2024-01-01' + INTERVAL 3 DAY)",
    "SELECT uuid(), 170141183460469231731687303715884105727::HUGEINT, MAP {'a': 1}, TIME '12:00', '101'::BIT, NULL",
    "FROM range(3) SELECT range QUALIFY row_number() OVER (ORDER BY range) = 1",
    "VALUES (1, 'a'), (2, 'b')",
]


def test_ordinary_queries_are_answered(alice: Reader) -> None:
    for text in ORDINARY:
        assert len(alice.sql(text)), text
    for foreign in ("INTERVAL 3 DAY", "{'a': INTERVAL 1 DAY}", "union_value(k := 1)"):
        with pytest.raises(InputError, match="cast it to VARCHAR"):
            alice.sql(f"SELECT {foreign} AS x FROM loans")


def test_an_aggregate_of_one_row(alice: Reader) -> None:
    for figure in ("max(income)", "avg(income)", "any_value(born)", "first(email)", "quantile_disc(zip, 0.5)"):
        assert secrets_in(alice.sql(f"SELECT {figure} FROM loans WHERE id = 4")) == []
    found = alice.aggregate(["id"], {"mean": ("mean", "income")})
    assert (found.frame.height, found.hidden_groups, found.hidden_rows) == (0, len(NORTH), len(NORTH))
    with pytest.raises(UnknownName, match="what may be aggregated"):
        alice.aggregate([], {"n": ("count", "born")})
    with pytest.raises(UnknownName, match="unknown measure 'max'"):
        alice.aggregate([], {"n": ("max", "income")})
    whole = alice.aggregate([], {"mean": ("mean", "income"), "n": ("count", "income")}).frame
    assert whole.row(0) == (len(NORTH), sum(LOANS["income"][i] for i in NORTH) / len(NORTH), len(NORTH))


def test_a_regular_expression_sees_the_mask(alice: Reader) -> None:
    for name in ("zip", "born", "income", "email", "ssn", "note"):
        for row in (0, 4):
            pattern = re.escape(str(LOANS[name][row]))
            held = f"regexp_matches(CAST({name} AS VARCHAR), '^{pattern}$') OR {name}::VARCHAR LIKE '{pattern}'"
            assert alice.sql(f"SELECT count(*) FROM loans WHERE {held}").row(0) == (0,), name


ERRING = [
    "SELECT CAST(email AS INTEGER) FROM loans",
    "SELECT CAST(note AS DATE) FROM loans",
    "SELECT error(email) FROM loans",
    "SELECT strptime(zip, '%Y-%m-%d') FROM loans",
    "SELECT id / (income - income), regexp_extract(ssn, '(', 1) FROM loans",
    "SELECT emial FROM loans",
    "SELECT income FROM loans WHERE (SELECT income FROM loans) > 1 ORDER BY (SELECT email FROM loans)",
]


def test_errors_say_nothing(alice: Reader) -> None:
    for text in ERRING:
        try:
            answer: object = alice.sql(text)
        except BartizanError as error:
            answer = str(error)
        assert secrets_in(answer) == [], text


def test_order_groups_and_distinct_follow_the_masks(alice: Reader) -> None:
    ordered = alice.sql("SELECT id FROM loans ORDER BY ssn, id")["id"].to_list()
    assert ordered == sorted(ordered)
    assert alice.sql("SELECT count(DISTINCT income) FROM loans").row(0) == (len({LOANS["income"][i] // 10_000 for i in NORTH}),)
    assert alice.sql("SELECT count(*) FROM loans WHERE income > 20001 AND income < 30000").row(0) == (0,)


def test_columns_that_a_query_does_not_mean_are_not_read() -> None:
    query = Query("SELECT count(*) FROM loans WHERE amount > 1", "loans", list(LOANS))
    assert query.columns == ("amount",)
    assert Query("SELECT 1 FROM loans", "loans", list(LOANS)).columns == ("id",)
    for text in ("SELECT * FROM loans", "SELECT loans FROM loans", "SELECT x.* FROM loans x", "FROM loans NATURAL JOIN loans b"):
        assert Query(text, "loans", list(LOANS)).columns == tuple(LOANS)


def test_columns_that_are_not_asked_for_are_not_read(tmp_path: Path) -> None:
    """The bytes of a column are damaged: only who asks for it notices, and whoever filters by another does not."""
    from pyarrow import parquet

    path = write(tmp_path)
    names = parquet.ParquetFile(path).schema_arrow.names
    chunk = parquet.ParquetFile(path).metadata.row_group(0).column(names.index("note"))
    start = min(offset for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset)
    data = bytearray(path.read_bytes())
    data[start : start + chunk.total_compressed_size] = os.urandom(chunk.total_compressed_size)
    path.write_bytes(data)
    with open(path, "alice", "training", key=KEY) as alice:
        assert alice.frame(["id", "email"]).height == len(NORTH)
        assert alice.sql("SELECT count(*) FROM loans WHERE amount > 1").height == 1
        assert alice.aggregate(["region"], {"mean": ("mean", "income")}).frame.height == 1
    with open(path, "olga", "audit", key=KEY) as olga, pytest.raises(InputError, match="cannot be read as a table"):
        olga.frame(["note"])


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_folder_of_files_is_one_table(tmp_path: Path, kind: str) -> None:
    whole = write(tmp_path, kind)
    folder = tmp_path / "parts"
    (folder / "later").mkdir(parents=True)
    frame = pl.DataFrame(loans())
    for name, part in (("a", frame.head(50)), ("later/b", frame.tail(ROWS - 50))):
        part.write_parquet(folder / f"{name}.parquet") if kind == "parquet" else part.write_csv(folder / f"{name}.csv")
    policy = Path(f"{whole}.access.yaml")
    with open(whole, "alice", "training", key=KEY) as one, open(folder, "alice", "training", policy=policy, key=KEY) as many:
        assert many.frame().equals(one.frame())
        assert many.sql("SELECT count(*) FROM loans").row(0) == (len(NORTH),)
    (folder / "c.jsonl").write_text("{}")
    with pytest.raises(InputError, match="several formats"):
        open(folder, "alice", "training", policy=policy, key=KEY)


def test_who_may_do_nothing_is_refused_and_on_record(data: Path) -> None:
    for who, purpose, error in [
        ("eve", "training", Refused), ("alice", "billing", Refused), ("bob", "training", Refused), ("allice", "training", UnknownName),
        ("alice", "trainin", UnknownName),
    ]:  # fmt: skip
        with pytest.raises(error):
            open(data, who, purpose, key=KEY)
    with Store.open(data.parent / ".bartizan") as store:
        found = store.accesses()
    assert [(a.principal, a.act) for a in found] == [(w, "refused") for w in ("eve", "alice", "bob", "allice", "alice")]
    assert "did you mean 'training'" in found[-1].why


def test_other_people_see_other_things(data: Path) -> None:
    with open(data, "bob", "billing", key=KEY) as bob:
        assert "income" not in bob.columns
        frame = bob.frame()
        assert frame["ssn"].to_list() == [LOANS["ssn"][i] for i in range(1, ROWS, 2) if LOANS["amount"][i] < 900]
        with pytest.raises(UnknownName, match="unknown column 'income'"):
            bob.frame(["income"])
        with pytest.raises(InputError, match="income"):
            bob.sql("SELECT avg(income) FROM loans WHERE id = 1")
    with open(data, "olga", "audit", key=KEY) as olga:
        assert olga.frame().height == ROWS


def test_batches_are_the_frame(alice: Reader) -> None:
    batches = list(alice.batches(["id", "email"], rows=16))
    assert pl.concat(batches).equals(alice.frame(["id", "email"]))


def test_every_answer_is_on_record(data: Path) -> None:
    with open(data, "alice", "training", key=KEY) as alice:
        alice.frame(["id", "zip"])
        alice.sql("SELECT count(*) FROM loans WHERE amount > 1")
        with pytest.raises(Refused):
            alice.sql("COPY loans TO 'x'")
        alice.aggregate(["region"], {"mean": ("mean", "income")})
        list(alice.batches(["id"]))
    with Store.open(data.parent / ".bartizan") as store:
        found = store.accesses("alice")
    assert [a.act for a in found] == ["open", "frame", "sql", "refused", "aggregate", "batches", "done"]
    assert [a.rows for a in found] == [None, 100, 1, None, 1, None, 100]
    assert [a.opened for a in found] == [None, 1, 1, 1, 1, 1, 1]
    assert found[0].clear == ("id", "amount", "region")
    assert found[0].policy == load(Path(f"{data}.access.yaml")).digest
    assert (found[1].clear, found[1].masked) == (("id",), ("zip",))
    assert (found[2].clear, found[4].aggregated) == (("amount",), ("income",))
    key = next((data.parent / ".bartizan" / "keys" / "public").glob("*.pem"))
    assert verify_store(data.parent, key).ok


def test_every_refusal_is_on_record(data: Path) -> None:
    with open(data, "alice", "training", key=KEY) as alice:
        asks: list[Callable[[], object]] = [
            lambda: alice.frame(["born", "secret"]),
            lambda: next(alice.batches(["secret"])),
            lambda: alice.sql("SELECT 1; SELECT 2"),
            lambda: alice.aggregate([], {"m": ("mean", "ssn")}),
            lambda: alice.aggregate(["secret"], {}),
        ]
        for ask in asks:
            with pytest.raises(BartizanError):
                ask()
    with Store.open(data.parent / ".bartizan") as store:
        assert [access.act for access in store.accesses("alice")].count("refused") == 5


def test_what_cannot_be_recorded_is_not_given(data: Path) -> None:
    with open(data, "alice", "training", key=KEY) as alice:
        alice._journal._store._connection.execute("DROP TABLE entries")
        for ask in (alice.frame, lambda: alice.sql("SELECT 1 FROM loans"), lambda: next(alice.batches()), lambda: alice.aggregate([], {})):
            with pytest.raises(EvidenceError):
                ask()
        alice._journal._store._added = False
    blocked = data.parent / "blocked"
    blocked.write_text("no folder")
    with pytest.raises(EvidenceError):
        open(data, "alice", "training", key=KEY, log=blocked)


def test_readers_at_once_make_one_chain(data: Path) -> None:
    def read() -> None:
        with open(data, "alice", "training", key=KEY) as reader:
            for _ in range(3):
                reader.frame(["id"])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verify_store(data.parent)
    assert (found.ok, found.entries) == (True, 16)


def test_expired_rows_are_absent_from_every_path(tmp_path: Path) -> None:
    policy = POLICY.replace("smallest_group: 10", "smallest_group: 10\nRETENTION")
    days = (dt.datetime.now(dt.UTC).date() - dt.date(1960, 1, 1)).days
    policy = policy.replace("RETENTION", f"retention: {{column: born, days: {days}}}", 1)
    path = write(tmp_path, policy=policy)
    assert load(Path(f"{path}.access.yaml")).retention == Expiry(column="born", days=days)
    with open(path, "alice", "training", key=KEY) as alice:
        kept = alice.frame(["born"])["born"].to_list()
        assert 0 < len(kept) < len(NORTH)
        assert min(kept) >= 1959
        assert alice.sql("SELECT min(born) FROM loans").row(0) == (min(kept),)
        assert alice.aggregate([], {}).frame.row(0) == (len(kept),)
        assert sum(len(b) for b in alice.batches(["id"])) == len(kept)
    with open(path, "alice", "training", key=KEY, extra=pl.col("id") > 150) as alice:
        assert min(alice.frame(["id"])["id"].to_list()) > 150


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  zip: {", "  zipp: {", "unknown column 'zipp' of policy 'loans'; did you mean 'zip'?"),
        (
            'Role::"scientist", action == Action::"read", resource in',
            'Role::"sientist", action == Action::"read", resource in',
            "unknown role",
        ),
        ('Action::"aggregate"', 'Action::"agregate"', "unknown action 'agregate'"),
        ('Purpose::"billing"', 'Purpose::"biling"', "unknown purpose 'biling'"),
        ('Tag::"sensitive"', 'Tag::"sensitve"', "unknown tag 'sensitve'"),
        ("resource.amount >= 900", "resource.amuont >= 900", "attribute 'amuont'"),
        ("resource.amount >= 900", 'resource.amount >= "900"', "expected Long but saw String"),
        ("principal.region", "principal.regoin", "attribute 'regoin'"),
        ("  forbid (", "  forbidden (", "Cedar cannot read the rules"),
        ("roles: [scientist],", "roles: [scientis],", "unknown role 'scientis'"),
        ("mask: year", "mask: yaer", "yaer"),
        ("mask: bucket, width: 10000", "mask: bucket", "a bucket without a width"),
        ("mask: prefix, keep: 2", "mask: bucket, width: 5", "which the mask 'bucket' does not fit"),
        ("smallest_group: 10", "smallest_group: 1", "a group of one is one person"),
        ("smallest_group: 10", "smalest_group: 1", "smalest_group"),
        ("scientist: [staff]", "scientist: [clerk]", ""),
        ("staff: [],", "staff: [clerk],", "is above itself"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_denies(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in POLICY
    path = write(tmp_path, policy=POLICY.replace(old, new))
    if not said:
        open(path, "alice", "training", key=KEY).close()
        return
    with pytest.raises(BartizanError) as told:
        open(path, "alice", "training", key=KEY)
    assert said in str(told.value)
    assert re.search(r"access\.yaml:\d+: ", str(told.value)), str(told.value)
    assert "\n" not in str(told.value)


def test_a_rule_that_errs_denies(tmp_path: Path) -> None:
    forbid = '  forbid (principal, action == Action::"read", resource == Column::"amount")\n'
    forbid += "  when { 9223372036854775807 + principal.level == 0 };\n"
    with open(write(tmp_path, policy=POLICY + forbid), "alice", "training", key=KEY) as alice:
        decision = next(d for d in alice.decisions if d.column == "amount")
        assert (str(decision.shown), decision.aggregate) == ("absent", False)
        assert decision.why.startswith("a rule errs: ")


@pytest.mark.parametrize("depth", [51, 3000])
def test_rules_that_would_exhaust_the_parser_are_refused(tmp_path: Path, depth: int) -> None:
    rule = f"  permit (principal, action, resource) when {{ {'(' * depth}true{')' * depth} }};\n"
    with pytest.raises(InputError, match=r"too long or nested too deep|longer than"):
        open(write(tmp_path, policy=POLICY + rule), "alice", "training", key=KEY)


AT_THE_LIMIT = """
import sys
import time
from pathlib import Path
from bartizan.areas.access.reading import open
from bartizan.model.errors import BartizanError
for policy in sys.argv[2:]:
    try:
        open(Path(sys.argv[1]), "alice", "training", key=bytes(32), policy=Path(policy)).close()
    except BartizanError as error:
        assert "\\n" not in str(error)
"""


def test_rules_at_the_limit_do_not_crash(tmp_path: Path) -> None:
    """Cedar's parser and validator recurse: the longest rule that is let through must not exhaust the stack."""
    texts = [f"{part * (960 // tokens)}{end}" for part, tokens, end in (
        ("!", 1, "true"), ("-", 1, "1 == 1"), ("true && ", 3, "true"), ("false || ", 3, "true"), ("1 + ", 2, "1 == 1"),
        ("if true then true else ", 5, "true"),
    )]  # fmt: skip
    texts += [f"{left * 45}{middle}{right * 45} == 1" for left, middle, right in (("(", "1", ")"), ("[", "1", "]"), ("{a: ", "1", "}"))]
    texts += [f"principal{'.level' * 480} == 1", f"principal has level{'.level' * 470}"]
    path, policies = write(tmp_path), []
    for number, text in enumerate(texts):
        policies.append(tmp_path / f"{number}.yaml")
        policies[-1].write_text(POLICY + f"  permit (principal, action, resource) when {{ {text} }};\n")
    command = [sys.executable, "-c", AT_THE_LIMIT, path, *policies]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_limits_of_a_query(alice: Reader) -> None:
    with pytest.raises(Refused, match=r"longer than 0\.2 s"):
        alice.sql("SELECT count(*) FROM range(100000000000) a, range(100000) b", Limits(seconds=0.2))
    with pytest.raises(Refused, match="larger than 8 MiB"):
        alice.sql("SELECT * FROM range(100000000)", Limits(memory=8))
    begun = time.monotonic()
    for text in ("SELECT repeat('x', 4000000000)", "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))"):
        with pytest.raises(BartizanError, match=r"Out of Memory|longer than 1 s"):  # neither is one vector that DuckDB's limits end
            alice.sql(text, Limits(seconds=1, memory=128))
    assert time.monotonic() - begun < 20
    with pytest.raises(InputError, match="longer than"):
        alice.sql("SELECT 1" + " " * 70_000)
    with pytest.raises(BartizanError):
        alice.sql("SELECT " + "(" * 30_000 + "1" + ")" * 30_000)


def test_a_damaged_table_says_no_cells(tmp_path: Path) -> None:
    path = write(tmp_path)
    data = bytearray(path.read_bytes())
    data[40:4000] = os.urandom(3960)
    path.write_bytes(data)
    with open(path, "alice", "training", key=KEY) as alice, pytest.raises(InputError, match="cannot be read as a table") as told:
        alice.frame()
    assert secrets_in(str(told.value)) == []
