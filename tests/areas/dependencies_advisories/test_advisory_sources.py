"""Advisories from an archive, an address, a folder; and what must not be taken for one."""

import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bartizan.areas.dependencies.advisories import database, fetching
from bartizan.model.errors import InputError, Refused


def archive(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in entries.items():
            packed.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def good(records: list[dict[str, Any]]) -> bytes:
    """An archive as OSV publishes it."""
    return archive({f"{r['id']}.json": json.dumps(r).encode() for r in records})


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server on loopback that answers with what the dictionary holds; `/short` promises more than it sends."""
    pages: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"") + (100 if self.path == "/short" else 0)))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", pages
        running.shutdown()


def test_download(server: tuple[str, dict[str, bytes]], tmp_path: Path, good: bytes) -> None:
    address, pages = server
    pages["/all.zip"] = good
    about = database.write(tmp_path / "PyPI.db", fetching.advisories_from(f"{address}/all.zip", "PyPI"), "PyPI", address)
    assert (about.count, about.withdrawn) == (6, 1)


@pytest.mark.parametrize("page", ["/missing", "/short", "/broken"])
def test_a_failed_download_leaves_what_was_there(server: tuple[str, dict[str, bytes]], tmp_path: Path, good: bytes, page: str) -> None:
    address, pages = server
    pages |= {"/short": good, "/broken": good[: len(good) // 2]}
    target = tmp_path / "PyPI.db"
    target.write_bytes(b"as it was")
    with pytest.raises(InputError):
        database.write(target, fetching.advisories_from(address + page, "PyPI"), "PyPI", address)
    assert target.read_bytes() == b"as it was"
    assert [p.name for p in tmp_path.iterdir()] == ["PyPI.db"]


def test_nothing_is_fetched_in_the_clear() -> None:
    with pytest.raises(Refused, match="https"):
        next(fetching.advisories_from("http://example.org/all.zip", "PyPI"))


def test_unreachable_says_what_to_do() -> None:
    with pytest.raises(InputError, match="--from FILE"):
        next(fetching.advisories_from("http://127.0.0.1:9/all.zip", "PyPI"))


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b'{"id": "", "modified": "2026-01-01T00:00:00Z"}', b'{"id": "X", "modified": "monday"}', b"\xff"]
)
def test_what_is_no_advisory(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(archive({"X.json": content}))
    with pytest.raises(InputError, match=r"a\.zip:X\.json"):
        list(fetching.advisories_from(str(tmp_path / "a.zip"), "PyPI"))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(archive({"X.json": b" " * (fetching.MAX_RECORD + 1)}))
    with pytest.raises(Refused, match="unpacks"):
        list(fetching.advisories_from(str(tmp_path / "a.zip"), "PyPI"))


def test_an_archive_of_something_else_is_no_empty_set(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(archive({"readme.txt": b"hello"}))
    with pytest.raises(InputError, match="no advisory"):
        database.write(tmp_path / "PyPI.db", fetching.advisories_from(str(tmp_path / "a.zip"), "PyPI"), "PyPI", "a.zip")


def test_yaml_keeps_versions_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "PYSEC-9.yaml").write_text(
        "id: PYSEC-9\nmodified: 2026-01-01T00:00:00Z\naffected:\n- package: {ecosystem: PyPI, name: x}\n"
        "  ranges:\n  - {type: ECOSYSTEM, events: [{introduced: '0'}, {fixed: 1.10}]}\n  versions: [1.1, 1.10]\n"
    )
    (found,) = fetching.advisories_from(str(tmp_path), "PyPI")
    assert found.affected[0].ranges[0].events[1] == {"fixed": "1.10"}
    assert found.affected[0].versions == ("1.1", "1.10")
