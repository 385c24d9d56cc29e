"""Modes, groups, lists, owners and links of real files. What root alone can set up is skipped for others."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bartizan.adapters.wrapping_keys import LocalKey
from bartizan.areas.access import permissions
from bartizan.areas.access.permissions import Acl, openings, parse_acl, quoted
from bartizan.areas.provenance.sealing import seal
from bartizan.engine import registry
from bartizan.model.findings import Finding, Job, Verdict
from bartizan.model.system import Dataset, Sensitivity, Stage, Subject
from bartizan.testing import checks

CHECK = "access.file_permissions"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data set in a folder that others can enter: not below that of pytest, which each run closes."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        place.chmod(0o755)
        if not all(one.stat().st_mode & 0o001 for one in place.parents):
            pytest.skip("temporary files lie where nobody else can enter")
        (place / "set").mkdir()
        (place / "set").chmod(0o750)
        data = place / "set" / "people.csv"
        data.write_text("a\n1\n")
        data.chmod(0o640)
        yield place


def judged(root: Path, **fields: object) -> dict[str, Finding]:
    described = registry.get(CHECK)
    node = Dataset(id="people", stage=Stage.TRAIN, uri="set", **fields)
    (outcome,) = checks.contract(described, [Job(check=CHECK, version="1", threats=described.threats, subject=node, root=str(root))])
    return {finding.threat: finding for finding in outcome.findings}


SECRET = {"sensitivity": Sensitivity.CONFIDENTIAL, "subjects": (Subject.PERSON,)}


def test_closed_files_pass_and_say_what_was_not_looked_at(folder: Path) -> None:
    found = judged(folder, **SECRET)
    assert {f.verdict for f in found.values()} == {Verdict.PASS}
    assert "backups of it were not" in found["training-store-theft"].why


def test_readable_by_all(folder: Path) -> None:
    (folder / "set").chmod(0o755)
    (folder / "set" / "people.csv").chmod(0o644)
    found = judged(folder, **SECRET)
    theft = found["training-store-theft"]
    assert (theft.verdict, found["dataset-tampering"].verdict) == (Verdict.FAIL, Verdict.PASS)
    assert "chmod o-rwx set/people.csv" in theft.remedy
    assert str(folder) not in str(theft)
    assert [place.file for place in theft.places] == ["set/people.csv"]
    assert judged(folder)["training-store-theft"].verdict is Verdict.UNKNOWN
    public = judged(folder, sensitivity=Sensitivity.PUBLIC)["training-store-theft"]
    assert (public.verdict, public.title) == (Verdict.PASS, "Every account can read people, which is not declared confidential")


def test_a_folder_that_nobody_else_can_enter_keeps_what_is_in_it(folder: Path) -> None:
    (folder / "set" / "people.csv").chmod(0o666)
    assert {f.verdict for f in judged(folder, **SECRET).values()} == {Verdict.PASS}
    (folder / "set").chmod(0o711)
    assert {f.verdict for f in judged(folder, **SECRET).values()} == {Verdict.FAIL}, "names can be guessed"


def test_the_remedy_really_closes_it(folder: Path) -> None:
    (folder / "set").chmod(0o755)
    (folder / "set" / "people.csv").chmod(0o646)
    remedy = judged(folder)["dataset-tampering"].remedy
    command = remedy.removeprefix("Close it, from the manifest's folder: ")
    subprocess.run(["sh", "-c", command], check=True, cwd=folder)
    assert judged(folder)["dataset-tampering"].verdict is Verdict.PASS


@pytest.mark.parametrize("place", ["set", "set/people.csv"])
def test_writable_by_all_fails_whatever_the_data_is(folder: Path, place: str) -> None:
    (folder / "set").chmod(0o755)
    (folder / place).chmod(0o777 if place == "set" else 0o646)
    found = judged(folder, sensitivity=Sensitivity.PUBLIC)
    assert {f.verdict for f in found.values()} == {Verdict.FAIL}


def test_a_folder_above_without_the_sticky_bit(folder: Path) -> None:
    folder.chmod(0o777)
    assert judged(folder)["dataset-tampering"].verdict is Verdict.FAIL
    folder.chmod(0o1777)
    assert judged(folder)["dataset-tampering"].verdict is Verdict.PASS


def test_links_that_lead_out(folder: Path) -> None:
    (folder / "elsewhere.csv").write_text("a\n2\n")
    (folder / "set" / "inside.csv").symlink_to("people.csv")
    assert judged(folder)["dataset-tampering"].verdict is Verdict.PASS
    (folder / "set" / "outside.csv").symlink_to(folder / "elsewhere.csv")
    (folder / "set" / "loop").symlink_to("loop")
    finding = judged(folder)["dataset-tampering"]
    assert finding.verdict is Verdict.FAIL
    assert "set/outside.csv is a link that leads out" in " ".join(f"{o['file']} {o['what']}" for o in finding.details["openings"])
    assert "leads out of the data" in finding.why


def test_a_wide_group(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "set" / "people.csv").chmod(0o660)
    assert judged(folder)["dataset-tampering"].verdict is Verdict.PASS, "a group of one account is nobody else"
    found = list(openings(folder / "set", wide=0))
    assert [(o.path.name, o.reach) for o in found if "the group" in o.what] == [("people.csv", "write")]
    assert found[0].cure.startswith("chmod g-w ")


@as_root
def test_another_owner(folder: Path) -> None:
    other = next(uid for uid in (65534, 1, 2) if uid != os.geteuid())
    os.chown(folder / "set" / "people.csv", other, -1)
    finding = judged(folder)["dataset-tampering"]
    assert finding.verdict is Verdict.FAIL
    assert f"belongs to {permissions.user_name(other)}" in finding.why
    os.chown(folder / "set", other, -1)
    assert judged(folder)["dataset-tampering"].verdict is Verdict.PASS, "all of it belongs to one service account"


def test_lists_are_read_as_the_kernel_writes_them(folder: Path) -> None:
    raw = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry) for entry in ((0x01, 6, 0xFFFFFFFF), (0x02, 7, 12), (0x04, 4, 0xFFFFFFFF), (0x08, 4, 34),
                                                  (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
    )  # fmt: skip
    assert parse_acl(raw) == (Acl("user", 12, 4), Acl("group", 34, 4)), "the mask takes the rest"
    assert parse_acl(b"") == parse_acl(raw[:-1]) == parse_acl(b"\1" + raw[1:]) == ()
    data = folder / "set" / "people.csv"
    entries = ((0x01, 6, 0xFFFFFFFF), (0x02, 6, 12), (0x04, 4, 0xFFFFFFFF), (0x10, 6, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
    try:
        os.setxattr(data, permissions.ACL, struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
    except OSError:
        pytest.skip("this file system keeps no access control lists")
    finding = judged(folder)["dataset-tampering"]
    assert finding.verdict is Verdict.FAIL
    assert "by its access control list" in finding.why


def test_commands_can_be_pasted_whatever_a_file_is_called() -> None:
    assert quoted(Path("/data/a.csv")) == "/data/a.csv"
    for name in ("a b.csv", "it's", "x;rm -rf", "$(id)", "new\nline", "ä b"):
        told = subprocess.run(["bash", "-c", "printf %s " + quoted(Path("/tmp") / name)], capture_output=True, text=True, check=True).stdout
        assert told == f"/tmp/{name}"


def test_a_sealed_file_gives_nothing_to_whoever_reads_it(folder: Path) -> None:
    (folder / "set").chmod(0o755)
    plain, locked = folder / "set" / "people.csv", folder / "set" / "people.sealed"
    seal(plain, locked, LocalKey(bytes(32)))
    for file in (plain, locked):
        file.chmod(0o644)
    assert {one.path.name for one in openings(folder / "set", wide=5) if one.reach == "read"} == {"people.csv"}
