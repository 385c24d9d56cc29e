"""Resolving declared uris: what lies below the project's folder is found, everything else is refused with its reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.adapters.files import files_below, local_path, read_text, shown
from bartizan.model.errors import BartizanError, InputError, Place, Refused


@pytest.mark.parametrize("uri", ["data/a.csv", "./data/a.csv", "data/../data/a.csv", "data/link.csv"])
def test_what_lies_below_is_found(tmp_path: Path, uri: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("x")
    (tmp_path / "data" / "link.csv").symlink_to("a.csv")
    assert local_path(tmp_path, uri) == tmp_path.resolve() / "data" / "a.csv"


def test_file_addresses_are_understood(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_text("x")
    assert local_path(tmp_path, f"file://{tmp_path}/a%20b.csv").name == "a b.csv"
    with pytest.raises(InputError, match="another host"):
        local_path(tmp_path, "file://elsewhere/a.csv")


@pytest.mark.parametrize("uri", ["https://example.org/a.csv", "s3://bucket/a.csv", "hf://owner/set", "oci://registry/a"])
def test_remote_addresses_say_so(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match=r"bartizan\.yaml:3: .* is remote"):
        local_path(tmp_path, uri, Place("bartizan.yaml", 3))


@pytest.mark.parametrize("uri", ["..", "../x", "/etc/passwd", "a/../../x", "out", "out/passwd", "file:///etc/passwd", "", " ", "a\0b"])
def test_ways_out_are_refused_before_anything_is_looked_at(tmp_path: Path, uri: str) -> None:
    (tmp_path / "out").symlink_to("/etc")
    with pytest.raises(Refused):
        local_path(tmp_path, uri)


def test_pipes_and_loops_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(Refused, match="neither a file nor a folder"):
        local_path(tmp_path, "pipe")
    with pytest.raises(InputError):
        local_path(tmp_path, "loop")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_ends_in_a_path_below_or_one_line(tmp_path_factory: pytest.TempPathFactory, uri: str) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        found = local_path(root, uri)
    except BartizanError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both ends are right, a traceback or a way out is not
    else:
        assert found.is_relative_to(root.resolve())


def test_walks_leave_out_links_and_caches_and_are_sorted(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", ".git/config", "__pycache__/x.pyc", "sub/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    assert [shown(tmp_path, path) for path in files_below(tmp_path, tmp_path)] == ["a.py", "b.py", "sub/c.py"]


def test_texts_are_bounded_and_never_fail_on_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\xff")
    assert read_text(tmp_path, tmp_path / "a") == "a�"
    with pytest.raises(InputError, match="larger than 3 bytes"):
        read_text(tmp_path, tmp_path / "a", limit=3)
