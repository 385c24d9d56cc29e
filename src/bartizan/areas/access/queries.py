"""SQL over what somebody sees, in a database that holds nothing else and reaches nothing else.

Two walls. The text is read as a tree by DuckDB's own parser and refused unless it is one SELECT over the given table, its own common
tables and a few functions that make rows. Then it is answered in a process of its own (`answering`), in a new database in memory that holds
the masked table alone, has no way to files, network, extensions or the variables of this program, and whose settings are locked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec

from bartizan.areas.access.answering import answered, arrow
from bartizan.model.errors import InputError, MissingExtra, Refused, UnknownName, one_line

LONGEST = 64 * 1024
"""Characters of a query."""

_SEALED = {
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "temp_directory": "",
    "enable_external_access": False,
}
_FOREIGN = ("interval", "union", "extension")
"""Arrow types of DuckDB's answers that Polars does not hold."""

_ROW_MAKERS = frozenset({"range", "generate_series", "unnest", "repeat"})
_NODES = frozenset(
    {
        "SELECT_NODE", "SET_OPERATION_NODE", "CTE_NODE", "RECURSIVE_CTE_NODE", "BASE_TABLE", "JOIN", "SUBQUERY", "EXPRESSION_LIST", "EMPTY",
        "TABLE_FUNCTION", "ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER", "ASCENDING", "DESCENDING",
        "ORDER_DEFAULT",
    }
)  # fmt: skip
"""What a query is made of besides expressions. Anything else (SHOW, PIVOT, a newer kind) is refused."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one query may use: seconds of the clock in the database, MiB of memory there and for the answer, threads."""

    seconds: float = 60.0
    memory: int = 1024
    threads: int = 2


class Query:
    """One query about the table `name` with the columns `visible`. Raises `Refused` for what is no SELECT over it, `InputError`."""

    def __init__(self, text: str, name: str, visible: Sequence[str]) -> None:
        self.text, self.name = text, name
        if len(text) > LONGEST:
            raise InputError(f"the query is longer than {LONGEST} characters")
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError("the query is no text")
        nodes = list(_dicts(_tree(text)))
        _check(nodes, name)
        self.columns = _columns(nodes, name, visible)

    def answer(self, table: Any, limits: Limits) -> Any:
        """The answer as a Polars DataFrame; `table` holds at least `columns`, masked and filtered. Raises `InputError`, `Refused`."""
        import polars as pl

        _duckdb()
        found = answered(self.text, self.name, table.to_arrow(), limits.seconds, limits.memory, limits.threads)
        try:
            answer = pl.from_arrow(arrow().ipc.open_stream(found).read_all())
        except pl.exceptions.PolarsError as error:
            raise InputError(f"the answer holds what no DataFrame does ({type(error).__name__})", cure="cast it to VARCHAR") from None
        return answer


def stream(text: str, name: str, table: Any, limits: Limits) -> tuple[Any, Iterator[Any]]:
    """The schema and the batches of the answer to `text` over the Arrow `table`. Raises `InputError`, `Refused`, the iterator too."""
    connection = sealed(limits)
    late = threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(limits.seconds, stop)
    timer.daemon = True
    with _said(late, limits):
        connection.register(name, table)
        lock(connection)
        timer.start()
        result = connection.sql(text)
        reader = result.to_arrow_reader(65_536) if hasattr(result, "to_arrow_reader") else result.fetch_arrow_reader(65_536)
    foreign = [field for field in reader.schema if any(kind in str(field.type) for kind in _FOREIGN)]
    if foreign:
        raise InputError(f"'{one_line(foreign[0].name, 60)}' holds {one_line(str(foreign[0].type), 60)}", cure="cast it to VARCHAR")
    names = _unique(reader.schema.names)

    def batches() -> Iterator[Any]:
        size = 0
        with _said(late, limits):
            for batch in reader:
                size += batch.nbytes
                if size > limits.memory * 2**20:
                    raise Refused(f"the answer is larger than {limits.memory} MiB")
                yield batch.rename_columns(names)
        timer.cancel()
        connection.close()

    return reader.schema.empty_table().rename_columns(names).schema, batches()


@contextmanager
def _said(late: threading.Event, limits: Limits) -> Iterator[None]:
    """What the database says, in one line."""
    duckdb = _duckdb()
    try:
        yield
    except (duckdb.Error, OSError, ValueError, TypeError) as error:  # pyarrow passes on what happens in a stream as these
        if late.is_set():
            raise Refused(f"the query took longer than {limits.seconds:g} s") from None
        first = str(error).split("\n", 1)[0]
        raise InputError(f"the query fails: {one_line(first, 300)}") from None


def sealed(limits: Limits) -> Any:
    """A new database in memory that reaches nothing outside; what it shall hold is registered next, then `lock` closes it."""
    return _duckdb().connect(":memory:", config=_SEALED | {"memory_limit": f"{limits.memory}MiB", "threads": limits.threads})


def lock(connection: Any) -> None:
    """No setting of this database can be changed any more."""
    connection.execute("SET lock_configuration = true")


def _unique(names: Sequence[str]) -> list[str]:
    """The names of an answer's columns, a number behind each that has been there before."""
    found: list[str] = []
    for name in names:
        number, free = 0, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _tree(text: str) -> Any:
    """The one SELECT in `text` as DuckDB's parser reads it."""
    duckdb = _duckdb()
    with _parser().cursor() as cursor:
        try:
            found = json.loads(cursor.execute("SELECT json_serialize_sql(?)", [text]).fetchone()[0])
        except duckdb.Error as error:
            raise InputError(f"the query cannot be read: {one_line(str(error), 200)}") from None
        except RecursionError:
            raise Refused("the query is nested too deep") from None
    if found.get("error"):
        if found.get("error_type") == "not implemented":
            raise Refused("only SELECT is answered here")
        raise InputError(f"the query cannot be read: {one_line(str(found.get('error_message')), 200)}")
    if len(found["statements"]) != 1:
        raise Refused("one query at a time is answered here")
    return found["statements"][0]


@cache
def _parser() -> Any:
    """An empty sealed database of this process, whose parser is asked."""
    connection = sealed(Limits(memory=256, threads=1))
    lock(connection)
    return connection


@cache
def _catalogue() -> frozenset[str]:
    """The views that every database has, which tell of it."""
    with _parser().cursor() as cursor:
        return frozenset(name.casefold() for (name,) in cursor.execute("SELECT view_name FROM duckdb_views() WHERE internal").fetchall())


def _dicts(tree: Any) -> Iterator[dict[str, Any]]:
    open_ones = [tree]
    while open_ones:
        part = open_ones.pop()
        if isinstance(part, dict):
            yield part
            open_ones.extend(part.values())
        elif isinstance(part, list):
            open_ones.extend(part)


def _check(nodes: list[dict[str, Any]], name: str) -> None:
    own = {str(entry.get("key", "")).casefold() for node in nodes for entry in node.get("map", ()) if isinstance(entry, dict)}
    own |= {str(node.get("cte_name", "")).casefold() for node in nodes}
    own -= _catalogue()  # a common table of such a name counts in its own part of the query alone
    for node in nodes:
        kind = node.get("type")
        if "class" in node or not isinstance(kind, str) or "literal" in node or "id" in node or kind.endswith("_TYPE_INFO"):
            continue
        if kind not in _NODES:
            raise Refused(f"{kind.replace('_', ' ')} is not answered here", cure="ask with SELECT")
        if kind == "BASE_TABLE":
            table = str(node.get("table_name", ""))
            plain = not node.get("schema_name") and not node.get("catalog_name")
            if not plain:
                raise Refused("tables are named without schema and catalog here", cure=f"ask for {name}")
            if table.casefold() != name.casefold() and table.casefold() not in own:
                raise UnknownName("table", table, [name], of="this query")
        if kind == "TABLE_FUNCTION":
            function = node.get("function") or {}
            called = str(function.get("function_name", ""))
            if called.casefold() not in _ROW_MAKERS or function.get("schema") or function.get("catalog"):
                raise Refused(f"'{one_line(called, 60)}' is not answered here", cure=f"ask for {name}")


def _columns(nodes: list[dict[str, Any]], name: str, visible: Sequence[str]) -> tuple[str, ...]:
    """The columns that the query can mean: all where it says * or uses whole rows."""
    tables = {name.casefold()} | {str(n["alias"]).casefold() for n in nodes if "class" not in n and n.get("alias")}
    for node in nodes:
        whole = node.get("class") == "STAR" or str(node.get("ref_type", "REGULAR")) not in ("REGULAR", "CROSS")
        if node.get("class") == "COLUMN_REF":
            whole |= str((node.get("column_names") or [""])[-1]).casefold() in tables
        if whole:
            return tuple(visible)
    said = {text.casefold() for node in nodes for value in node.values() for text in _texts(value)}
    found = tuple(column for column in visible if column.casefold() in said)
    return found or tuple(visible[:1])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (part for part in value if isinstance(part, str))


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise MissingExtra("access", "duckdb") from None
    return duckdb
